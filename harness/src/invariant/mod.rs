//! What must hold. An invariant looks at the world from outside (rows, links, what processes answered) and at what the runtime
//! was told; it never asks the plugin and repeats none of its rules. Their names are an interface: reports show them. An
//! invariant is a file and a line in [`ALL`], and says when it is looked at: after each event, or at the end of each call.
//!
//! After an event only what it touched is looked at, so that its cost does not grow with node or cluster; `check_all` looks
//! at everything, and must find the same.

mod agreement;
mod budget;
pub(crate) mod call;
mod del_is_idempotent;
mod duplicate_ip;
mod duplicate_name;
pub mod foreign;
mod garbage;
pub(crate) mod growth;
mod half_state;
pub(crate) mod history;
mod model;
mod namespaces;
pub(crate) mod notices;
mod one_answer;
mod pod_without_port;
mod port_without_pod;
mod readiness;
mod residue;
mod result;
mod retries;
pub(crate) mod rows;
mod secrets;
mod view;

use std::collections::BTreeSet;

use crate::world::sim::World;
use crate::world::sim::ledger::Ledger;
use call::CallView;
use rows::Mirror;
pub(crate) use view::View;

/// The name that everything of others on a switch has.
pub const FOREIGN: &str = "foreign";

/// A look at the world after an event: what does not hold, for people.
type State = fn(&View<'_>) -> Result<(), String>;
/// A look at a call that has ended, and at the world at that moment.
type Call = fn(&CallView<'_>) -> Result<(), String>;

/// One invariant.
#[derive(Clone, Copy, Debug)]
pub struct Invariant {
    /// Its name.
    pub name: &'static str,
    /// What it says, for people.
    pub meaning: &'static str,
    look: Look,
}

/// When it is looked at, and what is looked at then.
#[derive(Clone, Copy, Debug)]
enum Look {
    /// After each event of a node.
    State(State),
    /// When a call has ended.
    Call(Call),
}

impl Invariant {
    /// One of the state of a node.
    const fn of_state(name: &'static str, meaning: &'static str, state: State) -> Self {
        Self { name, meaning, look: Look::State(state) }
    }

    /// One of calls.
    const fn of_call(name: &'static str, meaning: &'static str, call: Call) -> Self {
        Self { name, meaning, look: Look::Call(call) }
    }

    /// When it is looked at, for people.
    pub fn when(&self) -> &'static str {
        match self.look {
            Look::State(_) => "after each event",
            Look::Call(_) => "at the end of each call",
        }
    }
}

/// All of them.
pub const ALL: &[Invariant] = &[
    duplicate_name::INVARIANT,
    duplicate_ip::INVARIANT,
    port_without_pod::INVARIANT,
    pod_without_port::INVARIANT,
    foreign::INVARIANT,
    half_state::INVARIANT,
    del_is_idempotent::INVARIANT,
    namespaces::INVARIANT,
    one_answer::INVARIANT,
    budget::CALLS,
    budget::DELS,
    result::INVARIANT,
    residue::INVARIANT,
    model::ADDRESSES,
    model::ANSWERS,
    agreement::INVARIANT,
    readiness::INVARIANT,
    garbage::INVARIANT,
    notices::INVARIANT,
    secrets::INVARIANT,
    retries::INVARIANT,
    growth::INVARIANT,
];

/// What does not hold: an invariant's name and the details.
pub(crate) type Breach = (&'static str, String);

/// The invariants that do not hold on a node, of all that can have changed there since the last look.
pub(crate) fn check(world: &World, ledger: &mut Ledger, mirror: &mut Mirror, node: usize) -> Vec<Breach> {
    let rows = mirror.take_touched(node);
    let mut names = rows.names;
    let mut sandboxes = ledger.take_touched(node);
    sandboxes.extend(rows.sandboxes);
    let kernel = &world.nodes[node].kernel;
    names.extend(kernel.take_touched());
    for id in &sandboxes {
        names.extend(kernel.names_of(id));
    }
    sandboxes.extend(names.iter().filter_map(|name| kernel.made_for(name)));
    state(&View { world, ledger, mirror, node, names, sandboxes })
}

/// The invariants that do not hold on a node, looking at everything there.
pub(crate) fn check_all(world: &World, ledger: &Ledger, mirror: &Mirror, node: usize) -> Vec<Breach> {
    let kernel = &world.nodes[node].kernel;
    let rows = mirror.rows(node);
    let mut names: BTreeSet<String> = rows.names().cloned().collect();
    names.extend(kernel.host_links());
    let mut sandboxes: BTreeSet<String> = rows.sandboxes().cloned().collect();
    sandboxes.extend(ledger.on(node).map(|(id, _)| id.to_owned()));
    state(&View { world, ledger, mirror, node, names, sandboxes })
}

fn state(view: &View<'_>) -> Vec<Breach> {
    let found = wanted(view.world).filter_map(|invariant| match invariant.look {
        Look::State(look) => Some((invariant.name, look(view).err()?)),
        Look::Call(_) => None,
    });
    found.collect()
}

/// The invariants of calls that do not hold for one that has ended.
pub(crate) fn check_call(view: &CallView<'_>) -> Vec<Breach> {
    let found = wanted(view.world).filter_map(|invariant| match invariant.look {
        Look::Call(look) => Some((invariant.name, look(view).err()?)),
        Look::State(_) => None,
    });
    found.collect()
}

/// All of them, but for a test that wants to know what a single one finds.
fn wanted(world: &World) -> impl Iterator<Item = &'static Invariant> {
    ALL.iter().filter(|invariant| world.only.is_none_or(|only| only == invariant.name))
}
