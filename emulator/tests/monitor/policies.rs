//! Network policies and services of the cluster, as they are in the VSD and as pods are told of them.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use crate::world::{World, growing};

/// A world whose monitor follows the cluster, with the namespaces `shop` and `bank`.
async fn followed() -> World {
    let world = growing("10.0.0.0/16");
    for name in ["shop", "bank"] {
        let labels = json!({ "team": name });
        world
            .kube
            .create(json!({ "kind": "Namespace", "metadata": { "name": name, "labels": labels } }))
            .unwrap();
    }
    let monitor = world.monitor.clone();
    tokio::spawn(async move { monitor.run().await });
    settle().await;
    world
}

async fn settle() {
    tokio::time::sleep(Duration::from_secs(10)).await;
}

/// A policy for the pods of `shop` with the label `app: web`.
fn policy(name: &str, labels: &Value, mut spec: Value) -> Value {
    spec["podSelector"] = json!({ "matchLabels": { "app": "web" } });
    json!({ "kind": "NetworkPolicy", "metadata": { "name": name, "namespace": "shop", "labels": labels }, "spec": spec })
}

fn pod(world: &World, namespace: &str, name: &str, app: &str) {
    let metadata = json!({ "name": name, "namespace": namespace, "labels": { "app": app } });
    world.kube.create(json!({ "kind": "Pod", "metadata": metadata })).unwrap();
}

impl World {
    /// The names of all objects of an entity but those that every cluster has.
    fn named(&self, entity: &str) -> Vec<String> {
        let all = self.vsd.snapshot(entity);
        let of_base = |name: &&str| {
            name.starts_with("Auto-generated ")
                || ["Namespace Annotations", "Network 10.96.0.0/12"].contains(name)
                || (name.starts_with("Service Group For Zone - ") && !name.ends_with("shop"))
        };
        let names = all.iter().filter_map(|object| object["name"].as_str());
        let mut names: Vec<String> = names.filter(|name| !of_base(name)).map(str::to_owned).collect();
        names.sort();
        names
    }

    /// The entries of a kind, as `location -> network protocol/ports action`, in the order of their priorities.
    fn entries(&self, entity: &str) -> Vec<String> {
        let mut names: BTreeMap<String, String> = BTreeMap::new();
        for entity in ["policygroup", "zone", "enterprisenetwork"] {
            for object in self.vsd.snapshot(entity) {
                names.insert(
                    object["ID"].as_str().unwrap().to_owned(),
                    object["name"].as_str().unwrap().to_owned(),
                );
            }
        }
        let side = |kind: &Value, id: &Value| match id.as_str() {
            Some(id) => names[id].clone(),
            None => kind.as_str().unwrap().to_owned(),
        };
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let mut entries = self.vsd.snapshot(entity);
        entries
            .retain(|entry| entry["description"].as_str().unwrap_or_default().starts_with("Network policy "));
        entries.sort_by_key(|entry| entry["priority"].as_u64());
        entries
            .iter()
            .map(|entry| {
                let location = side(&entry["locationType"], &entry["locationID"]);
                let network = side(&entry["networkType"], &entry["networkID"]);
                let (protocol, ports) = (text(&entry["protocol"]), text(&entry["destinationPort"]));
                format!("{location} -> {network} {protocol}/{ports} {}", text(&entry["action"]))
            })
            .collect()
    }

    async fn groups(&self, namespace: &str, pod: &str) -> Value {
        self.post(namespace, &json!({ "podName": pod }).to_string()).await.1["policyGroups"].clone()
    }
}

#[tokio::test(start_paused = true)]
async fn a_policy_becomes_groups_and_entries_of_both_directions_and_its_pods_are_told_of_them() {
    let world = followed().await;
    pod(&world, "shop", "web-0", "web");
    pod(&world, "shop", "db-0", "db");
    pod(&world, "bank", "web-0", "web");
    assert_eq!(world.groups("shop", "web-0").await, Value::Null);
    let spec = json!({ "ingress": [{
        "from": [{ "podSelector": { "matchLabels": { "app": "db" } } }],
        "ports": [{ "port": 80 }, { "port": 53, "protocol": "UDP" }, { "port": 8000, "endPort": 8010 }],
    }] });
    world.kube.create(policy("open", &json!({ "nuage.io/priority": "300" }), spec)).unwrap();
    settle().await;
    let (target, source) = ("PG Target For shop/open", "PG Source 0-0 For shop/open");
    assert_eq!(world.named("policygroup"), [source, target]);
    let both = |from: &str, to: &str| {
        ["6/80", "17/53", "6/8000-8010"].map(|ports| format!("{from} -> {to} {ports} FORWARD"))
    };
    assert_eq!(world.entries("ingressaclentrytemplate"), both(source, target));
    assert_eq!(world.entries("egressaclentrytemplate"), both(target, source));
    let templates = world.vsd.snapshot("ingressacltemplate");
    let template = templates.iter().find(|template| template["name"] == "shop/open").unwrap();
    assert_eq!(template["priority"], json!(300));
    assert_eq!(world.groups("shop", "web-0").await, json!([target]));
    assert_eq!(world.groups("shop", "db-0").await, json!([source]));
    assert_eq!(world.groups("bank", "web-0").await, Value::Null, "the original takes pods of all namespaces");

    world.kube.delete("NetworkPolicy", "shop", "open").unwrap();
    settle().await;
    for entity in ["policygroup", "ingressacltemplate", "egressacltemplate"] {
        assert_eq!(world.named(entity), [""; 0], "{entity}");
    }
    assert_eq!(world.entries("ingressaclentrytemplate"), [""; 0]);
    assert_eq!(world.groups("shop", "web-0").await, Value::Null);
}

#[tokio::test(start_paused = true)]
async fn egress_address_blocks_and_namespaces_are_entries_too() {
    let world = followed().await;
    let spec = json!({ "egress": [
        { "to": [{ "ipBlock": { "cidr": "192.0.2.0/24", "except": ["192.0.2.128/25"] } }] },
        { "to": [{ "namespaceSelector": { "matchLabels": { "team": "bank" } } }], "ports": [{ "port": 443 }] },
    ] });
    world.kube.create(policy("out", &json!({ "nuage.io/priority": "7" }), spec)).unwrap();
    settle().await;
    let target = "PG Target For shop/out";
    let expected = [
        format!("{target} -> Network 192.0.2.128/25 6/* DROP"),
        format!("{target} -> Network 192.0.2.0/24 6/* FORWARD"),
        format!("{target} -> bank 6/443 FORWARD"),
    ];
    assert_eq!(world.entries("ingressaclentrytemplate"), expected, "what leaves the pods");
    assert_eq!(world.entries("egressaclentrytemplate"), [format!("bank -> {target} 6/443 FORWARD")]);

    let labels = json!({ "team": "bank" });
    world
        .kube
        .create(json!({ "kind": "Namespace", "metadata": { "name": "vault", "labels": labels } }))
        .unwrap();
    settle().await;
    let of_vault = format!("{target} -> vault 6/443 FORWARD");
    assert!(world.entries("ingressaclentrytemplate").contains(&of_vault), "a namespace that comes later");
    assert_eq!(world.named("ingressacltemplate"), ["shop/out"]);
}

#[tokio::test(start_paused = true)]
async fn pods_that_are_there_before_a_policy_become_members_and_a_changed_policy_is_carried_out() {
    let world = followed().await;
    pod(&world, "shop", "web-0", "web");
    pod(&world, "shop", "db-0", "db");
    for name in ["web-0", "db-0"] {
        let subnet = world.place("shop", name).await;
        world.attach(&subnet, name).await;
    }
    let allow = |app: &str| json!({ "ingress": [{ "from": [{ "podSelector": { "matchLabels": { "app": app } } }] }] });
    let priority = json!({ "nuage.io/priority": "300" });
    world.kube.create(policy("open", &priority, allow("db"))).unwrap();
    settle().await;
    let members = async |group: &str| {
        let groups = world.vsd.snapshot("policygroup");
        let group = groups.iter().find(|known| known["name"] == group).unwrap();
        let path = format!("policygroups/{}/vports", group["ID"].as_str().unwrap());
        world.client().list(&path, None).await.unwrap().len()
    };
    assert_eq!(members("PG Target For shop/open").await, 1);
    assert_eq!(members("PG Source 0-0 For shop/open").await, 1);
    world
        .kube
        .update("NetworkPolicy", "shop", "open", |object| {
            object["spec"]["ingress"] = allow("nobody")["ingress"].clone();
        })
        .unwrap();
    settle().await;
    assert_eq!(members("PG Target For shop/open").await, 1);
    assert_eq!(members("PG Source 0-0 For shop/open").await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_policy_that_cannot_be_carried_out_leaves_nothing_behind() {
    let world = followed().await;
    let from = |peer: Value| json!({ "ingress": [{ "from": [peer] }] });
    let priority = json!({ "nuage.io/priority": "1" });
    let everybody = json!({ "podSelector": {} });
    for (name, labels, spec) in [
        ("without-priority", &json!({}), from(everybody.clone())),
        ("no-number", &json!({ "nuage.io/priority": "high" }), from(everybody)),
        ("nobody", &priority, from(json!({}))),
        ("no-network", &priority, from(json!({ "ipBlock": { "cidr": "here" } }))),
        ("named-port", &priority, json!({ "ingress": [{ "ports": [{ "port": "http" }] }] })),
    ] {
        world.kube.create(policy(name, labels, spec)).unwrap();
    }
    settle().await;
    assert_eq!(world.named("policygroup"), [""; 0]);
    assert_eq!(world.named("ingressacltemplate"), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn services_are_network_macros_in_their_namespaces_group() {
    let world = followed().await;
    let service = |name: &str, labels: Value, spec: Value| {
        let metadata = json!({ "name": name, "namespace": "shop", "labels": labels });
        world.kube.create(json!({ "kind": "Service", "metadata": metadata, "spec": spec })).unwrap();
    };
    service("web", json!({}), json!({ "clusterIP": "10.96.0.80" }));
    service("own", json!({ "nuage.io/network-macro-group.name": "mine" }), json!({}));
    service("private", json!({ "nuage.io/private-service": "true" }), json!({}));
    service("headless", json!({}), json!({ "clusterIP": "None" }));
    settle().await;
    let macros = |name: &str| format!("NetworkMacro for service shop--{name}");
    assert_eq!(world.named("enterprisenetwork"), [macros("own"), macros("web")]);
    assert_eq!(world.named("networkmacrogroup"), ["Service Group For Zone - shop", "mine"]);
    let address = |world: &World| {
        let all = world.vsd.snapshot("enterprisenetwork");
        let web = all.iter().find(|network| network["name"] == macros("web")).unwrap().clone();
        (web["address"].clone(), web["netmask"].clone())
    };
    assert_eq!(address(&world), (json!("10.96.0.80"), json!("255.255.255.255")));
    world
        .kube
        .update("Service", "shop", "web", |service| service["spec"]["clusterIP"] = json!("10.96.0.81"))
        .unwrap();
    world.kube.delete("Service", "shop", "own").unwrap();
    settle().await;
    assert_eq!(address(&world).0, "10.96.0.81");
    assert_eq!(world.named("enterprisenetwork"), [macros("web")]);
}
