//! A resolver that does not answer: the C library waits for it in a thread of its own, which nobody can end. The shipped
//! executable answers in its time all the same.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "a test")]

use std::io::Write as _;
use std::process::{Command, Stdio};

use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};

const NAME: &str = "a_del_is_not_held_up_by_a_name_that_is_still_being_looked_up";
/// A question to a name server takes longer than a DEL may (microseconds).
const DELAY: &str = "inject=sendmmsg:delay_enter=10000000";
const SANDBOX: &str = "5ac67fbb6c72850d236e378dd495934d13b386931f9d4e12942df653be4e5b18";
const PORT: &str = "nu7db556744f4c7";

#[test]
fn a_del_is_not_held_up_by_a_name_that_is_still_being_looked_up() {
    let there = |command: &str| Command::new(command).arg("--version").output().is_ok();
    if !there("strace") {
        eprintln!("SKIPPED {NAME}: strace");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let (root, file) = (directory.path(), |name: &str| directory.path().join(name));
    let write = |name: &str, text: &str| std::fs::write(file(name), text).unwrap();
    let shown = root.display();
    write(
        "nuage-cni.yaml",
        &format!(
            "vrsendpoint: unix:{shown}/none\nstatedir: {shown}/state\nrundir: {shown}/run\nlogdir: {shown}/log\n"
        ),
    );
    let key = KeyPair::generate().unwrap();
    let parameters = CertificateParams::new(vec!["nuage-monitor.invalid".to_owned()]).unwrap();
    write("c.pem", &parameters.self_signed(&key).unwrap().pem());
    write("k.pem", &key.serialize_pem());
    write(
        "vsp-k8s.yaml",
        "vsdUser: u\nnuageMonRestServer: https://nuage-monitor.invalid:9443\nnuageMonClientCert: c.pem\n\
         nuageMonClientKey: k.pem\nnuageMonServerCA: c.pem\n",
    );
    // Something was begun, and nobody knows how far it came: the monitor has to be told.
    std::fs::create_dir_all(file("state/attachments")).unwrap();
    write(&format!("state/attachments/{PORT}.json"), "{");

    let trace = file("trace");
    let mut command = Command::new("strace");
    command.args([
        "-f",
        "-qq",
        "-o",
        trace.to_str().unwrap(),
        "-e",
        "trace=sendmmsg,exit_group",
        "-e",
        DELAY,
    ]);
    command.arg(env!("CARGO_BIN_EXE_nuage-cni-k8s"));
    command.env("CNI_COMMAND", "DEL").env("CNI_CONTAINERID", SANDBOX).env("CNI_IFNAME", "eth0");
    command.env("CNI_PATH", "/opt/cni/bin").env("CNI_ARGS", "K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web");
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let network = json!({"cniVersion": "1.0.0", "name": "net", "type": "nuage-cni-k8s", "configDir": root});
    child.stdin.take().unwrap().write_all(network.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let traced = std::fs::read_to_string(&trace).unwrap();
    if !traced.contains("sendmmsg") {
        eprintln!("SKIPPED {NAME}: no name server is asked here");
        return;
    }
    assert!(output.status.success() && output.stdout.is_empty(), "{output:?}\n{traced}");
    // strace itself stays until the delay is over; the order tells who waited for whom.
    let before = traced.lines().take_while(|line| !line.contains("exit_group"));
    assert!(
        before.filter(|line| line.contains("sendmmsg")).all(|line| line.contains("unfinished")),
        "{traced}"
    );
    let record: Value =
        serde_json::from_slice(&std::fs::read(file(&format!("state/attachments/{PORT}.json"))).unwrap())
            .unwrap();
    assert_eq!((record["state"].as_str(), record["owes_monitor"].as_bool()), (Some("owed"), Some(true)));
}
