//! What the harness knows: every event, and how far each sandbox is. Invariants compare it with the world.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

/// How far a sandbox is, as its runtime knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// An ADD is in progress.
    Adding,
    /// ADD succeeded: with this port and address.
    Attached {
        /// The VRS port, as the result named it.
        port: String,
        /// The address without its prefix, as the result named it.
        address: String,
    },
    /// A DEL is in progress, or will be: an ADD failed.
    Deleting,
    /// The last DEL succeeded.
    Gone,
}

/// One sandbox.
#[derive(Clone, Debug)]
pub struct Sandbox {
    /// Its node.
    pub node: usize,
    /// `namespace/name` of its pod.
    pub pod: String,
    /// Its network namespace.
    pub netns: PathBuf,
    /// How far it is.
    pub phase: Phase,
    /// The switch was away while somebody worked on it: what could not be delivered may be owed.
    pub disturbed: bool,
    /// An ADD has failed and nothing has been called since.
    pub failed: bool,
}

/// A broken invariant.
#[derive(Clone, Debug)]
pub struct Violation {
    /// Its name.
    pub invariant: &'static str,
    /// What was found.
    pub details: String,
    /// Virtual milliseconds since the beginning.
    pub time: u64,
    /// Where.
    pub node: String,
}

/// Everything that is known.
#[derive(Debug, Default)]
pub struct Ledger {
    /// One JSON line an event.
    pub trace: Vec<String>,
    /// Sandboxes by id. Those that are gone without a trace are forgotten.
    pub sandboxes: BTreeMap<String, Sandbox>,
    /// Nodes whose switch is stopped.
    pub switches_down: BTreeSet<usize>,
    /// The first broken invariant.
    pub violation: Option<Violation>,
    /// How long each call took, in virtual time, by command.
    pub durations: BTreeMap<&'static str, Vec<Duration>>,
    /// How many pods were made.
    pub pods: usize,
    /// Pods that never came up.
    pub given_up: Vec<String>,
    /// How often each fault did something.
    pub hits: BTreeMap<String, usize>,
}

impl Ledger {
    /// The sandboxes of a node.
    pub fn on(&self, node: usize) -> impl Iterator<Item = (&String, &Sandbox)> {
        self.sandboxes.iter().filter(move |(_, sandbox)| sandbox.node == node)
    }

    /// Whoever works on a sandbox of this node right now meets a switch that is away.
    pub fn disturb(&mut self, node: usize) {
        for sandbox in self.sandboxes.values_mut().filter(|sandbox| sandbox.node == node) {
            sandbox.disturbed |= matches!(sandbox.phase, Phase::Adding | Phase::Deleting);
        }
    }

    /// Sets how far a sandbox is.
    pub fn set(&mut self, id: &str, phase: Phase) {
        let Some(sandbox) = self.sandboxes.get_mut(id) else { return };
        let working = matches!(phase, Phase::Adding | Phase::Deleting);
        sandbox.phase = phase;
        sandbox.disturbed |= working && self.switches_down.contains(&sandbox.node);
    }

    /// The nearest-rank percentile of a command's durations.
    pub fn percentile(&self, command: &str, percent: usize) -> Option<Duration> {
        let mut sorted = self.durations.get(command)?.clone();
        sorted.sort();
        let rank = (sorted.len() * percent).div_ceil(100).max(1);
        sorted.get(rank - 1).copied()
    }
}
