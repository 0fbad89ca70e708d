//! `--check-config`: reads all that an ADD would read and looks at what it would need, changes nothing and calls nobody
//! but the switch's socket. Never shows a key or a token.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Value, json};
use tokio::time::timeout;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::config::{NodeConfig, VspConfig, load_node, load_vsp};
use crate::error::Error;
use crate::host::{Host, TlsIdentity};
use crate::orchestrator::Orchestrator;

/// A switch that does not answer its socket by then is away.
const PATIENCE: Duration = Duration::from_secs(2);
/// An operator needs some days to renew a certificate.
const SOON: Duration = Duration::from_hours(30 * 24);

/// What a node has for the plugin.
#[derive(Debug, Default)]
pub struct Examination {
    /// What an ADD would use, by key.
    pub uses: BTreeMap<String, String>,
    /// What is odd, or will be a problem.
    pub warnings: Vec<String>,
    /// What keeps every ADD from succeeding.
    pub errors: Vec<String>,
}

impl Examination {
    /// Whether nothing keeps an ADD from succeeding.
    pub fn is_valid(&self) -> bool {
        self.errors.is_empty()
    }

    /// For scripts.
    pub fn to_json(&self) -> Value {
        json!({"valid": self.is_valid(), "uses": self.uses, "warnings": self.warnings, "errors": self.errors})
    }

    fn uses(&mut self, key: &str, value: impl Into<String>) {
        self.uses.insert(key.to_owned(), value.into());
    }

    fn error(&mut self, error: &Error) {
        let details = error.details();
        self.errors.push(if details.is_empty() { error.to_string() } else { format!("{error}: {details}") });
    }

    /// Takes the value, or notes why there is none.
    fn take<T>(&mut self, result: Result<T, Error>) -> Option<T> {
        result.map_err(|error| self.error(&error)).ok()
    }
}

/// Examines the node, with its files in `directory` if one is given.
pub async fn examine(host: &Host, orchestrator: Orchestrator, directory: Option<&Path>) -> Examination {
    let mut found = Examination::default();
    found.uses("orchestrator", orchestrator.name());
    if let Some(node) = found.take(load_node(&*host.files, directory)) {
        examine_node(host, &node, &mut found).await;
    }
    // A framework's labels say where its containers go: there is no vsp file.
    if orchestrator != Orchestrator::Mesos
        && let Some(vsp) = found.take(load_vsp(&*host.files, orchestrator, directory))
    {
        examine_vsp(host, &vsp, &mut found);
    }
    found
}

async fn examine_node(host: &Host, node: &NodeConfig, found: &mut Examination) {
    found.warnings.extend(node.warnings.iter().cloned());
    found.uses("vrsendpoint", &node.vrs_endpoint);
    found.uses("vrsbridge", &node.bridge);
    found.uses("addtimeout", format!("{} s", node.add_timeout.as_secs()));
    found.uses("portresolvetimer", format!("{} s", node.resolve_timeout.as_secs()));
    found.uses("nuagesiteid", node.site_id.map_or_else(|| "none".to_owned(), |site| site.to_string()));
    for (key, path) in [("statedir", &node.state_dir), ("rundir", &node.run_dir), ("logdir", &node.log_dir)] {
        found.uses(key, path.display().to_string());
    }
    let mtu = match (node.mtu, host.links.underlay_mtu().await) {
        (Some(mtu), _) => mtu.to_string(),
        (None, Ok(Some((underlay, _)))) => format!("derived from the default route's {underlay}"),
        (None, _) => "derived; there is no default route now".to_owned(),
    };
    found.uses("mtu", mtu);
    let connected = timeout(PATIENCE, host.switch.connect(&node.vrs_endpoint)).await;
    let away = match connected {
        Ok(Ok(_)) => return,
        Ok(Err(error)) => error.to_string(),
        Err(_) => "no answer".to_owned(),
    };
    found.warnings.push(format!("the VRS at {} cannot be reached now: {away}", node.vrs_endpoint));
}

fn examine_vsp(host: &Host, vsp: &VspConfig, found: &mut Examination) {
    found.warnings.extend(vsp.warnings.iter().cloned());
    found.uses("enterpriseName", &vsp.enterprise);
    found.uses("domainName", &vsp.domain);
    found.uses("vsdUser", &vsp.user);
    found.uses("kubeConfig", vsp.kubeconfig.display().to_string());
    found.uses("podMaySet", json!(vsp.pod_may_set).to_string());
    if vsp.user.is_empty() {
        found
            .warnings
            .push("vsdUser is empty: only pods with the label nuage.io/user can be attached".to_owned());
    }
    if let Some(kubeconfig) = found.take(vsp.kubeconfig(&*host.files)) {
        found.uses("apiServer", &kubeconfig.server);
        let credentials = match (&kubeconfig.token, &kubeconfig.identity.client) {
            (Some(_), _) => "a token",
            (None, Some(_)) => "a client certificate",
            (None, None) => "none",
        };
        found.uses("apiCredentials", credentials);
        examine_identity(host, "the API server", &kubeconfig.identity, found);
    }
    match &vsp.monitor {
        None => found.uses("nuageMonRestServer", "none: labels and defaultSubnet decide"),
        Some(url) => {
            found.uses("nuageMonRestServer", url);
            if let Some(identity) = found.take(vsp.monitor_identity(&*host.files)) {
                examine_identity(host, "the monitor", &identity, found);
            }
        }
    }
}

/// Certificates and keys: can they be used, do they belong together, and until when are they valid?
fn examine_identity(host: &Host, peer: &str, identity: &TlsIdentity, found: &mut Examination) {
    if let Err(error) = host.http.client(identity) {
        found.errors.push(format!("the certificates for {peer} cannot be used: {error}"));
        return;
    }
    let client = identity.client.as_ref().map(|(chain, _)| chain.as_slice()).unwrap_or_default();
    for (whose, pem) in [("authority of", identity.authorities.as_slice()), ("own certificate for", client)] {
        for certificate in CertificateDer::pem_slice_iter(pem).flatten() {
            if let Some(problem) = expiry(&certificate, host.clock.now()) {
                let text = format!("the {whose} {peer} {}", problem.text);
                if problem.now { found.errors.push(text) } else { found.warnings.push(text) }
            }
        }
    }
}

struct Expiry {
    now: bool,
    text: String,
}

fn expiry(certificate: &CertificateDer<'_>, now: Duration) -> Option<Expiry> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let validity = certificate.validity();
    let seconds = |time: Duration| i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    let until = format!("(valid from {} to {})", validity.not_before, validity.not_after);
    if validity.not_after.timestamp() < seconds(now) {
        return Some(Expiry { now: true, text: format!("has expired {until}") });
    }
    if validity.not_before.timestamp() > seconds(now) {
        return Some(Expiry { now: true, text: format!("is not valid yet {until}") });
    }
    let soon = validity.not_after.timestamp() < seconds(now + SOON);
    soon.then(|| Expiry { now: false, text: format!("expires within 30 days {until}") })
}
