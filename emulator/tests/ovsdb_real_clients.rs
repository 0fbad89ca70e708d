//! Real OVSDB clients, unmodified, against the emulated VRS on a unix socket, over TCP and over TLS.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "a test")]

#[path = "support/sockets.rs"]
mod sockets;

use std::process::{Command, Output};

use nuage_emulator::entropy::Entropy;
use nuage_emulator::vrs::{Vrs, VrsOptions};
use serde_json::{Value, json};
use sockets::Sockets;
use tokio::net::UnixListener;

struct Switch {
    endpoint: String,
    directory: tempfile::TempDir,
}

impl Switch {
    fn start(test: &str) -> Option<Self> {
        if !is_installed(test) {
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("db.sock");
        let vrs = Vrs::new(Entropy::seeded(1), &VrsOptions::default()).unwrap();
        tokio::spawn(vrs.server().clone().listen_unix(UnixListener::bind(&socket).unwrap()));
        Some(Self { endpoint: format!("unix:{}", socket.display()), directory })
    }

    async fn vsctl(&self, arguments: &[&str]) -> String {
        let mut all = vec![format!("--db={}", self.endpoint), "--timeout=20".to_owned()];
        all.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        succeed(run("ovs-vsctl", all).await)
    }

    async fn client(&self, arguments: &[&str]) -> String {
        let mut all = vec!["--timeout=20".to_owned(), arguments[0].to_owned(), self.endpoint.clone()];
        all.extend(arguments[1..].iter().map(|argument| (*argument).to_owned()));
        succeed(run("ovsdb-client", all).await)
    }
}

fn is_installed(test: &str) -> bool {
    let found = Command::new("sh").args(["-c", "command -v ovs-vsctl && command -v ovsdb-client"]).output();
    let installed = found.is_ok_and(|output| output.status.success());
    if !installed {
        eprintln!("SKIPPED {test}: ovs-vsctl and ovsdb-client");
    }
    installed
}

async fn run(program: &str, arguments: Vec<String>) -> Output {
    tokio::process::Command::new(program).args(arguments).kill_on_drop(true).output().await.unwrap()
}

fn succeed(output: Output) -> String {
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}: {text}{}", output.status, String::from_utf8_lossy(&output.stderr));
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn ovs_vsctl_configures_the_switch_with_and_without_waiting() {
    let Some(switch) = Switch::start("ovs_vsctl_configures_the_switch_with_and_without_waiting") else {
        return;
    };
    assert!(switch.vsctl(&["--no-wait", "show"]).await.contains("Bridge alubr0"));
    switch.vsctl(&["--no-wait", "add-port", "alubr0", "nu1"]).await;
    switch
        .vsctl(&[
            "add-br",
            "br1",
            "--",
            "add-port",
            "br1",
            "p1",
            "--",
            "set",
            "Interface",
            "p1",
            "external_ids:a=b",
        ])
        .await;
    assert_eq!(switch.vsctl(&["list-br"]).await, "alubr0\nbr1\n");
    assert_eq!(switch.vsctl(&["get", "Interface", "p1", "external_ids"]).await, "{a=b}\n");
    switch.vsctl(&["--no-wait", "del-port", "alubr0", "nu1"]).await;
    assert_eq!(switch.vsctl(&["list-ports", "alubr0"]).await, "");
    let listed: Value =
        serde_json::from_str(&switch.vsctl(&["--format=json", "list", "Controller"]).await).unwrap();
    assert_eq!(listed["data"].as_array().unwrap().len(), 1);
    switch.vsctl(&["del-br", "br1"]).await;
    assert_eq!(switch.vsctl(&["list-br"]).await, "alubr0\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn ovsdb_client_reads_transacts_and_dumps() {
    let Some(switch) = Switch::start("ovsdb_client_reads_transacts_and_dumps") else { return };
    let databases = switch.client(&["list-dbs"]).await;
    assert!(databases.lines().any(|line| line == "Open_vSwitch"), "{databases}");
    let schema: Value = serde_json::from_str(&switch.client(&["get-schema", "Open_vSwitch"]).await).unwrap();
    assert!(schema["tables"]["Nuage_VM_Table"].is_object());
    assert!(switch.client(&["list-tables", "Open_vSwitch"]).await.contains("Nuage_Port_Table"));
    let insert =
        json!(["Open_vSwitch", {"op": "insert", "table": "Nuage_Port_Table", "row": {"name": "nu1"}}]);
    let answer: Value =
        serde_json::from_str(&switch.client(&["transact", &insert.to_string()]).await).unwrap();
    assert!(answer[0]["uuid"].is_array(), "{answer}");
    assert!(switch.client(&["dump", "Open_vSwitch", "Nuage_Port_Table", "name"]).await.contains("nu1"));
    assert!(switch.client(&["dump"]).await.contains("alubr0"));
}

#[tokio::test(flavor = "multi_thread")]
async fn ovs_vsctl_creates_sets_lists_finds_and_clears() {
    let Some(switch) = Switch::start("ovs_vsctl_creates_sets_lists_finds_and_clears") else { return };
    switch
        .vsctl(&["set", "Bridge", "alubr0", "fail_mode=secure", "other_config:a=1", "other_config:b=2"])
        .await;
    assert_eq!(
        switch.vsctl(&["get", "Bridge", "alubr0", "fail_mode", "other_config:b"]).await,
        "secure\n\"2\"\n"
    );
    switch.vsctl(&["remove", "Bridge", "alubr0", "other_config", "a"]).await;
    switch.vsctl(&["clear", "Bridge", "alubr0", "fail_mode"]).await;
    assert_eq!(
        switch.vsctl(&["get", "Bridge", "alubr0", "fail_mode", "other_config"]).await,
        "[]\n{b=\"2\"}\n"
    );
    let made = ["--id=@q", "create", "QoS", "type=linux-htb", "--", "set", "Port", "alubr0", "qos=@q"];
    let uuid = switch.vsctl(&made).await;
    assert_eq!(switch.vsctl(&["get", "Port", "alubr0", "qos"]).await, uuid);
    let found = switch.vsctl(&["--columns=name", "find", "Port", &format!("qos={}", uuid.trim())]).await;
    assert!(found.contains("alubr0"), "{found}");
    assert!(switch.vsctl(&["list", "QoS"]).await.contains("linux-htb"));
    switch.vsctl(&["wait-until", "Port", "alubr0", "qos!=[]"]).await;
    assert_eq!(switch.vsctl(&["br-exists", "alubr0"]).await, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn ovsdb_client_shows_columns_queries_waits_backs_up_and_locks() {
    let Some(switch) = Switch::start("ovsdb_client_shows_columns_queries_waits_backs_up_and_locks") else {
        return;
    };
    let columns = switch.client(&["list-columns", "Open_vSwitch", "Nuage_Port_Table"]).await;
    assert!(columns.contains("evpn_id"), "{columns}");
    let select =
        json!(["Open_vSwitch", {"op": "select", "table": "Bridge", "where": [], "columns": ["name"]}]);
    let answer: Value = serde_json::from_str(&switch.client(&["query", &select.to_string()]).await).unwrap();
    assert_eq!(answer[0]["rows"][0]["name"], "alubr0");
    switch.client(&["wait", "Open_vSwitch", "connected"]).await;
    assert_eq!(switch.client(&["get-schema-version", "Open_vSwitch"]).await, "8.3.1\n");
    // A backup is a database file, which the real tool reads.
    let backup = switch.client(&["backup", "Open_vSwitch"]).await;
    let file = switch.directory.path().join("backup");
    std::fs::write(&file, &backup).unwrap();
    let log = succeed(
        run("ovsdb-tool", vec!["-mm".to_owned(), "show-log".to_owned(), file.display().to_string()]).await,
    );
    assert!(log.contains("table Bridge insert row \"alubr0\""), "{log}");
    // It holds the lock until it is ended.
    let mut lock = tokio::process::Command::new("ovsdb-client")
        .args(["--timeout=20", "lock", &switch.endpoint, "mine"])
        .stdout(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut said = tokio::io::AsyncBufReadExt::lines(tokio::io::BufReader::new(lock.stdout.take().unwrap()));
    assert_eq!(said.next_line().await.unwrap().as_deref(), Some("{\"locked\":true}"));
    lock.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn ovsdb_client_monitors_a_change() {
    let Some(switch) = Switch::start("ovsdb_client_monitors_a_change") else { return };
    let mut monitor = tokio::process::Command::new("ovsdb-client")
        .args([
            "--format=json",
            "--timeout=20",
            "monitor",
            &switch.endpoint,
            "Open_vSwitch",
            "Nuage_Port_Table",
            "name",
        ])
        .stdout(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines =
        tokio::io::AsyncBufReadExt::lines(tokio::io::BufReader::new(monitor.stdout.take().unwrap()));
    // Nothing says that the monitor has begun, so rows are made until it shows one.
    let seen = async {
        loop {
            let line = lines.next_line().await.unwrap().unwrap();
            if line.contains("\"insert\"") {
                return line;
            }
        }
    };
    let make = async {
        for number in 0..200 {
            let row = json!({"name": format!("nu{number}")});
            let insert = json!(["Open_vSwitch", {"op": "insert", "table": "Nuage_Port_Table", "row": row}]);
            switch.client(&["transact", &insert.to_string()]).await;
        }
        String::new()
    };
    let line = tokio::select! { biased; line = seen => line, line = make => line };
    assert!(line.contains("nu"), "{line:?}");
    monitor.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn over_tcp_and_over_tls_with_a_certificate_the_same_clients_work() {
    if !is_installed("over_tcp_and_over_tls_with_a_certificate_the_same_clients_work") {
        return;
    }
    let switch = Sockets::start().await;
    let tls = [
        format!("--private-key={}", switch.node_file("vrs-client.key")),
        format!("--certificate={}", switch.node_file("vrs-client.pem")),
        format!("--ca-cert={}", switch.authority()),
    ];
    for (socket, port, certificates) in
        [("vrs", "p1", &[][..]), ("vrs_tcp", "p2", &[]), ("vrs_tls", "p3", &tls)]
    {
        let vsctl = async |command: &[&str]| {
            let mut all = certificates.to_vec();
            all.extend([format!("--db={}", switch.remote(socket)), "--timeout=20".to_owned()]);
            all.extend(command.iter().map(|argument| (*argument).to_owned()));
            succeed(run("ovs-vsctl", all).await)
        };
        vsctl(&["add-port", "alubr0", port]).await;
        let number = vsctl(&["get", "Interface", port, "ofport"]).await;
        assert!(number.trim().parse::<u16>().is_ok_and(|number| number > 0), "{socket}: {number}");
        let mut dump = certificates.to_vec();
        let command = ["--timeout=20", "dump", &switch.remote(socket), "Open_vSwitch", "Port", "name"];
        dump.extend(command.map(str::to_owned));
        let dump = succeed(run("ovsdb-client", dump).await);
        assert!(dump.contains(port), "{socket}: {dump}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn over_tls_nobody_gets_in_without_a_certificate_of_the_sites_authority() {
    if !is_installed("over_tls_nobody_gets_in_without_a_certificate_of_the_sites_authority") {
        return;
    }
    let (switch, stranger) = (Sockets::start().await, Sockets::start().await);
    let options = [
        format!("--private-key={}", stranger.node_file("vrs-client.key")),
        format!("--certificate={}", stranger.node_file("vrs-client.pem")),
        format!("--ca-cert={}", switch.authority()),
        format!("--db={}", switch.remote("vrs_tls")),
        "--timeout=2".to_owned(),
        "show".to_owned(),
    ];
    let refused = run("ovs-vsctl", options.to_vec()).await;
    assert!(!refused.status.success(), "{}", String::from_utf8_lossy(&refused.stdout));
}
