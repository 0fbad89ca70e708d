//! A running `emulator up` as it is known by the files in its directory: endpoints, authority, credentials, the nodes' files. Reads them
//! and never writes any of them.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use nuage_emulator::http::{HttpService, TlsIdentity, remote};
use nuage_emulator::pki::Pki;
use serde_json::Value;
use sha1::{Digest as _, Sha1};

use crate::error::Error;

/// The last file that an emulator writes.
const ENDPOINTS: &str = "endpoints.json";
/// The operator's root user, whom the emulator knows by a certificate of its authority.
const OPERATOR: (&str, &str) = ("csproot", "csp");
/// Digits of a hash of the directory: enough to keep the namespaces of a machine's sites apart.
const SITE_DIGITS: usize = 8;

/// A site.
#[derive(Debug)]
pub struct Site {
    /// Its directory, absolute.
    pub directory: PathBuf,
    endpoints: Value,
    nodes: Vec<Node>,
}

/// A node of a site.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Where its files are.
    pub files: PathBuf,
    /// The network namespace that it is, where packets are carried.
    pub netns: Option<PathBuf>,
}

impl Site {
    /// The site in a directory.
    ///
    /// # Errors
    /// No emulator has written its endpoints there.
    pub fn open(directory: &Path) -> Result<Self, Error> {
        let hint = |why: String| {
            Error::Pod(format!("{why}; `emulator up --dir {}` runs one there", directory.display()))
        };
        let directory = fs::canonicalize(directory).map_err(|error| hint(error.to_string()))?;
        let path = directory.join(ENDPOINTS);
        let text = fs::read(&path).map_err(|error| hint(format!("{}: {error}", path.display())))?;
        let endpoints: Value =
            serde_json::from_slice(&text).map_err(|error| hint(format!("{}: {error}", path.display())))?;
        let named = endpoints["nodes"].as_array().map(Vec::as_slice).unwrap_or_default();
        let nodes: Vec<Node> = named.iter().filter_map(|node| read(&directory, named.len(), node)).collect();
        if nodes.is_empty() {
            return Err(hint(format!("{} names no node", path.display())));
        }
        Ok(Self { directory, endpoints, nodes })
    }

    /// A node by its name; the first one where none is named.
    ///
    /// # Errors
    /// There is none of this name.
    pub fn node(&self, name: Option<&str>) -> Result<&Node, Error> {
        let Some(name) = name else { return Ok(&self.nodes[0]) };
        let all = || self.nodes.iter().map(|node| node.name.as_str()).collect::<Vec<_>>().join(", ");
        let found = self.nodes.iter().find(|node| node.name == name);
        found.ok_or_else(|| Error::Pod(format!("there is no node {name}; there are {}", all())))
    }

    /// Whether the emulator carries packets: then its nodes are network namespaces.
    pub fn carries_packets(&self) -> bool {
        self.nodes.iter().all(|node| node.netns.is_some())
    }

    /// What the network namespace of a pod of this site is called.
    pub(super) fn netns_name(&self, namespace: &str, name: &str) -> String {
        let digits = format!("{:x}", Sha1::digest(self.directory.as_os_str().as_encoded_bytes()));
        format!("nuage-pod-{}-{namespace}.{name}", &digits[..SITE_DIGITS])
    }

    /// # Errors
    /// This process may not make network namespaces.
    pub(super) fn needs_root(&self) -> Result<(), Error> {
        let uid = fs::metadata("/proc/self").map(|own| own.uid());
        if uid.is_ok_and(|uid| uid == 0) {
            return Ok(());
        }
        let directory = self.directory.display();
        Err(Error::Lacking(format!(
            "harness pod --dir {directory} needs root: it works in network namespaces"
        )))
    }

    /// The URL of a part.
    pub(super) fn endpoint(&self, part: &str) -> Result<&str, Error> {
        let url = self.endpoints[part].as_str();
        url.ok_or_else(|| Error::Pod(format!("the emulator runs without {part}: see its --only")))
    }

    /// A client of the API server, and the administrator's token.
    pub(super) fn kube(&self) -> Result<(HttpService, String), Error> {
        let path = self.directory.join("admin.kubeconfig");
        let text = fs::read_to_string(&path).map_err(|source| Error::File { path: path.clone(), source })?;
        let token = text.lines().find_map(|line| line.trim().strip_prefix("token: ")).map(str::to_owned);
        let token = token.ok_or_else(|| Error::Pod(format!("{} has no token", path.display())))?;
        let authority = self.directory.join("pki/ca.pem");
        let authorities =
            fs::read(&authority).map_err(|source| Error::File { path: authority.clone(), source })?;
        Ok((client(&TlsIdentity { authorities, client: None })?, token))
    }

    /// A client of the VSD, as the operator.
    pub(super) fn vsd(&self) -> Result<HttpService, Error> {
        let failed = |error: nuage_emulator::error::Error| Error::Pod(error.to_string());
        let pki = Pki::open(&self.directory.join("pki")).map_err(failed)?;
        let operator = pki.client(OPERATOR.0, OPERATOR.1).map_err(failed)?;
        client(&TlsIdentity {
            authorities: pki.authority.into_bytes(),
            client: Some((operator.certificate.into_bytes(), operator.key.into_bytes())),
        })
    }
}

fn client(identity: &TlsIdentity) -> Result<HttpService, Error> {
    remote(identity).map_err(|error| Error::Pod(error.to_string()))
}

/// A node of `endpoints.json`, which has as many.
fn read(directory: &Path, nodes: usize, node: &Value) -> Option<Node> {
    let name = node["name"].as_str()?.to_owned();
    let files = if nodes == 1 { directory.join("node") } else { directory.join("nodes").join(&name) };
    Some(Node { name, files, netns: node["netns"].as_str().map(PathBuf::from) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_is_read_from_its_directory_and_what_is_missing_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let told = |error: Error| error.to_string();
        let absent = told(Site::open(&directory.path().join("none")).unwrap_err());
        assert!(absent.contains("emulator up --dir"), "{absent}");
        let endpoints = r#"{"kube": "https://127.0.0.1:1", "nodes": [{"name": "node-1"}, {"name": "node-2", "netns": "/run/netns/n"}]}"#;
        fs::write(directory.path().join(ENDPOINTS), endpoints).unwrap();
        let site = Site::open(directory.path()).unwrap();
        assert_eq!(site.node(None).unwrap().name, "node-1");
        assert!(
            site.node(Some("node-2")).unwrap().files.ends_with("nodes/node-2") && !site.carries_packets()
        );
        assert!(told(site.node(Some("node-3")).unwrap_err()).contains("there are node-1, node-2"));
        assert!(told(site.endpoint("vsd").unwrap_err()).contains("without vsd"));
    }
}
