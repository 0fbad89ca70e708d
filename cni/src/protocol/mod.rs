//! CNI itself: environment and standard input become a [`Request`], results and errors become the one JSON text
//! of the caller's version of the specification. Knows nothing of Nuage and touches nothing.

mod environment;
mod network;
mod previous;
mod result;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;

use ipnet::IpNet;

use crate::error::Error;
use crate::host::Route;
pub use previous::{Previous, PreviousInterface};
pub use result::{result, versions};

/// The versions of the specification that the plugin speaks.
pub const VERSIONS: &[&str] = &["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"];

/// `CNI_COMMAND`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Command {
    /// Attach a container to the network.
    Add,
    /// Detach it.
    Del,
    /// Compare an attachment with what it should be.
    Check,
    /// Remove all attachments of this network but those listed.
    Gc,
    /// Say whether ADD can be served.
    Status,
    /// Say which versions are spoken.
    Version,
}

impl Command {
    /// As `CNI_COMMAND` has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Add => "ADD",
            Self::Del => "DEL",
            Self::Check => "CHECK",
            Self::Gc => "GC",
            Self::Status => "STATUS",
            Self::Version => "VERSION",
        }
    }
}

/// One validated call. What a command does not need may be absent or empty.
#[derive(Clone, Debug)]
pub struct Request {
    /// The command.
    pub command: Command,
    /// `CNI_CONTAINERID`: the sandbox.
    pub container_id: String,
    /// `CNI_NETNS`; absent or empty on some DELs.
    pub netns: Option<PathBuf>,
    /// `CNI_IFNAME`.
    pub ifname: String,
    /// `CNI_ARGS`, split.
    pub args: BTreeMap<String, String>,
    /// The network configuration.
    pub network: NetworkConfig,
}

/// The network configuration of one plugin, as the runtime hands it over.
#[derive(Clone, Debug, Default)]
pub struct NetworkConfig {
    /// The version to answer in; one of [`VERSIONS`], or empty where the configuration has none.
    pub version: String,
    /// The network's name.
    pub name: String,
    /// Our key `configDir`: the folder of all node files, instead of their standard places.
    pub config_dir: Option<PathBuf>,
    /// Our key `nuage`: where a container that belongs to no pod goes.
    pub nuage: Option<NuagePlacement>,
    /// `prevResult`.
    pub previous: Option<Previous>,
    /// `cni.dev/valid-attachments` (GC): container id and interface name.
    pub valid_attachments: Vec<(String, String)>,
    /// `args."org.apache.mesos".network_info.labels.labels`; the last of equal keys wins.
    pub mesos_labels: BTreeMap<String, String>,
    /// `runtimeConfig.ips` (capability `ips`): at most one, of IPv4.
    pub ips: Vec<IpNet>,
    /// Our key `ipFamilies` names IPv6: an ADD without an IPv6 address fails.
    pub needs_ipv6: bool,
    /// Our key `isDefaultGateway`, as the `bridge` plugin has it: whether the pod's default route leaves by this interface;
    /// absent: by `eth0`.
    pub default_route: Option<bool>,
    /// `runtimeConfig.mac` (capability `mac`).
    pub mac: Option<String>,
    /// `runtimeConfig.mtu` or the netconf's own `mtu`.
    pub mtu: Option<u32>,
}

/// The netconf's `nuage` object.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NuagePlacement {
    /// The enterprise.
    pub enterprise: Option<String>,
    /// The domain.
    pub domain: Option<String>,
    /// The zone.
    pub zone: Option<String>,
    /// The subnet.
    pub network: Option<String>,
    /// The VSD user.
    pub user: Option<String>,
    /// A fixed address.
    #[serde(rename = "staticIP")]
    pub static_ip: Option<String>,
    /// Policy groups.
    #[serde(default)]
    pub policy_groups: Vec<String>,
    /// A redirection target.
    pub redirection_target: Option<String>,
}

/// What ADD answers, before it takes the shape of a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// The link on the host.
    pub host_name: String,
    /// The host link's MAC address, if known.
    pub host_mac: Option<String>,
    /// The link in the pod.
    pub pod_name: String,
    /// The pod link's MAC address.
    pub pod_mac: String,
    /// The pod's network namespace.
    pub netns: PathBuf,
    /// MTU of both in bytes.
    pub mtu: u32,
    /// Addresses with their gateways.
    pub ips: Vec<(IpNet, Option<std::net::IpAddr>)>,
    /// Routes.
    pub routes: Vec<Route>,
    /// What plugins before this one have made.
    pub previous: Option<Previous>,
}

/// Reads and validates one call. Everything that is wrong with the environment is told at once.
///
/// # Errors
/// Codes 1, 2, 4, 6 and 7 of the specification.
pub fn parse(environment: &BTreeMap<String, String>, stdin: &[u8]) -> Result<Request, Error> {
    let command = environment::command(environment)?;
    let network = if command == Command::Version && stdin.iter().all(u8::is_ascii_whitespace) {
        NetworkConfig::default()
    } else {
        network::parse(command, stdin)?
    };
    environment::request(command, environment, network)
}
