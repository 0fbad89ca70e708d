//! The kubeconfig that the plugin uses: made from what an installation is told, or from one of the original's, which verified
//! nothing. Always with an authority.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::settings::Settings;
use super::tree::Tree;
use crate::error::Error;

/// Its name, beside the vsp file.
pub(super) const NAME: &str = "nuage.kubeconfig";
/// What a pod is given to speak to the API server with.
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// Where a node of Kubernetes and one of OpenShift have the cluster's authority.
const ON_HOSTS: [&str; 3] =
    ["/etc/kubernetes/pki/ca.crt", "/etc/kubernetes/kubelet-ca.crt", "/etc/origin/node/client-ca.crt"];

fn missing(what: &str, hint: &str) -> Error {
    Error::Config {
        what: NAME.to_owned(),
        details: format!("there is no {what}"),
        hint: Some(hint.to_owned()),
    }
}

/// The certificate of the cluster's authority.
fn authority(settings: &Settings, tree: &Tree) -> Result<Vec<u8>, Error> {
    if let Some(path) = &settings.authority {
        return std::fs::read(path).map_err(|error| Error::Io {
            operation: format!("reading {}", path.display()),
            details: error.to_string(),
        });
    }
    if let Ok(content) = std::fs::read(Path::new(SERVICE_ACCOUNT).join("ca.crt")) {
        return Ok(content);
    }
    for path in ON_HOSTS {
        if let Some(content) = tree.read(Path::new(path))? {
            return Ok(content);
        }
    }
    Err(missing(
        "certificate of the cluster's authority",
        "--authority names its file; the API server is always verified",
    ))
}

/// A kubeconfig for `server` with the installation's token.
pub(super) fn text(settings: &Settings, tree: &Tree, server: &str) -> Result<Vec<u8>, Error> {
    let token = match &settings.token {
        Some(token) => token.clone(),
        None => std::fs::read_to_string(Path::new(SERVICE_ACCOUNT).join("token"))
            .map_err(|_| missing("token", "--token gives one; a pod has its service account's"))?,
    };
    of(server, &authority(settings, tree)?, &json!({ "token": token.trim() }))
}

/// The same cluster and user as an old one's, verified.
pub(super) fn verified(
    settings: &Settings,
    tree: &Tree,
    server: &str,
    user: &Value,
) -> Result<Vec<u8>, Error> {
    of(server, &authority(settings, tree)?, user)
}

/// A kubeconfig of one cluster and one user, as JSON, which is YAML.
fn of(server: &str, authority: &[u8], user: &Value) -> Result<Vec<u8>, Error> {
    if !authority.windows(11).any(|part| part == b"-----BEGIN ") {
        return Err(missing("PEM text in the authority's file", "--authority names a certificate in PEM"));
    }
    let cluster = json!({"server": server, "certificate-authority-data": STANDARD.encode(authority)});
    let json = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "nuage",
        "clusters": [{"name": "cluster.local", "cluster": cluster}],
        "users": [{"name": "nuage", "user": user}],
        "contexts": [{"name": "nuage", "context": {"cluster": "cluster.local", "user": "nuage"}}],
    });
    Ok(format!("{json:#}\n").into_bytes())
}
