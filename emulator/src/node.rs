//! The files of a node: what an operator would install so that the plugin finds this emulator. Text only; who writes them
//! decides where.

use std::collections::BTreeMap;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::mesos::Credential;
use crate::pki::Identity;

/// The enterprise, domain, zone, subnet and user that the files name and the VSD starts with.
pub const ENTERPRISE: &str = "K8S-Enterprise";
/// See [`ENTERPRISE`].
pub const DOMAIN: &str = "K8S-Domain";
/// See [`ENTERPRISE`].
pub const ZONE: &str = "default";
/// See [`ENTERPRISE`].
pub const SUBNET: &str = "default-0";
/// See [`ENTERPRISE`].
pub const USER: &str = "k8s-admin";

/// What the files of a node depend on.
#[derive(Clone)]
pub struct NodeFiles {
    /// Where the files will lie.
    pub directory: PathBuf,
    /// `vrsendpoint`
    pub vrs: String,
    /// Base URL of the monitor; `None`: a site without one.
    pub monitor: Option<String>,
    /// Base URL of the API server.
    pub kube: String,
    /// Bearer token of the plugin.
    pub token: String,
    /// The authority's certificate.
    pub authority: String,
    /// The plugin's client certificate.
    pub client: Identity,
    /// The Mesos agent, on a site that has them.
    pub agent: Option<Agent>,
}

/// The Mesos agent of a node.
#[derive(Clone, Debug)]
pub struct Agent {
    /// Its URL.
    pub url: String,
    /// Who may ask it.
    pub credential: Credential,
}

impl std::fmt::Debug for NodeFiles {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("NodeFiles").field("directory", &self.directory).finish_non_exhaustive()
    }
}

/// The files by name.
pub fn files(node: &NodeFiles) -> BTreeMap<String, String> {
    let entries = [
        ("nuage-cni.yaml", cni_yaml(node)),
        ("vsp-k8s.yaml", vsp_yaml(node)),
        ("vsp-openshift.yaml", vsp_yaml(node)),
        ("nuage.kubeconfig", kubeconfig(&node.kube, &node.authority, &format!("token: {}", node.token))),
        ("10-nuage.conflist", conflist(node)),
        ("monitor-ca.pem", node.authority.clone()),
        ("monitor-client.pem", node.client.certificate.clone()),
        ("monitor-client.key", node.client.key.clone()),
    ];
    let mut files: BTreeMap<String, String> =
        entries.into_iter().map(|(name, text)| (name.to_owned(), text)).collect();
    if let Some(Agent { credential: Credential { principal, secret }, .. }) = &node.agent {
        let text = json!({"principal": principal, "secret": secret}).to_string();
        files.insert("mesos-credential.json".to_owned(), text);
    }
    files
}

fn cni_yaml(node: &NodeFiles) -> String {
    let directory = node.directory.display();
    let agent = node.agent.as_ref().map_or_else(String::new, |agent| {
        format!(
            "mesosagent: {}\nmesosagentca: monitor-ca.pem\nmesosagentcredential: mesos-credential.json\n",
            agent.url
        )
    });
    format!(
        "# The plugin on this node of the emulator.\n\
         vrsendpoint: {}\n\
         vrsbridge: alubr0\n\
         loglevel: info\n\
         portresolvetimer: 60\n\
         mtu: 1450\n\
         nuagesiteid: -1\n\
         statedir: {directory}/state\n\
         rundir: {directory}/run\n\
         logdir: {directory}/log\n\
         {agent}",
        node.vrs
    )
}

fn vsp_yaml(node: &NodeFiles) -> String {
    let monitor = node.monitor.as_deref().unwrap_or_default();
    format!(
        "enterpriseName: {ENTERPRISE}\n\
         domainName: {DOMAIN}\n\
         vsdUser: {USER}\n\
         nuageMonRestServer: \"{monitor}\"\n\
         nuageMonClientCert: monitor-client.pem\n\
         nuageMonClientKey: monitor-client.key\n\
         nuageMonServerCA: monitor-ca.pem\n\
         kubeConfig: nuage.kubeconfig\n"
    )
}

/// A kubeconfig with one user; `credential` is a line or lines of its `user`, indented by four.
pub fn kubeconfig(server: &str, authority: &str, credential: &str) -> String {
    format!(
        "apiVersion: v1\n\
         kind: Config\n\
         current-context: emulator\n\
         contexts:\n\
         - name: emulator\n  \
           context:\n    \
             cluster: emulator\n    \
             user: nuage\n\
         clusters:\n\
         - name: emulator\n  \
           cluster:\n    \
             server: {server}\n    \
             certificate-authority-data: {}\n\
         users:\n\
         - name: nuage\n  \
           user:\n    \
             {credential}\n",
        STANDARD.encode(authority)
    )
}

fn conflist(node: &NodeFiles) -> String {
    let list = json!({
        // libcni before 1.2 refuses a bare 1.1.0; a newer one takes the highest of the list.
        "cniVersion": "1.0.0",
        "cniVersions": ["0.4.0", "1.0.0", "1.1.0"],
        "name": "nuage",
        "plugins": [{"type": "nuage-cni-k8s", "configDir": node.directory}]
    });
    format!("{list:#}\n")
}
