//! The kubeconfig, as far as the plugin needs it: one server, whom to trust as it, and a token or a certificate. Never
//! skips verification.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Document, invalid, read};
use crate::error::Error;
use crate::host::{Files, TlsIdentity};

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct File {
    current_context: String,
    contexts: Vec<Named>,
    clusters: Vec<Named>,
    users: Vec<Named>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Named {
    name: String,
    context: Context,
    cluster: Cluster,
    user: User,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Context {
    cluster: String,
    user: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct Cluster {
    server: String,
    certificate_authority: Option<String>,
    certificate_authority_data: Option<String>,
    insecure_skip_tls_verify: bool,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
struct User {
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    #[serde(rename = "tokenFile", skip_serializing_if = "Option::is_none")]
    token_file: Option<String>,
    #[serde(rename = "client-certificate", skip_serializing_if = "Option::is_none")]
    client_certificate: Option<String>,
    #[serde(rename = "client-certificate-data", skip_serializing_if = "Option::is_none")]
    client_certificate_data: Option<String>,
    #[serde(rename = "client-key", skip_serializing_if = "Option::is_none")]
    client_key: Option<String>,
    #[serde(rename = "client-key-data", skip_serializing_if = "Option::is_none")]
    client_key_data: Option<String>,
}

/// How to reach the API server.
#[derive(Clone)]
pub struct Kubeconfig {
    /// Its URL without a trailing slash.
    pub server: String,
    /// The bearer token, if one is used.
    pub token: Option<String>,
    /// Whom to trust and who we are.
    pub identity: TlsIdentity,
}

impl std::fmt::Debug for Kubeconfig {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Kubeconfig").field("server", &self.server).finish_non_exhaustive()
    }
}

/// What a pod is given to speak to the API server with; renewed in place.
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// The API server's name within a cluster.
const CLUSTER_SERVER: &str = "https://kubernetes.default.svc";

/// Reads a kubeconfig.
///
/// # Errors
/// Code 7 where it is missing, incomplete or asks for no verification.
pub fn load(files: &dyn Files, path: &Path) -> Result<Kubeconfig, Error> {
    load_if_there(files, path)?.ok_or_else(|| missing(path))
}

pub(super) fn missing(path: &Path) -> Error {
    Error::Config {
        what: path.display().to_string(),
        details: "does not exist".to_owned(),
        hint: Some("kubeConfig in the vsp file names the kubeconfig that the plugin uses".to_owned()),
    }
}

/// The credentials of the pod that this runs in, if it runs in one.
pub(super) fn in_cluster(files: &dyn Files, server: Option<&str>) -> Result<Option<Kubeconfig>, Error> {
    let place = Path::new(SERVICE_ACCOUNT);
    let Some(token) = read(files, &place.join("token"))? else { return Ok(None) };
    let authority = place.join("ca.crt");
    let authorities = read(files, &authority)?.ok_or_else(|| invalid(&authority, "does not exist"))?;
    let server = checked_server(place, server.unwrap_or(CLUSTER_SERVER))?;
    let token = Some(trimmed(&place.join("token"), token)?);
    Ok(Some(Kubeconfig {
        server,
        token,
        identity: TlsIdentity { authorities, client: None, pinned_sha256: None },
    }))
}

/// What a kubeconfig says that verifies nothing: the original's installation wrote such ones.
pub struct Unverified {
    /// The API server's URL.
    pub server: String,
    /// The user's credentials, as a kubeconfig has them.
    pub user: Value,
}

impl std::fmt::Debug for Unverified {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Unverified").field("server", &self.server).finish_non_exhaustive()
    }
}

/// Reads a kubeconfig that verifies nothing; `None` where there is none or it verifies.
///
/// # Errors
/// Code 7 where it is no kubeconfig.
pub fn unverified(files: &dyn Files, path: &Path) -> Result<Option<Unverified>, Error> {
    let Some(document) = Document::read_if_there(files, path)? else { return Ok(None) };
    let (cluster, user) = current(path, document.parse()?)?;
    if !cluster.insecure_skip_tls_verify {
        return Ok(None);
    }
    let server = checked_server(path, &cluster.server)?;
    let user = serde_json::to_value(user).map_err(|_| invalid(path, "its user cannot be read"))?;
    Ok(Some(Unverified { server, user }))
}

/// The cluster and the user of the current context.
fn current(path: &Path, file: File) -> Result<(Cluster, User), Error> {
    let find = |list: &'static str, entries: Vec<Named>, name: &str| {
        let found = entries.into_iter().find(|entry| entry.name == name);
        found.ok_or_else(|| invalid(path, format!("{list} has no entry named \"{name}\"")))
    };
    let context = find("contexts", file.contexts, &file.current_context)?.context;
    let cluster = find("clusters", file.clusters, &context.cluster)?.cluster;
    let user = find("users", file.users, &context.user)?.user;
    Ok((cluster, user))
}

fn checked_server(path: &Path, server: &str) -> Result<String, Error> {
    if !server.starts_with("https://") {
        return Err(invalid(path, format!("server: {server} does not begin with https://")));
    }
    Ok(server.trim_end_matches('/').to_owned())
}

fn trimmed(path: &Path, token: Vec<u8>) -> Result<String, Error> {
    let token = String::from_utf8(token).map_err(|_| invalid(path, "is not UTF-8"))?;
    Ok(token.trim().to_owned())
}

/// Reads a kubeconfig, if it is there.
pub(super) fn load_if_there(files: &dyn Files, path: &Path) -> Result<Option<Kubeconfig>, Error> {
    let Some(document) = Document::read_if_there(files, path)? else { return Ok(None) };
    let (cluster, user) = current(path, document.parse()?)?;
    if cluster.insecure_skip_tls_verify {
        return Err(Error::Config {
            what: path.display().to_string(),
            details: "insecure-skip-tls-verify is not supported: the API server is always verified"
                .to_owned(),
            hint: Some("give certificate-authority or certificate-authority-data instead".to_owned()),
        });
    }
    let server = checked_server(path, &cluster.server)?;
    let text = |data: Option<String>, file: Option<String>, what: &str| pem(files, path, what, data, file);
    let authority =
        text(cluster.certificate_authority_data, cluster.certificate_authority, "certificate-authority")?;
    let authorities = authority.ok_or_else(|| invalid(path, "the cluster has no certificate-authority"))?;
    let certificate = text(user.client_certificate_data, user.client_certificate, "client-certificate")?;
    let key = text(user.client_key_data, user.client_key, "client-key")?;
    let token = match (user.token_file, user.token) {
        (Some(file), _) => {
            let at = beside(path, &file);
            let bytes = read(files, &at)?.ok_or_else(|| invalid(&at, "does not exist (tokenFile)"))?;
            Some(trimmed(&at, bytes)?)
        }
        (None, token) => token,
    };
    Ok(Some(Kubeconfig {
        server,
        token,
        identity: TlsIdentity { authorities, client: certificate.zip(key), pinned_sha256: None },
    }))
}

/// Where the kubeconfig's user has its token, if in a file.
#[cfg(feature = "audit")]
pub(super) fn token_file(files: &dyn Files, path: &Path) -> Result<Option<std::path::PathBuf>, Error> {
    let Some(document) = Document::read_if_there(files, path)? else { return Ok(None) };
    let file: File = document.parse()?;
    let named = |entries: Vec<Named>, name: &str| entries.into_iter().find(|entry| entry.name == name);
    let context = named(file.contexts, &file.current_context).map(|entry| entry.context);
    let user = context.and_then(|context| named(file.users, &context.user)).map(|entry| entry.user);
    Ok(user.and_then(|user| user.token_file).map(|token| beside(path, &token)))
}

/// A path of a kubeconfig is relative to the kubeconfig.
fn beside(kubeconfig: &Path, path: &str) -> std::path::PathBuf {
    kubeconfig.parent().unwrap_or(Path::new("/")).join(path)
}

fn pem(
    files: &dyn Files,
    kubeconfig: &Path,
    what: &str,
    data: Option<String>,
    file: Option<String>,
) -> Result<Option<Vec<u8>>, Error> {
    if let Some(data) = data {
        let decoded = STANDARD.decode(data.trim());
        return decoded.map(Some).map_err(|_| invalid(kubeconfig, format!("{what}-data is not base64")));
    }
    let Some(file) = file else { return Ok(None) };
    let at = beside(kubeconfig, &file);
    read(files, &at)?.map(Some).ok_or_else(|| invalid(&at, format!("does not exist ({what})")))
}
