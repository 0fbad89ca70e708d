//! What this node has attached or still owes, a small file an attachment. The intent is written before the first side
//! effect, so that whatever a crash leaves behind can be found. Never decides what to do about it.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::config::NodeConfig;
use crate::error::Error;
use crate::host::{Files, Host, LockGuard};
use crate::orchestrator::{Identity, Pod};

/// The format of the files. Another one is left alone and treated as unreadable.
const FORMAT: u32 = 1;
/// More attachments than any node has pods; a disk that fills up with records would take the node down.
const MAX_RECORDS: usize = 1024;
/// From here on nothing is kept that only the monitor is owed: a monitor that is away for long must not use up the room
/// of attachments.
const MAX_MONITOR_DEBTS: usize = MAX_RECORDS / 2;
/// A record has a few hundred bytes.
const MAX_RECORD_BYTES: u64 = 64 << 10;
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

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
        }
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
    /// A file that is no record of this format: something was begun, nobody knows how far it came.
    Unreadable,
    /// A record.
    Record(Box<Record>),
}

/// The journal of a node.
pub struct Journal<'a> {
    files: &'a dyn Files,
    directory: PathBuf,
    locks: PathBuf,
}

impl<'a> Journal<'a> {
    /// The journal in `statedir`, with its locks in `rundir`.
    pub fn new(host: &'a Host, node: &NodeConfig) -> Self {
        Self {
            files: &*host.files,
            directory: node.state_dir.join("attachments"),
            locks: node.run_dir.join("locks"),
        }
    }

    fn path(&self, port_name: &str) -> PathBuf {
        self.directory.join(format!("{port_name}.json"))
    }

    /// Takes the lock of a sandbox if nobody holds it: its interfaces share one entity row.
    ///
    /// # Errors
    /// Code 5 where the lock's file cannot be made.
    pub fn try_lock(&self, entity_uuid: &str) -> Result<Option<Box<dyn LockGuard>>, Error> {
        // Characters that may stand in an entity's name but not in a file's.
        let safe: String = entity_uuid
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' })
            .collect();
        let path = self.locks.join(format!("{safe}.lock"));
        self.files.try_lock(&path).map_err(|error| failed("locking", &path, &error))
    }

    /// What is known of an attachment.
    ///
    /// # Errors
    /// Code 5 where the disk cannot be read.
    pub fn load(&self, port_name: &str) -> Result<Entry, Error> {
        let path = self.path(port_name);
        let bytes = match self.files.read(&path, MAX_RECORD_BYTES) {
            Ok(None) => return Ok(Entry::Absent),
            Ok(Some(bytes)) => bytes,
            Err(error) if error.kind() == io::ErrorKind::InvalidData => return Ok(Entry::Unreadable),
            Err(error) => return Err(failed("reading", &path, &error)),
        };
        let record: Option<Record> = serde_json::from_slice(&bytes).ok();
        let record = record.filter(|record| record.format == FORMAT && record.port_name == port_name);
        Ok(record.map_or(Entry::Unreadable, |record| Entry::Record(Box::new(record))))
    }

    /// Writes a record, whole or not at all.
    ///
    /// # Errors
    /// Code 11 where the journal is full, code 5 where the disk refuses.
    pub fn save(&self, record: &Record) -> Result<(), Error> {
        let path = self.path(&record.port_name);
        let names = self.names()?;
        if names.len() >= MAX_RECORDS && !names.contains(&record.port_name) {
            return Err(Error::TryAgain {
                what: format!("the journal in {} is full", self.directory.display()),
                details: format!("{MAX_RECORDS} attachments are open"),
                hint: Some("nuage-audit delivers what DELs could not: does it run?".to_owned()),
            });
        }
        let content = serde_json::to_vec_pretty(record).map_err(|error| Error::Io {
            operation: "writing the journal".to_owned(),
            details: error.to_string(),
        })?;
        self.files.write(&path, &content).map_err(|error| failed("writing", &path, &error))
    }

    /// Writes down what an attachment still owes; forgets it where that is nothing.
    ///
    /// # Errors
    /// As [`Journal::save`] and [`Journal::remove`].
    pub fn settle(&self, record: &Record) -> Result<(), Error> {
        let crowded = || self.names().is_ok_and(|names| names.len() > MAX_MONITOR_DEBTS);
        if record.owes_vrs || (record.owes_monitor && !crowded()) {
            self.save(record)
        } else {
            self.remove(&record.port_name)
        }
    }

    /// Forgets an attachment.
    ///
    /// # Errors
    /// Code 5 where the disk refuses.
    pub fn remove(&self, port_name: &str) -> Result<(), Error> {
        let path = self.path(port_name);
        self.files.remove(&path).map(drop).map_err(|error| failed("removing", &path, &error))
    }

    /// The ports that the journal knows, sorted.
    ///
    /// # Errors
    /// Code 5 where the disk cannot be read.
    pub fn names(&self) -> Result<Vec<String>, Error> {
        let files =
            self.files.list(&self.directory).map_err(|error| failed("reading", &self.directory, &error))?;
        Ok(files.iter().filter_map(|name| name.strip_suffix(".json")).map(str::to_owned).collect())
    }

    /// Whether the pod has another attachment than `except` that is up or being made. A record of an earlier boot is
    /// not one: its sandbox is gone. What cannot be read does not count.
    pub fn has_open(&self, pod: &Pod, except: &Record) -> bool {
        let boot_id = boot_id(self.files);
        let same = |other: &Pod| (&other.namespace, &other.name) == (&pod.namespace, &pod.name);
        self.records().unwrap_or_default().iter().any(|record| {
            record.state != State::Owed
                && record.port_name != except.port_name
                && record.boot_id == boot_id
                && record.pod.as_ref().is_some_and(same)
        })
    }

    /// The records that can be read, sorted by port.
    ///
    /// # Errors
    /// Code 5 where the disk cannot be read.
    pub fn records(&self) -> Result<Vec<Record>, Error> {
        let mut records = Vec::new();
        for name in self.names()? {
            if let Entry::Record(record) = self.load(&name)? {
                records.push(*record);
            }
        }
        Ok(records)
    }
}

/// This boot's identity; empty where the system has none.
pub fn boot_id(files: &dyn Files) -> String {
    let text = files.read(Path::new(BOOT_ID), 256).ok().flatten().unwrap_or_default();
    String::from_utf8_lossy(&text).trim().to_owned()
}

fn failed(what: &str, path: &Path, error: &io::Error) -> Error {
    Error::Io { operation: format!("{what} {}", path.display()), details: error.to_string() }
}
