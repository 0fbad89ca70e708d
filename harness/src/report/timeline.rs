//! What a run looks like over time: lanes of components, runtimes and pods, what happened in them, faults as bands, addresses in
//! use. Made from the trace and from what was kept beside it; page and trace files are made from this.

mod events;

use std::collections::BTreeMap;

use crate::run::Report;
use crate::world::activity::{Place, Span};
use crate::world::sim::{SWITCH_STARTS, SWITCH_STOPS};

/// What overlaps in a lane is shown in as many rows; more lie on each other in the last one.
pub const MAX_ROWS: u32 = 6;

/// Which lanes belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// The run itself, API server, monitor, VSD, and on each node controller, switch and audit.
    Components,
    /// What runtimes do that concerns no single pod.
    Runtimes,
    /// A lane a pod.
    Pods,
}

/// All groups, with their names.
pub const GROUPS: [(Group, &str); 3] =
    [(Group::Components, "components"), (Group::Runtimes, "runtimes"), (Group::Pods, "pods")];

/// A lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lane {
    /// Where it belongs.
    pub group: Group,
    /// Whose it is.
    pub name: String,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A call of ADD.
    Add,
    /// A call of DEL.
    Del,
    /// Another call.
    Call,
    /// A pod is attached.
    Up,
    /// A request to a service, or a port that waits for its controller.
    Request,
    /// A switch is stopped.
    Down,
    /// A moment that is worth a word.
    Mark,
}

/// All kinds, with their names.
pub const KINDS: [(Kind, &str); 7] = [
    (Kind::Add, "ADD"),
    (Kind::Del, "DEL"),
    (Kind::Call, "call"),
    (Kind::Up, "up"),
    (Kind::Request, "request"),
    (Kind::Down, "down"),
    (Kind::Mark, "mark"),
];

/// Something in a lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The lane's index.
    pub lane: usize,
    /// Below which others of the lane it is shown.
    pub row: u32,
    /// What kind of thing.
    pub kind: Kind,
    /// What it is.
    pub what: String,
    /// More about it.
    pub detail: String,
    /// Whether something went wrong.
    pub trouble: bool,
    /// In virtual microseconds.
    pub begin: u64,
    /// Not before it began.
    pub end: u64,
}

/// A fault, from when it began until it was over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Band {
    /// Its name.
    pub fault: String,
    /// On which node; empty: not on a certain one.
    pub node: String,
    /// In virtual microseconds.
    pub begin: u64,
    /// Not before it began.
    pub end: u64,
}

/// A run over time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Timeline {
    /// The scenario's name.
    pub scenario: String,
    /// The seed.
    pub seed: u64,
    /// How long it took, in virtual microseconds.
    pub end: u64,
    /// Components first, pods last, in the order in which they came.
    pub lanes: Vec<Lane>,
    /// What happened in them, by when it began.
    pub items: Vec<Item>,
    /// Faults, by when they began.
    pub bands: Vec<Band>,
    /// How many addresses were in use from when on.
    pub addresses: Vec<(u64, u64)>,
    /// When an invariant was violated, and which.
    pub violation: Option<(u64, String)>,
    /// How much more happened than was kept.
    pub left_out: u64,
}

/// Puts a timeline together.
#[derive(Debug, Default)]
struct Builder {
    lanes: BTreeMap<LaneKey, Vec<Item>>,
    /// When each pod was first heard of, which is where its lane stands.
    pods: BTreeMap<String, usize>,
    bands: Vec<Band>,
    /// How the number of addresses in use changed when.
    changes: Vec<(u64, i64)>,
}

/// Where a lane stands: components by rank, nodes by number, pods in the order in which they came.
type LaneKey = (Group, usize, usize, String);

impl Timeline {
    /// Of a run that was reported.
    pub fn of(report: &Report) -> Self {
        let mut builder = Builder::default();
        let mut end = u64::try_from(report.simulated.as_micros()).unwrap_or(u64::MAX);
        events::read(&mut builder, &report.trace);
        builder.spans(&report.activities.spans);
        let mut lanes = Vec::new();
        let mut items = Vec::new();
        for ((group, _, _, name), mut of_lane) in builder.lanes {
            pack(&mut of_lane, lanes.len());
            lanes.push(Lane { group, name });
            items.extend(of_lane);
        }
        items.sort_by_key(|item| (item.begin, item.lane, item.row, item.end));
        end = items.iter().map(|item| item.end).fold(end, u64::max);
        for band in &mut builder.bands {
            band.end = band.end.min(end);
        }
        builder.bands.sort_by(|one, other| (one.begin, &one.fault).cmp(&(other.begin, &other.fault)));
        let violation = report.violation.as_ref();
        Self {
            scenario: report.scenario.clone(),
            seed: report.seed,
            end,
            lanes,
            items,
            bands: builder.bands,
            addresses: series(builder.changes),
            violation: violation.map(|violation| (violation.time * 1000, violation.invariant.to_owned())),
            left_out: report.activities.left_out,
        }
    }
}

impl Builder {
    fn put(&mut self, group: Group, rank: usize, name: &str, item: Item) {
        // node-10 stands after node-2.
        let key = (group, rank, name.len(), name.to_owned());
        self.lanes.entry(key).or_default().push(item);
    }

    fn put_pod(&mut self, pod: &str, item: Item) {
        let next = self.pods.len();
        let rank = *self.pods.entry(pod.to_owned()).or_insert(next);
        self.lanes.entry((Group::Pods, rank, 0, pod.to_owned())).or_default().push(item);
    }

    fn put_runtime(&mut self, node: &str, item: Item) {
        self.put(Group::Runtimes, 0, &format!("runtime {node}"), item);
    }

    /// What was kept beside the trace.
    fn spans(&mut self, spans: &[Span]) {
        let mut stopped: BTreeMap<&str, u64> = BTreeMap::new();
        for span in spans {
            let node = span.node.as_deref().unwrap_or_default();
            let item = item_of(span);
            match span.place {
                Place::Call if span.subject.is_empty() => self.put_runtime(node, item),
                Place::Call => self.put_pod(&span.subject, item),
                Place::Kube => self.put(Group::Components, 1, "API server", item),
                Place::Monitor => self.put(Group::Components, 2, "monitor", item),
                Place::Vsd => self.put(Group::Components, 3, "VSD", item),
                Place::Vsc => self.put(Group::Components, 4, &format!("VSC {node}"), item),
                Place::Vrs if span.what == SWITCH_STOPS => {
                    stopped.insert(node, span.begin);
                }
                Place::Vrs if span.what == SWITCH_STARTS => {
                    let begin = stopped.remove(node).unwrap_or(span.begin);
                    let down = Item { begin, kind: Kind::Down, what: "stopped".to_owned(), ..item };
                    self.put(Group::Components, 5, &format!("VRS {node}"), down);
                }
                Place::Vrs => self.put(Group::Components, 5, &format!("VRS {node}"), item),
                Place::Audit => self.put(Group::Components, 6, &format!("audit {node}"), item),
            }
        }
    }
}

fn item_of(span: &Span) -> Item {
    let kind = match (span.place, span.what.as_str()) {
        (Place::Call, "ADD") => Kind::Add,
        (Place::Call, "DEL") => Kind::Del,
        (Place::Call, _) => Kind::Call,
        (Place::Vrs | Place::Audit, _) => Kind::Mark,
        (Place::Vsc | Place::Vsd | Place::Monitor | Place::Kube, _) => Kind::Request,
    };
    let node = span.node.as_deref().unwrap_or_default();
    let about = match span.place {
        Place::Vsd | Place::Monitor | Place::Kube => format!("asked by {} {node}", span.subject),
        Place::Call => node.to_owned(),
        _ => span.subject.clone(),
    };
    let detail = [about.trim(), span.trouble.as_str()].into_iter().filter(|text| !text.is_empty());
    Item {
        lane: 0,
        row: 0,
        kind,
        what: span.what.clone(),
        detail: detail.collect::<Vec<_>>().join(": "),
        trouble: !span.trouble.is_empty(),
        begin: span.begin,
        end: span.end,
    }
}

/// Gives the items of a lane rows in which they do not overlap, as far as there are rows.
fn pack(items: &mut [Item], lane: usize) {
    items.sort_by_key(|item| (item.begin, std::cmp::Reverse(item.end)));
    let mut ends: Vec<u64> = Vec::new();
    for item in items {
        item.lane = lane;
        if item.begin == item.end {
            continue;
        }
        let free = ends.iter().position(|end| *end <= item.begin).unwrap_or(ends.len());
        let row = free.min(MAX_ROWS as usize - 1);
        if row == ends.len() {
            ends.push(item.end);
        } else {
            ends[row] = ends[row].max(item.end);
        }
        item.row = u32::try_from(row).unwrap_or_default();
    }
}

/// How many there are from when on.
fn series(mut changes: Vec<(u64, i64)>) -> Vec<(u64, u64)> {
    changes.sort_by_key(|(time, _)| *time);
    let mut series: Vec<(u64, u64)> = Vec::new();
    let mut now = 0_i64;
    for (time, change) in changes {
        now += change;
        let count = u64::try_from(now).unwrap_or_default();
        match series.last_mut() {
            Some((last, there)) if *last == time => *there = count,
            _ => series.push((time, count)),
        }
    }
    series
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::one;
    use super::*;

    #[test]
    fn a_pods_life_is_a_lane_and_what_it_made_components_do_is_in_theirs() {
        let timeline = Timeline::of(&one("", 1).0);
        let of = |lane: &str| -> Vec<(Kind, &str)> {
            let index = timeline
                .lanes
                .iter()
                .position(|known| known.name == lane)
                .unwrap_or_else(|| panic!("no {lane}"));
            timeline
                .items
                .iter()
                .filter(|item| item.lane == index)
                .map(|item| (item.kind, item.what.as_str()))
                .collect()
        };
        let life = [(Kind::Add, "ADD"), (Kind::Up, "up"), (Kind::Del, "DEL"), (Kind::Del, "DEL")];
        assert_eq!(of("default/pod-0"), life);
        assert!(of("VRS node-1").contains(&(Kind::Mark, "port made")), "{:?}", of("VRS node-1"));
        assert!(of("VSC node-1")[0].1.starts_with("resolved to 10."), "{:?}", of("VSC node-1"));
        assert!(!of("VSD").is_empty() && !of("API server").is_empty() && !of("monitor").is_empty());
        let counts: Vec<u64> = timeline.addresses.iter().map(|(_, count)| *count).collect();
        assert_eq!(counts, [1, 0]);
    }

    #[test]
    fn faults_are_bands_and_a_stopped_switch_is_seen_in_its_lane() {
        let more = "hold = \"20s\"\n[[fault]]\nkind = \"vrs.restart\"\nat = \"5s\"\nfor = \"2s\"\n";
        let (report, _) = one(more, 1);
        let timeline = Timeline::of(&report);
        let band = &timeline.bands[0];
        assert_eq!((band.fault.as_str(), band.node.as_str()), ("vrs.restart", "node-1"));
        assert!(band.begin < band.end && band.end <= timeline.end);
        let down = timeline.items.iter().find(|item| item.kind == Kind::Down).unwrap();
        assert!(band.begin <= down.begin && down.end <= band.end && down.begin < down.end);
    }

    #[test]
    fn what_overlaps_lies_in_rows_of_its_own_until_there_are_no_more() {
        let item = |begin, end| Item {
            lane: 0,
            row: 0,
            kind: Kind::Request,
            what: String::new(),
            detail: String::new(),
            trouble: false,
            begin,
            end,
        };
        let mut items: Vec<Item> = (0..8).map(|begin| item(begin, 100)).collect();
        items.push(item(100, 101));
        pack(&mut items, 3);
        let rows: Vec<u32> = items.iter().map(|item| item.row).collect();
        assert_eq!(rows, [0, 1, 2, 3, 4, 5, 5, 5, 0]);
        assert!(items.iter().all(|item| item.lane == 3));
    }
}
