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

/// What the original's packages installed, with every key that one of its versions read.
const ORIGINAL_VSP_K8S: &str = "# Client certificate for securing requests to VSD.\n\
    clientCert: /usr/share/vsp-k8s/client.crt\nclientKey: /usr/share/vsp-k8s/client.key\n\
    CACert: /usr/share/vsp-k8s/ca.crt\nenterpriseName: K8S-Enterprise\ndomainName: K8S-Domain\n\
    masterApiServer: https://127.0.0.1:8443\nnuageMonRestServer: https://localhost:9443\n\
    dockerBridgeName: docker0\ninterfaceMTU: 1460\nserviceCIDR: 0.0.0.0\n\
    nuageMonClientCert: /d/nuageMonClient.crt\nnuageMonClientKey: /d/nuageMonClient.key\n\
    nuageMonCA: /d/nuageMonCA.crt\nlogLevel: \"err\"\nvsdUser: \"\"\nkubeConfig:\n";
const ORIGINAL_VSP_OPENSHIFT: &str = "clientCert: /usr/share/vsp-openshift/client.crt\n\
    enterpriseName: Openshift-Enterprise\ndomainName: Openshift-Domain\nvsdUser: ose-admin\n\
    nuageMonRestServer: https://localhost:9443\nlogLevel: \"err\"\n";

#[test]
fn the_vsp_files_of_the_original_load_unchanged_and_without_a_warning() {
    let pem = [("nuageMonClient.crt", "c"), ("nuageMonClient.key", "k"), ("nuageMonCA.crt", "a")];
    let cases = [
        (Orchestrator::Kubernetes, "vsp-k8s.yaml", ORIGINAL_VSP_K8S, "K8S-Domain", ""),
        (
            Orchestrator::OpenShift,
            "vsp-openshift.yaml",
            ORIGINAL_VSP_OPENSHIFT,
            "Openshift-Domain",
            "ose-admin",
        ),
    ];
    for (orchestrator, name, text, domain, user) in cases {
        let files = files(&[&[(name, text)], &pem[..]].concat());
        let config = load_vsp(&files, orchestrator, Some(Path::new("/d"))).unwrap();
        assert_eq!((config.domain.as_str(), config.user.as_str()), (domain, user));
        assert_eq!(config.monitor.as_deref(), Some("https://localhost:9443"));
        assert_eq!(config.kubeconfig, Path::new("/d/nuage.kubeconfig"));
        assert_eq!(config.warnings, [""; 0]);
        let identity = config.monitor_identity(&files).unwrap();
        assert_eq!(
            (identity.authorities, identity.client),
            (b"a".to_vec(), Some((b"c".into(), b"k".into())))
        );
    }
}

#[test]
fn every_key_of_the_node_file_has_its_effect() {
    let text = "vrsendpoint: tcp:h:1\nvrsbridge: b\nmtu: 1400\nportresolvetimer: 7\naddtimeout: 20\nnuagesiteid: 0\n\
        multiplepolicygroups: yes\ncniversion: 0.4.0\nstatedir: /s\nrundir: /r\nlogdir: /l\nloglevel: DEBUG\n\
        logformat: json\nlogfilesize: 3\nlogfilecount: 4\nmonitorinterval: 5\nstaleentrytimeout: 6\n\
        vrsconnectionchecktimer: 8\nmetricslisten: 127.0.0.1:9\n\
        runtimeendpoint: unix:///run/c.sock\nmesosagent: https://agent:5051/\nmesosagentca: ca.pem\n\
        mesosagentcredential: /secret\n";
    let expected = NodeConfig {
        vrs_endpoint: "tcp:h:1".into(),
        bridge: "b".into(),
        mtu: Some(1400),
        resolve_timeout: Duration::from_secs(7),
        add_timeout: Duration::from_secs(20),
        site_id: Some(0),
        multiple_policy_groups: true,
        cni_version: Some("0.4.0".into()),
        state_dir: "/s".into(),
        run_dir: "/r".into(),
        log_dir: "/l".into(),
        log_level: LogLevel::Debug,
        log_json: true,
        log_file_megabytes: 3,
        log_file_count: 4,
        audit_interval: Duration::from_secs(5),
        stale_timeout: Duration::from_secs(6),
        connection_check_interval: Duration::from_secs(8),
        metrics_listen: Some("127.0.0.1:9".parse().unwrap()),
        runtime_socket: Some("/run/c.sock".into()),
        mesos_agent: MesosAgentConfig {
            url: Some("https://agent:5051".into()),
            authorities: Some("/d/ca.pem".into()),
            credential: Some("/secret".into()),
        },
        warnings: Vec::new(),
    };
    assert_eq!(node(text).unwrap(), expected);
    let empty = text.lines().map(|line| format!("{}:\n", line.split(':').next().unwrap_or_default()));
    let empty: &str = String::leak(empty.collect());
    assert_eq!(node(empty).unwrap(), node("").unwrap(), "a key without a value is an absent one");
}

#[test]
fn a_value_of_the_wrong_type_is_named_with_file_line_and_key_and_no_other_line_is_shown() {
    let secret =
        "nuageMonClientKey: |\n  -----BEGIN PRIVATE KEY-----\n  c2VjcmV0\npodMaySet: [subnet, everything]\n";
    let files = files(&[("vsp-k8s.yaml", secret)]);
    let error = load_vsp(&files, Orchestrator::Kubernetes, Some(Path::new("/d"))).unwrap_err();
    let told = format!("{error}: {}", error.details());
    assert!(told.contains("/d/vsp-k8s.yaml:4: podMaySet: "), "{told}");
    assert!(!told.contains("c2VjcmV0"), "{told}");
    for (text, place) in [
        ("# x\nloglevel: info\nmtu: large\n", "nuage-cni.yaml:3: mtu: "),
        ("statedir: [a]\n", "nuage-cni.yaml:1: statedir: "),
        ("multiplepolicygroups: perhaps\n", "nuage-cni.yaml:1: multiplepolicygroups: "),
    ] {
        let error = node(text).unwrap_err();
        let told = format!("{error}: {}", error.details());
        assert!(told.contains(place), "{told}");
    }
}

#[test]
fn a_runtime_is_a_socket_in_any_of_three_notations_and_nothing_else() {
    for text in ["unix:///run/c.sock", "unix:/run/c.sock", "/run/c.sock"] {
        let text: &str = String::leak(format!("runtimeendpoint: {text}\n"));
        assert_eq!(node(text).unwrap().runtime_socket.as_deref(), Some(Path::new("/run/c.sock")), "{text}");
    }
    for odd in ["unix:", "unix://run/c.sock", "tcp://h:1", "run/c.sock", "npipe:////./pipe/x"] {
        let text: &str = String::leak(format!("runtimeendpoint: '{odd}'\n"));
        assert!(node(text).unwrap_err().details().contains("runtimeendpoint must"), "{odd}");
    }
}

#[test]
fn a_mesos_agent_is_reached_by_http_or_by_https_with_somebody_to_trust() {
    assert_eq!(node("").unwrap().mesos_agent, MesosAgentConfig::default());
    assert_eq!(
        node("mesosagent: http://a:5051\n").unwrap().mesos_agent.url.as_deref(),
        Some("http://a:5051")
    );
    for (text, key) in [
        ("mesosagent: https://a:5051\n", "mesosagentca"),
        ("mesosagent: a:5051\n", "mesosagent"),
        ("mesosagent: 'http://a b'\n", "mesosagent"),
        ("mesosagent: ftp://a\n", "mesosagent"),
    ] {
        let told = node(text).unwrap_err();
        assert!(format!("{told}: {}", told.details()).contains(&format!("{key} must")), "{told:?}");
    }
}

#[test]
fn an_unknown_key_is_a_warning_with_the_nearest_key() {
    let config = node("loglevel: info\nlogfilesise: 3\nzzz: 1\n").unwrap();
    assert_eq!(config.log_file_megabytes, 1);
    assert_eq!(
        config.warnings,
        [
            "/d/nuage-cni.yaml:2: unknown key logfilesise, did you mean logfilesize?",
            "/d/nuage-cni.yaml:3: unknown key zzz"
        ]
    );
}

#[test]
fn without_a_kubeconfig_a_pods_own_credentials_count_and_are_read_anew_each_time() {
    let account = "/var/run/secrets/kubernetes.io/serviceaccount";
    let mut files = files(&[("vsp-k8s.yaml", "masterApiServer: https://10.0.0.1:6443/\n")]);
    let vsp = load_vsp(&files, Orchestrator::Kubernetes, Some(Path::new("/d"))).unwrap();
    let error = vsp.kubeconfig(&files).unwrap_err();
    assert!(error.to_string().contains("/d/nuage.kubeconfig"), "{error}");
    files.0.insert(Path::new(account).join("ca.crt"), "CA");
    for token in ["first\n", "second\n"] {
        files.0.insert(Path::new(account).join("token"), token);
        let found = vsp.kubeconfig(&files).unwrap();
        assert_eq!(
            (found.server.as_str(), found.token.as_deref()),
            ("https://10.0.0.1:6443", Some(token.trim()))
        );
        assert_eq!(found.identity.authorities, b"CA");
    }
}

#[test]
fn a_default_that_is_written_down_is_the_default() {
    for key in keys::NODE {
        let Some(default) = key.default else { continue };
        let text: &'static str = format!("{}: {default}\n", key.name).leak();
        assert_eq!(node(text).unwrap(), node("").unwrap(), "{text}");
    }
    let load = |text: &'static str| {
        let loaded =
            load_vsp(&files(&[("vsp-k8s.yaml", text)]), Orchestrator::Kubernetes, Some(Path::new("/d")));
        format!("{:?}", loaded.unwrap())
    };
    for key in keys::VSP {
        let Some(default) = key.default else { continue };
        let text: &'static str = format!("{}: {default}\n", key.name).leak();
        assert_eq!(load(text), load(""), "{text}");
    }
}

#[test]
fn every_key_that_is_written_down_is_read() {
    // A mapping is a value of no key: whoever reads it, refuses it.
    for key in keys::NODE {
        let text: &'static str = format!("{}: {{a: b}}\n", key.name).leak();
        assert_eq!(node(text).unwrap_err().code(), 7, "{text}");
    }
    for key in keys::VSP {
        let text: &'static str = format!("{}: {{a: b}}\n", key.name).leak();
        let loaded =
            load_vsp(&files(&[("vsp-k8s.yaml", text)]), Orchestrator::Kubernetes, Some(Path::new("/d")));
        assert_eq!(loaded.unwrap_err().code(), 7, "{text}");
    }
}
