//! Real OVSDB clients, unmodified, against the emulated VRS on a unix socket.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "a test")]

use std::process::{Command, Output};

use nuage_emulator::entropy::Entropy;
use nuage_emulator::vrs::{Vrs, VrsOptions};
use serde_json::{Value, json};
use tokio::net::UnixListener;

struct Switch {
    endpoint: String,
    _directory: tempfile::TempDir,
}

impl Switch {
    fn start(test: &str) -> Option<Self> {
        let found =
            Command::new("sh").args(["-c", "command -v ovs-vsctl && command -v ovsdb-client"]).output();
        if !found.is_ok_and(|output| output.status.success()) {
            eprintln!("SKIPPED {test}: ovs-vsctl and ovsdb-client");
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("db.sock");
        let vrs = Vrs::new(Entropy::seeded(1), &VrsOptions::default()).unwrap();
        tokio::spawn(vrs.server().clone().listen_unix(UnixListener::bind(&socket).unwrap()));
        Some(Self { endpoint: format!("unix:{}", socket.display()), _directory: directory })
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
