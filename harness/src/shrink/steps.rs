//! Where to look for something smaller: which tables, pods, strikes and nodes can be left out, and which numbers can be less.
//! What costs a run and takes much away comes first.

use std::collections::BTreeSet;

use super::draft::{Draft, Table, Unit, Value};
use super::search::Search;
use crate::scenario::catalogue::Sort;
use crate::scenario::{Default, Key, Takes};

/// Durations that people write, in milliseconds, the shortest first.
const DURATIONS: [u64; 17] = [
    0, 1, 10, 100, 500, 1000, 2000, 5000, 10_000, 20_000, 30_000, 60_000, 120_000, 300_000, 600_000,
    1_800_000, 3_600_000,
];
/// So many ordinary pods may take the place of a load.
const MOST_PLAIN_PODS: u64 = 4;
/// How long they stay: until the default, or longer.
const PLAIN_HOLDS: [Option<u64>; 2] = [None, Some(60_000)];
/// So few nodes are tried instead of many.
const FEW_NODES: [u64; 3] = [1, 2, 3];
/// No list of what comes about is longer.
const MOST_PICKED: u64 = 10_000;
/// What says how many pods there are.
const COUNTS: [&str; 6] = ["count", "completions", "replicas", "pods", "standing", "to"];

/// Keys that have steps of their own.
const APART: [&str; 2] = ["only", "stream"];

/// A list of tables of a scenario.
#[derive(Clone, Copy, Debug)]
enum List {
    Loads,
    Faults,
    Expectations,
}

impl List {
    fn of(self, draft: &Draft) -> &Vec<Table> {
        match self {
            Self::Loads => &draft.loads,
            Self::Faults => &draft.faults,
            Self::Expectations => &draft.expectations,
        }
    }

    fn of_mut(self, draft: &mut Draft) -> &mut Vec<Table> {
        match self {
            Self::Loads => &mut draft.loads,
            Self::Faults => &mut draft.faults,
            Self::Expectations => &mut draft.expectations,
        }
    }
}

/// Where a table stands.
#[derive(Clone, Copy, Debug)]
enum Place {
    Cluster,
    In(List, usize),
}

impl Place {
    fn of(self, draft: &Draft) -> Option<&Table> {
        match self {
            Self::Cluster => Some(&draft.cluster),
            Self::In(list, index) => list.of(draft).get(index),
        }
    }

    /// The draft with one table changed.
    fn changed(self, draft: &Draft, change: impl FnOnce(&mut Table)) -> Draft {
        let mut changed = draft.clone();
        let table = match self {
            Self::Cluster => Some(&mut changed.cluster),
            Self::In(list, index) => list.of_mut(&mut changed).get_mut(index),
        };
        if let Some(table) = table {
            change(table);
        }
        changed
    }

    /// All whose values can be made less. What an expectation asks for is not: what asks for less, or more, is another one.
    fn all(draft: &Draft) -> Vec<Self> {
        let tables = |list: List| (0..list.of(draft).len()).map(move |index| Self::In(list, index));
        std::iter::once(Self::Cluster)
            .chain([List::Loads, List::Faults].into_iter().flat_map(tables))
            .collect()
    }
}

/// Everything once.
pub(super) fn round(search: &mut Search<'_>) {
    for list in [List::Expectations, List::Faults, List::Loads] {
        leave_out_tables(search, list);
    }
    for load in 0..search.best().loads.len() {
        put_plain_pods(search, load);
    }
    for list in [List::Loads, List::Faults] {
        for index in 0..list.of(search.best()).len() {
            pick(search, list, index);
        }
    }
    leave_out_nodes(search);
    for place in Place::all(search.best()) {
        let keys = place.of(search.best()).map(|table| table.entry.keys.clone()).unwrap_or_default();
        for key in keys.iter().filter(|key| !APART.contains(&key.name)) {
            lessen(search, place, key);
        }
    }
}

/// Delta debugging: leaves out ever smaller parts of a list, for as long as the rest is enough.
fn minimise<T: Clone>(items: Vec<T>, mut is_enough: impl FnMut(&[T]) -> bool) -> Vec<T> {
    let mut kept = items;
    let mut part = kept.len();
    while part >= 1 {
        let mut begin = 0;
        while begin < kept.len() {
            let end = kept.len().min(begin + part);
            let rest: Vec<T> = kept[..begin].iter().chain(&kept[end..]).cloned().collect();
            if is_enough(&rest) {
                kept = rest;
            } else {
                begin = end;
            }
        }
        part = part.min(kept.len()) / 2;
    }
    kept
}

fn leave_out_tables(search: &mut Search<'_>, list: List) {
    let all: Vec<Table> = list.of(search.best()).clone();
    minimise(all, |rest| {
        let mut fewer = search.best().clone();
        *list.of_mut(&mut fewer) = rest.to_vec();
        search.attempt(&fewer, || format!("{list:?}: {} left", rest.len()))
    });
}

/// Puts a few ordinary pods in the place of a load.
fn put_plain_pods(search: &mut Search<'_>, load: usize) {
    let Some(table) = search.best().loads.get(load).cloned() else { return };
    let Some(mut plain) = Draft::plain(Sort::Load, "pod") else { return };
    if table.entry.name == plain.entry.name {
        return;
    }
    for key in ["namespace", "stream"] {
        plain.values.extend(table.values.get(key).map(|value| (key, value.clone())));
    }
    for count in 1..=MOST_PLAIN_PODS {
        for hold in PLAIN_HOLDS {
            let mut pods = plain.clone();
            pods.values.insert("count", Value::Range(count, count, Unit::One));
            pods.values.extend(hold.map(|hold| ("hold", Value::Range(hold, hold, Unit::Milliseconds))));
            let candidate = Place::In(List::Loads, load).changed(search.best(), |table| *table = pods);
            if search.attempt(&candidate, || format!("{count} pods instead of {}", table.entry.name)) {
                return;
            }
        }
    }
}

/// Leaves out single pods of a load, or single strikes of a fault.
fn pick(search: &mut Search<'_>, list: List, index: usize) {
    let place = Place::In(list, index);
    let Some(table) = place.of(search.best()).filter(|table| table.key("only").is_some()) else { return };
    let drawn = match list {
        List::Faults => &search.report().drawn.faults,
        _ => &search.report().drawn.loads,
    };
    let drawn = drawn.get(index).map_or(0, |picked| picked.drawn().min(MOST_PICKED));
    let all: Vec<u64> = match table.values.get("only") {
        Some(Value::List(numbers)) => numbers.iter().copied().filter(|number| *number <= drawn).collect(),
        _ => (1..=drawn).collect(),
    };
    let name = table.entry.name;
    let left = minimise(all, |rest| {
        let only: BTreeSet<u64> = rest.iter().copied().collect();
        let candidate = place.changed(search.best(), |table| {
            table.values.insert("only", Value::List(only));
        });
        search.attempt(&candidate, || format!("{name}: only {} of {drawn}", rest.len()))
    });
    // As many from the beginning are easier to read.
    let (few, counts) = (left.len() as u64, COUNTS);
    for count in counts {
        if place.of(search.best()).is_some_and(|table| table.key(count).is_some()) {
            let candidate = place.changed(search.best(), |table| {
                table.values.remove("only");
                table.values.insert(count, Value::Range(few, few, Unit::One));
            });
            search.attempt(&candidate, || format!("{name}: {count} is {few}"));
        }
    }
}

/// Fewer nodes: whatever names one names one that is there.
fn leave_out_nodes(search: &mut Search<'_>) {
    for nodes in FEW_NODES {
        let mut fewer = search.best().clone();
        fewer.cluster.values.insert("nodes", Value::Range(nodes, nodes, Unit::One));
        for table in &mut fewer.loads {
            if let Some(Value::Range(low, high, _)) = table.values.get_mut("node") {
                (*low, *high) = ((*low).min(nodes), (*high).min(nodes));
            }
        }
        if search.attempt(&fewer, || format!("{nodes} nodes")) {
            return;
        }
    }
}

/// Leaves one key out, or makes its value less.
fn lessen(search: &mut Search<'_>, place: Place, key: &Key) {
    let name = key.name;
    let value =
        |search: &Search<'_>| place.of(search.best()).and_then(|table| table.values.get(name).cloned());
    let tell = |what: &str| format!("{name} {what}");
    let set = |search: &mut Search<'_>, low: u64, high: u64, unit: &Unit| {
        let candidate = place.changed(search.best(), |table| {
            table.values.insert(name, Value::Range(low, high, unit.clone()));
        });
        search.attempt(&candidate, || tell("is less"))
    };
    if value(search).is_none() {
        if let (Takes::Amount(least, _), Default::Value(_)) = (&key.takes, &key.default) {
            set(search, *least, *least, &Unit::One);
        }
        return;
    }
    if !key.is_needed() {
        let candidate = place.changed(search.best(), |table| {
            table.values.remove(name);
        });
        if search.attempt(&candidate, || tell("is left out")) {
            return;
        }
    }
    let Some(Value::Range(low, high, unit)) = value(search) else { return };
    if low != high && !set(search, low, low, &unit) && !set(search, high, high, &unit) {
        return;
    }
    let Some(Value::Range(now, ..)) = value(search) else { return };
    match unit {
        Unit::Milliseconds => {
            DURATIONS.into_iter().take_while(|less| *less < now).any(|less| set(search, less, less, &unit));
        }
        Unit::One | Unit::Per(_) => {
            let least = match key.takes {
                Takes::Number(least, _) | Takes::Amount(least, _) => least,
                _ => 1,
            };
            halve(least, now, |less| set(search, less, less, &unit));
        }
        // A share says nothing of how much there is; what it leaves out, picking does.
        Unit::Millionths => {}
    }
}

/// The least number from `least` to `now` that is enough, by halves; `now` is.
fn halve(least: u64, now: u64, mut is_enough: impl FnMut(u64) -> bool) {
    if now <= least || is_enough(least) {
        return;
    }
    let (mut too_few, mut enough) = (least, now);
    while enough - too_few > 1 {
        let between = too_few + (enough - too_few) / 2;
        if is_enough(between) { enough = between } else { too_few = between }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn whatever_is_needed_is_what_is_left(all in prop::collection::btree_set(0..500_u16, 0..60), picks in prop::collection::vec(any::<prop::sample::Index>(), 0..5)) {
            let all: Vec<u16> = all.into_iter().collect();
            let needed: BTreeSet<u16> = if all.is_empty() { BTreeSet::new() } else { picks.iter().map(|pick| *pick.get(&all)).collect() };
            let left = minimise(all, |rest| needed.iter().all(|item| rest.contains(item)));
            prop_assert_eq!(left.into_iter().collect::<BTreeSet<_>>(), needed);
        }

        #[test]
        fn the_least_number_that_is_enough_is_found(least in 0..50_u64, more in 0..1000_u64, wanted in 0..1000_u64) {
            let now = least + more;
            let wanted = least + wanted.min(more);
            let mut found = now;
            halve(least, now, |number| { let enough = number >= wanted; if enough { found = number } enough });
            prop_assert_eq!(found, wanted);
        }
    }
}
