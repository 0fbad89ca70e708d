//! What a call says about itself: lines with one id, and one datagram of figures for the audit. Never a secret, never the
//! standard input, and never a reason for the call to fail.

mod line;

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Map, Value, json};
use sha1::{Digest as _, Sha1};
use tokio::time::Instant;

use crate::config::{LogLevel, NodeConfig};
use crate::error::Error;
use crate::host::{Host, LogFile};
use crate::orchestrator::Identity;
use crate::protocol::Request;
use line::Line;

/// The plugin's log in `logdir`.
const FILE_NAME: &str = "nuage-cni.log";
/// The audit's, beside it.
#[cfg(feature = "audit")]
pub const AUDIT_FILE_NAME: &str = "nuage-daemon.log";
/// What stands where a call has its command.
#[cfg(feature = "audit")]
const AUDIT_VERB: &str = "AUDIT";
/// The audit's socket in `rundir`.
pub(crate) const AUDIT_SOCKET: &str = "audit.sock";
/// Digits of a call's id: enough to tell a node's calls of a day apart.
const ID_DIGITS: usize = 12;
/// Of the datagram.
const METRICS_FORMAT: u32 = 1;
const BYTES_OF_MEGABYTE: u64 = 1 << 20;

/// The log of one call.
pub struct CallLog<'a> {
    host: &'a Host,
    node: &'a NodeConfig,
    file: &'static str,
    verb: &'static str,
    /// Which call, and whose: in every line.
    subject: Vec<(&'static str, String)>,
    started: Instant,
    phases: Mutex<Vec<(&'static str, Duration)>>,
}

impl std::fmt::Debug for CallLog<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("CallLog").field("subject", &self.subject).finish_non_exhaustive()
    }
}

impl<'a> CallLog<'a> {
    /// The log of a call that began at `started`.
    pub fn new(
        host: &'a Host,
        node: &'a NodeConfig,
        request: &Request,
        identity: Option<&Identity>,
        started: Instant,
    ) -> Self {
        let verb = request.command.name();
        let mut subject = vec![("call", id(host, request))];
        if !request.container_id.is_empty() {
            subject.push(("sandbox", request.container_id.clone()));
            subject.push(("interface", request.ifname.clone()));
        }
        if let Some(identity) = identity {
            subject.push(("port", identity.port_name.clone()));
            subject
                .extend(identity.pod.as_ref().map(|pod| ("pod", format!("{}/{}", pod.namespace, pod.name))));
        }
        Self { host, node, file: FILE_NAME, verb, subject, started, phases: Mutex::default() }
    }

    /// The audit's log, about one attachment or in general.
    #[cfg(feature = "audit")]
    pub fn of_audit(host: &'a Host, node: &'a NodeConfig, identity: Option<&Identity>) -> Self {
        let mut subject = Vec::new();
        if let Some(identity) = identity {
            subject.push(("port", identity.port_name.clone()));
            subject.push(("sandbox", identity.container_id.clone()));
            subject
                .extend(identity.pod.as_ref().map(|pod| ("pod", format!("{}/{}", pod.namespace, pod.name))));
        }
        let started = Instant::now();
        Self {
            host,
            node,
            file: AUDIT_FILE_NAME,
            verb: AUDIT_VERB,
            subject,
            started,
            phases: Mutex::default(),
        }
    }

    /// What has failed, and is not tried again at once.
    #[cfg(feature = "audit")]
    pub fn error(&self, message: &str, fields: &[(&'static str, &str)]) {
        self.write(LogLevel::Error, message, fields);
    }

    /// What is odd, and what a person may want to change.
    pub fn warn(&self, message: &str, fields: &[(&'static str, &str)]) {
        self.write(LogLevel::Warn, message, fields);
    }

    /// What was done.
    pub fn info(&self, message: &str, fields: &[(&'static str, &str)]) {
        self.write(LogLevel::Info, message, fields);
    }

    /// How it was done.
    pub fn debug(&self, message: &str, fields: &[(&'static str, &str)]) {
        self.write(LogLevel::Debug, message, fields);
    }

    /// Notes how long a part of the call took; parts may overlap.
    pub fn phase(&self, name: &'static str, begun: Instant) {
        let mut phases = self.phases.lock().unwrap_or_else(PoisonError::into_inner);
        phases.push((name, begun.elapsed()));
    }

    /// Writes down how the call ended and tells the audit.
    pub fn finish(&self, failure: Option<&Error>) {
        let took = milliseconds(self.started.elapsed());
        let phases = std::mem::take(&mut *self.phases.lock().unwrap_or_else(PoisonError::into_inner));
        let mut fields = vec![("ms", took.clone())];
        if self.node.log_level >= LogLevel::Debug {
            fields.extend(phases.iter().map(|(name, took)| (*name, milliseconds(*took))));
        }
        let (level, message) = match failure {
            None => (LogLevel::Info, "done"),
            Some(error) => {
                let code = error.code().to_string();
                let texts = [("code", code), ("error", error.to_string()), ("details", error.details())];
                fields.extend(texts.into_iter().filter(|(_, text)| !text.is_empty()));
                let level = if error.is_passing() { LogLevel::Warn } else { LogLevel::Error };
                (level, "failed")
            }
        };
        let fields: Vec<(&'static str, &str)> =
            fields.iter().map(|(key, text)| (*key, text.as_str())).collect();
        self.write(level, message, &fields);

        let phases: Map<String, Value> =
            phases.iter().map(|(name, took)| ((*name).to_owned(), json!(took.as_secs_f64()))).collect();
        let metrics = json!({
            "format": METRICS_FORMAT, "verb": self.verb, "code": failure.map_or(0, Error::code),
            "seconds": self.started.elapsed().as_secs_f64(), "phases": phases
        });
        self.host.log.report(&self.node.run_dir.join(AUDIT_SOCKET), metrics.to_string().as_bytes());
    }

    fn write(&self, level: LogLevel, message: &str, fields: &[(&'static str, &str)]) {
        if level > self.node.log_level {
            return;
        }
        let line = Line {
            time: self.host.clock.now(),
            level,
            verb: self.verb,
            subject: &self.subject,
            message,
            fields,
        };
        let text = if self.node.log_json { line.json() } else { line.text() };
        let file = LogFile {
            path: self.node.log_dir.join(self.file),
            bytes: u64::from(self.node.log_file_megabytes) * BYTES_OF_MEGABYTE,
            count: self.node.log_file_count,
        };
        self.host.log.write(&file, &text);
    }
}

/// The id of a call: what was asked of whom, and when.
fn id(host: &Host, request: &Request) -> String {
    let mut hash = Sha1::new();
    hash.update(host.clock.now().as_nanos().to_be_bytes());
    hash.update(request.command.name());
    hash.update(&request.container_id);
    hash.update(&request.ifname);
    // Of each byte its high digit, then its low one.
    let nibbles = hash.finalize().into_iter().flat_map(|byte| [byte >> 4, byte & 15]);
    nibbles.filter_map(|nibble| char::from_digit(u32::from(nibble), 16)).take(ID_DIGITS).collect()
}

fn milliseconds(time: Duration) -> String {
    format!("{:.3}", time.as_secs_f64() * 1e3)
}
