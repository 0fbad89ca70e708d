//! What the harness knows: every event, and how far each sandbox is. Invariants compare it with the world.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use super::difference::Difference;
use crate::coverage::Coverage;
use crate::invariant::growth::Running;
use crate::invariant::history::History;
use crate::invariant::notices::Notices;
use crate::run::Drawn;

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
    /// `namespace/name` of its pod.
    pub pod: String,
    /// Its network namespace.
    pub netns: PathBuf,
    /// How far it is.
    pub phase: Phase,
    /// The switch was away while somebody worked on it: what could not be delivered may be owed.
    pub disturbed: bool,
    /// An ADD has failed by itself and nothing has been called since.
    pub failed: bool,
    /// The switch has lost its rows. Nobody but an audit can bring them back.
    pub lost: bool,
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
    /// How many events the trace had by then, the one that showed it included.
    pub events: usize,
    /// What the runtime knew and what the node had, where they differ and of what the details name.
    pub difference: Vec<Difference>,
}

/// Everything that is known.
#[derive(Debug, Default)]
pub struct Ledger {
    /// One JSON line an event.
    pub trace: Vec<String>,
    /// Sandboxes by node and id. Those that are gone without a trace are forgotten.
    sandboxes: BTreeMap<usize, BTreeMap<String, Sandbox>>,
    /// Those of each node that something new is known of since somebody asked.
    touched: BTreeMap<usize, BTreeSet<String>>,
    /// Who has which address: node and port, the last one to get it.
    addresses: BTreeMap<String, (usize, String)>,
    /// How many sandboxes are attached.
    attached: usize,
    /// Nodes whose switch is stopped.
    pub switches_down: BTreeSet<usize>,
    /// The first broken invariant.
    pub violation: Option<Violation>,
    /// All that were ever broken, in a run that goes on.
    pub broken: BTreeSet<&'static str>,
    /// How many calls there were, by command.
    pub calls: BTreeMap<&'static str, usize>,
    /// How long each call that was not killed took, in virtual time, by command.
    pub durations: BTreeMap<&'static str, Vec<Duration>>,
    /// How many calls were answered so, by command and code; 0 is success.
    pub answers: BTreeMap<(&'static str, u64), usize>,
    /// How many pods were made.
    pub pods: usize,
    /// Pods that never came up.
    pub given_up: Vec<String>,
    /// What a DEL of a sandbox that was gone already answered, if it was no success.
    pub second_del_failed: Option<String>,
    /// Nodes on which faults may keep a DEL from delivering everything, and how many.
    troubled: BTreeMap<usize, usize>,
    /// How often faults struck that no emulator counts, by operation.
    pub strikes: Coverage,
    /// What each load and fault has drawn.
    pub(crate) drawn: Drawn,
    /// What calls have answered.
    pub(crate) history: History,
    /// What the monitor was told.
    pub(crate) notices: Notices,
    /// Which calls run.
    pub(crate) running: Running,
    /// How often something began to be wrong, faults or a switch that stopped.
    pub(super) unrest: u64,
}

impl Ledger {
    /// A new sandbox, whose ADD is about to begin.
    pub fn begin(&mut self, node: usize, id: &str, pod: String, netns: PathBuf) {
        let disturbed = self.is_troubled(node);
        let sandbox = Sandbox { pod, netns, phase: Phase::Adding, disturbed, failed: false, lost: false };
        self.touch(node, id);
        self.sandboxes.entry(node).or_default().insert(id.to_owned(), sandbox);
    }

    fn touch(&mut self, node: usize, id: &str) {
        self.touched.entry(node).or_default().insert(id.to_owned());
    }

    /// The sandboxes of a node that something new is known of since this was last asked.
    pub fn take_touched(&mut self, node: usize) -> BTreeSet<String> {
        self.touched.remove(&node).unwrap_or_default()
    }

    /// One sandbox.
    pub fn sandbox(&self, node: usize, id: &str) -> Option<&Sandbox> {
        self.sandboxes.get(&node)?.get(id)
    }

    fn sandbox_mut(&mut self, node: usize, id: &str) -> Option<&mut Sandbox> {
        self.sandboxes.get_mut(&node)?.get_mut(id)
    }

    /// The sandboxes of a node, by id.
    pub fn on(&self, node: usize) -> impl Iterator<Item = (&str, &Sandbox)> {
        self.sandboxes.get(&node).into_iter().flatten().map(|(id, sandbox)| (id.as_str(), sandbox))
    }

    fn on_mut(&mut self, node: usize) -> impl Iterator<Item = &mut Sandbox> {
        self.sandboxes.get_mut(&node).into_iter().flat_map(BTreeMap::values_mut)
    }

    /// Something new is known of all sandboxes of a node.
    fn touch_all(&mut self, node: usize) {
        let ids: BTreeSet<String> = self.on(node).map(|(id, _)| id.to_owned()).collect();
        self.touched.entry(node).or_default().extend(ids);
    }

    /// Who has an address, of those that are attached: node and port.
    pub fn owner(&self, address: &str) -> Option<(usize, &str)> {
        self.addresses.get(address).map(|(node, port)| (*node, port.as_str()))
    }

    /// How many sandboxes are attached.
    pub fn attached(&self) -> usize {
        self.attached
    }

    /// Sets how far a sandbox is.
    pub fn set(&mut self, node: usize, id: &str, phase: Phase) {
        let down = self.is_troubled(node);
        self.touch(node, id);
        let Some(sandbox) = self.sandboxes.get_mut(&node).and_then(|here| here.get_mut(id)) else { return };
        if let (false, Phase::Attached { port, address }) = (sandbox.lost, &phase) {
            self.addresses.insert(address.clone(), (node, port.clone()));
        }
        sandbox.disturbed |= down && matches!(phase, Phase::Adding | Phase::Deleting);
        sandbox.failed = false;
        let before = std::mem::replace(&mut sandbox.phase, phase);
        let up = |phase: &Phase| usize::from(matches!(phase, Phase::Attached { .. }));
        self.attached = self.attached + up(&sandbox.phase) - up(&before);
        if sandbox.phase != before {
            let promised = matches!(sandbox.phase, Phase::Attached { .. });
            self.release(node, &before);
            if !promised {
                self.history.drop_sandbox(node, id);
            }
        }
    }

    /// Frees the address of an attachment that was, unless somebody else has it by now.
    fn release(&mut self, node: usize, phase: &Phase) {
        let Phase::Attached { port, address } = phase else { return };
        if self.owner(address) == Some((node, port)) {
            self.addresses.remove(address);
        }
    }

    /// An ADD has failed by itself: it must have left nothing.
    pub fn fail(&mut self, node: usize, id: &str) {
        self.set(node, id, Phase::Deleting);
        if let Some(sandbox) = self.sandbox_mut(node, id) {
            sandbox.failed = true;
        }
    }

    /// A sandbox is gone and nobody has taken down what was attached to it: that is owed.
    pub fn abandon(&mut self, node: usize, id: &str) {
        self.set(node, id, Phase::Gone);
        if let Some(sandbox) = self.sandbox_mut(node, id) {
            sandbox.disturbed = true;
        }
    }

    /// Forgets a sandbox that is gone, if nothing can be owed for it. Says whether it did.
    pub fn forget(&mut self, node: usize, id: &str) -> bool {
        let settled = self.sandbox(node, id).is_some_and(|sandbox| !sandbox.disturbed);
        settled && self.remove(node, id)
    }

    fn remove(&mut self, node: usize, id: &str) -> bool {
        self.touch(node, id);
        self.history.drop_sandbox(node, id);
        self.sandboxes.get_mut(&node).is_some_and(|here| here.remove(id).is_some())
    }

    /// Every debt of a node is paid: forgets the sandboxes that are gone, and tells which.
    pub fn settle(&mut self, node: usize) -> Vec<String> {
        let gone = self.on(node).filter(|(_, sandbox)| sandbox.phase == Phase::Gone);
        let gone: Vec<String> = gone.map(|(id, _)| id.to_owned()).collect();
        for id in &gone {
            self.remove(node, id);
        }
        gone
    }

    /// Whether what is done on a node right now may leave a debt.
    pub fn is_troubled(&self, node: usize) -> bool {
        self.switches_down.contains(&node) || self.troubled.contains_key(&node)
    }

    /// A fault strikes on a node that may keep a DEL from delivering everything.
    pub fn trouble_begins(&mut self, node: usize) {
        *self.troubled.entry(node).or_default() += 1;
        self.unrest += 1;
        self.disturb(node);
    }

    /// One such fault is over.
    pub fn trouble_ends(&mut self, node: usize) {
        if let Some(count) = self.troubled.get_mut(&node) {
            *count -= 1;
            if *count == 0 {
                self.troubled.remove(&node);
            }
        }
    }

    /// A fault struck an operation.
    pub fn strike(&mut self, fault: &'static str, operation: &str) {
        self.strikes.add(fault, operation, 1);
    }

    /// The switch of a node goes away: whoever works on a sandbox there right now may leave a debt.
    pub fn switch_stops(&mut self, node: usize) {
        self.switches_down.insert(node);
        self.unrest += 1;
        self.disturb(node);
    }

    fn disturb(&mut self, node: usize) {
        self.touch_all(node);
        for sandbox in self.on_mut(node) {
            sandbox.disturbed |= matches!(sandbox.phase, Phase::Adding | Phase::Deleting);
        }
    }

    /// The switch of a node comes back, perhaps without the rows of its containers.
    pub fn switch_starts(&mut self, node: usize, lost_rows: bool) {
        self.switches_down.remove(&node);
        self.touch_all(node);
        if !lost_rows {
            return;
        }
        self.history.switch_lost(node);
        let mut phases = Vec::new();
        // An ADD that is about to succeed has lost what it made, too, and cannot know.
        let alive = |sandbox: &&mut Sandbox| matches!(sandbox.phase, Phase::Adding | Phase::Attached { .. });
        for sandbox in self.on_mut(node).filter(alive) {
            sandbox.lost = true;
            phases.push(sandbox.phase.clone());
        }
        // The controller takes their addresses back and may give them to others.
        for phase in phases {
            self.release(node, &phase);
        }
    }

    /// The nearest-rank percentile of a command's durations.
    pub fn percentile(&self, command: &str, percent: usize) -> Option<Duration> {
        let mut sorted = self.durations.get(command)?.clone();
        sorted.sort();
        let rank = (sorted.len() * percent).div_ceil(100).max(1);
        sorted.get(rank - 1).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attached(address: &str) -> Phase {
        Phase::Attached { port: format!("port-of-{address}"), address: address.to_owned() }
    }

    fn ledger() -> Ledger {
        let mut ledger = Ledger::default();
        for (node, id) in [(0, "a"), (0, "b"), (1, "c")] {
            ledger.begin(node, id, format!("default/{id}"), PathBuf::from(id));
        }
        ledger
    }

    #[test]
    fn an_address_belongs_to_the_attached_sandbox_until_its_del_begins() {
        let mut ledger = ledger();
        ledger.set(0, "a", attached("10.0.0.1"));
        assert_eq!(ledger.owner("10.0.0.1"), Some((0, "port-of-10.0.0.1")));
        ledger.set(0, "a", Phase::Deleting);
        assert_eq!(ledger.owner("10.0.0.1"), None);
    }

    #[test]
    fn a_sandbox_that_met_no_switch_is_remembered_until_the_debts_are_paid() {
        let mut ledger = ledger();
        ledger.switch_stops(0);
        ledger.switch_starts(0, false);
        for id in ["a", "b"] {
            ledger.set(0, id, Phase::Gone);
        }
        ledger.set(1, "c", Phase::Gone);
        assert!(ledger.forget(1, "c") && !ledger.forget(0, "a"));
        assert_eq!(ledger.settle(0), ["a", "b"]);
        assert_eq!(ledger.on(0).count(), 0);
    }

    #[test]
    fn a_sandbox_that_loses_its_rows_loses_its_address_too() {
        let mut ledger = ledger();
        ledger.set(0, "a", attached("10.0.0.1"));
        ledger.set(0, "b", Phase::Deleting);
        ledger.switch_stops(0);
        ledger.switch_starts(0, true);
        let lost = |id: &str| ledger.sandbox(0, id).unwrap().lost;
        assert!(lost("a") && !lost("b"));
        assert_eq!(ledger.owner("10.0.0.1"), None);
    }

    #[test]
    fn a_percentile_is_a_duration_that_was_measured() {
        let mut ledger = Ledger::default();
        let calls = (1..=200).map(Duration::from_millis).collect();
        ledger.durations.insert("ADD", calls);
        assert_eq!(ledger.percentile("ADD", 99), Some(Duration::from_millis(198)));
        assert_eq!(ledger.percentile("ADD", 100), Some(Duration::from_millis(200)));
        assert_eq!(ledger.percentile("DEL", 99), None);
    }
}
