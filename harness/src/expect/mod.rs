//! What must hold in the end. A kind of expectation is a file and a line in [`KINDS`]; what must hold all the time is an
//! invariant and needs no line in a scenario.

mod all_running;
mod answers;
mod audited;
mod fault_hit;
mod latency;
mod no_leaks;

use std::sync::Arc;

use async_trait::async_trait;

use crate::scenario::registry::Kind;
use crate::world::sim::World;

/// The commands that are counted and measured.
const COMMANDS: [(&str, &str); 5] =
    [("ADD", "ADD"), ("DEL", "DEL"), ("CHECK", "CHECK"), ("GC", "GC"), ("STATUS", "STATUS")];

/// An expectation of a scenario.
#[async_trait(?Send)]
pub trait Expectation: std::fmt::Debug + Send + Sync {
    /// Waits for what may take a moment, and says what does not hold.
    ///
    /// # Errors
    /// What does not hold, in words that begin with the kind's name.
    async fn check(&self, world: &Arc<World>) -> Result<(), String>;

    /// Whether nobody but the audit may clean up: then no runtime calls GC at the end.
    fn is_the_audits(&self) -> bool {
        false
    }
}

/// All kinds of expectation.
pub const KINDS: &[Kind<dyn Expectation>] =
    &[all_running::KIND, no_leaks::KIND, latency::KIND, answers::KIND, audited::KIND, fault_hit::KIND];
