//! What the switches have, kept from the changes that they commit: an event costs what it changed, however large node and
//! cluster are. Remembers what has changed since somebody looked. Asks neither the plugin nor the controller.

use std::collections::{BTreeMap, BTreeSet};

use nuage_emulator::ovsdb::{RowChange, Server};
use nuage_emulator::vrs::{BRIDGE, DATABASE};
use nuage_ovsdb::Uuid;

use super::FOREIGN;

/// What a controller writes while it has no address to give.
pub(crate) const NO_ADDRESS: &str = "0.0.0.0";

/// A row of `Nuage_Port_Table`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Port {
    pub(crate) address: String,
    pub(crate) mac: String,
    pub(crate) zone: String,
}

impl Port {
    /// Whether the controller has given it an address.
    pub(crate) fn is_resolved(&self) -> bool {
        !self.address.is_empty() && self.address != NO_ADDRESS
    }
}

/// A row of `Nuage_VM_Table`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entity {
    pub(crate) ports: BTreeSet<String>,
}

/// Rows of one table by the key that should tell them apart. Of one key there is hardly ever more than one, so they are a list,
/// in the order of their identifiers.
type Keyed<T> = BTreeMap<String, Vec<(Uuid, T)>>;

/// What one switch has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rows {
    /// By name.
    ports: Keyed<Port>,
    /// By `vm_uuid`.
    entities: Keyed<Entity>,
    /// By name.
    switch_ports: BTreeMap<String, BTreeSet<Uuid>>,
    /// Entities by the names of the ports that they list.
    listed: BTreeMap<String, BTreeSet<Uuid>>,
}

impl Rows {
    /// The row of a port; the first of several.
    pub(crate) fn port(&self, name: &str) -> Option<&Port> {
        self.ports.get(name).and_then(|rows| rows.first()).map(|(_, row)| row)
    }

    /// The row of an entity; the first of several.
    pub(crate) fn entity(&self, id: &str) -> Option<&Entity> {
        self.entities.get(id).and_then(|rows| rows.first()).map(|(_, row)| row)
    }

    /// Whether the bridge has a port of this name.
    pub(crate) fn has_switch_port(&self, name: &str) -> bool {
        self.switch_ports.contains_key(name)
    }

    /// Whether an entity lists a port of this name.
    pub(crate) fn is_listed(&self, name: &str) -> bool {
        self.listed.contains_key(name)
    }

    /// How many rows of one table have this name, at most.
    pub(crate) fn most_named(&self, name: &str) -> usize {
        let ports = self.ports.get(name).map_or(0, Vec::len);
        ports.max(self.switch_ports.get(name).map_or(0, BTreeSet::len))
    }

    /// How many rows an entity has.
    pub(crate) fn entity_rows(&self, id: &str) -> usize {
        self.entities.get(id).map_or(0, Vec::len)
    }

    /// The names of all ports of containers.
    pub(crate) fn names(&self) -> impl Iterator<Item = &String> {
        self.ports.keys().chain(self.switch_ports.keys()).filter(|name| !is_of_others(name))
    }

    /// The sandboxes of all entities of containers.
    pub(crate) fn sandboxes(&self) -> impl Iterator<Item = &String> {
        self.entities.keys().filter(|id| !is_of_others(id))
    }
}

/// Whether something of this name is the switch's own or somebody else's.
pub(crate) fn is_of_others(name: &str) -> bool {
    name == FOREIGN || name == BRIDGE
}

/// What has changed on a node since the last look.
#[derive(Debug, Default)]
pub(crate) struct Touched {
    /// Names of ports.
    pub(crate) names: BTreeSet<String>,
    /// Sandboxes, by the keys of their entities.
    pub(crate) sandboxes: BTreeSet<String>,
}

/// What all switches have.
#[derive(Debug)]
pub(crate) struct Mirror {
    nodes: Vec<(Rows, Touched)>,
    /// Which ports' rows have an address: node and name.
    addresses: BTreeMap<String, BTreeSet<(usize, String)>>,
}

impl Mirror {
    /// Of so many switches, all of them empty.
    pub(crate) fn new(nodes: usize) -> Self {
        Self { nodes: (0..nodes).map(|_| Default::default()).collect(), addresses: BTreeMap::new() }
    }

    /// What a switch has.
    pub(crate) fn rows(&self, node: usize) -> &Rows {
        &self.nodes[node].0
    }

    /// What has changed on a switch since this was last asked.
    pub(crate) fn take_touched(&mut self, node: usize) -> Touched {
        std::mem::take(&mut self.nodes[node].1)
    }

    /// The ports whose rows have an address: node and name.
    pub(crate) fn with_address(&self, address: &str) -> impl Iterator<Item = (usize, &str)> {
        self.addresses.get(address).into_iter().flatten().map(|(node, name)| (*node, name.as_str()))
    }

    /// Takes in what a switch's commit has changed.
    pub(crate) fn apply(&mut self, node: usize, change: &RowChange<'_>) {
        match change.table() {
            "Nuage_Port_Table" => self.port(node, change),
            "Nuage_VM_Table" => self.entity(node, change),
            "Port" => self.switch_port(node, change),
            _ => {}
        }
    }

    fn port(&mut self, node: usize, change: &RowChange<'_>) {
        let (rows, touched) = &mut self.nodes[node];
        if change.was_there() {
            let name = change.before("name").concat();
            if let Some(old) = take(&mut rows.ports, &name, change.uuid())
                && old.is_resolved()
                // Another row of this name may have it, too.
                && !rows.ports.get(&name).is_some_and(|rows| rows.iter().any(|(_, row)| row.address == old.address))
                && let Some(holders) = self.addresses.get_mut(&old.address)
            {
                holders.remove(&(node, name.clone()));
                if holders.is_empty() {
                    self.addresses.remove(&old.address);
                }
            }
            touched.names.insert(name);
        }
        if change.is_there() {
            let name = change.after("name").concat();
            let port = Port {
                address: change.after("ip_addr").concat(),
                mac: change.after("mac").concat(),
                zone: change.after("nuage_zone").concat(),
            };
            if port.is_resolved() && name != FOREIGN {
                self.addresses.entry(port.address.clone()).or_default().insert((node, name.clone()));
            }
            put(&mut rows.ports, &name, change.uuid(), port);
            touched.names.insert(name);
        }
    }

    fn entity(&mut self, node: usize, change: &RowChange<'_>) {
        let (rows, touched) = &mut self.nodes[node];
        if change.was_there() {
            let id = change.before("vm_uuid").concat();
            for name in take(&mut rows.entities, &id, change.uuid()).into_iter().flat_map(|row| row.ports) {
                take_one(&mut rows.listed, &name, change.uuid());
                touched.names.insert(name);
            }
            touched.sandboxes.insert(id);
        }
        if change.is_there() {
            let id = change.after("vm_uuid").concat();
            let entity = Entity { ports: change.after("ports").into_iter().map(str::to_owned).collect() };
            for name in &entity.ports {
                rows.listed.entry(name.clone()).or_default().insert(change.uuid());
                touched.names.insert(name.clone());
            }
            put(&mut rows.entities, &id, change.uuid(), entity);
            touched.sandboxes.insert(id);
        }
    }

    fn switch_port(&mut self, node: usize, change: &RowChange<'_>) {
        let (rows, touched) = &mut self.nodes[node];
        if change.was_there() {
            let name = change.before("name").concat();
            take_one(&mut rows.switch_ports, &name, change.uuid());
            touched.names.insert(name);
        }
        if change.is_there() {
            let name = change.after("name").concat();
            rows.switch_ports.entry(name.clone()).or_default().insert(change.uuid());
            touched.names.insert(name);
        }
    }

    /// What differs between what is kept of a switch and what it has, if anything does: then the mirror is wrong.
    pub(crate) fn difference(&self, node: usize, server: &Server) -> Option<String> {
        let mut fresh = Self::new(node + 1);
        server.look(DATABASE, |change| fresh.apply(node, change));
        let (kept, found) = (self.rows(node), fresh.rows(node));
        let differs = kept != found
            || fresh.addresses.iter().any(|(address, holders)| {
                let kept = self.addresses.get(address).into_iter().flatten();
                kept.filter(|(holder, _)| *holder == node).ne(holders)
            });
        differs.then(|| format!("kept: {kept:?}, found: {found:?}"))
    }
}

/// Puts a row in, or in the place of what it was.
fn put<T>(rows: &mut Keyed<T>, key: &str, uuid: Uuid, row: T) {
    let several = rows.entry(key.to_owned()).or_default();
    match several.binary_search_by_key(&uuid, |(uuid, _)| *uuid) {
        Ok(place) => several[place].1 = row,
        Err(place) => {
            several.reserve_exact(1);
            several.insert(place, (uuid, row));
        }
    }
}

/// Takes a row out; `None` if it was not there.
fn take<T>(rows: &mut Keyed<T>, key: &str, uuid: Uuid) -> Option<T> {
    let several = rows.get_mut(key)?;
    let place = several.binary_search_by_key(&uuid, |(uuid, _)| *uuid).ok()?;
    let (_, row) = several.remove(place);
    if several.is_empty() {
        rows.remove(key);
    }
    Some(row)
}

/// Takes one row out of those of a name.
fn take_one(rows: &mut BTreeMap<String, BTreeSet<Uuid>>, name: &str, uuid: Uuid) {
    if let Some(several) = rows.get_mut(name) {
        several.remove(&uuid);
        if several.is_empty() {
            rows.remove(name);
        }
    }
}
