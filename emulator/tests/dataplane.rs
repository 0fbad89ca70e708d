//! `emulator up --dataplane`: containers that a switch's rows attach reach each other as the VSD says, and leave nothing.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

#[path = "support/emulator.rs"]
mod emulator;
#[path = "support/lab.rs"]
mod lab;
#[path = "dataplane/matrix.rs"]
mod matrix;
#[path = "support/probe.rs"]
mod probe;

use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use emulator::Emulator;
use lab::{Lab, Place, Pod, can_run, inside_ip, soon};
use probe::pings;
use serde_json::{Value, json};

/// How long something that arrives may take on a loaded machine, and how long what does not is waited for.
const PATIENCE: Duration = Duration::from_secs(10);
const MOMENT: Duration = Duration::from_millis(300);

/// A domain `name` that lets everything pass, with the subnets `a` and `b`; every one has the same addresses.
async fn domain(lab: &Lab, name: &str) -> String {
    let domain = lab.domain(name).await;
    lab.allow(&domain).await;
    let zone = lab.make(&format!("domains/{domain}/zones"), json!({ "name": "z" })).await;
    for (subnet, third) in [("a", 0), ("b", 1)] {
        let body = json!({
            "name": subnet, "IPType": "DUALSTACK",
            "address": format!("10.0.{third}.0"), "netmask": "255.255.255.0", "IPv6Address": format!("fd00:{third}::/64"),
        });
        lab.make(&format!("zones/{zone}/subnets"), body).await;
    }
    domain
}

fn place(domain: &str, subnet: &str) -> Place {
    Place::new(domain, "z", subnet)
}

fn v4(text: &str) -> IpAddr {
    IpAddr::V4(text.parse().unwrap())
}

/// Whether one pings the other.
fn reaches(from: &Pod, to: &Pod) -> bool {
    pings(&from.netns, to.address.into(), PATIENCE)
}

#[tokio::test(flavor = "multi_thread")]
async fn containers_of_a_domain_reach_each_other_and_their_gateways_and_none_of_another_domain() {
    if !can_run("containers_of_a_domain_reach_each_other_and_their_gateways_and_none_of_another_domain") {
        return;
    }
    let mut lab = Lab::start(1).await;
    for name in ["blue", "red"] {
        domain(&lab, name).await;
    }
    let first = lab.attach(1, &place("blue", "a")).await;
    let second = lab.attach(1, &place("blue", "a")).await;
    let routed = lab.attach(1, &place("blue", "b")).await;
    let other = lab.attach(1, &place("red", "a")).await;
    assert_eq!(other.address, first.address, "domains may have the same addresses");
    for (from, to) in [(&first, &second), (&second, &first), (&first, &routed), (&routed, &second)] {
        assert!(reaches(from, to), "{from:?} {to:?}");
    }
    for gateway in ["10.0.0.1", "10.0.1.1"] {
        assert!(pings(&first.netns, v4(gateway), PATIENCE), "{gateway}");
    }
    assert!(!pings(&other.netns, second.address.into(), MOMENT), "of another domain");
    assert!(pings(&other.netns, v4("10.0.0.1"), PATIENCE), "its own gateway");
    lab.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gateway_and_neighbours_are_found_by_ipv6_too() {
    if !can_run("the_gateway_and_neighbours_are_found_by_ipv6_too") {
        return;
    }
    let mut lab = Lab::start(1).await;
    let domain = domain(&lab, "blue").await;
    let first = lab.attach(1, &place("blue", "a")).await;
    let routed = lab.attach(1, &place("blue", "b")).await;
    let mut addresses = Vec::new();
    for pod in [&first, &routed] {
        let path = format!("domains/{domain}/containerinterfaces");
        let found = lab.vsd.find(&path, "MAC", &pod.mac.to_uppercase()).await.unwrap();
        let found = match found {
            Some(found) => found,
            None => lab.vsd.find(&path, "MAC", &pod.mac).await.unwrap().unwrap(),
        };
        let text = |name: &str| found[name].as_str().unwrap().split('/').next().unwrap().to_owned();
        let (address, gateway) = (text("IPv6Address"), text("IPv6Gateway"));
        let lines = format!("address add {address}/64 dev eth0 nodad\nroute add default via {gateway}\n");
        inside_ip(&pod.netns, &lines);
        assert!(pings(&pod.netns, gateway.parse().unwrap(), PATIENCE), "{gateway}");
        addresses.push(address);
    }
    assert!(pings(&first.netns, addresses[1].parse().unwrap(), PATIENCE), "{addresses:?}");
    lab.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_sends_with_an_address_that_is_not_his() {
    if !can_run("nobody_sends_with_an_address_that_is_not_his") {
        return;
    }
    let mut lab = Lab::start(1).await;
    domain(&lab, "blue").await;
    let honest = lab.attach(1, &place("blue", "a")).await;
    let liar = lab.attach(1, &place("blue", "a")).await;
    assert!(reaches(&liar, &honest));
    inside_ip(
        &liar.netns,
        &format!("address del {}/24 dev eth0\naddress add 10.0.0.200/24 dev eth0\n", liar.address),
    );
    assert!(!pings(&liar.netns, honest.address.into(), MOMENT), "another address");
    let own = format!("address del 10.0.0.200/24 dev eth0\naddress add {}/24 dev eth0\n", liar.address);
    inside_ip(&liar.netns, &own);
    assert!(reaches(&liar, &honest));
    inside_ip(&liar.netns, "link set eth0 address 02:00:00:ff:ff:ff\n");
    assert!(!pings(&liar.netns, honest.address.into(), MOMENT), "another MAC address");
    lab.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_go_take_the_link_out_and_what_nobody_needs_with_it_and_a_new_link_joins_by_its_name() {
    if !can_run(
        "rows_that_go_take_the_link_out_and_what_nobody_needs_with_it_and_a_new_link_joins_by_its_name",
    ) {
        return;
    }
    let mut lab = Lab::start(1).await;
    domain(&lab, "blue").await;
    let stays = lab.attach(1, &place("blue", "a")).await;
    let goes = lab.attach(1, &place("blue", "b")).await;
    assert!(reaches(&stays, &goes));
    // The container's link is made anew, as by a runtime that restarts; its rows stay.
    inside_ip(&lab.netns(1), &format!("link delete {}\n", stays.link));
    lab.connect(&stays);
    lab::address(&stays, "10.0.0.1");
    assert!(reaches(&stays, &goes), "a new link of the same name");

    lab.forget(&goes);
    soon("bridge and gateway are gone", || {
        lab.links(1).iter().filter(|link| link.starts_with("br")).count() == 1
    });
    assert!(!pings(&goes.netns, v4("10.0.1.1"), MOMENT));
    assert!(lab.links(1).contains(&goes.link), "the link is who made it's");
    lab.forget(&stays);
    soon("nothing but the links of the containers is left", || {
        let left = lab.links(1);
        left.iter().all(|link| link == "lo" || link.starts_with("nu"))
    });
    assert!(!lab.filters(1).contains(&goes.link), "{}", lab.filters(1));
    lab.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn containers_on_different_nodes_reach_each_other_within_a_subnet_and_between_two() {
    if !can_run("containers_on_different_nodes_reach_each_other_within_a_subnet_and_between_two") {
        return;
    }
    let mut lab = Lab::start(3).await;
    for name in ["blue", "red"] {
        domain(&lab, name).await;
    }
    let mut pods = Vec::new();
    for (node, subnet) in [(1, "a"), (2, "a"), (3, "b"), (1, "b")] {
        pods.push(lab.attach(node, &place("blue", subnet)).await);
    }
    for (from, to) in (0..4).flat_map(|from| (0..4).map(move |to| (from, to))).filter(|(from, to)| from != to)
    {
        assert!(reaches(&pods[from], &pods[to]), "{:?} {:?}", pods[from], pods[to]);
    }
    let other = lab.attach(3, &place("red", "a")).await;
    assert!(!pings(&other.netns, pods[1].address.into(), MOMENT), "of another domain");
    // A container goes on one node and another comes on another; who asks then finds the new one.
    lab.forget(&pods[1]);
    let successor = lab.attach(3, &place("blue", "a")).await;
    assert!(reaches(&pods[3], &successor), "by the router, which is told");
    let newcomer = lab.attach(1, &place("blue", "a")).await;
    assert!(reaches(&newcomer, &successor) && reaches(&successor, &newcomer));
    lab.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_answered_is_in_his_bridge_and_in_the_filters_already() {
    if !can_run("who_is_answered_is_in_his_bridge_and_in_the_filters_already") {
        return;
    }
    let mut lab = Lab::start(2).await;
    domain(&lab, "blue").await;
    for (node, subnet) in [(1, "a"), (1, "a"), (2, "b")] {
        let pod = lab.attach(node, &place("blue", subnet)).await;
        let carried = &lab.carried;
        assert!(carried.contains("br") && carried.contains("nu"), "{pod:?} {carried}");
        assert!(lab.filters(node).contains(&pod.address.to_string()), "{pod:?}");
    }
    lab.end().await;
}

fn namespaces(beginning: &str) -> Vec<String> {
    let entries = std::fs::read_dir("/run/netns").into_iter().flatten();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with(beginning)).collect()
}

#[test]
fn a_killed_emulators_namespaces_are_removed_by_the_next_and_its_own_with_itself_and_the_host_has_none_of_it()
{
    let test = "a_killed_emulators_namespaces_are_removed_by_the_next_and_its_own_with_itself_and_the_host_has_none_of_it";
    if !can_run(test) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let site = directory.path().join("site");
    let mut killed = Emulator::start(&site, &["--dataplane", "--nodes", "2"]);
    let endpoints = std::fs::read(site.join("endpoints.json")).unwrap();
    let endpoints: Value = serde_json::from_slice(&endpoints).unwrap();
    let path = endpoints["nodes"][0]["netns"].as_str().unwrap().to_owned();
    let site_name = path.rsplit('/').next().unwrap().strip_suffix("node-1").unwrap().to_owned();
    // A node's services answer inside, where they answer outside.
    let kube = endpoints["kube"].as_str().unwrap().strip_prefix("https://").unwrap().to_owned();
    let inside =
        lab::within(path.rsplit('/').next().unwrap(), move || std::net::TcpStream::connect(kube).is_ok());
    assert!(inside.join().unwrap());
    killed.signal("-KILL");
    assert_eq!(namespaces(&site_name).len(), 3, "two nodes and what joins them");
    let mut next = Emulator::start(&site, &["--dataplane"]);
    assert_eq!(namespaces(&site_name).len(), 1);
    let tables = Command::new("nft").args(["list", "tables"]).output().unwrap();
    assert!(!String::from_utf8_lossy(&tables.stdout).contains(" nuage"), "the host's own namespace");
    assert_eq!(next.signal("-TERM"), Some(0));
    assert!(namespaces(&site_name).is_empty());
}

#[test]
fn without_root_it_says_what_it_lacks_and_ends_with_code_4() {
    if !can_run("without_root_it_says_what_it_lacks_and_ends_with_code_4") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    let binary = directory.path().join("emulator");
    std::fs::copy(env!("CARGO_BIN_EXE_emulator"), &binary).unwrap();
    let output = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(&binary)
        .args(["up", "--dataplane", "--dir"])
        .arg(directory.path().join("site"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(4), "{said}");
    assert!(said.contains("root") && said.contains("hint:"), "{said}");
}
