//! What an installation is told: options, and the environment variables that the original's install-cni.sh had. Where a file of
//! the host goes follows from them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use ipnet::IpNet;

use super::tree::Tree;
use crate::config::{NodeConfig, load_node};
use crate::error::Error;
use crate::orchestrator::Orchestrator;

/// On a host of this kind /usr is read-only.
const OSTREE_MARK: &str = "/run/ostree-booted";

/// What all verbs share.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Settings {
    /// Whose plugin
    #[arg(long, env = "NUAGE_ORCHESTRATOR", value_enum, default_value_t = Kind::K8s)]
    pub(super) orchestrator: Kind,
    /// Where the host's files are: / on the host itself, the mount in a container
    #[arg(long, env = "NUAGE_HOST_ROOT", value_name = "DIR", default_value = "/")]
    pub(super) root: PathBuf,
    /// Where the executables to install are; default: beside this one
    #[arg(long, value_name = "DIR")]
    pub(super) from: Option<PathBuf>,
    /// Where the runtime looks for plugins, on the host
    #[arg(long, env = "CNI_BIN_DIR", value_name = "DIR", default_value = "/opt/cni/bin")]
    pub(super) bin_dir: PathBuf,
    /// Where the runtime looks for network configurations, on the host
    #[arg(long, env = "CNI_NET_DIR", value_name = "DIR", default_value = "/etc/cni/net.d")]
    pub(super) net_dir: PathBuf,
    /// Name of the network configuration; one that ends with .conf gets a single plugin instead of a list
    #[arg(long, env = "CNI_CONF_NAME", value_name = "NAME", default_value = "nuage-net.conflist", value_parser = file_name)]
    pub(super) conf_name: String,
    /// Executables not to install
    #[arg(long, env = "SKIP_CNI_BINARIES", value_name = "NAMES", value_delimiter = ',')]
    pub(super) skip: Vec<String>,
    /// Content of nuage-cni.yaml; without it the host's stays
    #[arg(long, env = "NUAGE_CNI_YAML_CONFIG", value_name = "YAML", hide_env_values = true)]
    pub(super) node_config: Option<String>,
    /// Content of vsp-k8s.yaml or vsp-openshift.yaml; without it the host's stays
    #[arg(long, env = "NUAGE_VSP_CONFIG", value_name = "YAML", hide_env_values = true)]
    pub(super) vsp_config: Option<String>,
    /// API server of the kubeconfig to write; without it the host's stays
    #[arg(long, env = "MASTER_API_SERVER_URL", value_name = "URL")]
    pub(super) api_server: Option<String>,
    /// Token of the kubeconfig; default: the service account's
    #[arg(long, env = "NUAGE_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    pub(super) token: Option<String>,
    /// Certificate of the authority that signed the API server's; default: the service account's, else the host's
    #[arg(long, env = "NUAGE_CLUSTER_CA", value_name = "FILE")]
    pub(super) authority: Option<PathBuf>,
    /// Networks of pods that the firewall forwards
    #[arg(long, env = "NUAGE_CLUSTER_NW_CIDR", value_name = "CIDRS", value_delimiter = ',')]
    pub(super) networks: Vec<IpNet>,
    /// Leave the firewall alone
    #[arg(long)]
    pub(super) no_firewall: bool,
}

/// Whose plugin, as the command line has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Kind {
    /// Kubernetes
    K8s,
    /// OpenShift
    Openshift,
    /// Mesos
    Mesos,
}

/// One path component.
fn file_name(text: &str) -> Result<String, String> {
    let is_name = !text.is_empty() && !text.starts_with('.') && !text.contains('/') && text.len() <= 255;
    if is_name { Ok(text.to_owned()) } else { Err("is no file name".to_owned()) }
}

impl Kind {
    pub(super) fn orchestrator(self) -> Orchestrator {
        match self {
            Self::K8s => Orchestrator::Kubernetes,
            Self::Openshift => Orchestrator::OpenShift,
            Self::Mesos => Orchestrator::Mesos,
        }
    }

    /// The name of the plugin.
    pub(super) fn plugin(self) -> &'static str {
        match self {
            Self::K8s => "nuage-cni-k8s",
            Self::Openshift => "nuage-cni-openshift",
            Self::Mesos => "nuage-cni-mesos",
        }
    }

    /// The name of the vsp file, without its ending.
    pub(super) fn vsp(self) -> &'static str {
        match self {
            Self::Openshift => "vsp-openshift",
            Self::K8s | Self::Mesos => "vsp-k8s",
        }
    }
}

impl Settings {
    /// Where the executables to install are.
    pub(super) fn source(&self) -> Result<PathBuf, Error> {
        if let Some(from) = &self.from {
            return Ok(from.clone());
        }
        let own = std::env::current_exe().ok();
        let beside = own.as_deref().and_then(Path::parent).map(Path::to_owned);
        beside.ok_or_else(|| Error::Io {
            operation: "looking for the executables".to_owned(),
            details: "--from names their folder".to_owned(),
        })
    }

    /// The executables not to install.
    pub(super) fn skipped(&self) -> BTreeSet<&str> {
        self.skip.iter().map(|name| name.trim()).collect()
    }

    /// nuage-cni.yaml, with the switch as it is reached from here: a socket's path is the host's.
    pub(super) fn switch(&self, tree: &Tree) -> Result<NodeConfig, Error> {
        let mut node = load_node(tree, None)?;
        if !node.vrs_endpoint.starts_with("tcp:") {
            let path = Path::new(node.vrs_endpoint.strip_prefix("unix:").unwrap_or(&node.vrs_endpoint));
            let below = self.root.join(path.strip_prefix("/").unwrap_or(path));
            node.vrs_endpoint = format!("unix:{}", below.display());
        }
        Ok(node)
    }

    /// The network configuration.
    pub(super) fn network(&self) -> PathBuf {
        self.net_dir.join(&self.conf_name)
    }

    /// The folder of the vsp file on this host.
    pub(super) fn vsp_directory(&self, tree: &Tree) -> Result<PathBuf, Error> {
        let share = if tree.has(Path::new(OSTREE_MARK))? { "/var/usr/share" } else { "/usr/share" };
        Ok(Path::new(share).join(self.orchestrator.vsp()))
    }
}
