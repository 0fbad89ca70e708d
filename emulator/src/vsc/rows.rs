//! The rows of the two Nuage tables, read into types. Pure; a column that is missing or of another type reads as
//! empty: other writers insert rows with one column and complete them later.

use std::collections::{BTreeMap, BTreeSet};

use nuage_ovsdb::Uuid;
use nuage_ovsdb::client::MonitorTable;
use nuage_ovsdb::value::Row;
use serde_json::{Value, json};

pub(super) const DATABASE: &str = "Open_vSwitch";
pub(super) const PORTS: &str = "Nuage_Port_Table";
pub(super) const ENTITIES: &str = "Nuage_VM_Table";

const PORT_COLUMNS: [&str; 11] = [
    "name",
    "mac",
    "nuage_domain",
    "nuage_zone",
    "nuage_network",
    "metadata",
    "ip_addr",
    "subnet_mask",
    "gateway",
    "evpn_id",
    "vrf_id",
];
const ENTITY_COLUMNS: [&str; 9] = [
    "vm_uuid",
    "vm_name",
    "nuage_user",
    "nuage_enterprise",
    "ports",
    "event",
    "event_type",
    "state",
    "metadata",
];

/// What a controller watches.
pub(super) fn watched() -> Vec<MonitorTable> {
    vec![MonitorTable::new(PORTS, &PORT_COLUMNS), MonitorTable::new(ENTITIES, &ENTITY_COLUMNS)]
}

/// What a controller writes into a port's row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) address: String,
    pub(super) mask: String,
    pub(super) gateway: String,
    pub(super) evpn: u64,
    pub(super) vrf: u64,
}

/// What an address is called that is none any more.
const NOTHING: &str = "0.0.0.0";

impl Answer {
    /// The answer that takes this one back.
    pub(super) fn withdrawn(&self) -> Self {
        let nothing = || NOTHING.to_owned();
        Self { address: nothing(), mask: nothing(), gateway: nothing(), ..self.clone() }
    }

    /// Whether there is an address in it.
    pub(super) fn is_given(&self) -> bool {
        !self.address.is_empty() && self.address != NOTHING
    }

    pub(super) fn row(&self) -> Row {
        Row::from([
            ("ip_addr".to_owned(), json!(self.address)),
            ("subnet_mask".to_owned(), json!(self.mask)),
            ("gateway".to_owned(), json!(self.gateway)),
            ("evpn_id".to_owned(), json!(self.evpn)),
            ("vrf_id".to_owned(), json!(self.vrf)),
        ])
    }
}

/// What a port's row asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) name: String,
    pub(super) mac: String,
    pub(super) domain: String,
    pub(super) zone: String,
    pub(super) network: String,
    pub(super) metadata: BTreeMap<String, String>,
}

impl Asked {
    pub(super) fn metadata(&self, key: &str) -> Option<&str> {
        self.metadata.get(key).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The columns that must still hold when the answer is written.
    pub(super) fn guard(&self) -> Row {
        Row::from([
            ("name".to_owned(), json!(self.name)),
            ("nuage_domain".to_owned(), json!(self.domain)),
            ("nuage_zone".to_owned(), json!(self.zone)),
            ("nuage_network".to_owned(), json!(self.network)),
        ])
    }
}

/// A row of the port table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Port {
    pub(super) row: Uuid,
    pub(super) asked: Asked,
    pub(super) answer: Answer,
}

impl Port {
    pub(super) fn read(uuid: Uuid, row: &Row) -> Self {
        Self {
            row: uuid,
            asked: Asked {
                name: text(row, "name"),
                mac: text(row, "mac"),
                domain: text(row, "nuage_domain"),
                zone: text(row, "nuage_zone"),
                network: text(row, "nuage_network"),
                metadata: map(row, "metadata"),
            },
            answer: Answer {
                address: text(row, "ip_addr"),
                mask: text(row, "subnet_mask"),
                gateway: text(row, "gateway"),
                evpn: number(row, "evpn_id"),
                vrf: number(row, "vrf_id"),
            },
        }
    }
}

/// Whether an entity is to be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Power {
    /// Event Started and state Running.
    On,
    /// Event Stopped, or Undefined/Removed.
    Off,
    /// Anything else leaves things as they are.
    Unchanged,
}

/// A row of the VM table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entity {
    pub(super) uuid: String,
    pub(super) name: String,
    pub(super) user: String,
    pub(super) enterprise: String,
    pub(super) ports: BTreeSet<String>,
    pub(super) power: Power,
    pub(super) orchestration: Option<String>,
    /// Its container was made in the VSD before: the rows say no place, the interface is found by its MAC address.
    pub(super) split: bool,
}

impl Entity {
    pub(super) fn read(row: &Row) -> Self {
        let event = (number(row, "event"), number(row, "event_type"));
        let mut metadata = map(row, "metadata");
        let split = metadata.get("nuage-extension").is_some_and(|extension| extension == "true");
        let power = match (event, number(row, "state")) {
            ((2, _), 1) => Power::On,
            // What is activated so is announced as defined and never as started.
            ((0, 0), _) if split => Power::On,
            ((5, _) | (1, 0), _) => Power::Off,
            _ => Power::Unchanged,
        };
        Self {
            uuid: text(row, "vm_uuid"),
            name: text(row, "vm_name"),
            user: text(row, "nuage_user"),
            enterprise: text(row, "nuage_enterprise"),
            ports: set(row, "ports"),
            power,
            orchestration: metadata.remove("nuage-orchestrationID"),
            split,
        }
    }
}

fn text(row: &Row, column: &str) -> String {
    row.get(column).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn number(row: &Row, column: &str) -> u64 {
    row.get(column).and_then(Value::as_u64).unwrap_or(0)
}

/// A set of one is its element, others are `["set", [..]]` (RFC 7047 section 5.1).
fn set(row: &Row, column: &str) -> BTreeSet<String> {
    let strings = |items: &Value| {
        items.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    match row.get(column) {
        Some(Value::String(one)) => BTreeSet::from([one.clone()]),
        Some(Value::Array(pair)) if pair.first().is_some_and(|tag| tag == "set") => {
            pair.get(1).map(strings).unwrap_or_default()
        }
        _ => BTreeSet::new(),
    }
}

pub(super) fn map(row: &Row, column: &str) -> BTreeMap<String, String> {
    let pairs = row.get(column).and_then(|map| map.get(1)).and_then(Value::as_array);
    let pair = |pair: &Value| Some((pair.get(0)?.as_str()?.to_owned(), pair.get(1)?.as_str()?.to_owned()));
    pairs.into_iter().flatten().filter_map(pair).collect()
}
