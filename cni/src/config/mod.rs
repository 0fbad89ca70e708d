//! The node's configuration: nuage-cni.yaml, vsp-*.yaml and the kubeconfig become typed, validated values; every
//! default stands here. Reads through [`crate::host::Files`] only.

mod document;
mod keys;
mod kubeconfig;
mod memo;
mod node;
mod noted;
mod vsp;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::Error;
use crate::host::Files;
use document::Document;
pub use keys::reference;
pub use kubeconfig::{Kubeconfig, Unverified, load as load_kubeconfig, unverified as unverified_kubeconfig};
pub use memo::Memo;
pub use node::load as load_node;
pub use vsp::{Choice, VspConfig, load as load_vsp};

/// No configuration file is longer, in bytes.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// nuage-cni.yaml.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeConfig {
    /// `vrsendpoint`: a path, `unix:PATH` or `tcp:HOST:PORT`.
    pub vrs_endpoint: String,
    /// `vrsbridge`.
    pub bridge: String,
    /// `mtu`; absent: derived from the underlay.
    pub mtu: Option<u32>,
    /// `portresolvetimer`: how long ADD waits for the controller at most.
    pub resolve_timeout: Duration,
    /// `addtimeout`: how long an ADD may take in all, undo included.
    pub add_timeout: Duration,
    /// `nuagesiteid`; absent or -1: not sent.
    pub site_id: Option<u32>,
    /// `multiplepolicygroups`: whether the VRS takes several, comma-joined.
    pub multiple_policy_groups: bool,
    /// `cniversion`: counts only when the network configuration has none.
    pub cni_version: Option<String>,
    /// `statedir`: the journal.
    pub state_dir: PathBuf,
    /// `rundir`: locks and sockets.
    pub run_dir: PathBuf,
    /// `logdir`.
    pub log_dir: PathBuf,
    /// `loglevel`.
    pub log_level: LogLevel,
    /// `logformat: json`.
    pub log_json: bool,
    /// `logfilesize` in MB.
    pub log_file_megabytes: u32,
    /// `logfilecount`: how many full ones are kept.
    pub log_file_count: u32,
    /// `monitorinterval`: how often the audit looks.
    pub audit_interval: Duration,
    /// `staleentrytimeout`: how long the audit sees something without an owner before it removes it.
    pub stale_timeout: Duration,
    /// `vrsconnectionchecktimer`: how often the audit probes its connection.
    pub connection_check_interval: Duration,
    /// `metricslisten`: address and port of the audit's metrics; absent: none.
    pub metrics_listen: Option<SocketAddr>,
    /// `runtimeendpoint`: the socket of the runtime's CRI, which the audit asks; absent: it asks none.
    pub runtime_socket: Option<PathBuf>,
    /// `mesosagent`, `mesosagentca`, `mesosagentcredential`.
    pub mesos_agent: MesosAgentConfig,
    /// What is odd about the file, in words for a person.
    pub warnings: Vec<String>,
}

/// How the audit reaches the Mesos agent of this node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MesosAgentConfig {
    /// `mesosagent`: its URL without a trailing slash; absent: `http://`, this host's name, `:5051`, as the original had it.
    pub url: Option<String>,
    /// `mesosagentca`: whom to trust, for an `https` URL.
    pub authorities: Option<PathBuf>,
    /// `mesosagentcredential`: a JSON file with `principal` and `secret`, as Mesos's own `--credential` takes it.
    pub credential: Option<PathBuf>,
}

/// How much is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Only what failed.
    Error,
    /// And what is odd.
    Warn,
    /// And what was done.
    Info,
    /// And how.
    Debug,
}

/// An invalid value of a file.
fn invalid(path: &Path, details: impl Into<String>) -> Error {
    Error::Config { what: path.display().to_string(), details: details.into(), hint: None }
}

/// Reads a file, if it is there.
fn read(files: &dyn Files, path: &Path) -> Result<Option<Vec<u8>>, Error> {
    files.read(path, MAX_FILE_BYTES).map_err(|error| Error::Io {
        operation: format!("reading {}", path.display()),
        details: error.to_string(),
    })
}

#[cfg(test)]
mod tests;
