//! What the invariants look at: the switch's rows and the kernel's links of one node as they are, and what the runtime was
//! told. Read once an event; asks neither the plugin nor the controller.

use std::collections::{BTreeMap, BTreeSet};

use nuage_emulator::vrs::{BRIDGE, DATABASE};
use nuage_ovsdb::value::Row;
use serde_json::Value;

use super::FOREIGN;
use crate::world::sim::World;
use crate::world::sim::ledger::{Ledger, Sandbox};

/// A row of `Nuage_Port_Table`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Port {
    pub(crate) address: String,
    pub(crate) mac: String,
}

/// A row of `Nuage_VM_Table`.
#[derive(Debug)]
pub(crate) struct Entity {
    pub(crate) ports: BTreeSet<String>,
}

/// One node.
pub(crate) struct View<'a> {
    pub(crate) world: &'a World,
    pub(crate) ledger: &'a Ledger,
    pub(crate) node: usize,
    /// By name, those of others left out.
    pub(crate) ports: BTreeMap<String, Port>,
    /// By `vm_uuid`, those of others left out.
    pub(crate) entities: BTreeMap<String, Entity>,
    /// Of the bridge, those of others left out.
    pub(crate) switch_ports: BTreeSet<String>,
    /// Of the host.
    pub(crate) links: BTreeSet<String>,
    /// Rows of one table that have the same key.
    pub(crate) twice: Option<String>,
    pub(crate) foreign: Foreign,
}

/// What others have on the switch.
#[derive(Default)]
pub(crate) struct Foreign {
    pub(crate) port: Option<Port>,
    pub(crate) entity: Option<Entity>,
    pub(crate) switch_port: bool,
}

impl<'a> View<'a> {
    pub(crate) fn new(world: &'a World, ledger: &'a Ledger, node: usize) -> Self {
        let server = world.nodes[node].vrs.server();
        let mut view = Self {
            world,
            ledger,
            node,
            ports: BTreeMap::new(),
            entities: BTreeMap::new(),
            switch_ports: BTreeSet::new(),
            links: world.nodes[node].kernel.host_links().into_iter().collect(),
            twice: None,
            foreign: Foreign::default(),
        };
        for row in server.columns(DATABASE, "Nuage_Port_Table", &["name", "ip_addr", "mac"]) {
            let port = Port { address: text(&row, "ip_addr").to_owned(), mac: text(&row, "mac").to_owned() };
            view.add_port(text(&row, "name"), port);
        }
        for row in server.columns(DATABASE, "Nuage_VM_Table", &["vm_uuid", "ports"]) {
            let ports = row.get("ports").map(words).unwrap_or_default();
            view.add_entity(text(&row, "vm_uuid"), Entity { ports });
        }
        for row in server.columns(DATABASE, "Port", &["name"]) {
            view.add_switch_port(text(&row, "name"));
        }
        view
    }

    fn add_port(&mut self, name: &str, port: Port) {
        if name == FOREIGN {
            self.foreign.port = Some(port);
        } else if self.ports.insert(name.to_owned(), port).is_some() {
            self.twice = Some(format!("two rows in Nuage_Port_Table are named {name}"));
        }
    }

    fn add_entity(&mut self, id: &str, entity: Entity) {
        if id == FOREIGN {
            self.foreign.entity = Some(entity);
        } else if self.entities.insert(id.to_owned(), entity).is_some() {
            self.twice = Some(format!("two rows in Nuage_VM_Table are of sandbox {id}"));
        }
    }

    fn add_switch_port(&mut self, name: &str) {
        if name == FOREIGN {
            self.foreign.switch_port = true;
        } else if name != BRIDGE && !self.switch_ports.insert(name.to_owned()) {
            self.twice = Some(format!("two ports of the bridge are named {name}"));
        }
    }

    /// The sandbox that a port's name belongs to: the one that a link of that name was made for.
    pub(crate) fn owner(&self, port: &str) -> Option<String> {
        self.world.nodes[self.node].kernel.made_for(port)
    }

    /// What the runtime knows of a sandbox of this node.
    pub(crate) fn sandbox(&self, id: &str) -> Option<&Sandbox> {
        self.ledger.sandbox(self.node, id)
    }

    /// All names of ports, with where each was found.
    pub(crate) fn names(&self) -> impl Iterator<Item = (&str, &'static str)> {
        let ports = self.ports.keys().map(|name| (name.as_str(), "row in Nuage_Port_Table"));
        let switch = self.switch_ports.iter().map(|name| (name.as_str(), "port of the bridge"));
        let links = self.links.iter().map(|name| (name.as_str(), "link"));
        ports.chain(switch).chain(links)
    }
}

fn text<'a>(row: &'a Row, column: &str) -> &'a str {
    row.get(column).and_then(Value::as_str).unwrap_or_default()
}

/// A set of strings in OVSDB's notation: one of them stands for itself.
fn words(set: &Value) -> BTreeSet<String> {
    let several = set.get(1).and_then(Value::as_array).map(Vec::as_slice);
    let all = several.unwrap_or(std::slice::from_ref(set));
    all.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}
