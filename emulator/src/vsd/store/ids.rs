//! A set of object IDs that costs nothing beyond itself while it holds one: most entries of an index over names
//! do. Never forgets an ID for having grown.

use std::collections::BTreeSet;
use std::iter::{Chain, Flatten};
use std::option;

use uuid::Uuid;

/// Goes through IDs in their order.
pub(in crate::vsd) type Iter<'a> =
    Chain<option::IntoIter<&'a Uuid>, Flatten<option::IntoIter<&'a BTreeSet<Uuid>>>>;

/// IDs in their order.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::vsd) enum Ids {
    #[default]
    None,
    One(Uuid),
    Many(BTreeSet<Uuid>),
}

impl FromIterator<Uuid> for Ids {
    fn from_iter<I: IntoIterator<Item = Uuid>>(all: I) -> Self {
        let mut ids = Self::None;
        all.into_iter().for_each(|id| ids.insert(id));
        ids
    }
}

impl Ids {
    pub(in crate::vsd) fn iter(&self) -> Iter<'_> {
        let (one, many) = match self {
            Self::None => (None, None),
            Self::One(id) => (Some(id), None),
            Self::Many(ids) => (None, Some(ids)),
        };
        one.into_iter().chain(many.into_iter().flatten())
    }

    pub(in crate::vsd) fn contains(&self, id: &Uuid) -> bool {
        match self {
            Self::None => false,
            Self::One(only) => only == id,
            Self::Many(ids) => ids.contains(id),
        }
    }

    pub(in crate::vsd) fn len(&self) -> usize {
        match self {
            Self::None => 0,
            Self::One(_) => 1,
            Self::Many(ids) => ids.len(),
        }
    }

    pub(in crate::vsd) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn insert(&mut self, id: Uuid) {
        match self {
            Self::None => *self = Self::One(id),
            Self::One(only) if *only != id => *self = Self::Many(BTreeSet::from([*only, id])),
            Self::One(_) => {}
            Self::Many(ids) => drop(ids.insert(id)),
        }
    }

    pub(super) fn remove(&mut self, id: Uuid) {
        match self {
            Self::One(only) if *only == id => *self = Self::None,
            Self::None | Self::One(_) => {}
            Self::Many(ids) => {
                ids.remove(&id);
                // The shape follows the content alone, so that what was taken back left no trace.
                if let (1, Some(only)) = (ids.len(), ids.first()) {
                    *self = Self::One(*only);
                }
            }
        }
    }
}

impl<'a> IntoIterator for &'a Ids {
    type Item = &'a Uuid;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}
