//! The node's configuration: nuage-cni.yaml, vsp-*.yaml and the kubeconfig become typed, validated values; every
//! default stands here. Reads through [`crate::host::Files`] only.

mod kubeconfig;
mod node;
mod vsp;

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::DeserializeOwned;

use crate::error::Error;
use crate::host::Files;
pub use kubeconfig::{Kubeconfig, load as load_kubeconfig};
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
    /// `logfilecount`.
    pub log_file_count: u32,
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

/// Reads a YAML file, if it is there. Unknown keys are no error: files of older versions carry many.
fn read_yaml<T: DeserializeOwned>(files: &dyn Files, path: &Path) -> Result<Option<T>, Error> {
    let Some(bytes) = read(files, path)? else { return Ok(None) };
    let text = String::from_utf8(bytes).map_err(|_| invalid(path, "is not UTF-8"))?;
    // A file of comments only is an empty file, not a null.
    if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
        return Ok(None);
    }
    serde_saphyr::from_str(&text).map(Some).map_err(|error| invalid(path, error.to_string()))
}

#[cfg(test)]
mod tests;
