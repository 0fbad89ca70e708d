//! vsp-k8s.yaml and vsp-openshift.yaml: where the overlay's services are and what a pod may choose for itself.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::keys::{IDLE, VSP};
use super::kubeconfig::{self, Kubeconfig};
use super::{Document, invalid, read};
use crate::error::Error;
use crate::host::{Files, TlsIdentity};
use crate::orchestrator::Orchestrator;

/// On a host of this kind /usr is read-only and the files are below /var.
const OSTREE_MARK: &str = "/run/ostree-booted";

/// What a pod's labels and annotations may choose (`podMaySet`).
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "kebab-case")]
pub enum Choice {
    /// `nuage.io/subnet`
    Subnet,
    /// `nuage.io/zone`
    Zone,
    /// `nuage.io/user`
    User,
    /// `nuage.io/policy-group`
    PolicyGroup,
    /// `nuage.io/static-ip`: a pod can take another's address with it, so nobody gets it unasked.
    StaticIp,
    /// `nuage.io/mac`: likewise.
    Mac,
    /// `nuage.io/redirection-target`: likewise.
    RedirectionTarget,
}

/// The file's keys.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct File {
    enterprise_name: Option<String>,
    domain_name: Option<String>,
    vsd_user: Option<String>,
    nuage_mon_rest_server: Option<String>,
    nuage_mon_client_cert: Option<String>,
    nuage_mon_client_key: Option<String>,
    #[serde(rename = "nuageMonServerCA")]
    nuage_mon_server_ca: Option<String>,
    #[serde(rename = "nuageMonCA")]
    nuage_mon_ca: Option<String>,
    nuage_mon_server_fingerprint: Option<String>,
    kube_config: Option<String>,
    master_api_server: Option<String>,
    default_subnet: Option<String>,
    pod_may_set: Option<BTreeSet<Choice>>,
}

/// A vsp-*.yaml, with its defaults.
#[derive(Clone, Debug)]
pub struct VspConfig {
    /// `enterpriseName`
    pub enterprise: String,
    /// `domainName`
    pub domain: String,
    /// `vsdUser`
    pub user: String,
    /// `nuageMonRestServer` without a trailing slash; `None`: a site without a monitor.
    pub monitor: Option<String>,
    /// `defaultSubnet`, for sites without a monitor.
    pub default_subnet: Option<String>,
    /// `podMaySet`
    pub pod_may_set: BTreeSet<Choice>,
    /// `kubeConfig`; absent or empty: `nuage.kubeconfig` beside the vsp file.
    pub kubeconfig: PathBuf,
    /// `masterApiServer`: the API server that a pod's own credentials are good for, where there is no kubeconfig.
    pub api_server: Option<String>,
    /// What is odd about the file, in words for a person.
    pub warnings: Vec<String>,
    /// Certificates and keys: PEM text or paths of it.
    client_certificate: Option<String>,
    client_key: Option<String>,
    server_authority: Option<String>,
    fingerprint: Option<String>,
    directory: PathBuf,
}

/// Reads the file of `orchestrator`, from `directory` if one is given.
///
/// # Errors
/// Code 7 for a value that is wrong, code 5 for a file that cannot be read.
pub fn load(
    files: &dyn Files,
    orchestrator: Orchestrator,
    directory: Option<&Path>,
) -> Result<VspConfig, Error> {
    let name = match orchestrator {
        Orchestrator::OpenShift => "vsp-openshift",
        Orchestrator::Kubernetes | Orchestrator::Mesos => "vsp-k8s",
    };
    let directory = match directory {
        Some(directory) => directory.to_owned(),
        None if read(files, Path::new(OSTREE_MARK))?.is_some() => Path::new("/var/usr/share").join(name),
        None => Path::new("/usr/share").join(name),
    };
    let path = directory.join(format!("{name}.yaml"));
    let document = Document::read(files, &path)?;
    let (file, keys): (File, _) = document.parse_noting()?;
    // A key without a value is an absent one: templates leave many like that.
    let given = |value: Option<String>| value.filter(|text| !text.trim().is_empty());
    let monitor = given(file.nuage_mon_rest_server).map(|url| url.trim().to_owned());
    if let Some(url) = monitor.as_ref().filter(|url| !url.starts_with("https://")) {
        return Err(invalid(&path, format!("nuageMonRestServer: {url} does not begin with https://")));
    }
    // OpenShift sites keep these four beside the file and do not name them.
    let beside = |value: Option<String>, name: &str| {
        given(value).or_else(|| (orchestrator == Orchestrator::OpenShift).then(|| name.to_owned()))
    };
    let default_choices = [Choice::Subnet, Choice::Zone, Choice::User, Choice::PolicyGroup];
    Ok(VspConfig {
        enterprise: given(file.enterprise_name).unwrap_or_else(|| "K8S-Enterprise".to_owned()),
        domain: given(file.domain_name).unwrap_or_else(|| "K8S-Domain".to_owned()),
        user: given(file.vsd_user).unwrap_or_default(),
        monitor: monitor.map(|url| url.trim_end_matches('/').to_owned()),
        default_subnet: given(file.default_subnet),
        pod_may_set: file.pod_may_set.unwrap_or_else(|| default_choices.into()),
        kubeconfig: directory.join(given(file.kube_config).as_deref().unwrap_or("nuage.kubeconfig")),
        api_server: given(file.master_api_server),
        warnings: document.odd_keys(&keys, VSP, IDLE),
        client_certificate: beside(file.nuage_mon_client_cert, "nuageMonClient.crt"),
        client_key: beside(file.nuage_mon_client_key, "nuageMonClient.key"),
        server_authority: beside(given(file.nuage_mon_server_ca).or(file.nuage_mon_ca), "nuageMonCA.crt"),
        fingerprint: given(file.nuage_mon_server_fingerprint),
        directory,
    })
}

impl VspConfig {
    /// Whom to trust as the monitor and who we are to it. Read when it is needed, so that a renewed certificate counts.
    ///
    /// # Errors
    /// Code 7 where a certificate or key is missing or cannot be read.
    pub fn monitor_identity(&self, files: &dyn Files) -> Result<TlsIdentity, Error> {
        let pem = |key: &str, given: &Option<String>| {
            let given = given.as_ref().ok_or_else(|| self.missing(key))?;
            if given.contains("-----BEGIN") {
                return Ok(given.clone().into_bytes());
            }
            let path = self.directory.join(given);
            read(files, &path)?.ok_or_else(|| invalid(&path, format!("does not exist ({key})")))
        };
        let client = (
            pem("nuageMonClientCert", &self.client_certificate)?,
            pem("nuageMonClientKey", &self.client_key)?,
        );
        let pinned_sha256 =
            self.fingerprint.as_deref().map(|text| self.parse_fingerprint(text)).transpose()?;
        let authorities = match (&self.server_authority, pinned_sha256) {
            (None, Some(_)) => Vec::new(),
            (authority, _) => pem("nuageMonServerCA", authority)?,
        };
        Ok(TlsIdentity { authorities, client: Some(client), pinned_sha256 })
    }

    /// How to reach the API server: by the kubeconfig, or where there is none with the credentials that a pod is given.
    /// Read when it is needed, so that a rotated token counts.
    ///
    /// # Errors
    /// Code 7 where something is missing or cannot be read.
    pub fn kubeconfig(&self, files: &dyn Files) -> Result<Kubeconfig, Error> {
        match kubeconfig::load_if_there(files, &self.kubeconfig)? {
            Some(found) => Ok(found),
            None => kubeconfig::in_cluster(files, self.api_server.as_deref())?
                .ok_or_else(|| kubeconfig::missing(&self.kubeconfig)),
        }
    }

    /// Where the kubeconfig's user has its token, if in a file.
    ///
    /// # Errors
    /// Code 7 where the kubeconfig cannot be read.
    #[cfg(feature = "audit")]
    pub fn token_file(&self, files: &dyn Files) -> Result<Option<PathBuf>, Error> {
        kubeconfig::token_file(files, &self.kubeconfig)
    }

    fn missing(&self, key: &str) -> Error {
        Error::Config {
            what: format!("{key} in {}", self.directory.display()),
            details: "the monitor takes no call without it".to_owned(),
            hint: Some(
                "give PEM text or a path, or remove nuageMonRestServer for a site without a monitor"
                    .to_owned(),
            ),
        }
    }

    fn parse_fingerprint(&self, text: &str) -> Result<[u8; 32], Error> {
        let digits: String = text.chars().filter(|character| *character != ':').collect();
        let byte = |index: usize| u8::from_str_radix(digits.get(index..index + 2)?, 16).ok();
        let bytes: Option<Vec<u8>> = (0..64).step_by(2).map(byte).collect();
        let exact = bytes.filter(|_| digits.len() == 64).and_then(|bytes| bytes.try_into().ok());
        exact.ok_or_else(|| invalid(&self.directory, "nuageMonServerFingerprint is not a SHA-256 in hex"))
    }
}

#[cfg(test)]
impl VspConfig {
    /// A site without a monitor whose pods may choose this.
    pub(crate) fn for_tests(directory: &Path, choices: &[Choice]) -> Self {
        Self {
            enterprise: "E".to_owned(),
            domain: "D".to_owned(),
            user: "u".to_owned(),
            monitor: None,
            default_subnet: None,
            pod_may_set: choices.iter().copied().collect(),
            kubeconfig: directory.join("nuage.kubeconfig"),
            api_server: None,
            warnings: Vec::new(),
            client_certificate: None,
            client_key: None,
            server_authority: None,
            fingerprint: None,
            directory: directory.to_owned(),
        }
    }
}
