//! What calls tell each other beside the records, in files that a reboot takes away: that a DEL waits for a running ADD,
//! that an attachment is gone for good, and whose record is worth reading. Losing one costs time or a repeated notice, never
//! an attachment.

use std::collections::BTreeSet;
use std::time::Duration;

use sha1::{Digest as _, Sha1};

use super::{Journal, failed};
use crate::error::Error;
use crate::orchestrator::Pod;

/// How long it is remembered that an attachment is gone: a runtime repeats its DEL within minutes.
const TOMBSTONE_LIFE: Duration = Duration::from_mins(10);
/// More than a node can attach and detach in that time.
const MAX_TOMBSTONES: usize = 1024;

/// The port and the time of a tombstone, which its name tells: `PORT.MILLISECONDS`.
fn parse(name: &str) -> Option<(&str, Duration)> {
    let (port, time) = name.rsplit_once('.')?;
    Some((port, Duration::from_millis(time.parse().ok()?)))
}

/// Of a pod's mark: enough to tell a node's pods apart; two that had the same would only be read in vain.
const KEY_DIGITS: usize = 20;
/// In the place of a key where there is no pod.
const NO_POD: &str = "none";

/// What stands for a pod in the name of a mark.
fn key(pod: Option<&Pod>) -> String {
    let Some(Pod { namespace, name, .. }) = pod else { return NO_POD.to_owned() };
    let mut text = format!("{:x}", Sha1::digest(format!("{namespace}/{name}")));
    text.truncate(KEY_DIGITS);
    text
}

/// The key and the port of a mark, which its name tells.
fn split(name: &str) -> Option<(&str, &str)> {
    name.split_once('.')
}

impl Journal<'_> {
    /// Puts down that a port's record is of an attachment of this pod that is up or being made, so that nobody else has to
    /// read it. Best effort: a record without a mark is read by everybody.
    pub(super) fn mark(&self, port_name: &str, pod: Option<&Pod>) {
        let _ = self.files.write_lightly(&self.open.join(format!("{}.{port_name}", key(pod))), b"");
    }

    /// From now on everybody reads the port's record, or there is none.
    pub(super) fn unmark(&self, port_name: &str) {
        for name in self.files.list(&self.open).unwrap_or_default() {
            if split(&name).is_some_and(|(_, port)| port == port_name) {
                let _ = self.files.remove(&self.open.join(name));
            }
        }
    }

    /// The ports whose record says more than that an attachment of some other pod is open; of `pod`, or of none.
    pub(super) fn worth_reading(&self, pod: Option<&Pod>) -> Result<Vec<String>, Error> {
        let marked = self.files.list(&self.open).unwrap_or_default();
        let own = pod.map(|pod| key(Some(pod)));
        let others = marked.iter().filter_map(|name| split(name));
        let others: BTreeSet<&str> =
            others.filter(|(key, _)| Some(*key) != own.as_deref()).map(|(_, port)| port).collect();
        let mut names = self.names()?;
        names.retain(|port| !others.contains(port.as_str()));
        Ok(names)
    }

    /// Asks an ADD of this port that is running to give up.
    ///
    /// # Errors
    /// Code 5 where the disk refuses.
    pub fn ask_to_stop(&self, port_name: &str) -> Result<(), Error> {
        if self.is_asked_to_stop(port_name) {
            return Ok(());
        }
        let path = self.stops.join(port_name);
        self.files.write_lightly(&path, b"").map_err(|error| failed("writing", &path, &error))
    }

    /// Whether a DEL waits for the ADD of this port. What cannot be read is no reason to stop.
    pub fn is_asked_to_stop(&self, port_name: &str) -> bool {
        self.files.read(&self.stops.join(port_name), 0).is_ok_and(|mark| mark.is_some())
    }

    /// Takes the wish back: whoever has the sandbox's lock begins anew.
    pub fn forget_stop(&self, port_name: &str) {
        let _ = self.files.remove(&self.stops.join(port_name));
    }

    fn tombstones(&self) -> Vec<String> {
        self.files.list(&self.gone).unwrap_or_default()
    }

    /// Whether time has gone over a tombstone. One of the future is of a clock that was wrong.
    fn is_weathered(&self, time: Duration) -> bool {
        self.clock.now().abs_diff(time) >= TOMBSTONE_LIFE
    }

    /// Remembers that the attachment is gone and that everybody has been told.
    ///
    /// # Errors
    /// Code 5 where the disk refuses.
    pub fn bury(&self, port_name: &str) -> Result<(), Error> {
        let mut standing: Vec<(Duration, String)> = Vec::new();
        for name in self.tombstones() {
            match parse(&name) {
                Some((port, time)) if port != port_name && !self.is_weathered(time) => {
                    standing.push((time, name));
                }
                _ => drop(self.files.remove(&self.gone.join(name))),
            }
        }
        standing.sort();
        let crowd = (standing.len() + 1).saturating_sub(MAX_TOMBSTONES);
        for (_, oldest) in standing.iter().take(crowd) {
            let _ = self.files.remove(&self.gone.join(oldest));
        }
        let path = self.gone.join(format!("{port_name}.{}", self.clock.now().as_millis()));
        self.files.write_lightly(&path, b"").map_err(|error| failed("writing", &path, &error))
    }

    /// Whether an earlier DEL has taken the attachment away and told everybody, minutes ago at most.
    pub fn is_buried(&self, port_name: &str) -> bool {
        let names = self.tombstones();
        let mut stones = names.iter().filter_map(|name| parse(name));
        stones.any(|(port, time)| port == port_name && !self.is_weathered(time))
    }

    /// Forgets that there was an attachment before this one.
    ///
    /// # Errors
    /// Code 5 where the disk refuses.
    pub fn exhume(&self, port_name: &str) -> Result<(), Error> {
        for name in self.tombstones() {
            if parse(&name).is_some_and(|(port, _)| port == port_name) {
                let path = self.gone.join(name);
                self.files.remove(&path).map_err(|error| failed("removing", &path, &error))?;
            }
        }
        Ok(())
    }
}
