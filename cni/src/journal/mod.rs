//! What this node has attached or still owes, a small file an attachment. The intent is written before the first side
//! effect, so that whatever a crash leaves behind can be found. Never decides what to do about it.

mod marks;
mod record;

use std::io;
use std::path::{Path, PathBuf};

use crate::config::NodeConfig;
use crate::error::Error;
use crate::host::{Clock, Files, Host, LockGuard};
use crate::orchestrator::Pod;
pub use record::{Entry, Record, State, Written};

/// More attachments than any node has pods; a disk that fills up with records would take the node down.
const MAX_RECORDS: usize = 1024;
/// From here on nothing is kept that only the monitor is owed: a monitor that is away for long must not use up the room
/// of attachments.
const MAX_MONITOR_DEBTS: usize = MAX_RECORDS / 2;
/// A record has a few hundred bytes.
const MAX_RECORD_BYTES: u64 = 64 << 10;
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// The journal of a node.
pub struct Journal<'a> {
    files: &'a dyn Files,
    clock: &'a dyn Clock,
    directory: PathBuf,
    locks: PathBuf,
    stops: PathBuf,
    gone: PathBuf,
    open: PathBuf,
}

impl<'a> Journal<'a> {
    /// The journal in `statedir`, with its locks and marks in `rundir`.
    pub fn new(host: &'a Host, node: &NodeConfig) -> Self {
        Self {
            files: &*host.files,
            clock: &*host.clock,
            directory: node.state_dir.join("attachments"),
            locks: node.run_dir.join("locks"),
            stops: node.run_dir.join("stops"),
            gone: node.run_dir.join("gone"),
            open: node.run_dir.join("open"),
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
        if let Some(record) = Record::read(&bytes, port_name) {
            return Ok(Entry::Record(Box::new(record)));
        }
        // Perhaps it was being written right now: another call's record may be looked at without its lock.
        let again = self.files.read(&path, MAX_RECORD_BYTES).ok().flatten();
        let record = again.and_then(|bytes| Record::read(&bytes, port_name));
        Ok(record.map_or(Entry::Unreadable, |record| Entry::Record(Box::new(record))))
    }

    /// Writes down that an ADD begins; on the disk when this returns. Goes on even if nobody waits for it any more.
    ///
    /// # Errors
    /// As [`Journal::save`].
    pub async fn begin(&self, record: &Record) -> Result<(), Error> {
        let path = self.path(&record.port_name);
        self.check_room(&record.port_name)?;
        self.mark(&record.port_name, record.pod.as_ref());
        let written = self.files.create(&path, &encode(record)?).await;
        written.map_err(|error| failed("writing", &path, &error))
    }

    /// A record that is new needs room.
    fn check_room(&self, port_name: &str) -> Result<(), Error> {
        let names = self.names()?;
        if names.len() < MAX_RECORDS || names.iter().any(|name| name == port_name) {
            return Ok(());
        }
        Err(Error::TryAgain {
            what: format!("the journal in {} is full", self.directory.display()),
            details: format!("{MAX_RECORDS} attachments are open"),
            hint: Some("nuage-audit delivers what DELs could not: does it run?".to_owned()),
        })
    }

    /// Writes down what is owed of an attachment, whole or not at all.
    ///
    /// # Errors
    /// Code 11 where the journal is full, code 5 where the disk refuses.
    pub fn save(&self, record: &Record) -> Result<(), Error> {
        let path = self.path(&record.port_name);
        self.check_room(&record.port_name)?;
        self.unmark(&record.port_name);
        self.files.write(&path, &encode(record)?).map_err(|error| failed("writing", &path, &error))
    }

    /// Writes down that the attachment is up. Should the machine crash before that is on the disk, the intent is there,
    /// or a file that cannot be read, and the links are gone anyway: nobody waits for the disk once more.
    ///
    /// # Errors
    /// Code 5 where the disk refuses.
    pub fn save_attached(&self, record: &Record) -> Result<(), Error> {
        let path = self.path(&record.port_name);
        let written = self.files.write_lightly(&path, &encode(record)?);
        written.map_err(|error| failed("writing", &path, &error))
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
        self.unmark(port_name);
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
        let records = self.worth_reading(Some(pod)).and_then(|ports| self.read(ports));
        records.unwrap_or_default().iter().any(|record| {
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
        self.read(self.names()?)
    }

    /// The records of what DELs could not deliver, sorted by port.
    ///
    /// # Errors
    /// Code 5 where the disk cannot be read.
    pub fn debts(&self) -> Result<Vec<Record>, Error> {
        let mut records = self.read(self.worth_reading(None)?)?;
        records.retain(|record| record.state == State::Owed);
        Ok(records)
    }

    fn read(&self, ports: Vec<String>) -> Result<Vec<Record>, Error> {
        let mut records = Vec::new();
        for name in ports {
            if let Entry::Record(record) = self.load(&name)? {
                records.push(*record);
            }
        }
        Ok(records)
    }
}

fn encode(record: &Record) -> Result<Vec<u8>, Error> {
    serde_json::to_vec_pretty(record).map_err(|error| Error::Io {
        operation: "writing the journal".to_owned(),
        details: error.to_string(),
    })
}

/// This boot's identity; empty where the system has none.
pub fn boot_id(files: &dyn Files) -> String {
    let text = files.read(Path::new(BOOT_ID), 256).ok().flatten().unwrap_or_default();
    String::from_utf8_lossy(&text).trim().to_owned()
}

fn failed(what: &str, path: &Path, error: &io::Error) -> Error {
    Error::Io { operation: format!("{what} {}", path.display()), details: error.to_string() }
}
