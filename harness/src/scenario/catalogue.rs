//! Everything that a scenario can say, from the entries that define it: what `explain` tells, what the JSON schema holds and
//! what `new` writes are all made of this list.

use super::key::Key;
use super::part::Part;
use super::reader::keys_of;
use super::registry::Kind;
use super::{Head, Size};
use crate::{expect, fault, invariant, load};

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sort {
    /// What stands before the first table.
    Scenario,
    /// The table `[cluster]`.
    Cluster,
    /// A kind of `[[load]]`.
    Load,
    /// A kind of `[[fault]]`.
    Fault,
    /// A kind of `[[expect]]`.
    Expectation,
    /// What holds without being written down.
    Invariant,
}

impl Sort {
    /// As a scenario writes it.
    pub fn table(self) -> &'static str {
        match self {
            Self::Scenario => "at the top of a scenario",
            Self::Cluster => "[cluster]",
            Self::Load => "[[load]]",
            Self::Fault => "[[fault]]",
            Self::Expectation => "[[expect]]",
            Self::Invariant => "invariant",
        }
    }
}

/// Something that a scenario can say.
#[derive(Clone, Debug)]
pub struct Entry {
    /// What it is.
    pub sort: Sort,
    /// Its name.
    pub name: &'static str,
    /// What it is for, in sentences.
    pub about: &'static str,
    /// Its keys, without `kind`.
    pub keys: Vec<Key>,
    /// Of an invariant: when it is looked at.
    pub when: Option<&'static str>,
}

impl Entry {
    fn new(sort: Sort, name: &'static str, about: &'static str, keys: Vec<Key>) -> Self {
        Self { sort, name, about, keys, when: None }
    }

    /// Where it stands, or when it is looked at.
    pub fn place(&self) -> String {
        let table = self.sort.table();
        self.when.map_or_else(|| table.to_owned(), |when| format!("{table}, looked at {when}"))
    }
}

/// Kinds of what draws: each has the keys of every part, too.
fn parts<T: ?Sized>(
    sort: Sort,
    kinds: &'static [Kind<T>],
    only: fn(&str) -> Option<&'static str>,
) -> impl Iterator<Item = Entry> {
    let keys = move |kind: &Kind<T>| Part::keys(kind, only(kind.name));
    kinds.iter().map(move |kind| Entry::new(sort, kind.name, kind.about, keys(kind)))
}

/// All of it.
pub fn entries() -> Vec<Entry> {
    let (name, about) = ("scenario", "What happens and why, and the seed of a run that names none.");
    let head = Entry::new(Sort::Scenario, name, about, keys_of(Head::read));
    let (name, about) = ("cluster", "What is simulated.");
    let cluster = Entry::new(Sort::Cluster, name, about, keys_of(Size::read));
    let invariants = invariant::ALL.iter().map(|invariant| Entry {
        when: Some(invariant.when()),
        ..Entry::new(Sort::Invariant, invariant.name, invariant.meaning, Vec::new())
    });
    let mut entries = vec![head, cluster];
    entries.extend(parts(Sort::Load, load::KINDS, load::only));
    entries.extend(parts(Sort::Fault, fault::KINDS, fault::only));
    let expectation = |kind: &Kind<_>| Entry::new(Sort::Expectation, kind.name, kind.about, kind.keys());
    entries.extend(expect::KINDS.iter().map(expectation));
    entries.extend(invariants);
    entries
}

#[cfg(test)]
mod tests {
    use super::super::Scenario;
    use super::*;

    /// The shortest scenario around the tables that are to be tried.
    fn with(tables: &str) -> String {
        format!("title = \"t\"\nwhy = \"w\"\n{tables}\n[[load]]\nkind = \"pod\"\nname = \"beside\"\n")
    }

    fn table(entry: &Entry, lines: &[String]) -> String {
        with(&format!("{}\nkind = \"{}\"\n{}", entry.sort.table(), entry.name, lines.join("\n")))
    }

    fn kinds() -> impl Iterator<Item = Entry> {
        entries()
            .into_iter()
            .filter(|entry| matches!(entry.sort, Sort::Load | Sort::Fault | Sort::Expectation))
    }

    #[test]
    fn every_key_that_is_told_is_read_and_takes_what_is_told() {
        for entry in kinds() {
            let lines: Vec<String> =
                entry.keys.iter().map(|key| format!("{} = {}", key.name, key.sample())).collect();
            let text = table(&entry, &lines);
            if let Err(error) = Scenario::parse("x.toml", &text) {
                panic!("{}: {error}\n{text}", entry.name);
            }
        }
    }

    #[test]
    fn a_key_that_is_needed_is_missed_and_no_other_is() {
        for entry in kinds() {
            let needed: Vec<&Key> = entry.keys.iter().filter(|key| key.is_needed()).collect();
            for left_out in &needed {
                let others = needed.iter().filter(|key| key.name != left_out.name);
                let lines: Vec<String> =
                    others.map(|key| format!("{} = {}", key.name, key.sample())).collect();
                let refused =
                    Scenario::parse("x.toml", &table(&entry, &lines)).expect_err("refused").to_string();
                assert!(
                    refused.contains(&format!("\"{}\" is missing", left_out.name)),
                    "{}: {refused}",
                    entry.name
                );
            }
        }
    }

    #[test]
    fn every_key_that_stands_for_a_value_can_be_read_from_it() {
        for entry in kinds() {
            for key in entry.keys.iter().filter(|key| matches!(key.takes, super::super::Takes::Amount(..))) {
                let super::super::Takes::Amount(least, most) = key.takes else { continue };
                let mut lines: Vec<String> =
                    (entry.keys.iter().filter(|other| other.is_needed() && other.name != key.name))
                        .map(|other| format!("{} = {}", other.name, other.sample()))
                        .collect();
                lines.push(format!("{} = \"{least}..{}\"", key.name, most.min(least + 3)));
                let read = Scenario::parse("x.toml", &table(&entry, &lines));
                let told = read.err().map(|error| error.to_string()).unwrap_or_default();
                assert!(!told.contains(key.name), "{}: {told}", entry.name);
            }
        }
    }

    #[test]
    fn everything_is_explained_and_every_name_is_of_one_thing() {
        let mut names = std::collections::BTreeSet::new();
        for entry in entries() {
            assert!(names.insert(entry.name), "{} is two things", entry.name);
            assert!(!entry.about.is_empty(), "{}", entry.name);
            for key in &entry.keys {
                assert!(
                    !key.about.is_empty() && !key.takes.describe().is_empty(),
                    "{}: {}",
                    entry.name,
                    key.name
                );
            }
        }
    }
}
