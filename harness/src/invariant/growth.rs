//! `no_fd_or_task_growth`: what a call has opened goes with it. Looks at the sessions of the switch, in a simulation also at the
//! tasks of the runtime, on a real machine at the descriptors of this process, which has the other ends of all connections.

use std::collections::BTreeMap;

use super::{CallView, Invariant};
use crate::world::sim::World;

/// Who may be connected to a switch beside calls: its controller, an audit, and those whose end a slow switch has not noticed.
const RESIDENTS: usize = 32;
/// Connections of a call that runs, and of one whose end has not been noticed yet.
const SESSIONS: usize = 4;
/// Tasks of a node, of a call that runs, and of all that is there once.
const TASKS_OF_NODE: usize = 16;
const TASKS_OF_CALL: usize = 16;
const TASKS: usize = 512;
/// Descriptors of this process on a real machine, where other runs have theirs in the same one.
const DESCRIPTORS: usize = 1024;
const DESCRIPTORS_OF_CALL: usize = 32;

pub(super) const INVARIANT: Invariant = Invariant::of_call(
    "no_fd_or_task_growth",
    "sessions of a switch, tasks and descriptors are bounded by the calls that have run at once, however many there were",
    check,
);

/// How many calls run.
#[derive(Debug, Default)]
pub(crate) struct Running {
    nodes: BTreeMap<usize, Count>,
    all: Count,
}

#[derive(Clone, Copy, Debug, Default)]
struct Count {
    now: usize,
    most: usize,
}

impl Count {
    fn begins(&mut self) {
        self.now += 1;
        self.most = self.most.max(self.now);
    }
}

/// How many calls ran at once, at most.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Peak {
    node: usize,
    all: usize,
}

impl Running {
    /// A call begins on a node.
    pub(crate) fn begins(&mut self, node: usize) {
        self.nodes.entry(node).or_default().begins();
        self.all.begins();
    }

    /// One ends; how many ran at once until now, itself included.
    pub(crate) fn ends(&mut self, node: usize) -> Peak {
        let here = self.nodes.entry(node).or_default();
        here.now = here.now.saturating_sub(1);
        self.all.now = self.all.now.saturating_sub(1);
        Peak { node: here.most, all: self.all.most }
    }
}

/// What there is at a moment.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Grown {
    sessions: usize,
    /// Of the runtime of a simulation.
    tasks: usize,
    /// Of this process, on a real machine.
    descriptors: usize,
}

impl Grown {
    /// What there is now.
    pub(crate) fn now(world: &World, node: usize) -> Self {
        let sessions = world.nodes[node].vrs.server().sessions();
        if world.is_real() {
            let descriptors = std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
            return Self { sessions, descriptors, ..Self::default() };
        }
        let tasks = tokio::runtime::Handle::current().metrics().num_alive_tasks();
        Self { sessions, tasks, ..Self::default() }
    }
}

fn check(view: &CallView<'_>) -> Result<(), String> {
    let (grown, peak) = (view.ended.grown, view.ended.running);
    let bounds = [
        ("sessions of the switch", grown.sessions, RESIDENTS + SESSIONS * peak.node),
        ("tasks", grown.tasks, TASKS + TASKS_OF_NODE * view.world.nodes.len() + TASKS_OF_CALL * peak.all),
        ("descriptors", grown.descriptors, DESCRIPTORS + DESCRIPTORS_OF_CALL * peak.all),
    ];
    let beyond = bounds.into_iter().find(|(_, found, most)| found > most);
    beyond.map_or(Ok(()), |(what, found, most)| {
        let calls = peak.all;
        Err(format!(
            "{found} {what} at the end of {}, more than the {most} of {calls} calls at once",
            view.name()
        ))
    })
}
