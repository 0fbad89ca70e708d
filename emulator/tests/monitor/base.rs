//! The ACLs that a cluster has without a network policy, and what annotations make of them: asked of the evaluator, as
//! traffic between pods.

use std::sync::atomic::Ordering;
use std::time::Duration;

use nuage_emulator::vsd::policy::{self, Traffic};
use serde_json::{Value, json};

use crate::world::{World, growing};

const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMP: u8 = 1;

async fn settle() {
    tokio::time::sleep(Duration::from_secs(10)).await;
}

/// A world with two pods in each of several namespaces, `NAMESPACE-a` and `NAMESPACE-b`.
async fn pods(namespaces: &[&str]) -> World {
    let world = growing("10.0.0.0/16");
    let monitor = world.monitor.clone();
    tokio::spawn(async move { monitor.run().await });
    for namespace in namespaces {
        // Each cluster has that one.
        if *namespace != "kube-system" {
            world.namespace(namespace);
        }
        settle().await;
        for pod in ["a", "b"] {
            let name = format!("{namespace}-{pod}");
            world.pod(namespace, &name);
            let subnet = world.place(namespace, &name).await;
            world.attach(&subnet, &name).await;
        }
    }
    world
}

impl World {
    /// Whether traffic from one pod arrives at another, or at an address.
    async fn talks(&self, from: &str, to: &str, protocol: u8) -> bool {
        let domain = policy::read(&self.client(), Some("acme"), Some("cluster")).await.unwrap();
        let traffic = Traffic { protocol, source_port: 50_000, destination_port: 80, dscp: 0 };
        let from = domain.find(from)[0].clone();
        let to = match to.parse() {
            Ok(address) => policy::Endpoint::outside(address),
            Err(_) => domain.find(to)[0].clone(),
        };
        domain.may(&from, &to, traffic).allowed()
    }

    fn entries_of(&self, namespace: &str) -> Vec<String> {
        let all = ["ingressaclentrytemplate", "egressaclentrytemplate"];
        let all = all.into_iter().flat_map(|entity| self.vsd.snapshot(entity));
        let descriptions = all.filter_map(|entry| entry["description"].as_str().map(str::to_owned));
        descriptions.filter(|text| text.starts_with(&format!("Namespace {namespace}: "))).collect()
    }

    fn annotate(&self, namespace: &str, key: &str, value: &str) {
        let change = |object: &mut Value| object["metadata"]["annotations"] = json!({ key: value });
        self.kube.update("Namespace", "", namespace, change).unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn pods_of_one_namespace_talk_and_those_of_two_do_not() {
    let world = pods(&["shop", "bank"]).await;
    for protocol in [TCP, UDP, ICMP] {
        assert!(
            world.talks("shop-a", "shop-b", protocol).await
                && world.talks("bank-b", "bank-a", protocol).await
        );
        assert!(!world.talks("shop-a", "bank-a", protocol).await);
    }
    assert!(world.talks("shop-a", "192.0.2.1", TCP).await, "what is outside is nobody's");
    let names = |entity: &str| {
        let all = world.vsd.snapshot(entity);
        let mut all: Vec<(u64, String)> = all
            .iter()
            .map(|one| (one["priority"].as_u64().unwrap(), one["name"].as_str().unwrap().to_owned()))
            .collect();
        all.sort_unstable();
        all
    };
    let (annotations, last) = ((999_999_999, "Namespace Annotations".to_owned()), 1_000_000_000);
    assert_eq!(
        names("ingressacltemplate"),
        [annotations.clone(), (last, "Auto-generated Ingress Policies".to_owned())]
    );
    assert_eq!(
        names("egressacltemplate"),
        [annotations, (last, "Auto-generated Egress Policies".to_owned())]
    );
}

#[tokio::test(start_paused = true)]
async fn a_namespace_reaches_its_own_services_and_no_others() {
    let world = pods(&["shop", "bank"]).await;
    let service = json!({ "kind": "Service", "metadata": { "name": "web", "namespace": "shop" }, "spec": { "clusterIP": "10.96.0.80" } });
    world.kube.create(service).unwrap();
    settle().await;
    assert!(world.talks("shop-a", "10.96.0.80", TCP).await);
    assert!(
        !world.talks("bank-a", "10.96.0.80", TCP).await && !world.talks("shop-a", "10.96.0.81", TCP).await
    );
}

#[tokio::test(start_paused = true)]
async fn a_privileged_namespace_sends_to_everybody_as_far_as_others_let_it_in() {
    let world = pods(&["kube-system", "shop"]).await;
    assert_eq!(world.entries_of("kube-system").len(), 3);
    assert!(world.talks("kube-system-a", "kube-system-b", TCP).await);
    // Looked at where it leaves, it passes; where it arrives, the other namespace has not let it in.
    assert!(!world.talks("kube-system-a", "shop-a", TCP).await);
}

#[tokio::test(start_paused = true)]
async fn an_annotation_isolates_a_namespaces_pods_from_each_other_and_another_counts() {
    let world = pods(&["shop"]).await;
    let (key, isolation) =
        ("net.beta.kubernetes.io/network-policy", r#"{"ingress": {"isolation": "DefaultDeny"}}"#);
    world.annotate("shop", key, isolation);
    settle().await;
    assert!(!world.talks("shop-a", "shop-b", TCP).await && !world.talks("shop-a", "shop-b", UDP).await);
    assert!(world.talks("shop-a", "shop-b", ICMP).await);
    world.annotate("shop", key, &isolation.replace(' ', ""));
    settle().await;
    assert!(world.talks("shop-a", "shop-b", TCP).await, "letter by letter, as the original");
    let counting = || {
        let entries = world.vsd.snapshot("ingressaclentrytemplate");
        let of_shop = entries.iter().find(|entry| entry["description"] == "Namespace shop: services");
        of_shop.unwrap()["statsLoggingEnabled"].clone()
    };
    assert_eq!(counting(), json!(false));
    world.annotate("shop", "enable-stats-logging", "");
    settle().await;
    assert_eq!(counting(), json!(true));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_written_is_written_later_and_goes_with_its_namespace() {
    let world = growing("10.0.0.0/16");
    let monitor = world.monitor.clone();
    tokio::spawn(async move { monitor.run().await });
    world.faults.unavailable.store(true, Ordering::Relaxed);
    world.namespace("shop");
    settle().await;
    world.faults.unavailable.store(false, Ordering::Relaxed);
    settle().await;
    assert_eq!(world.entries_of("shop"), ["Namespace shop: services"]);
    world.kube.delete("Namespace", "", "shop").unwrap();
    settle().await;
    assert_eq!(world.entries_of("shop"), [""; 0]);
}
