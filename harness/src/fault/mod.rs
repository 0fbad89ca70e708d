//! What goes wrong. A kind of fault is a file and a line in [`KINDS`]; the code under test has no hooks for them.

mod monitor_down;
mod vrs_restart;

use std::sync::Arc;

use serde_json::json;

use crate::error::Error;
use crate::scenario::Reader;
use crate::world::sim::World;

/// A fault of a scenario.
#[derive(Clone, Debug)]
pub enum Fault {
    /// A switch restarts.
    VrsRestart(vrs_restart::VrsRestart),
    /// The monitor does not answer.
    MonitorDown(monitor_down::MonitorDown),
}

#[derive(Clone, Copy)]
enum Kind {
    VrsRestart,
    MonitorDown,
}

const KINDS: [(&str, Kind); 2] = [("vrs.restart", Kind::VrsRestart), ("monitor.down", Kind::MonitorDown)];

impl Fault {
    /// Reads a `[[fault]]`.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn read(reader: Reader<'_>) -> Result<Self, Error> {
        reader.whole(|reader| {
            Ok(match reader.word("kind", None, &KINDS)? {
                Kind::VrsRestart => Self::VrsRestart(vrs_restart::VrsRestart::read(reader)?),
                Kind::MonitorDown => Self::MonitorDown(monitor_down::MonitorDown::read(reader)?),
            })
        })
    }

    /// Carries it out.
    pub async fn run(self, world: Arc<World>) {
        match self {
            Self::VrsRestart(fault) => fault.run(world).await,
            Self::MonitorDown(fault) => fault.run(world).await,
        }
    }
}

/// Whether there is a fault of that name.
pub fn is_known(name: &str) -> bool {
    KINDS.iter().any(|(known, _)| *known == name)
}

/// Writes down that a fault begins.
fn hit(world: &World, name: &str, node: Option<usize>) {
    *world.ledger().hits.entry(name.to_owned()).or_default() += 1;
    world.event(node, "fault", json!({"fault": name}));
}

/// Writes down that a fault is over.
fn over(world: &World, name: &str, node: Option<usize>) {
    world.event(node, "fault_over", json!({"fault": name}));
}
