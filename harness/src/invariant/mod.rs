//! What must hold after every event. An invariant looks at the world from outside (rows, links) and at what the runtime was
//! told; it never asks the plugin. Their names are an interface: reports show them.

mod duplicate_ip;
pub mod foreign;
mod half_state;
mod pod_without_port;
mod port_without_pod;

use nuage_ovsdb::value::Row;
use serde_json::Value;

use crate::world::sim::World;
use crate::world::sim::ledger::{Ledger, Phase};

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

/// All of them; `del_is_idempotent` is checked where the second DEL is made.
pub const ALL: [Invariant; 5] = [
    Invariant {
        name: "no_duplicate_ip",
        meaning: "no two ports of the cluster have the same address",
        check: duplicate_ip::check,
    },
    Invariant {
        name: "no_port_without_pod",
        meaning: "every port and link belongs to a sandbox that is attached or being worked on",
        check: port_without_pod::check,
    },
    Invariant {
        name: "no_pod_without_port",
        meaning: "a sandbox whose ADD succeeded has its rows, its links and its address until its DEL begins",
        check: pod_without_port::check,
    },
    Invariant {
        name: "foreign_rows_untouched",
        meaning: "rows of virtual machines and other drivers stay as they are",
        check: foreign::check,
    },
    Invariant {
        name: "no_half_state_after_failed_add",
        meaning: "an ADD that failed has left nothing, unless the switch was away",
        check: half_state::check,
    },
];

/// Checked by the kubelet: a second DEL of a sandbox that is gone.
pub const DEL_IS_IDEMPOTENT: &str = "del_is_idempotent";

/// What the invariants of one node look at; read once an event.
pub(crate) struct View<'a> {
    pub(crate) world: &'a World,
    pub(crate) ledger: &'a Ledger,
    pub(crate) node: usize,
    pub(crate) ports: Vec<Row>,
    pub(crate) entities: Vec<Row>,
    pub(crate) switch_ports: Vec<String>,
    pub(crate) links: Vec<String>,
}

/// The first invariant that does not hold on a node, and why.
pub fn check(world: &World, ledger: &Ledger, node: usize) -> Option<(&'static str, String)> {
    let view = View {
        world,
        ledger,
        node,
        ports: world.rows(node, "Nuage_Port_Table", &["name", "ip_addr", "mac"]),
        entities: world.rows(node, "Nuage_VM_Table", &["vm_uuid", "vm_name", "ports"]),
        switch_ports: world
            .rows(node, "Port", &["name"])
            .iter()
            .map(|row| text(row, "name").to_owned())
            .collect(),
        links: world.nodes[node].kernel.host_links(),
    };
    ALL.iter().find_map(|invariant| (invariant.check)(&view).err().map(|details| (invariant.name, details)))
}

/// A column of text.
pub(crate) fn text<'a>(row: &'a Row, column: &str) -> &'a str {
    row.get(column).and_then(Value::as_str).unwrap_or_default()
}

/// Whether a row is one of others'.
pub fn is_foreign(row: &Row) -> bool {
    [text(row, "name"), text(row, "vm_name")].contains(&FOREIGN)
}

impl View<'_> {
    /// The ports of attached sandboxes.
    pub(crate) fn attached(&self) -> impl Iterator<Item = (&str, &str)> {
        self.ledger.on(self.node).filter_map(|(_, sandbox)| match &sandbox.phase {
            Phase::Attached { port, address } => Some((port.as_str(), address.as_str())),
            _ => None,
        })
    }

    /// How many sandboxes may have rows that their runtime knows nothing of: those being worked on, and those that a
    /// switch's absence has left a debt for.
    pub(crate) fn unsettled(&self) -> usize {
        let unsettled = |phase: &Phase, disturbed: bool| match phase {
            Phase::Adding | Phase::Deleting => true,
            Phase::Attached { .. } => false,
            Phase::Gone => disturbed,
        };
        self.ledger.on(self.node).filter(|(_, sandbox)| unsettled(&sandbox.phase, sandbox.disturbed)).count()
    }
}
