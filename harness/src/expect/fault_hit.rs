//! `fault_hit`: a fault really happened, to the operation that it was meant for. A scenario whose fault never fired proves
//! nothing.

use std::sync::Arc;

use async_trait::async_trait;

use super::Expectation;
use crate::fault;
use crate::scenario::registry::Kind;
use crate::world::sim::World;

/// Whatever it struck.
const ANY: &str = "any";
/// What faults can strike, as the coverage matrix names it.
const OPERATIONS: [(&str, &str); 10] = [
    (ANY, ANY),
    ("ADD", "ADD"),
    ("DEL", "DEL"),
    ("CHECK", "CHECK"),
    ("GC", "GC"),
    ("STATUS", "STATUS"),
    ("controller", "controller"),
    ("monitor", "monitor"),
    ("node", "node"),
    ("audit", "audit"),
];

pub(super) const KIND: Kind<dyn Expectation> = Kind {
    name: "fault_hit",
    about: "A fault of this kind happened so often, to this operation: a scenario whose fault never fired proves nothing. \
            (A fault that is declared and never happens fails its scenario in any case.)",
    read: |reader| {
        let words: Vec<_> = fault::KINDS.iter().map(|kind| (kind.name, kind.name)).collect();
        Ok(Arc::new(FaultHit {
            fault: reader.word("fault", "which fault", None, &words)?,
            operation: reader.word("op", "what it struck", Some(ANY), &OPERATIONS)?,
            least: reader.number("at_least", "how often at least", Some(1), 1..=1_000_000)?,
        }))
    },
};

#[derive(Debug)]
struct FaultHit {
    fault: &'static str,
    operation: &'static str,
    least: u64,
}

#[async_trait(?Send)]
impl Expectation for FaultHit {
    async fn check(&self, world: &Arc<World>) -> Result<(), String> {
        let Self { fault, operation, least } = *self;
        let coverage = world.coverage();
        let found = if operation == ANY { coverage.of(fault) } else { coverage.get(fault, operation) };
        match found {
            _ if found >= least => Ok(()),
            0 => Err(format!("fault_hit: {fault} never happened to {operation}")),
            _ => Err(format!("fault_hit: {fault} happened {found} times to {operation}, not {least}")),
        }
    }
}
