//! The attributes of an object that are stored: a sorted list, because a VSD of a large site holds half a million objects of a
//! dozen attributes each, and a tree would take twice the room. Never holds a name twice.

use serde_json::Value;

use crate::vsd::model::Name;

/// Values by the names of their attributes, in the order of the names.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::vsd) struct Values(Vec<(Name, Value)>);

impl Values {
    fn place(&self, attribute: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(name, _)| (*name).cmp(attribute))
    }

    pub(in crate::vsd) fn get(&self, attribute: &str) -> Option<&Value> {
        self.place(attribute).ok().map(|place| &self.0[place].1)
    }

    pub(in crate::vsd) fn contains_key(&self, attribute: &str) -> bool {
        self.place(attribute).is_ok()
    }

    /// Puts a value in, or in the place of another.
    pub(in crate::vsd) fn insert(&mut self, attribute: Name, value: Value) {
        match self.place(attribute) {
            Ok(place) => self.0[place].1 = value,
            Err(place) => self.0.insert(place, (attribute, value)),
        }
    }

    /// Takes a value out.
    pub(in crate::vsd) fn remove(&mut self, attribute: &str) -> Option<Value> {
        self.place(attribute).ok().map(|place| self.0.remove(place).1)
    }

    pub(in crate::vsd) fn iter(&self) -> impl Iterator<Item = (&Name, &Value)> {
        self.0.iter().map(|(name, value)| (name, value))
    }

    /// Gives back the room for more that was never used.
    pub(super) fn settle(&mut self) {
        self.0.shrink_to_fit();
    }
}

impl FromIterator<(Name, Value)> for Values {
    fn from_iter<I: IntoIterator<Item = (Name, Value)>>(values: I) -> Self {
        let mut all = Self::default();
        all.extend(values);
        all
    }
}

impl Extend<(Name, Value)> for Values {
    fn extend<I: IntoIterator<Item = (Name, Value)>>(&mut self, values: I) {
        values.into_iter().for_each(|(name, value)| self.insert(name, value));
    }
}

impl<const N: usize> From<[(Name, Value); N]> for Values {
    fn from(values: [(Name, Value); N]) -> Self {
        values.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    const NAMES: [Name; 5] = ["MAC", "ID", "name", "UUID", "gateway"];

    proptest! {
        #[test]
        fn values_are_what_a_tree_of_them_would_be(
            steps in prop::collection::vec((0..NAMES.len(), prop::option::of(0..9)), 0..30)
        ) {
            let (mut values, mut tree) = (Values::default(), BTreeMap::new());
            for (name, number) in steps {
                let name = NAMES[name];
                if let Some(number) = number {
                    values.insert(name, Value::from(number));
                    tree.insert(name, Value::from(number));
                } else {
                    prop_assert_eq!(values.remove(name), tree.remove(name));
                }
                prop_assert!(values.iter().eq(tree.iter()));
                for name in NAMES {
                    prop_assert_eq!(values.get(name), tree.get(name));
                    prop_assert_eq!(values.contains_key(name), tree.contains_key(name));
                }
            }
        }
    }
}
