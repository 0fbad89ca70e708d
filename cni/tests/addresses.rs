//! Which addresses and routes a pod gets: of its first interface and of others, and what comes of a controller whose answer no
//! pod can use.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test")]

mod doubles;

use doubles::seams::held;
use doubles::{Node, Outcome, Sandbox, code};
use nuage_cni::host::Route;
use serde_json::{Value, json};

fn sandbox() -> Sandbox {
    Sandbox::new("0a1", "web")
}

fn answer(outcome: &Outcome) -> Value {
    serde_json::from_slice(&outcome.stdout).unwrap()
}

/// The routes of a link in the pod, by its name.
fn routes(node: &Node, name: &str) -> Vec<Route> {
    let pairs = held(&node.kernel.pairs);
    pairs.values().find(|(_, link)| link.name == name).unwrap().1.routes.clone()
}

fn is_default(route: &Route) -> bool {
    route.destination.prefix_len() == 0
}

#[tokio::test(start_paused = true)]
async fn a_second_interface_has_an_address_and_leaves_the_pods_routes_to_the_first() {
    let node = Node::new();
    let (first, second) = (sandbox(), sandbox().interface("net1"));
    assert_eq!(code(&node.add(&first).await), 0);
    let added = node.add(&second).await;
    assert_eq!(code(&added), 0, "{added:?}");
    assert_eq!(routes(&node, "eth0").iter().filter(|route| is_default(route)).count(), 1);
    assert_eq!(routes(&node, "net1"), []);
    // The result tells no route that there is not, and the gateway for whoever wants one.
    let result = answer(&added);
    assert_eq!(result["routes"], json!([]), "{result}");
    assert_eq!(result["ips"][0]["gateway"], "10.0.0.1", "{result}");
    for one in [&first, &second] {
        let process = doubles::process::Process::sound();
        let checked = node.call(&process, "CHECK", one).await.unwrap();
        assert_eq!(code(&checked), 0, "{checked:?}");
    }
    node.del(&second).await;
    node.del(&first).await;
    assert!(node.left().is_empty(), "{:#?}", node.left());
}

#[tokio::test(start_paused = true)]
async fn the_default_route_leaves_by_the_interface_that_the_configuration_names() {
    let node = Node::new();
    let first = sandbox().with(json!({"isDefaultGateway": false}));
    let second = sandbox().interface("net1").with(json!({"isDefaultGateway": true}));
    for one in [&first, &second] {
        let added = node.add(one).await;
        assert_eq!(code(&added), 0, "{added:?}");
    }
    assert_eq!(routes(&node, "eth0"), []);
    assert!(routes(&node, "net1").iter().any(is_default));

    let odd = node.add(&Sandbox::new("0a2", "web-2").with(json!({"isDefaultGateway": "yes"}))).await;
    assert_eq!(code(&odd), 7);
    assert!(answer(&odd)["msg"].as_str().unwrap().contains("isDefaultGateway"), "{odd:?}");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_no_pod_can_use_fails_the_add_at_once_with_its_reason_and_leaves_nothing() {
    let cases = [
        (json!({"ip_addr": "127.0.0.5"}), "loopback"),
        (json!({"ip_addr": "224.0.0.5"}), "multicast"),
        (json!({"gateway": "239.0.0.1"}), "multicast"),
        (json!({"ip_addr": "10.0.0.1"}), "its own gateway"),
        (json!({"ip_addr": "10.0.0.255"}), "broadcast"),
        (json!({"ip_addr": "fd00::5"}), "no IPv4 addresses"),
        (json!({"subnet_mask": "255.0.255.0"}), "mask"),
    ];
    for (columns, reason) in cases {
        let node = Node::new();
        let columns: Vec<(&str, Value)> =
            columns.as_object().unwrap().iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
        node.switch.answer_with(&columns);
        let started = tokio::time::Instant::now();
        let outcome = node.add(&sandbox()).await;
        assert_eq!(code(&outcome), 104, "{columns:?}: {outcome:?}");
        assert!(started.elapsed().as_secs() < 5, "nobody waits for a better one");
        let details = answer(&outcome)["details"].as_str().unwrap().to_owned();
        assert!(details.contains(reason), "{details}");
        assert!(node.left().is_empty(), "{columns:?}: {:#?}", node.left());
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_stays_incomplete_is_told_as_far_as_it_came() {
    let node = Node::new();
    node.switch.answer_with(&[("subnet_mask", json!("0.0.0.0"))]);
    let outcome = node.add(&sandbox()).await;
    assert_eq!(code(&outcome), 101, "{outcome:?}");
    let details = answer(&outcome)["details"].as_str().unwrap().to_owned();
    assert!(details.contains("incomplete") && details.contains("mask \"0.0.0.0\""), "{details}");
    assert!(node.left().is_empty(), "{:#?}", node.left());
}
