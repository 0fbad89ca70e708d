//! The installer on a host tree with other plugins' files: what it writes, in which order, what it leaves alone, what it tightens,
//! and what is there whenever it is killed.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "a test")]

mod firewall;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};

const AUTHORITY: &str = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n";
/// What changes nothing that lasts is not killed at.
const CHANGING: [&str; 9] =
    ["write", "fchmod", "rename", "renameat", "unlinkat", "mkdirat", "fsync", "openat", "exit_group"];
/// No installation makes one of these calls more often.
const MOST: usize = 400;

/// A host, and a folder with what ships.
struct Host {
    directory: tempfile::TempDir,
}

impl Host {
    /// With another plugin, its configuration, and a file of nobody's.
    fn new() -> Self {
        let host = Self { directory: tempfile::tempdir().unwrap() };
        for (path, content) in [
            ("host/opt/cni/bin/bridge", "another's"),
            ("host/etc/cni/net.d/87-podman.conflist", r#"{"name":"podman","plugins":[{"type":"bridge"}]}"#),
            ("host/etc/hosts", "127.0.0.1 localhost\n"),
            ("shipped/nuage-cni-k8s", "the plugin"),
            ("shipped/nuage-cni-openshift", "the other plugin"),
            ("shipped/nuage-audit", "the audit"),
            ("shipped/loopback", "lo"),
            ("ca.crt", AUTHORITY),
        ] {
            host.put(path, content, 0o644);
        }
        host
    }

    fn path(&self, path: &str) -> PathBuf {
        self.directory.path().join(path)
    }

    fn put(&self, path: &str, content: &str, mode: u32) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    fn mode(&self, path: &str) -> u32 {
        fs::metadata(self.path(path)).unwrap().permissions().mode() & 0o7777
    }

    fn command(&self, verb: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_nuage-cni-install"));
        self.complete(&mut command, verb, arguments, environment);
        command
    }

    fn complete(&self, command: &mut Command, verb: &str, arguments: &[&str], environment: &[(&str, &str)]) {
        command.arg(verb).arg("--root").arg(self.path("host")).arg("--from").arg(self.path("shipped"));
        command.arg("--no-firewall").args(arguments).env_clear().envs(environment.iter().copied());
    }

    fn run(&self, verb: &str, arguments: &[&str], environment: &[(&str, &str)]) -> String {
        succeed(&self.command(verb, arguments, environment).output().unwrap())
    }

    fn fail(&self, verb: &str, arguments: &[&str], environment: &[(&str, &str)]) -> String {
        let output = self.command(verb, arguments, environment).output().unwrap();
        assert!(!output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        String::from_utf8(output.stderr).unwrap()
    }

    /// All files of the host with mode and content.
    fn files(&self) -> BTreeMap<String, (u32, Vec<u8>)> {
        let mut all = BTreeMap::new();
        let root = self.path("host");
        collect(&root, &root, &mut all);
        all
    }

    /// What other people's files are.
    fn assert_others_untouched(&self, story: &str) {
        assert_eq!(self.read("host/opt/cni/bin/bridge"), "another's", "{story}");
        assert!(self.read("host/etc/cni/net.d/87-podman.conflist").contains("podman"), "{story}");
        assert_eq!(self.read("host/etc/hosts"), "127.0.0.1 localhost\n", "{story}");
    }
}

fn collect(root: &Path, directory: &Path, all: &mut BTreeMap<String, (u32, Vec<u8>)>) {
    for entry in fs::read_dir(directory).unwrap().map(Result::unwrap) {
        let path = entry.path();
        let metadata = fs::symlink_metadata(&path).unwrap();
        if metadata.is_dir() {
            collect(root, &path, all);
        } else if metadata.is_file() {
            let name = path.strip_prefix(root).unwrap().display().to_string();
            all.insert(name, (metadata.permissions().mode() & 0o7777, fs::read(&path).unwrap()));
        }
    }
}

fn succeed(output: &Output) -> String {
    let (out, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}: {out}{error}", output.status);
    out.into_owned()
}

/// What the original gave its container.
fn original_environment(authority: &str) -> Vec<(&'static str, &str)> {
    vec![
        ("NUAGE_CNI_YAML_CONFIG", "vrsbridge: alubr0\nmtu: 1450\n"),
        ("NUAGE_VSP_CONFIG", "enterpriseName: E\nvsdUser: u\n"),
        ("MASTER_API_SERVER_URL", "https://10.0.0.1:6443"),
        ("NUAGE_TOKEN", "secret"),
        ("NUAGE_CLUSTER_CA", authority),
        ("NUAGE_CLUSTER_NW_CIDR", "70.70.0.0/16"),
    ]
}

#[test]
fn an_installation_brings_executables_configuration_and_network_and_touches_nothing_else() {
    let host = Host::new();
    let authority = host.path("ca.crt").display().to_string();
    let before = host.files();
    let told = host.run("install", &[], &original_environment(&authority));
    let expected = [
        ("opt/cni/bin/nuage-cni-k8s", 0o755),
        ("opt/cni/bin/nuage-audit", 0o755),
        ("opt/cni/bin/loopback", 0o755),
        ("etc/default/nuage-cni.yaml", 0o644),
        ("usr/share/vsp-k8s/vsp-k8s.yaml", 0o600),
        ("usr/share/vsp-k8s/nuage.kubeconfig", 0o600),
        ("etc/cni/net.d/nuage-net.conflist", 0o644),
        ("var/lib/nuage-cni/installed.json", 0o600),
    ];
    let after = host.files();
    for (path, mode) in expected {
        assert_eq!(after.get(path).map(|(mode, _)| *mode), Some(mode), "{path}");
    }
    assert_eq!(after.len(), before.len() + expected.len(), "{:?}", after.keys());
    assert!(before.iter().all(|(path, file)| after[path] == *file));
    assert_eq!(told.lines().filter(|line| line.starts_with("wrote ")).count(), 7, "{told}");
    let network: Value = serde_json::from_str(&host.read("host/etc/cni/net.d/nuage-net.conflist")).unwrap();
    assert_eq!(network["plugins"], json!([{"type": "nuage-cni-k8s"}]));
    assert_eq!((&network["cniVersion"], &network["name"]), (&json!("1.0.0"), &json!("nuage-net")));
    let kubeconfig: Value =
        serde_json::from_str(&host.read("host/usr/share/vsp-k8s/nuage.kubeconfig")).unwrap();
    assert_eq!(kubeconfig["users"][0]["user"]["token"], "secret");
    assert!(kubeconfig["clusters"][0]["cluster"]["certificate-authority-data"].is_string());
    assert!(!told.contains("secret"));
    // Again: nothing to do.
    assert_eq!(host.run("install", &[], &original_environment(&authority)), "");
    assert_eq!(host.files(), after);
}

#[test]
fn an_uninstallation_takes_away_what_was_installed_and_leaves_what_a_person_has_changed() {
    let host = Host::new();
    let authority = host.path("ca.crt").display().to_string();
    let before = host.files();
    host.run("install", &[], &original_environment(&authority));
    assert!(host.run("uninstall", &[], &[]).contains("removed /etc/cni/net.d/nuage-net.conflist"));
    assert_eq!(host.files(), before);
    host.run("install", &[], &original_environment(&authority));
    host.put("host/etc/default/nuage-cni.yaml", "mtu: 9000\n", 0o644);
    assert!(host.run("uninstall", &[], &[]).contains("kept /etc/default/nuage-cni.yaml"));
    assert_eq!(host.read("host/etc/default/nuage-cni.yaml"), "mtu: 9000\n");
    assert_eq!(host.files().len(), before.len() + 1);
}

#[test]
fn an_uninstallation_waits_for_the_attachments_of_pods() {
    let host = Host::new();
    host.run("install", &[], &[]);
    host.put("host/var/lib/nuage-cni/attachments/nu1.json", "{}", 0o600);
    let told = host.fail("uninstall", &[], &[]);
    assert!(told.contains("1 attachments") && told.contains("drain"), "{told}");
    assert!(host.path("host/opt/cni/bin/nuage-cni-k8s").exists());
    host.run("uninstall", &["--force"], &[]);
    assert!(!host.path("host/opt/cni/bin/nuage-cni-k8s").exists());
    assert!(host.path("host/var/lib/nuage-cni/attachments/nu1.json").exists(), "what is owed stays known");
}

#[test]
fn what_vanishes_or_is_changed_is_put_back_and_a_running_executable_is_replaced() {
    let host = Host::new();
    host.run("install", &[], &[]);
    let good = host.files();
    fs::remove_file(host.path("host/etc/cni/net.d/nuage-net.conflist")).unwrap();
    host.put("host/opt/cni/bin/nuage-audit", "damaged", 0o644);
    // Somebody has it open and runs it.
    let plugin = host.path("host/opt/cni/bin/nuage-cni-k8s");
    fs::copy("/bin/sleep", &plugin).unwrap();
    fs::set_permissions(&plugin, fs::Permissions::from_mode(0o755)).unwrap();
    let mut running = Command::new(&plugin).arg("60").spawn().unwrap();
    host.run("install", &[], &[]);
    assert_eq!(running.try_wait().unwrap(), None, "it goes on");
    running.kill().unwrap();
    running.wait().unwrap();
    assert_eq!(host.files(), good);
}

#[test]
fn what_an_older_installation_left_open_is_tightened_and_told() {
    let host = Host::new();
    host.put("host/etc/default/nuage-cni.yaml", "mtu: 1450\n", 0o777);
    host.put(
        "host/usr/share/vsp-k8s/vsp-k8s.yaml",
        "nuageMonClientKey: |\n  -----BEGIN PRIVATE KEY-----\n",
        0o777,
    );
    host.put("host/usr/share/vsp-k8s/nuage.kubeconfig", "apiVersion: v1\n", 0o644);
    host.put("host/usr/share/vsp-k8s/client.key", "key", 0o644);
    host.put("host/usr/share/vsp-k8s/ca.crt", "certificate", 0o644);
    host.put("host/var/log/cni/nuage-cni.log", "", 0o666);
    fs::set_permissions(host.path("host/var/log/cni"), fs::Permissions::from_mode(0o777)).unwrap();
    // A link is nobody's file of ours: what it leads to stays.
    host.put("elsewhere", "", 0o666);
    symlink(host.path("elsewhere"), host.path("host/usr/share/vsp-k8s/linked.key")).unwrap();
    let told = host.run("install", &[], &[]);
    for (path, mode) in [
        ("host/etc/default/nuage-cni.yaml", 0o644),
        ("host/usr/share/vsp-k8s/vsp-k8s.yaml", 0o600),
        ("host/usr/share/vsp-k8s/nuage.kubeconfig", 0o600),
        ("host/usr/share/vsp-k8s/client.key", 0o600),
        ("host/usr/share/vsp-k8s/ca.crt", 0o644),
        ("host/var/log/cni", 0o755),
        ("host/var/log/cni/nuage-cni.log", 0o644),
        ("elsewhere", 0o666),
    ] {
        assert_eq!(host.mode(path), mode, "{path}");
    }
    assert!(told.contains("tightened /var/log/cni from 0777 to 0755"), "{told}");
    assert_eq!(told.lines().filter(|line| line.starts_with("tightened")).count(), 6, "{told}");
}

#[test]
fn links_are_resolved_within_the_host() {
    let host = Host::new();
    fs::rename(host.path("host/opt"), host.path("host/srv")).unwrap();
    // Absolute, as on a host: in the container it would lead somewhere else.
    symlink("/srv", host.path("host/opt")).unwrap();
    host.run("install", &[], &[]);
    assert_eq!(host.read("host/srv/cni/bin/nuage-cni-k8s"), "the plugin");
}

#[test]
fn what_another_user_owns_is_refused_before_a_network_is_there() {
    let host = Host::new();
    if std::os::unix::fs::chown(host.path("host/opt/cni/bin"), Some(12345), None).is_err() {
        eprintln!("SKIPPED what_another_user_owns_is_refused_before_a_network_is_there: root");
        return;
    }
    let told = host.fail("install", &[], &[]);
    assert!(told.contains("/opt/cni/bin") && told.contains("belongs to user 12345"), "{told}");
    assert!(!host.path("host/etc/cni/net.d/nuage-net.conflist").exists());
}

#[test]
fn the_originals_variables_and_arguments_work() {
    let host = Host::new();
    host.put("host/run/ostree-booted", "", 0o644);
    let environment = [
        ("NUAGE_ORCHESTRATOR", "openshift"),
        ("SKIP_CNI_BINARIES", "loopback, nuage-audit"),
        ("CNI_CONF_NAME", "05-nuage.conf"),
        ("CNI_NET_DIR", "/etc/kubernetes/cni"),
        ("NUAGE_VSP_CONFIG", "enterpriseName: E\n"),
    ];
    host.run("install", &[], &environment);
    let network: Value = serde_json::from_str(&host.read("host/etc/kubernetes/cni/05-nuage.conf")).unwrap();
    assert_eq!(network, json!({"cniVersion": "0.4.0", "name": "nuage-net", "type": "nuage-cni-openshift"}));
    assert_eq!(host.read("host/var/usr/share/vsp-openshift/vsp-openshift.yaml"), "enterpriseName: E\n");
    assert!(host.path("host/opt/cni/bin/nuage-cni-openshift").exists());
    for absent in ["loopback", "nuage-audit", "nuage-cni-k8s"] {
        assert!(!host.path("host/opt/cni/bin").join(absent).exists(), "{absent}");
    }
    let told = host.fail("install", &[], &[("SKIP_CNI_BINARIES", "nuage-cni-k8s")]);
    assert!(told.contains("is to be skipped and is not there"), "{told}");
    let told = host.fail("install", &[], &[("CNI_CONF_NAME", "../x.conf")]);
    assert!(told.contains("is no file name"), "{told}");
}

#[test]
fn a_network_configuration_that_a_person_wrote_stays_and_another_plugins_loopback_too() {
    let host = Host::new();
    let by_hand =
        r#"{"cniVersion":"1.0.0","name":"mine","plugins":[{"type":"nuage-cni-k8s"},{"type":"portmap"}]}"#;
    host.put("host/etc/cni/net.d/nuage-net.conflist", by_hand, 0o644);
    host.put("host/opt/cni/bin/loopback", "the reference one", 0o755);
    let told = host.run("install", &[], &[]);
    assert!(told.contains("kept /etc/cni/net.d/nuage-net.conflist"), "{told}");
    assert_eq!(host.read("host/etc/cni/net.d/nuage-net.conflist"), by_hand);
    assert_eq!(host.read("host/opt/cni/bin/loopback"), "the reference one");
    host.run("uninstall", &[], &[]);
    assert_eq!(host.read("host/etc/cni/net.d/nuage-net.conflist"), by_hand);
    assert_eq!(host.read("host/opt/cni/bin/loopback"), "the reference one");
}

/// A host as install-cni.sh of the original left it.
fn original() -> Host {
    let host = Host::new();
    host.put("host/opt/cni/bin/nuage-cni-k8s", "the original", 0o755);
    host.put(
        "host/etc/default/nuage-cni.yaml",
        "vrsendpoint: /var/run/openvswitch/db.sock\ncniversion: 0.2.0\nmtu: 1450\n",
        0o777,
    );
    host.put(
        "host/usr/share/vsp-k8s/vsp-k8s.yaml",
        "enterpriseName: K8S-Enterprise\nnuageMonRestServer: https://m:9443\nkubeConfig: /usr/share/vsp-k8s/nuage.kubeconfig\n",
        0o777,
    );
    host.put(
        "host/usr/share/vsp-k8s/nuage.kubeconfig",
        "apiVersion: v1\nkind: Config\ncurrent-context: nuage-to-cluster.local\nclusters:\n- cluster:\n    insecure-skip-tls-verify: true\n    \
         server: https://10.0.0.1:6443\n  name: cluster.local\ncontexts:\n- context:\n    cluster: cluster.local\n    user: nuage\n  \
         name: nuage-to-cluster.local\nusers:\n- name: nuage\n  user:\n    token: secret\n",
        0o644,
    );
    host.put(
        "host/etc/cni/net.d/nuage-net.conf",
        r#"{"cniVersion":"0.3.0","name":"nuage-k8s-net","type":"nuage-cni-k8s"}"#,
        0o644,
    );
    host
}

#[test]
fn a_migration_verifies_the_cluster_keeps_the_networks_name_and_takes_the_old_configurations_place() {
    let host = original();
    host.put("host/etc/kubernetes/pki/ca.crt", AUTHORITY, 0o644);
    let told = host.run("migrate", &[], &[]);
    let kubeconfig: Value =
        serde_json::from_str(&host.read("host/usr/share/vsp-k8s/nuage.kubeconfig")).unwrap();
    let cluster = &kubeconfig["clusters"][0]["cluster"];
    assert_eq!(cluster["server"], "https://10.0.0.1:6443");
    assert!(
        cluster["certificate-authority-data"].is_string() && cluster["insecure-skip-tls-verify"].is_null()
    );
    assert_eq!(kubeconfig["users"][0]["user"], json!({"token": "secret"}));
    assert!(host.read("host/usr/share/vsp-k8s/nuage.kubeconfig.before-migration").contains("insecure"));
    assert_eq!(host.mode("host/usr/share/vsp-k8s/nuage.kubeconfig.before-migration"), 0o600);
    let network: Value = serde_json::from_str(&host.read("host/etc/cni/net.d/nuage-net.conflist")).unwrap();
    assert_eq!(network["name"], "nuage-k8s-net", "runtimes' caches know it by that");
    assert!(!host.path("host/etc/cni/net.d/nuage-net.conf").exists());
    assert_eq!(host.read("host/opt/cni/bin/nuage-cni-k8s"), "the plugin");
    assert!(told.contains("removed /etc/cni/net.d/nuage-net.conf"), "{told}");
    assert!(!told.contains("secret") && !told.contains("warning"), "{told}");
    host.assert_others_untouched("migrated");
    let again = host.run("migrate", &[], &[]);
    let uncounted = |line: &str| line.starts_with("what is attached was not counted: the VRS at unix:");
    assert!(again.lines().all(uncounted), "again: nothing to do, whatever the switch does: {again}");
}

#[test]
fn a_migration_without_the_clusters_authority_changes_nothing() {
    let host = original();
    let before = host.files();
    let told = host.fail("migrate", &[], &[]);
    assert!(told.contains("authority") && told.contains("--authority"), "{told}");
    assert_eq!(host.files(), before);
}

#[test]
fn the_guide_has_every_variable_of_the_installer_and_every_key_of_the_originals_files() {
    let guide = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../MIGRATION.md")).unwrap();
    let help =
        Command::new(env!("CARGO_BIN_EXE_nuage-cni-install")).args(["install", "--help"]).output().unwrap();
    let help = succeed(&help);
    let variables: Vec<&str> =
        help.split("[env: ").skip(1).filter_map(|rest| rest.split(['=', ']']).next()).collect();
    assert!(variables.len() > 10, "{help}");
    let original = [
        "KUBERNETES_NODE_NAME",
        "vrsendpoint",
        "vrsbridge",
        "monitorinterval",
        "cniversion",
        "loglevel",
        "portresolvetimer",
        "logfilesize",
        "vrsconnectionchecktimer",
        "mtu",
        "staleentrytimeout",
        "nuagesiteid",
        "clientCert",
        "clientKey",
        "CACert",
        "enterpriseName",
        "domainName",
        "vsdUser",
        "masterApiServer",
        "nuageMonRestServer",
        "dockerBridgeName",
        "interfaceMTU",
        "serviceCIDR",
        "nuageMonClientCert",
        "nuageMonClientKey",
        "nuageMonServerCA",
        "nuageMonCA",
        "kubeConfig",
        "logLevel",
        "make",
        "buildRPM.sh",
        "export version=",
        "docker build",
    ];
    let missing: Vec<&str> =
        variables.into_iter().chain(original).filter(|name| !guide.contains(&format!("`{name}"))).collect();
    assert_eq!(missing, Vec::<&str>::new());
}

/// Waits for something that another process does.
fn until(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..600 {
        if holds() {
            return;
        }
        #[expect(clippy::disallowed_methods, reason = "another process is awaited, no virtual time here")]
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    panic!("{what} never came");
}

#[test]
fn run_lets_the_runtime_begin_once_the_switch_answers_heals_and_hands_a_term_on_to_the_audit() {
    let host = Host::new();
    host.put("host/etc/default/nuage-cni.yaml", "vrsendpoint: /run/ovs.sock\n", 0o644);
    let script = format!(
        "#!/bin/sh\ntrap 'echo last pass > {0}; exit 0' TERM\necho \"$@\" > {1}\nwhile :; do sleep 0.1; done\n",
        host.path("ended").display(),
        host.path("started").display()
    );
    host.put("shipped/nuage-audit", &script, 0o755);
    let network = host.path("host/etc/cni/net.d/nuage-net.conflist");
    let mut command = host.command("run", &["--interval", "1"], &[("PATH", "/usr/bin:/bin")]);
    let mut running = command.stdout(std::process::Stdio::null()).spawn().unwrap();
    until("the executable", || host.path("host/opt/cni/bin/nuage-cni-k8s").exists());
    until("the audit's executable", || host.path("host/opt/cni/bin/nuage-audit").exists());
    assert!(!network.exists(), "no switch, no network");
    let directory = host.path("host/run");
    fs::create_dir_all(&directory).unwrap();
    let _switch = std::os::unix::net::UnixListener::bind(directory.join("ovs.sock")).unwrap();
    until("the network configuration", || network.exists());
    until("the audit", || host.path("started").exists());
    assert_eq!(host.read("started"), "run --orchestrator k8s\n");
    fs::remove_file(&network).unwrap();
    fs::remove_file(host.path("host/opt/cni/bin/nuage-cni-k8s")).unwrap();
    until("the network configuration again", || network.exists());
    assert_eq!(host.read("host/opt/cni/bin/nuage-cni-k8s"), "the plugin");
    let term = Command::new("kill").arg(running.id().to_string()).status().unwrap();
    assert!(term.success());
    assert!(running.wait().unwrap().success());
    assert_eq!(host.read("ended"), "last pass\n");
    assert!(network.exists(), "pods go on starting while the container is replaced");
}

#[test]
fn run_ends_with_an_error_when_the_audit_does() {
    let host = Host::new();
    host.put("host/etc/default/nuage-cni.yaml", "vrsendpoint: /run/ovs.sock\n", 0o644);
    host.put("shipped/nuage-audit", "#!/bin/sh\nexit 3\n", 0o755);
    fs::create_dir_all(host.path("host/run")).unwrap();
    let _switch = std::os::unix::net::UnixListener::bind(host.path("host/run/ovs.sock")).unwrap();
    let told = host.fail("run", &[], &[("PATH", "/usr/bin:/bin")]);
    assert!(told.contains("nuage-audit ended") && told.contains('3'), "{told}");
}

/// What holds whenever it was killed: others are untouched, and there is no configuration without its executable.
fn assert_sound(host: &Host, story: &str) {
    host.assert_others_untouched(story);
    let files = host.files();
    if let Some((_, network)) = files.get("etc/cni/net.d/nuage-net.conflist") {
        let network: Value =
            serde_json::from_slice(network).unwrap_or_else(|error| panic!("{story}: {error}"));
        assert_eq!(network["plugins"][0]["type"], "nuage-cni-k8s", "{story}");
        assert_eq!(files["opt/cni/bin/nuage-cni-k8s"], (0o755, b"the plugin".to_vec()), "{story}");
        assert!(files.contains_key("usr/share/vsp-k8s/nuage.kubeconfig"), "{story}");
    }
    if let Some((mode, _)) = files.get("usr/share/vsp-k8s/nuage.kubeconfig") {
        assert_eq!(*mode, 0o600, "{story}");
    }
}

fn has_strace(test: &str) -> bool {
    let found = Command::new("strace").arg("-V").output().is_ok_and(|output| output.status.success());
    if !found {
        eprintln!("SKIPPED {test}: strace");
    }
    found
}

/// Kills `verb` on its way into each call that changes something, on a new host each time; how often.
fn kill_everywhere(verb: &str, prepare: impl Fn(&Host), holds: impl Fn(&Host, &str)) -> usize {
    let mut killed = 0;
    for call in CHANGING {
        for number in 1.. {
            assert!(number <= MOST, "{call} is made without an end");
            let story = format!("{verb} killed at {call} number {number}");
            let host = Host::new();
            let authority = host.path("ca.crt").display().to_string();
            prepare(&host);
            let mut strace = Command::new("strace");
            strace.args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={call}")]);
            strace.args(["-e", &format!("inject={call}:signal=KILL:when={number}")]);
            strace.arg(env!("CARGO_BIN_EXE_nuage-cni-install"));
            host.complete(&mut strace, verb, &[], &original_environment(&authority));
            let output = strace.env("PATH", "/usr/bin:/bin").output().unwrap();
            holds(&host, &story);
            if output.status.signal() != Some(9) {
                succeed(&output);
                break;
            }
            killed += 1;
            // Whatever it had come to, the next one goes on from there.
            host.run(verb, &[], &original_environment(&authority));
            holds(&host, &story);
            let left = host.files().into_keys().filter(|path| path.contains(".nuage-")).collect::<Vec<_>>();
            assert_eq!(left, Vec::<String>::new(), "{story}");
        }
    }
    killed
}

#[test]
fn an_installation_that_is_killed_anywhere_leaves_no_configuration_without_its_executable() {
    if !has_strace("an_installation_that_is_killed_anywhere_leaves_no_configuration_without_its_executable") {
        return;
    }
    let killed = kill_everywhere("install", |_| {}, assert_sound);
    assert!(killed > 80, "{killed}");
    eprintln!("install was killed at {killed} points");
}

#[test]
fn an_uninstallation_that_is_killed_anywhere_goes_on_and_takes_the_network_first() {
    if !has_strace("an_uninstallation_that_is_killed_anywhere_goes_on_and_takes_the_network_first") {
        return;
    }
    let prepare = |host: &Host| {
        let authority = host.path("ca.crt").display().to_string();
        host.run("install", &[], &original_environment(&authority));
    };
    let killed = kill_everywhere("uninstall", prepare, assert_sound);
    assert!(killed > 20, "{killed}");
}
