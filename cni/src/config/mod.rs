//! The node's configuration: nuage-cni.yaml, vsp-*.yaml and the kubeconfig become typed, validated values; every
//! default stands here. Reads through [`crate::host::Files`] only.

use std::path::PathBuf;
use std::time::Duration;

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
