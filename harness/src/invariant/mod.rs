//! What must hold after every event. An invariant looks at the world from outside (rows, links) and at what the runtime was
//! told; it never asks the plugin and repeats none of its rules. Their names are an interface: reports show them. An
//! invariant is a file and a line in [`ALL`].

mod del_is_idempotent;
mod duplicate_ip;
pub mod foreign;
mod half_state;
mod pod_without_port;
mod port_without_pod;
mod view;

use crate::world::sim::World;
use crate::world::sim::ledger::Ledger;
pub(crate) use view::View;

/// The name that everything of others on a switch has.
pub const FOREIGN: &str = "foreign";

/// One invariant.
#[derive(Clone, Copy, Debug)]
pub struct Invariant {
    /// Its name.
    pub name: &'static str,
    /// What it says, for people.
    pub meaning: &'static str,
    check: fn(&View<'_>) -> Result<(), String>,
}

/// All of them.
pub const ALL: &[Invariant] = &[
    duplicate_ip::INVARIANT,
    port_without_pod::INVARIANT,
    pod_without_port::INVARIANT,
    foreign::INVARIANT,
    half_state::INVARIANT,
    del_is_idempotent::INVARIANT,
];

/// The first invariant that does not hold on a node, and why.
pub fn check(world: &World, ledger: &Ledger, node: usize) -> Option<(&'static str, String)> {
    let view = View::new(world, ledger, node);
    ALL.iter().find_map(|invariant| (invariant.check)(&view).err().map(|details| (invariant.name, details)))
}
