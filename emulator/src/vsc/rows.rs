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
/// Where the switch's schema has them: what is published of the product's knows IPv4 only.
pub(super) const IPV6_COLUMNS: [&str; 3] = ["ip6_addr", "ip6_prefix_len", "ip6_gateway"];
const ENTITY_COLUMNS: [&str; 10] = [
    "type",
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

/// What a controller watches, of a switch that can tell a second address and of one that cannot.
pub(super) fn watched(ipv6: bool) -> Vec<MonitorTable> {
    let mut ports = PORT_COLUMNS.to_vec();
    if ipv6 {
        ports.extend(IPV6_COLUMNS);
    }
    vec![MonitorTable::new(PORTS, &ports), MonitorTable::new(ENTITIES, &ENTITY_COLUMNS)]
}

/// What an entity is to the VSD.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Container,
    Machine,
}

impl Kind {
    pub(super) const ALL: [Self; 2] = [Self::Container, Self::Machine];

    /// The collection of such entities.
    pub(super) fn collection(self) -> &'static str {
        match self {
            Self::Container => "containers",
            Self::Machine => "vms",
        }
    }

    /// The collection of their interfaces.
    pub(super) fn interfaces(self) -> &'static str {
        match self {
            Self::Container => "containerinterfaces",
            Self::Machine => "vminterfaces",
        }
    }
}

/// What a controller writes into a port's row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) address: String,
    pub(super) mask: String,
    pub(super) gateway: String,
    pub(super) evpn: u64,
    pub(super) vrf: u64,
    /// On a switch that can tell it.
    pub(super) second: Option<Second>,
}

/// A second address: of IPv6.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Second {
    pub(super) address: String,
    /// Length of the prefix, in bits.
    pub(super) prefix: u64,
    pub(super) gateway: String,
}

/// What an address is called that is none any more.
const NOTHING: &str = "0.0.0.0";

impl Answer {
    /// The answer that takes this one back.
    pub(super) fn withdrawn(&self) -> Self {
        let nothing = || NOTHING.to_owned();
        let second = self.second.as_ref().map(|_| Second::default());
        Self { address: nothing(), mask: nothing(), gateway: nothing(), second, ..self.clone() }
    }

    /// Whether there is an address in it.
    pub(super) fn is_given(&self) -> bool {
        let first = !self.address.is_empty() && self.address != NOTHING;
        first || self.second.as_ref().is_some_and(|second| !second.address.is_empty())
    }

    pub(super) fn row(&self) -> Row {
        let mut row = Row::from([
            ("ip_addr".to_owned(), json!(self.address)),
            ("subnet_mask".to_owned(), json!(self.mask)),
            ("gateway".to_owned(), json!(self.gateway)),
            ("evpn_id".to_owned(), json!(self.evpn)),
            ("vrf_id".to_owned(), json!(self.vrf)),
        ]);
        if let Some(second) = &self.second {
            row.insert("ip6_addr".to_owned(), json!(second.address));
            row.insert("ip6_prefix_len".to_owned(), json!(second.prefix));
            row.insert("ip6_gateway".to_owned(), json!(second.gateway));
        }
        row
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
                second: row.contains_key("ip6_addr").then(|| Second {
                    address: text(row, "ip6_addr"),
                    prefix: number(row, "ip6_prefix_len"),
                    gateway: text(row, "ip6_gateway"),
                }),
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
    /// Event Stopped/Migrated: it goes on elsewhere.
    Away,
    /// Anything else leaves things as they are.
    Unchanged,
}

/// A row of the VM table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entity {
    pub(super) kind: Kind,
    pub(super) uuid: String,
    pub(super) name: String,
    pub(super) user: String,
    pub(super) enterprise: String,
    pub(super) ports: BTreeSet<String>,
    pub(super) power: Power,
    pub(super) orchestration: Option<String>,
    /// Whether what the VSD has of it stays for a time when it goes, and for how many seconds.
    pub(super) lingers: Option<u64>,
    /// Its container was made in the VSD before: the rows say no place, the interface is found by its MAC address.
    pub(super) split: bool,
}

impl Entity {
    pub(super) fn read(row: &Row) -> Self {
        let event = (number(row, "event"), number(row, "event_type"));
        let mut metadata = map(row, "metadata");
        let split = metadata.get("nuage-extension").is_some_and(|extension| extension == "true");
        let kind = match number(row, "type") {
            4 => Some(Kind::Container),
            0 => Some(Kind::Machine),
            _ => None,
        };
        let power = match (event, number(row, "state")) {
            // Hosts and bridges are no machines.
            _ if kind.is_none() => Power::Unchanged,
            ((2, _), 1) => Power::On,
            // What is activated so is announced as defined and never as started.
            ((0, 0), _) if split => Power::On,
            ((5, 3), _) => Power::Away,
            ((5, _) | (1, 0), _) => Power::Off,
            _ => Power::Unchanged,
        };
        let timer = metadata.get("nuage-delete-mode").is_some_and(|mode| mode == "TIMER");
        let expiry = metadata.get("nuage-delete-expiry").and_then(|seconds| seconds.parse().ok());
        Self {
            kind: kind.unwrap_or(Kind::Container),
            lingers: timer.then(|| expiry.unwrap_or(0)),
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
