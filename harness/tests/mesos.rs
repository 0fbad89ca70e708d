//! Mesos on a real kernel: nuage-cni-mesos attaches what an agent runs, and nuage-audit keeps it equal to what the agent tells,
//! by the shipped executables and the emulated agent over HTTPS.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test")]

mod support;

use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use bytes::Bytes;
use nuage_emulator::http::{TlsIdentity, remote};
use serde_json::{Value, json};
use support::site::Site;
use support::{Namespace, executable, isolated, lacks, names, run, show};
use tower::ServiceExt as _;

/// One call of nuage-cni-mesos, as an agent makes it.
fn call(site: &Site, command: &str, id: &str, netns: Option<&Path>) -> Output {
    let label = |(key, value): (&str, &str)| json!({"key": key, "value": value});
    let labels: Vec<Value> = [
        ("enterprise", "K8S-Enterprise"),
        ("domain", "K8S-Domain"),
        ("zone", "default"),
        ("network", "default-0"),
        ("user", "k8s-admin"),
    ]
    .map(label)
    .into();
    let network = json!({
        "cniVersion": "0.2.0", "name": "nuage-net", "type": "nuage-cni-mesos", "configDir": site.node(),
        "args": {"org.apache.mesos": {"network_info": {"name": "nuage-net", "labels": {"labels": labels}}}}
    });
    let mut child = Command::new(executable("nuage-cni-mesos"))
        .env_clear()
        .env("CNI_COMMAND", command)
        .env("CNI_CONTAINERID", id)
        .env("CNI_NETNS", netns.map_or(String::new(), |path| path.display().to_string()))
        .env("CNI_IFNAME", "eth0")
        .env("CNI_PATH", "/usr/bin")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(network.to_string().as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

/// A pass of the audit of which a report is told.
fn audit(site: &Site, arguments: &[&str]) -> (Option<i32>, Value) {
    let mut command = Command::new(executable("nuage-audit"));
    command.args(["--orchestrator", "mesos", "--config-dir"]).arg(site.node()).arg("once").arg("--json");
    let output = command.args(arguments).output().unwrap();
    let report = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", show(&output)));
    (output.status.code(), report)
}

/// Asks the agent to do something.
async fn operate(site: &Site, call: Value) -> u16 {
    let authorities = std::fs::read(site.root().join("pki/ca.pem")).unwrap();
    let credential: Value =
        serde_json::from_slice(&std::fs::read(site.node().join("mesos-credential.json")).unwrap()).unwrap();
    let pair =
        format!("{}:{}", credential["principal"].as_str().unwrap(), credential["secret"].as_str().unwrap());
    let encoded = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, pair);
    let request = http::Request::post(format!("{}/api/v1", site.endpoints()["mesos"].as_str().unwrap()))
        .header("content-type", "application/json")
        .header("authorization", format!("Basic {encoded}"))
        .body(Bytes::from(call.to_string()))
        .unwrap();
    let client = remote(&TlsIdentity { authorities, client: None }).unwrap();
    client.oneshot(request).await.unwrap().status().as_u16()
}

async fn launch(site: &Site, id: Value) {
    assert_eq!(
        operate(site, json!({"type": "LAUNCH_CONTAINER", "launch_container": {"container_id": id}})).await,
        200
    );
}

async fn kill(site: &Site, id: &str) {
    let call = json!({"type": "KILL_CONTAINER", "kill_container": {"container_id": {"value": id}}});
    assert_eq!(operate(site, call).await, 200);
}

fn fault(site: &Site, words: &str) {
    let mut command = Command::new(executable("emulator"));
    let output = command.arg("fault").args(words.split(' ')).arg("--dir").arg(site.root()).output().unwrap();
    assert!(output.status.success(), "{}", show(&output));
}

/// A process that lives in a namespace.
struct Inhabitant(Child);

impl Inhabitant {
    fn of(namespace: &Namespace) -> Self {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &namespace.name, "cat"]);
        Self(command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Inhabitant {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A container's name that no other run has: links are shared by all tests.
fn container(number: u32) -> String {
    format!("{:08x}-4a5b-6c7d-8e9f-{number:012x}", std::process::id())
}

#[test]
fn what_an_agent_runs_stays_and_what_it_does_not_goes() {
    if lacks("what_an_agent_runs_stays_and_what_it_does_not_goes", &["ip"]) {
        return;
    }
    isolated(believed);
}

async fn believed() {
    let site = Site::emulated();
    // Two passes are enough then.
    let file = site.node().join("nuage-cni.yaml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("{text}staleentrytimeout: 1\nmonitorinterval: 1\n")).unwrap();

    let (web, nested, gone) = (container(1), format!("{}.{}", container(1), container(2)), container(3));
    launch(&site, json!({"value": web})).await;
    launch(&site, json!({"value": container(2), "parent": {"value": web}})).await;
    launch(&site, json!({"value": gone})).await;
    let namespaces = [Namespace::new(), Namespace::new(), Namespace::new()];
    let inhabitants = namespaces.each_ref().map(Inhabitant::of);
    for (id, namespace) in [&web, &nested, &gone].into_iter().zip(&namespaces) {
        let output = call(&site, "ADD", id, Some(&namespace.path()));
        assert!(output.status.success(), "{}", show(&output));
        let result: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(result["ip4"]["ip"].as_str().unwrap().starts_with("10.20.0."), "{result}");
    }
    let ports = |found: Vec<String>| found.into_iter().filter(|name| name.starts_with("nu")).count();
    let (code, report) = audit(&site, &[]);
    assert_eq!((code, &report["attachments"], &report["doubts"]), (Some(0), &json!({"keep": 3}), &json!([])));

    // Whatever is wrong with the agent, nothing is touched, and it is told.
    let wrong =
        ["down", "wrong_certificate", "unauthorized", "error", "unavailable", "truncated", "empty_list"];
    for what in wrong.into_iter().chain(["partial_list"]) {
        fault(&site, &format!("on mesos.{what}"));
        for _ in 0..3 {
            let (code, report) = audit(&site, &[]);
            assert_eq!((code, &report["actions"]), (Some(0), &json!([])), "{what}: {report}");
            assert!(!report["doubts"].as_array().unwrap().is_empty(), "{what}: {report}");
            tokio::time::sleep(std::time::Duration::from_millis(600)).await;
        }
        fault(&site, "off --all");
    }
    assert_eq!(ports(names(&site.switch, "Nuage_Port_Table").await), 3);

    // The agent has ended one and never called the plugin.
    kill(&site, &gone).await;
    drop(inhabitants);
    let mut released = Value::Null;
    for _ in 0..20 {
        let (_, report) = audit(&site, &[]);
        if report["actions"] != json!([]) {
            released = report["actions"].clone();
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    }
    assert_eq!(released.as_array().map(Vec::len), Some(1), "{released}");
    assert_eq!((&released[0]["sandbox"], &released[0]["reason"]), (&json!(gone), &json!("sandbox_gone")));
    assert_eq!(ports(names(&site.switch, "Nuage_Port_Table").await), 2);

    for id in [&nested, &web] {
        let output = call(&site, "DEL", id, None);
        assert!(output.status.success() && output.stdout.is_empty(), "{}", show(&output));
    }
    assert_eq!(ports(names(&site.switch, "Port").await), 0);
    let links = run("ip", &["-o", "link"]);
    assert!(links.lines().all(|link| link.contains(": lo: ")), "{links}");
    site.terminate();
}
