//! Which runs a page shows event by event, and how: read from their traces, in few words, within bounds that the page tells.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::super::chrome;
use super::super::record::Record;
use super::super::timeline::{GROUPS, Item, KINDS, Timeline};
use super::super::{CHROME, TRACES};
use super::{MAX_ALL_ITEMS, MAX_ITEMS};

/// As many points of the number of addresses, and as many bands; what lies between two is hardly seen.
const MAX_POINTS: usize = 4_000;
/// As many traces are read at most.
const MAX_READ: usize = 300;

/// The details of runs, with the index of each.
pub(super) fn of(directory: &Path, runs: &[&Record]) -> Vec<(usize, Value)> {
    let mut first = BTreeSet::new();
    let of_scenario: Vec<bool> = runs.iter().map(|run| first.insert(&run.scenario)).collect();
    let failed = (0..runs.len()).filter(|run| runs[*run].failed());
    let others = (0..runs.len()).filter(|run| !runs[*run].failed() && of_scenario[*run]);
    let (mut details, mut room) = (Vec::new(), MAX_ALL_ITEMS);
    for run in failed.chain(others).take(MAX_READ) {
        let Some(timeline) = read(directory, runs[run]) else { continue };
        let count = timeline.items.len().min(MAX_ITEMS);
        if count <= room {
            room -= count;
            details.push((run, of_timeline(&timeline)));
        }
    }
    details
}

/// A run's timeline, if its trace is in the report's own folder.
fn read(directory: &Path, run: &Record) -> Option<Timeline> {
    let name = run.trace.as_ref()?.strip_prefix(TRACES)?.strip_prefix('/')?;
    if name.contains(['/', '\\']) {
        return None;
    }
    let text = fs::read_to_string(directory.join(TRACES).join(format!("{name}.{CHROME}"))).ok()?;
    chrome::read(&text).ok()
}

/// Which items are shown, and whether they are the first or the last.
fn cut(timeline: &Timeline) -> (&[Item], Option<&'static str>) {
    let all = &timeline.items[..];
    if all.len() <= MAX_ITEMS {
        return (all, None);
    }
    match &timeline.violation {
        Some((time, _)) => {
            let until = all.partition_point(|item| item.begin <= *time).max(MAX_ITEMS);
            (&all[until - MAX_ITEMS..until], Some("last"))
        }
        None => (&all[..MAX_ITEMS], Some("first")),
    }
}

fn of_timeline(timeline: &Timeline) -> Value {
    let (items, cut) = cut(timeline);
    let mut texts = Texts::default();
    let items: Vec<Value> = items
        .iter()
        .map(|item| {
            let kind = KINDS.iter().position(|(kind, _)| *kind == item.kind);
            json!([
                item.lane,
                item.row,
                kind,
                item.begin,
                item.end,
                texts.number(&item.what),
                texts.number(&item.detail),
                u8::from(item.trouble)
            ])
        })
        .collect();
    let lanes = timeline.lanes.iter().map(|lane| {
        let group = GROUPS.iter().position(|(group, _)| *group == lane.group);
        json!([group, lane.name])
    });
    let bands = timeline.bands.iter().take(MAX_POINTS);
    json!({
        "end": timeline.end, "groups": GROUPS.map(|(_, name)| name), "lanes": lanes.collect::<Vec<_>>(), "items": items,
        "bands": bands.map(|band| json!([band.fault, band.node, band.begin, band.end])).collect::<Vec<_>>(),
        "addresses": thinned(&timeline.addresses), "violation": timeline.violation, "left_out": timeline.left_out,
        "cut": cut, "of": timeline.items.len(), "strings": texts.list,
    })
}

/// Fewer points of a series: of those that lie together the highest.
fn thinned(series: &[(u64, u64)]) -> Vec<(u64, u64)> {
    let together = series.len().div_ceil(MAX_POINTS).max(1);
    series.chunks(together).filter_map(|some| some.iter().copied().max_by_key(|(_, count)| *count)).collect()
}

/// Texts that are told once.
#[derive(Default)]
struct Texts {
    list: Vec<String>,
    known: BTreeMap<String, usize>,
}

impl Texts {
    fn number(&mut self, text: &str) -> usize {
        if let Some(known) = self.known.get(text) {
            return *known;
        }
        self.known.insert(text.to_owned(), self.list.len());
        self.list.push(text.to_owned());
        self.list.len() - 1
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::Directory;
    use super::super::super::record::tests::{TOO_FAST, one};
    use super::super::super::timeline::{Group, Kind, Lane};
    use super::*;

    /// A timeline of so many items, a microsecond each.
    fn long(count: usize) -> Timeline {
        let items = (0..count as u64).map(|begin| Item {
            lane: 0,
            row: 0,
            kind: Kind::Add,
            what: "ADD".to_owned(),
            detail: begin.to_string(),
            trouble: false,
            begin,
            end: begin + 1,
        });
        let lanes = vec![Lane { group: Group::Pods, name: "x".to_owned() }];
        Timeline { items: items.collect(), lanes, end: count as u64, ..Timeline::default() }
    }

    #[test]
    fn failed_runs_come_first_and_then_the_first_seed_of_each_scenario() {
        let directory = tempfile::tempdir().unwrap();
        let written = Directory::begin(directory.path()).unwrap();
        let mut runs: Vec<Record> = Vec::new();
        for (more, seed) in [("", 1), ("", 2), (TOO_FAST, 3)] {
            let (report, mut record) = one(more, seed);
            written.write_traces(&mut record, &report).unwrap();
            runs.push(record);
        }
        runs[2].scenario = "theme/other".to_owned();
        let details = of(directory.path(), &runs.iter().collect::<Vec<_>>());
        assert_eq!(details.iter().map(|(run, _)| *run).collect::<Vec<_>>(), [2, 0]);
        assert!(details[0].1["items"].as_array().unwrap().len() > 4);
        runs[0].trace = Some("traces/../../etc/passwd".to_owned());
        assert_eq!(of(directory.path(), &runs.iter().collect::<Vec<_>>()).len(), 1);
    }

    #[test]
    fn a_long_run_is_cut_where_it_matters_and_says_so() {
        let mut timeline = long(MAX_ITEMS + 10);
        let detail = of_timeline(&timeline);
        assert_eq!((&detail["cut"], &detail["of"]), (&json!("first"), &json!(MAX_ITEMS + 10)));
        assert_eq!(detail["items"][0][3], 0);
        timeline.violation = Some((MAX_ITEMS as u64 + 4, "x".to_owned()));
        let detail = of_timeline(&timeline);
        assert_eq!(
            (&detail["cut"], &detail["items"][MAX_ITEMS - 1][3]),
            (&json!("last"), &json!(MAX_ITEMS + 4))
        );
        assert_eq!(of_timeline(&long(5))["cut"], Value::Null);
    }

    #[test]
    fn a_series_that_is_thinned_keeps_its_peaks() {
        let series: Vec<(u64, u64)> =
            (0..50_000).map(|time| (time, u64::from(time == 31_337) * 9 + time % 3)).collect();
        let thin = thinned(&series);
        assert!(thin.len() <= MAX_POINTS && thin.iter().any(|(_, count)| *count == 31_337 % 3 + 9));
        assert_eq!(thinned(&series[..7]), series[..7]);
    }
}
