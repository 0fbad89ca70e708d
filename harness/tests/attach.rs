//! The main promise on a real kernel: the real executable, called as a runtime calls it, attaches a network
//! namespace through a VRS (the emulated one, or the real ovsdb-server with our schema), and takes it all away.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test")]

mod support;

use serde_json::Value;
use support::site::{Site, walk};
use support::{Namespace, Plugin, create_pod, lacks, names, network, run, show};

/// A sandbox whose port's name is known from the original. Host links are shared by all tests, so each has its own.
const KNOWN_SANDBOX: &str = "5ac67fbb6c72850d236e378dd495934d13b386931f9d4e12942df653be4e5b18";
const KNOWN_PORT: &str = "nu7db556744f4c7";

/// The addresses of a result, whatever its version.
fn address(result: &Value) -> String {
    result["ips"][0]["address"].as_str().unwrap_or_else(|| panic!("{result}")).to_owned()
}

async fn attach_and_detach(site: &Site, sandbox: &str, version: &str, pod: &str) {
    let namespace = Namespace::new();
    create_pod(&site.root().join("admin.kubeconfig"), "default", pod);
    let configuration = network(&site.node(), version);
    let plugin = Plugin { container_id: sandbox, pod: ("default", pod), network: &configuration };

    let result = plugin.add(&namespace.path());
    assert_eq!(result["cniVersion"], version);
    let port = result["interfaces"][0]["name"].as_str().unwrap();
    assert!(sandbox != KNOWN_SANDBOX || port == KNOWN_PORT, "{result}");
    assert_eq!(result["interfaces"][1]["name"], "eth0", "{result}");
    assert_eq!(result["interfaces"][1]["sandbox"], namespace.path().to_str().unwrap());
    assert_eq!(result["ips"][0]["interface"], 1);
    assert_eq!(result["ips"][0]["version"].as_str(), version.starts_with('0').then_some("4"));
    let network_address = address(&result);
    let (host, prefix) = network_address.split_once('/').unwrap();

    let link = namespace.ip(&["address", "show", "dev", "eth0"]);
    assert_eq!(link[0]["address"], result["interfaces"][1]["mac"]);
    assert_eq!(link[0]["operstate"], "UP", "{link}");
    let addresses = link[0]["addr_info"].as_array().unwrap();
    let four = addresses.iter().find(|found| found["family"] == "inet").unwrap();
    assert_eq!((four["local"].as_str(), four["prefixlen"].to_string().as_str()), (Some(host), prefix));
    let routes = namespace.ip(&["route", "show", "default"]);
    assert_eq!(routes[0]["gateway"], result["ips"][0]["gateway"], "{routes}");
    site.assert_attached(sandbox, port, host).await;

    for verb in ["CHECK", "STATUS"] {
        let output = plugin.call(verb, Some(&namespace.path()));
        assert!(output.status.success() && output.stdout.is_empty(), "{verb}: {}", show(&output));
    }

    let again = plugin.call("ADD", Some(&namespace.path()));
    assert!(!again.status.success(), "an ADD of a live interface must fail");
    site.assert_attached(sandbox, port, host).await;

    plugin.del(Some(&namespace.path()));
    site.assert_gone(port).await;
    assert_eq!(namespace.ip(&["link", "show"]).as_array().unwrap().len(), 1, "only lo is left");
    plugin.del(Some(&namespace.path()));
    plugin.del(None);
    site.assert_gone(port).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_is_attached_through_the_emulator_and_taken_away_for_every_version() {
    let name = "a_pod_is_attached_through_the_emulator_and_taken_away_for_every_version";
    if lacks(name, &["ip", "kubectl", "ovs-vsctl"]) {
        return;
    }
    let site = Site::emulated();
    for version in ["0.3.1", "0.4.0", "1.0.0", "1.1.0"] {
        attach_and_detach(&site, KNOWN_SANDBOX, version, &format!("web-{}", version.replace('.', "-"))).await;
    }
    site.terminate();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_is_attached_through_the_real_ovsdb_server_and_taken_away() {
    let name = "a_pod_is_attached_through_the_real_ovsdb_server_and_taken_away";
    if lacks(name, &["ip", "kubectl", "ovs-vsctl", "ovsdb-server", "ovsdb-tool"]) {
        return;
    }
    let site = Site::real_ovsdb_server();
    attach_and_detach(&site, "attach-real-ovsdb-server", "1.0.0", "web-0").await;
    site.terminate();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_add_without_a_vrs_is_one_clear_error_within_its_budget_and_leaves_nothing() {
    let name = "an_add_without_a_vrs_is_one_clear_error_within_its_budget_and_leaves_nothing";
    if lacks(name, &["ip", "kubectl"]) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("site");
    let emulator = Site::emulator(&root, &["--only", "vsd,monitor,kube"]);
    // The shortest budget that there is; five seconds of it are kept for taking away what was made.
    let node = root.join("node/nuage-cni.yaml");
    let text = std::fs::read_to_string(&node).unwrap();
    std::fs::write(&node, format!("{text}addtimeout: 10\n")).unwrap();
    create_pod(&root.join("admin.kubeconfig"), "default", "web-0");
    let namespace = Namespace::new();
    let configuration = network(&root.join("node"), "1.0.0");
    let plugin = Plugin { container_id: "attach-no-vrs", pod: ("default", "web-0"), network: &configuration };
    let output = plugin.call("ADD", Some(&namespace.path()));
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), answer["code"].as_u64()), (Some(1), Some(11)), "{answer}");
    assert!(answer["msg"].as_str().unwrap().contains("the VRS at unix:"), "{answer}");
    assert!(answer["details"].as_str().unwrap().contains("hint: "), "{answer}");
    assert_eq!(namespace.ip(&["link", "show"]).as_array().unwrap().len(), 1, "only lo is there");
    assert!(walk(&root.join("node/state")).is_empty(), "nothing was begun");
    emulator.terminate();
}

#[tokio::test(flavor = "multi_thread")]
async fn check_sees_what_differs_and_gc_removes_what_is_not_listed() {
    let name = "check_sees_what_differs_and_gc_removes_what_is_not_listed";
    if lacks(name, &["ip", "kubectl", "ovs-vsctl"]) {
        return;
    }
    let site = Site::emulated();
    let namespace = Namespace::new();
    create_pod(&site.root().join("admin.kubeconfig"), "default", "web-0");
    let mut configuration = network(&site.node(), "1.1.0");
    let plugin = Plugin { container_id: "attach-check", pod: ("default", "web-0"), network: &configuration };
    let result = plugin.add(&namespace.path());
    let port = result["interfaces"][0]["name"].as_str().unwrap();
    run("ip", &["-n", &namespace.name, "address", "flush", "dev", "eth0"]);
    let output = plugin.call("CHECK", Some(&namespace.path()));
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["code"], 105, "{answer}");

    let listed = serde_json::json!([{"containerID": "attach-check", "ifname": "eth0"}]);
    for (valid, stays) in [(listed, true), (serde_json::json!([]), false)] {
        configuration["cni.dev/valid-attachments"] = valid;
        let plugin =
            Plugin { container_id: "attach-check", pod: ("default", "web-0"), network: &configuration };
        let output = plugin.call("GC", None);
        assert!(output.status.success() && output.stdout.is_empty(), "{}", show(&output));
        assert_eq!(names(&site.switch, "Nuage_Port_Table").await.contains(&port.to_owned()), stays);
    }
    site.assert_gone(port).await;
    site.terminate();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_del_after_the_namespace_is_gone_still_takes_everything_away() {
    let name = "a_del_after_the_namespace_is_gone_still_takes_everything_away";
    if lacks(name, &["ip", "kubectl", "ovs-vsctl"]) {
        return;
    }
    let site = Site::emulated();
    let namespace = Namespace::new();
    create_pod(&site.root().join("admin.kubeconfig"), "default", "web-0");
    let configuration = network(&site.node(), "1.0.0");
    let plugin = Plugin { container_id: "attach-gone", pod: ("default", "web-0"), network: &configuration };
    let result = plugin.add(&namespace.path());
    let port = result["interfaces"][0]["name"].as_str().unwrap();
    drop(namespace);
    plugin.del(None);
    site.assert_gone(port).await;
    site.terminate();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_interface_leaves_the_routes_of_the_first_alone() {
    let name = "a_second_interface_leaves_the_routes_of_the_first_alone";
    if lacks(name, &["ip", "kubectl", "ovs-vsctl", "env"]) {
        return;
    }
    second_interface(Site::emulated(), "attach-second").await;
    if !lacks(name, &["ovsdb-server", "ovsdb-tool"]) {
        second_interface(Site::real_ovsdb_server(), "attach-second-real").await;
    }
}

async fn second_interface(site: Site, sandbox: &str) {
    let namespace = Namespace::new();
    create_pod(&site.root().join("admin.kubeconfig"), "default", "web-0");
    let configuration = network(&site.node(), "1.1.0");
    let plugin = Plugin { container_id: sandbox, pod: ("default", "web-0"), network: &configuration };
    let second = |verb: &str| plugin.call_under(&["env", "CNI_IFNAME=net1"], verb, Some(&namespace.path()));

    let first = plugin.add(&namespace.path());
    let before = namespace.ip(&["route", "show", "default"]);
    let added = second("ADD");
    assert!(added.status.success(), "{}", show(&added));
    let result: Value = serde_json::from_slice(&added.stdout).unwrap();
    assert_eq!(result["interfaces"][1]["name"], "net1", "{result}");
    assert_ne!(address(&result), address(&first));
    assert_eq!(result["routes"], serde_json::json!([]), "{result}");
    assert_eq!(namespace.ip(&["route", "show", "default"]), before);
    let of_second = namespace.ip(&["route", "show", "dev", "net1"]);
    assert_eq!(of_second.as_array().unwrap().len(), 1, "the kernel's own, to its neighbours: {of_second}");
    for checked in [plugin.call("CHECK", Some(&namespace.path())), second("CHECK")] {
        assert!(checked.status.success(), "{}", show(&checked));
    }

    // Asked for a second default route, the plugin says that it cannot, and leaves nothing.
    let gone = second("DEL");
    assert!(gone.status.success(), "{}", show(&gone));
    let mut asking = configuration.clone();
    asking["isDefaultGateway"] = true.into();
    let asking = Plugin { network: &asking, ..plugin };
    let refused = asking.call_under(&["env", "CNI_IFNAME=net1"], "ADD", Some(&namespace.path()));
    let answer: Value = serde_json::from_slice(&refused.stdout).unwrap();
    assert_eq!(answer["code"], 7, "{answer}");
    assert!(answer["details"].as_str().unwrap().contains("leaves by another link"), "{answer}");
    assert!(namespace.ip(&["link", "show"]).as_array().unwrap().iter().all(|link| link["ifname"] != "net1"));
    let checked = plugin.call("CHECK", Some(&namespace.path()));
    assert!(checked.status.success(), "{}", show(&checked));

    plugin.del(Some(&namespace.path()));
    site.assert_gone(first["interfaces"][0]["name"].as_str().unwrap()).await;
    site.terminate();
}
