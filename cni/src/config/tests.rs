//! Promises of the configuration files.

use std::collections::BTreeMap;
use std::io;

use super::*;
use crate::host::LockGuard;
use crate::orchestrator::Orchestrator;

struct Memory(BTreeMap<PathBuf, &'static str>);

impl Files for Memory {
    fn read(&self, path: &Path, _limit: u64) -> io::Result<Option<Vec<u8>>> {
        Ok(self.0.get(path).map(|text| text.as_bytes().to_vec()))
    }
    fn write(&self, _path: &Path, _content: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
    fn remove(&self, _path: &Path) -> io::Result<bool> {
        Err(io::ErrorKind::Unsupported.into())
    }
    fn list(&self, _directory: &Path) -> io::Result<Vec<String>> {
        Err(io::ErrorKind::Unsupported.into())
    }
    fn try_lock(&self, _path: &Path) -> io::Result<Option<Box<dyn LockGuard>>> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

fn files(pairs: &[(&str, &'static str)]) -> Memory {
    Memory(pairs.iter().map(|(path, text)| (Path::new("/d").join(path), *text)).collect())
}

fn node(text: &'static str) -> Result<NodeConfig, Error> {
    load_node(&files(&[("nuage-cni.yaml", text)]), Some(Path::new("/d")))
}

#[test]
fn an_absent_file_and_an_empty_one_are_the_defaults() {
    let config = load_node(&files(&[]), Some(Path::new("/d"))).unwrap();
    assert_eq!(config, node("# nothing\n").unwrap());
    assert_eq!(config.vrs_endpoint, "/var/run/openvswitch/db.sock");
    assert_eq!((config.bridge.as_str(), config.mtu, config.site_id), ("alubr0", None, None));
    assert_eq!((config.add_timeout.as_secs(), config.resolve_timeout.as_secs()), (90, 60));
}

#[test]
fn the_file_that_the_original_shipped_still_works() {
    let text = "vrsendpoint: /var/run/openvswitch/db.sock\nvrsbridge: alubr0\nmonitorinterval: 60\ncniversion: 0.2.0\n\
                loglevel: info\nportresolvetimer: 60\nlogfilesize: 1\nvrsconnectionchecktimer: 180\nmtu: 1450\n\
                staleentrytimeout: 600\nnuagesiteid: -1\n";
    let config = node(text).unwrap();
    assert_eq!((config.mtu, config.cni_version.as_deref()), (Some(1450), Some("0.2.0")));
}

#[test]
fn a_wrong_value_names_its_file_and_never_becomes_a_default() {
    for text in [
        "mtu: banana",
        "mtu: 5",
        "addtimeout: 600",
        "loglevel: loud",
        "nuagesiteid: -7",
        "statedir: here",
        "mtu: [",
        "mtu: 1\nmtu: 2",
    ] {
        let error = node(text).unwrap_err();
        assert_eq!(error.code(), 7, "{text}");
        assert!(error.to_string().contains("nuage-cni.yaml"), "{error}");
    }
}

#[test]
fn a_monitor_may_be_absent_and_its_slash_does_not_matter() {
    let load = |text| {
        load_vsp(&files(&[("vsp-k8s.yaml", text)]), Orchestrator::Kubernetes, Some(Path::new("/d"))).unwrap()
    };
    assert_eq!(load("nuageMonRestServer: \"\"\n").monitor, None);
    assert_eq!(load("nuageMonRestServer: https://m:9443/\n").monitor.as_deref(), Some("https://m:9443"));
    assert!(!load("vsdUser: u\n").pod_may_set.contains(&Choice::StaticIp));
    assert!(load("podMaySet: [static-ip]\n").pod_may_set.contains(&Choice::StaticIp));
}

#[test]
fn certificates_are_pem_text_or_paths_and_both_names_of_the_authority_count() {
    const PEM: &str = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let text = "nuageMonClientCert: |\n  -----BEGIN CERTIFICATE-----\n  AAAA\n  -----END CERTIFICATE-----\nnuageMonClientKey: k.pem\nnuageMonCA: ca.pem\n";
    let files = files(&[("vsp-k8s.yaml", text), ("k.pem", "key"), ("ca.pem", PEM)]);
    let config = load_vsp(&files, Orchestrator::Kubernetes, Some(Path::new("/d"))).unwrap();
    let identity = config.monitor_identity(&files).unwrap();
    assert_eq!(identity.authorities, PEM.as_bytes());
    assert_eq!(identity.client, Some((PEM.as_bytes().to_vec(), b"key".to_vec())));
}

const KUBECONFIG: &str = "current-context: c\ncontexts: [{name: c, context: {cluster: k, user: u}}]\n\
    clusters: [{name: k, cluster: {server: \"https://h:6443/\", certificate-authority-data: QUJD}}]\n\
    users: [{name: u, user: {tokenFile: token}}]\n";

#[test]
fn a_kubeconfig_gives_the_server_the_authority_and_the_token_of_a_file() {
    let config =
        load_kubeconfig(&files(&[("kc", KUBECONFIG), ("token", "secret\n")]), Path::new("/d/kc")).unwrap();
    assert_eq!((config.server.as_str(), config.token.as_deref()), ("https://h:6443", Some("secret")));
    assert_eq!(config.identity.authorities, b"ABC");
    assert!(!format!("{config:?}").contains("secret"));
}

#[test]
fn a_kubeconfig_without_verification_is_refused_with_a_hint() {
    let text = "current-context: c\ncontexts: [{name: c, context: {cluster: k, user: u}}]\n\
        clusters: [{name: k, cluster: {server: \"https://h\", insecure-skip-tls-verify: true}}]\nusers: [{name: u, user: {}}]\n";
    let error = load_kubeconfig(&files(&[("kc", text)]), Path::new("/d/kc")).unwrap_err();
    assert!(error.details().contains("hint: "), "{}", error.details());
}
