//! What goes wrong. A kind of fault is a file and a line in [`KINDS`]; the code under test has no hooks for them.

mod monitor_down;
mod vrs_restart;

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::json;

use crate::scenario::registry::Kind;
use crate::world::sim::World;

/// A fault of a scenario.
#[async_trait(?Send)]
pub trait Fault: std::fmt::Debug + Send + Sync {
    /// Carries it out; ends when it is over.
    async fn run(&self, world: &Arc<World>);
}

/// All kinds of fault.
pub const KINDS: &[Kind<dyn Fault>] = &[vrs_restart::KIND, monitor_down::KIND];

/// Writes down that a fault begins.
fn hit(world: &World, name: &'static str, node: Option<usize>) {
    *world.ledger().hits.entry(name).or_default() += 1;
    world.event(node, "fault", json!({"fault": name}));
}

/// Writes down that a fault is over.
fn over(world: &World, name: &str, node: Option<usize>) {
    world.event(node, "fault_over", json!({"fault": name}));
}
