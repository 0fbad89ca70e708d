//! What the audit's daemon needs of a simulated node, and what a run holds it to: how long something may be left behind, and how
//! long rows may be lost. Looks at the world from outside.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use nuage_cni::host::Host;
use serde_json::json;

use super::World;
use super::ledger::Phase;

/// What the daemon does, for faults that strike it.
pub const OPERATION: &str = "audit";

/// How long something was seen that the audit has to deal with, by what it is.
#[derive(Debug, Default)]
pub struct Ages(BTreeMap<String, Duration>);

impl Ages {
    /// Looks again after `pause`, in which the audit could work or not: what is there grows older, the rest is forgotten. The
    /// oldest.
    pub fn look(
        &mut self,
        there: BTreeSet<String>,
        pause: Duration,
        working: bool,
    ) -> Option<(String, Duration)> {
        self.0.retain(|what, _| there.contains(what));
        for what in there {
            let age = self.0.entry(what).or_default();
            *age += if working { pause } else { Duration::ZERO };
        }
        let oldest = self.0.iter().max_by_key(|(_, age)| **age);
        oldest.map(|(what, age)| (what.clone(), *age))
    }
}

impl World {
    /// The seams of the daemon on a node.
    pub fn audit_seams(&self, node: usize) -> Host {
        self.endless(node, OPERATION)
    }

    /// What of containers that are gone is on a node.
    pub fn left_behind(&self, node: usize) -> BTreeSet<String> {
        let ledger = self.ledger();
        let mirror = self.mirror();
        let kernel = &self.nodes[node].kernel;
        let rows = mirror.rows(node);
        let gone = |id: Option<&str>| {
            let sandbox = id.and_then(|id| ledger.sandbox(node, id));
            sandbox.is_none_or(|sandbox| sandbox.phase == Phase::Gone)
        };
        let names = rows.names().cloned().chain(kernel.host_links());
        let mut left: BTreeSet<String> = names
            .filter(|name| gone(kernel.made_for(name).as_deref()))
            .map(|name| format!("port or link {name}"))
            .collect();
        let entities = rows.sandboxes().filter(|id| gone(Some(id.as_str())));
        left.extend(entities.map(|id| format!("entity {id}")));
        left
    }

    /// The attachments of a node that live and have no rows.
    pub fn without_rows(&self, node: usize) -> BTreeSet<String> {
        let ledger = self.ledger();
        let mirror = self.mirror();
        let there: BTreeSet<&String> = mirror.rows(node).names().collect();
        let attached = ledger.on(node).filter_map(|(_, sandbox)| match &sandbox.phase {
            Phase::Attached { port, .. } if !there.contains(port) => {
                Some(format!("rows of {port} of {}", sandbox.pod))
            }
            _ => None,
        });
        attached.collect()
    }

    /// A promise of the audit does not hold; the run stops.
    pub fn violate(&self, node: usize, invariant: &'static str, details: String) {
        self.event(Some(node), "violation", json!({"invariant": invariant}));
        let mut ledger = self.ledger();
        self.report(&mut ledger, node, vec![(invariant, details)]);
    }

    /// Forgets sandboxes of a node that are gone and of which nothing is left.
    pub fn forget_clean(&self, node: usize) {
        if !self.left_behind(node).is_empty() {
            return;
        }
        for id in self.ledger().settle(node) {
            self.nodes[node].kernel.forget(&id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stays_grows_older_only_while_the_audit_can_work() {
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
        let (mut ages, minute) = (Ages::default(), Duration::from_mins(1));
        ages.look(set(&["a"]), minute, true);
        ages.look(set(&["a", "b"]), minute, false);
        assert_eq!(ages.look(set(&["a", "b"]), minute, true), Some(("a".to_owned(), 2 * minute)));
        assert_eq!(ages.look(set(&["b"]), minute, true), Some(("b".to_owned(), 2 * minute)));
        assert_eq!(ages.look(set(&[]), minute, true), None);
    }
}
