//! A scenario as a tree that can be made smaller: tables of typed values, read from its text and written again. It knows the
//! language by its catalogue, and nothing of runs.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use crate::random::WHOLE;
use crate::scenario::catalogue::{Entry, Sort, entries};
use crate::scenario::{Key, Takes, values};

/// The keys at the top, as a person reads them.
const HEAD: [&str; 3] = ["title", "why", "seed"];

/// What the numbers of a range count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    /// Things.
    One,
    /// Time.
    Milliseconds,
    /// So many in a time, which is written like this.
    Per(String),
    /// Shares.
    Millionths,
}

/// A value of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// A text, a name or a word.
    Text(String),
    /// Yes or no.
    Flag(bool),
    /// A number, a duration, a rate or a share; both bounds are the same where it is known.
    Range(u64, u64, Unit),
    /// Numbers.
    List(BTreeSet<u64>),
}

/// A table.
#[derive(Clone, Debug)]
pub(super) struct Table {
    /// What the language says of it.
    pub(super) entry: Arc<Entry>,
    /// What is set.
    pub(super) values: BTreeMap<&'static str, Value>,
}

/// A scenario.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    pub(super) head: Table,
    pub(super) cluster: Table,
    pub(super) loads: Vec<Table>,
    pub(super) faults: Vec<Table>,
    pub(super) expectations: Vec<Table>,
}

/// How much there is to read: the first that differs decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Weight {
    tables: usize,
    keys: usize,
    numbers: u128,
}

impl Draft {
    /// Reads the text of a valid scenario; `None`: it is none.
    pub(super) fn read(text: &str) -> Option<Self> {
        let entries: Vec<Arc<Entry>> = entries().into_iter().map(Arc::new).collect();
        let root: toml::Table = text.parse().ok()?;
        let find = |sort: Sort, name: Option<&str>| {
            let found =
                entries.iter().find(|entry| entry.sort == sort && name.is_none_or(|name| entry.name == name));
            found.map(Arc::clone)
        };
        let list = |sort: Sort, key: &str| -> Option<Vec<Table>> {
            let Some(list) = root.get(key) else { return Some(Vec::new()) };
            let tables = list.as_array()?.iter().map(|table| {
                let table = table.as_table()?;
                Table::read(find(sort, Some(table.get("kind")?.as_str()?))?, table)
            });
            tables.collect()
        };
        let none = toml::Table::new();
        let cluster = root.get("cluster").map_or(Some(&none), toml::Value::as_table)?;
        Some(Self {
            head: Table::read(find(Sort::Scenario, None)?, &root)?,
            cluster: Table::read(find(Sort::Cluster, None)?, cluster)?,
            loads: list(Sort::Load, "load")?,
            faults: list(Sort::Fault, "fault")?,
            expectations: list(Sort::Expectation, "expect")?,
        })
    }

    /// Its text.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for name in HEAD {
            if let Some(value) = self.head.values.get(name) {
                // A String takes whatever is written into it.
                let _ = writeln!(text, "{name} = {}", value.text());
            }
        }
        if !self.cluster.values.is_empty() {
            text.push_str("\n[cluster]\n");
            self.cluster.write(&mut text);
        }
        for table in self.loads.iter().chain(&self.faults).chain(&self.expectations) {
            let Entry { sort, name, .. } = &*table.entry;
            let _ = write!(text, "\n{}\nkind = \"{name}\"\n", sort.table());
            table.write(&mut text);
        }
        text
    }

    /// The seed of a run that names none.
    pub(super) fn seed(&self) -> u64 {
        match self.head.values.get("seed") {
            Some(Value::Range(seed, ..)) => *seed,
            _ => 1,
        }
    }

    /// The same with another seed.
    pub(super) fn with_seed(mut self, seed: u64) -> Self {
        self.head.values.insert("seed", Value::Range(seed, seed, Unit::One));
        self
    }

    /// Its loads, and then its faults.
    pub(super) fn parts_mut(&mut self) -> impl Iterator<Item = &mut Table> {
        self.loads.iter_mut().chain(&mut self.faults)
    }

    /// A table that says nothing beyond its kind.
    pub(super) fn plain(sort: Sort, name: &str) -> Option<Table> {
        let entry = entries().into_iter().find(|entry| entry.sort == sort && entry.name == name)?;
        Some(Table { entry: Arc::new(entry), values: BTreeMap::new() })
    }

    /// How much there is to read of it, its head apart.
    pub(super) fn weight(&self) -> Weight {
        let lists = [&self.loads, &self.faults, &self.expectations];
        let tables = || lists.into_iter().flatten().chain([&self.cluster]);
        let values = || tables().flat_map(|table| &table.values).filter(|(key, _)| **key != "stream");
        let length = |value: &Value| match value {
            Value::List(numbers) => numbers.len(),
            _ => 1,
        };
        let amount = |value: &Value| match value {
            Value::Range(low, high, _) if low == high => u128::from(*low),
            Value::Range(low, high, _) => u128::from(*low) + u128::from(*high),
            Value::List(numbers) => numbers.iter().map(|number| u128::from(*number)).sum(),
            Value::Text(_) | Value::Flag(_) => 0,
        };
        Weight {
            tables: tables().count(),
            keys: values().map(|(_, value)| length(value)).sum(),
            numbers: values().map(|(_, value)| amount(value)).sum(),
        }
    }
}

impl Table {
    fn read(entry: Arc<Entry>, table: &toml::Table) -> Option<Self> {
        let mut values = BTreeMap::new();
        for key in &entry.keys {
            if let Some(value) = table.get(key.name) {
                values.insert(key.name, Value::read(&key.takes, value)?);
            }
        }
        Some(Self { entry, values })
    }

    fn write(&self, text: &mut String) {
        for key in &self.entry.keys {
            if let Some(value) = self.values.get(key.name) {
                let _ = writeln!(text, "{} = {}", key.name, value.text());
            }
        }
    }

    /// What the language says of one of its keys.
    pub(super) fn key(&self, name: &str) -> Option<&Key> {
        self.entry.keys.iter().find(|key| key.name == name)
    }
}

impl Value {
    fn read(takes: &Takes, value: &toml::Value) -> Option<Self> {
        let text = || value.as_str();
        let milliseconds = |duration: Duration| u64::try_from(duration.as_millis()).ok();
        Some(match takes {
            Takes::Text | Takes::Name | Takes::Word(_) => Self::Text(text()?.to_owned()),
            Takes::Flag => Self::Flag(value.as_bool()?),
            Takes::Number(..) | Takes::Amount(..) | Takes::Node => {
                let (low, high) = match value.as_integer() {
                    Some(number) => (u64::try_from(number).ok()?, u64::try_from(number).ok()?),
                    None => values::amount(text()?)?.bounds(),
                };
                Self::Range(low, high, Unit::One)
            }
            Takes::Duration | Takes::Span => {
                let (low, high) = values::span(text()?)?.bounds();
                Self::Range(milliseconds(low)?, milliseconds(high)?, Unit::Milliseconds)
            }
            Takes::Rate => {
                let (low, high) = values::rate(text()?)?.amount.bounds();
                let (_, period) = text()?.split_once('/')?;
                Self::Range(low, high, Unit::Per(period.trim().to_owned()))
            }
            Takes::Share => {
                let (low, high) = values::share(text()?)?.bounds();
                Self::Range(low, high, Unit::Millionths)
            }
            Takes::Numbers(_) => {
                let number =
                    |entry: &toml::Value| entry.as_integer().and_then(|number| u64::try_from(number).ok());
                Self::List(value.as_array()?.iter().map(number).collect::<Option<_>>()?)
            }
        })
    }

    fn text(&self) -> String {
        match self {
            Self::Text(text) => toml::Value::String(text.clone()).to_string(),
            Self::Flag(flag) => flag.to_string(),
            Self::Range(low, high, Unit::One) if low == high => low.to_string(),
            Self::Range(low, high, Unit::Per(period)) if low == high => format!("\"{low}/{period}\""),
            Self::Range(low, high, Unit::Per(period)) => format!("\"{low}..{high}/{period}\""),
            Self::Range(low, high, unit) if low == high => format!("\"{}\"", unit.shown(*low)),
            Self::Range(low, high, unit) => format!("\"{}..{}\"", unit.shown(*low), unit.shown(*high)),
            Self::List(numbers) => {
                let numbers: Vec<String> = numbers.iter().map(u64::to_string).collect();
                format!("[{}]", numbers.join(", "))
            }
        }
    }
}

impl Unit {
    fn shown(&self, number: u64) -> String {
        match self {
            Self::One | Self::Per(_) => number.to_string(),
            Self::Milliseconds => values::shown(Duration::from_millis(number)),
            Self::Millionths => {
                let (percent, rest) = (number / (WHOLE / 100), number % (WHOLE / 100));
                let digits = format!("{percent}.{rest:04}");
                format!("{}%", digits.trim_end_matches('0').trim_end_matches('.'))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::scenario::{Scenario, files};

    /// What a scenario says, without how it is written.
    fn said(scenario: &Scenario) -> String {
        let Scenario { title, why, seed, cluster, loads, faults, expectations, .. } = scenario;
        format!("{title} {why} {seed} {cluster:?} {loads:?} {faults:?} {expectations:?}")
    }

    #[test]
    fn every_shipped_scenario_says_the_same_when_it_is_read_and_written_again() {
        let library = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios");
        for file in files(&[library]).unwrap() {
            let text = std::fs::read_to_string(&file).unwrap();
            let written = Draft::read(&text).unwrap_or_else(|| panic!("{}", file.display())).text();
            let again =
                Scenario::parse("x.toml", &written).unwrap_or_else(|error| panic!("{error}\n{written}"));
            assert_eq!(said(&again), said(&Scenario::parse("x.toml", &text).unwrap()));
        }
    }

    #[test]
    fn every_kind_of_value_is_written_as_it_is_read() {
        let text = "title = 'say \"t\"'\nwhy = \"w\"\nseed = 7\n\n[cluster]\nnodes = \"2..9\"\n\n\
                    [[load]]\nkind = \"churn\"\nrate = \"5..50/s\"\nduration = \"1500ms..1m\"\npercent = \"0.5%..30%\"\n\
                    stream = 2\nonly = [3, 17]\n\n[[load]]\nkind = \"reboot\"\nnode = 2\nat = \"10s\"\nlose_rows = true\n";
        assert_eq!(Draft::read(text).unwrap().text(), text);
    }
}
