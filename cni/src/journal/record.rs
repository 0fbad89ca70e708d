//! One attachment as it is written down. Records of older formats are still read; what they lack is empty.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::orchestrator::{Identity, Placement, Pod};

/// The format of the records that are written.
const FORMAT: u32 = 2;
/// The formats that are read. 1 had neither `written` nor `stranger`.
const READABLE: std::ops::RangeInclusive<u32> = 1..=FORMAT;

/// How far an attachment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// An ADD began and has not ended; whatever it made has to go.
    Intent,
    /// It is up.
    Attached,
    /// A DEL could not deliver everything.
    Owed,
}

/// What an ADD wrote on the switch: enough to write it again should the switch lose it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    /// The bridge that has the port.
    pub bridge: String,
    /// MTU of the link in bytes.
    pub mtu: u32,
    /// What the rows say of its place: names, static address, policy groups.
    pub placement: Placement,
    /// The gateways that the pod's default routes lead through; none where they leave by another interface.
    pub gateways: Vec<IpAddr>,
    /// The row's identifier by table: `Interface`, `Port`, `Nuage_Port_Table`, `Nuage_VM_Table`. An entity that another
    /// interface of the sandbox made is not in it.
    pub rows: BTreeMap<String, String>,
}

/// One attachment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    format: u32,
    /// How far it is.
    pub state: State,
    /// The network's name.
    pub network: String,
    /// The sandbox.
    pub container_id: String,
    /// The interface in it.
    pub ifname: String,
    /// The VRS port and host link.
    pub port_name: String,
    /// Key of the entity row.
    pub entity_uuid: String,
    /// The pod, if there is one.
    pub pod: Option<Pod>,
    /// The boot that it was made in; another boot means that sandbox and links are gone.
    pub boot_id: String,
    /// Inode of the network namespace, 0 if unknown.
    pub netns_inode: u64,
    /// The pod end's MAC address, once it is up.
    pub mac: String,
    /// Its addresses, once it is up.
    pub addresses: Vec<String>,
    /// Whether rows may still be on the VRS (state `Owed`).
    pub owes_vrs: bool,
    /// Whether the monitor has not been told (state `Owed`).
    pub owes_monitor: bool,
    /// What is on the switch, once it is up.
    #[serde(default)]
    pub written: Option<Written>,
    /// No ADD wrote this down: a DEL came for it, and only the switch's rows can tell whether it ever was (state `Owed`).
    #[serde(default)]
    pub stranger: bool,
}

impl Record {
    /// A record of an ADD that begins.
    pub fn intent(identity: &Identity, network: &str, boot_id: String, netns_inode: u64) -> Self {
        Self {
            format: FORMAT,
            state: State::Intent,
            network: network.to_owned(),
            container_id: identity.container_id.clone(),
            ifname: identity.ifname.clone(),
            port_name: identity.port_name.clone(),
            entity_uuid: identity.entity_uuid.clone(),
            pod: identity.pod.clone(),
            boot_id,
            netns_inode,
            mac: String::new(),
            addresses: Vec::new(),
            owes_vrs: false,
            owes_monitor: false,
            written: None,
            stranger: false,
        }
    }

    /// A record of what a DEL came for and nobody has written down.
    pub fn stranger(identity: &Identity, network: &str, boot_id: String) -> Self {
        Self { stranger: true, ..Self::intent(identity, network, boot_id, 0) }
    }

    /// Reads a record of the port; `None` where it is none, or of a format of the future.
    pub(super) fn read(bytes: &[u8], port_name: &str) -> Option<Self> {
        let record: Self = serde_json::from_slice(bytes).ok()?;
        let readable = READABLE.contains(&record.format) && record.port_name == port_name;
        readable.then_some(Self { format: FORMAT, ..record })
    }

    /// The record of a debt: it may still have rows or a link (`vrs`), or the monitor may have to be told.
    #[must_use]
    pub fn owing(&self, vrs: bool, monitor: bool) -> Self {
        Self { state: State::Owed, owes_vrs: vrs, owes_monitor: monitor, ..self.clone() }
    }

    /// Whose attachment it is.
    pub fn identity(&self) -> Identity {
        Identity {
            container_id: self.container_id.clone(),
            ifname: self.ifname.clone(),
            port_name: self.port_name.clone(),
            entity_uuid: self.entity_uuid.clone(),
            entity_name: self.pod.as_ref().map_or_else(|| self.container_id.clone(), |pod| pod.name.clone()),
            pod: self.pod.clone(),
        }
    }
}

/// What the journal has of an attachment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// Nothing.
    Absent,
    /// A file that is no record of a known format: something was begun, nobody knows how far it came.
    Unreadable,
    /// A record.
    Record(Box<Record>),
}
