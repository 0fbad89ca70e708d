//! Open vSwitch's Python library (`ovs`, its IDL) and `OpenStack`'s `ovsdbapp`, unmodified, against the emulated VRS.
//! `OVSDB_PYTHON` names an interpreter that has them; `pip install ovs==4.0.0 ovsdbapp==3.0.0` installs them.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test")]

#[path = "support/sockets.rs"]
mod sockets;

use std::time::Duration;

use nuage_emulator::entropy::Entropy;
use nuage_emulator::vrs::{Vrs, VrsOptions};
use sockets::Sockets;
use tokio::net::UnixListener;
use tokio::process::Command;

/// How long a script may take; each makes some dozens of calls.
const PATIENCE: Duration = Duration::from_mins(1);

/// An interpreter that has the libraries; says so where there is none.
async fn python(test: &str) -> Option<String> {
    let python = std::env::var("OVSDB_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let found = Command::new(&python).args(["-c", "import ovs.db.idl, ovsdbapp"]).output().await;
    if found.is_ok_and(|output| output.status.success()) {
        return Some(python);
    }
    eprintln!("SKIPPED {test}: python3 with ovs and ovsdbapp");
    None
}

/// Runs a script to its end; gives what it said.
async fn run(python: &str, script: &str, arguments: &[&str]) -> [String; 2] {
    let script = format!("{}/tests/ovsdb_python/{script}", env!("CARGO_MANIFEST_DIR"));
    let session = Command::new(python).args(["-B", &script]).args(arguments).kill_on_drop(true).output();
    let output = tokio::time::timeout(PATIENCE, session).await.unwrap().unwrap();
    let said = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    assert!(output.status.success(), "{}{}", said[0], said[1]);
    said
}

fn vrs() -> Vrs {
    Vrs::new(Entropy::seeded(1), &VrsOptions::default()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn open_vswitchs_python_library_keeps_a_replica_commits_verifies_filters_and_locks() {
    let name = "open_vswitchs_python_library_keeps_a_replica_commits_verifies_filters_and_locks";
    let Some(python) = python(name).await else { return };
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("db.sock");
    tokio::spawn(vrs().server().clone().listen_unix(UnixListener::bind(&socket).unwrap()));
    let said = run(&python, "idl.py", &[&format!("unix:{}", socket.display())]).await;
    assert!(said[0].lines().count() > 20, "{}", said[0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn open_vswitchs_python_library_does_the_same_over_tcp_and_over_tls_with_a_certificate() {
    let name = "open_vswitchs_python_library_does_the_same_over_tcp_and_over_tls_with_a_certificate";
    let Some(python) = python(name).await else { return };
    let switch = Sockets::start().await;
    let said = run(&python, "idl.py", &[&switch.remote("vrs_tcp")]).await;
    assert!(said[0].lines().count() > 20, "{}", said[0]);
    // The replica begins with an empty switch.
    let switch = Sockets::start().await;
    let (key, certificate) = (switch.node_file("vrs-client.key"), switch.node_file("vrs-client.pem"));
    let tls = [&switch.remote("vrs_tls"), &key, &certificate, &switch.authority()];
    let said = run(&python, "idl.py", &tls.map(String::as_str)).await;
    assert!(said[0].lines().count() > 20, "{}", said[0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn ovsdbapp_makes_bridges_ports_and_rows_and_finds_its_interfaces_in_place() {
    let name = "ovsdbapp_makes_bridges_ports_and_rows_and_finds_its_interfaces_in_place";
    let Some(python) = python(name).await else { return };
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("db.sock");
    tokio::spawn(vrs().server().clone().listen_unix(UnixListener::bind(&socket).unwrap()));
    let said = run(&python, "app.py", &[&format!("unix:{}", socket.display())]).await;
    assert_eq!(said[0].lines().count(), 12, "{}", said[0]);
    // It only logs an interface that the switch did not take up.
    assert!(!said[1].contains("Failed to add interfaces"), "{}", said[1]);
}
