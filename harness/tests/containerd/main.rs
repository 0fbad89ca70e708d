//! A real containerd runs sandboxes with the shipped plugin: they have what they were told, and nothing of them is left. The shipped
//! audit asks it over its CRI: whom it calls ready stays, whom it does not goes, whatever the API server says.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "a test")]

mod runtime;
#[path = "../support/mod.rs"]
mod support;

use std::process::Command;

use runtime::{Containerd, Sandbox};
use serde_json::{Value, json};
use support::site::Site;
use support::{create_pod, executable, image, isolated, lacks, names, rows, run, show};

/// What the tests need of this machine.
const PEERS: [&str; 6] = ["ip", "kubectl", "containerd", "ctr", "runc", "ovs-vsctl"];

fn cannot_run(test: &str) -> bool {
    lacks(test, &PEERS) || !image::can_be_made(test)
}

/// Makes a pod through the API; its UID.
fn pod(site: &Site, name: &str) -> String {
    let kubeconfig = site.root().join("admin.kubeconfig");
    create_pod(&kubeconfig, "default", name);
    let uid = ["get", "pod", name, "-o", "jsonpath={.metadata.uid}"];
    run("kubectl", &[&["--kubeconfig", kubeconfig.to_str().unwrap()], &uid[..]].concat())
}

#[test]
fn sandboxes_of_two_nodes_reach_each_other() {
    let test = "sandboxes_of_two_nodes_reach_each_other";
    if cannot_run(test) || lacks(test, &["nft", "nsenter"]) {
        return;
    }
    isolated(|| async {
        let site = Site::emulated_with(&["--dataplane", "--nodes", "2"]);
        let mut running = Vec::new();
        for (number, name) in ["web", "db"].into_iter().enumerate() {
            let directory = tempfile::tempdir().unwrap();
            let files = site.root().join(format!("nodes/node-{}", number + 1));
            let containerd = Containerd::start(directory.path(), &files, site.netns_of(number).as_deref());
            let sandbox = containerd.run(name, &pod(&site, name)).await.unwrap();
            let container = containerd.start_container(&sandbox).await;
            let address = containerd.address(&sandbox).await;
            running.push((containerd, sandbox, container, address, directory));
        }
        for (this, other) in [(0, 1), (1, 0)] {
            let ((containerd, _, container, ..), (.., address, _)) = (&running[this], &running[other]);
            let said = containerd.exec(container, &["ping", "-c", "3", "-W", "2", address]).await;
            assert!(said.contains("3 packets transmitted, 3 packets received"), "{said}");
        }
        for (number, (containerd, sandbox, ..)) in running.into_iter().enumerate() {
            containerd.of("StopPodSandbox", &sandbox).await.unwrap();
            containerd.of("RemovePodSandbox", &sandbox).await.unwrap();
            let switch = site.switch_of(number);
            assert!(rows(&switch, "Nuage_VM_Table").await.is_empty());
            assert_eq!(names(&switch, "Port").await, ["alubr0"]);
        }
        site.terminate();
    });
}

fn audit(site: &Site) -> Value {
    let mut command = Command::new(executable("nuage-audit"));
    command
        .env("KUBERNETES_NODE_NAME", "node-1")
        .arg("--config-dir")
        .arg(site.node())
        .args(["once", "--json"]);
    let output = command.output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", show(&output)))
}

/// Passes until one has done something; that.
async fn audit_until_it_acts(site: &Site) -> Value {
    for _ in 0..20 {
        let report = audit(site);
        if report["actions"] != json!([]) {
            return report["actions"].clone();
        }
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    }
    panic!("the audit has done nothing");
}

async fn ports(site: &Site) -> usize {
    names(&site.switch, "Nuage_Port_Table").await.iter().filter(|name| name.starts_with("nu")).count()
}

/// How the node's calls of one verb for a sandbox ended, by the plugin's log.
fn calls(site: &Site, verb: &str, sandbox: &Sandbox) -> usize {
    let log = std::fs::read_to_string(site.node().join("log/nuage-cni.log")).unwrap();
    let (verb, of) = (format!(" {verb} done "), format!("sandbox={}", sandbox.id));
    log.lines().filter(|line| line.contains(&verb) && line.contains(&of)).count()
}

#[test]
fn what_containerd_runs_has_its_address_and_nothing_of_it_is_left() {
    if cannot_run("what_containerd_runs_has_its_address_and_nothing_of_it_is_left") {
        return;
    }
    isolated(|| async {
        let site = Site::emulated();
        let directory = tempfile::tempdir().unwrap();
        let containerd = Containerd::start(directory.path(), &site.node(), None);
        let mut running = Vec::new();
        for name in ["web", "other"] {
            let sandbox = containerd.run(name, &pod(&site, name)).await.unwrap();
            let address = containerd.address(&sandbox).await;
            let ports = rows(&site.switch, "Nuage_Port_Table").await;
            let port =
                ports.iter().find(|row| row["ip_addr"] == *address).unwrap_or_else(|| panic!("{ports:?}"));
            let port = port["name"].as_str().unwrap().to_owned();
            site.assert_attached(&sandbox.id, &port, &address).await;
            assert!(run("ip", &["-o", "link", "show", "dev", &port]).contains("state UP"));
            let container = containerd.start_container(&sandbox).await;
            let shown = containerd.exec(&container, &["ip", "-4", "address", "show", "dev", "eth0"]).await;
            assert!(shown.contains(&format!("inet {address}/24 ")), "{shown}");
            let shown = containerd.exec(&container, &["ip", "route"]).await;
            assert!(shown.contains("default via 10.20.0.1 dev eth0"), "{shown}");
            running.push((sandbox, port));
        }
        assert_eq!(site.open_records().len(), 2);
        let without_pod = containerd.run("none", "uid-of-nobody").await.err().unwrap();
        assert!(without_pod.contains("none"), "the plugin's words reach the kubelet: {without_pod}");

        for (sandbox, _) in &running {
            containerd.of("StopPodSandbox", sandbox).await.unwrap();
            containerd.of("RemovePodSandbox", sandbox).await.unwrap();
            assert_eq!((calls(&site, "ADD", sandbox), calls(&site, "DEL", sandbox)), (1, 2));
        }
        for (_, port) in &running {
            site.assert_gone(port).await;
        }
        site.terminate();
    });
}

#[test]
fn whom_containerd_calls_ready_stays_and_whom_it_does_not_goes() {
    if cannot_run("whom_containerd_calls_ready_stays_and_whom_it_does_not_goes") {
        return;
    }
    isolated(believed);
}

async fn believed() {
    let site = Site::emulated();
    let directory = tempfile::tempdir().unwrap();
    let containerd = Containerd::start(directory.path(), &site.node(), None);
    let file = site.node().join("nuage-cni.yaml");
    let yaml = std::fs::read_to_string(&file).unwrap();
    let endpoint = format!("runtimeendpoint: unix://{}\n", containerd.socket.display());
    std::fs::write(&file, format!("{yaml}staleentrytimeout: 1\nmonitorinterval: 1\n{endpoint}")).unwrap();

    let mut sandboxes = Vec::new();
    for name in ["web", "other"] {
        sandboxes.push(containerd.run(name, &pod(&site, name)).await.unwrap());
    }
    let web = &sandboxes[0];
    assert_eq!((web.id.len(), ports(&site).await), (64, 2));
    let report = audit(&site);
    assert_eq!((&report["attachments"], &report["doubts"]), (&json!({"keep": 2}), &json!([])), "{report}");

    // Its pod's object is gone before the sandbox is: it terminates.
    let kubeconfig = site.root().join("admin.kubeconfig");
    run("kubectl", &["--kubeconfig", kubeconfig.to_str().unwrap(), "delete", "pod", "web"]);
    for _ in 0..4 {
        assert_eq!(audit(&site)["actions"], json!([]));
        tokio::time::sleep(std::time::Duration::from_millis(600)).await;
    }
    // Its process is gone, and the plugin cannot be called.
    std::fs::rename(directory.path().join("bin/nuage-cni-k8s"), directory.path().join("bin/away")).unwrap();
    containerd.of("StopPodSandbox", web).await.unwrap_err();
    let released = audit_until_it_acts(&site).await;
    assert_eq!(released.as_array().map(Vec::len), Some(1), "{released}");
    assert_eq!(
        (&released[0]["sandbox"], &released[0]["reason"], &released[0]["result"]),
        (&json!(web.id), &json!("sandbox_not_ready"), &json!("done")),
        "{released}"
    );
    assert_eq!(ports(&site).await, 1);

    // What the audit has taken away is no error to containerd.
    std::fs::rename(directory.path().join("bin/away"), directory.path().join("bin/nuage-cni-k8s")).unwrap();
    for sandbox in &sandboxes {
        containerd.of("StopPodSandbox", sandbox).await.unwrap();
        containerd.of("RemovePodSandbox", sandbox).await.unwrap();
    }
    assert_eq!(ports(&site).await, 0);
    drop(containerd);
    let report = audit(&site);
    assert!(report["doubts"].to_string().contains("the sandboxes of this node are not known"), "{report}");
    site.terminate();
}
