//! IDs by a text. Texts are told apart by their hashes, which stand side by side: to look at the texts themselves on the way
//! would be a cache miss for each, and most of a look-up among 100,000. Never takes one text for another.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use uuid::Uuid;

use super::Ids;

/// IDs by text.
#[derive(Debug, Default)]
pub(super) struct Texts(BTreeMap<u64, Entry>);

/// What has one hash: nearly always one text.
#[derive(Debug)]
enum Entry {
    One(Box<str>, Ids),
    Several(BTreeMap<Box<str>, Ids>),
}

impl Texts {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn get(&self, text: &str) -> Option<&Ids> {
        match self.0.get(&hash(text))? {
            Entry::One(only, ids) => (**only == *text).then_some(ids),
            Entry::Several(texts) => texts.get(text),
        }
    }

    /// Adds an ID, or takes it out.
    pub(super) fn change(&mut self, text: &str, id: Uuid, add: bool) {
        self.change_at(hash(text), text, id, add);
    }

    fn change_at(&mut self, hash: u64, text: &str, id: Uuid, add: bool) {
        let Some(entry) = self.0.get_mut(&hash) else {
            if add {
                self.0.insert(hash, Entry::One(text.into(), Ids::One(id)));
            }
            return;
        };
        match entry {
            Entry::One(only, ids) if **only == *text => {
                if add {
                    ids.insert(id);
                } else {
                    ids.remove(id);
                    if ids.is_empty() {
                        self.0.remove(&hash);
                    }
                }
            }
            Entry::One(..) if !add => {}
            Entry::One(only, ids) => {
                let first = (std::mem::take(only), std::mem::take(ids));
                *entry = Entry::Several(BTreeMap::from([first, (text.into(), Ids::One(id))]));
            }
            Entry::Several(texts) => {
                super::change(texts, text.into(), id, add);
                // The shape follows the content alone, so that what was taken back left no trace.
                if texts.len() < 2 {
                    match texts.pop_first() {
                        Some((only, ids)) => *entry = Entry::One(only, ids),
                        None => drop(self.0.remove(&hash)),
                    }
                }
            }
        }
    }
}

/// The same for a text in each process of a build; nobody sees it.
fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_found_by_its_text_until_it_is_taken_out() {
        let (mut texts, [a, b]) = (Texts::default(), [1, 2].map(Uuid::from_u128));
        texts.change("x", a, true);
        texts.change("x", b, true);
        texts.change("y", b, false);
        assert_eq!(texts.get("x").unwrap().iter().collect::<Vec<_>>(), [&a, &b]);
        assert_eq!(texts.get("y"), None);
        texts.change("x", a, false);
        texts.change("x", b, false);
        assert!(texts.is_empty());
    }

    #[test]
    fn texts_of_one_hash_are_not_taken_for_each_other_and_leave_no_trace() {
        let (mut texts, [a, b]) = (Texts::default(), [1, 2].map(Uuid::from_u128));
        let same = hash("x");
        texts.change("x", a, true);
        let before = format!("{texts:?}");
        texts.change_at(same, "other", b, false);
        texts.change_at(same, "other", b, true);
        assert!(matches!(&texts.0[&same], Entry::Several(several) if several.len() == 2));
        assert_eq!(texts.get("x"), Some(&Ids::One(a)));
        texts.change_at(same, "other", b, false);
        assert_eq!(format!("{texts:?}"), before);
        texts.change("x", a, false);
        assert!(texts.is_empty());
    }
}
