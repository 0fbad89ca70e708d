//! One call in flight: what every verb is given. Holds references only; decides nothing.

use std::path::Path;

use tokio::time::Instant;

use crate::config::NodeConfig;
use crate::host::Host;
use crate::log::CallLog;
use crate::orchestrator::{Identity, Orchestrator};
use crate::protocol::Request;

/// A validated call, the node it runs on, and the time by which it must have answered.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// The seams of the node.
    pub host: &'a Host,
    /// Which of the executables this is.
    pub orchestrator: Orchestrator,
    /// nuage-cni.yaml.
    pub node: &'a NodeConfig,
    /// The netconf's `configDir`; `None`: the standard places.
    pub config_dir: Option<&'a Path>,
    /// What was asked.
    pub request: &'a Request,
    /// Whose attachment it is. GC and STATUS have none.
    pub identity: Option<&'a Identity>,
    /// What it says about itself.
    pub log: &'a CallLog<'a>,
    /// When the one budget of all waits is used up.
    pub deadline: Instant,
}
