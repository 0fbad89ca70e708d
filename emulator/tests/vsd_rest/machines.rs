//! Promises about vPorts, interfaces, machines, policy groups, macros and metadata. Evidence: recorded replies of VSD 5.0
//! (default names, embedded interfaces, audit attributes) and the codes that neutron's plugin acts on (2526, 2529, 2504,
//! 2506, 2715, 2747, 2748, 7006, 7010, 7097, 7309).

use http::StatusCode;
use serde_json::{Value, json};

use crate::client::{Tree, tree};

impl Tree {
    async fn port(&self, name: &str, kind: &str) -> String {
        let body = json!({ "name": name, "type": kind });
        self.client.post(&format!("subnets/{}/vports", self.subnet), body).await.id()
    }
}

fn text(object: &Value, attribute: &str) -> String {
    object[attribute].as_str().unwrap().to_owned()
}

#[tokio::test(start_paused = true)]
async fn a_vm_is_made_with_its_interface_and_vport_by_the_default_names_and_takes_them_with_it() {
    let tree = tree().await;
    let client = &tree.client;
    let interface = json!({ "attachedNetworkID": tree.subnet, "attachedNetworkType": "SUBNET", "MAC": "02:00:00:00:00:01" });
    let body = json!({ "name": "vm-1", "UUID": "u1", "externalID": "u1@cms", "interfaces": [interface] });
    let made = client.post("vms", body.clone()).await;
    let vm = made.one();
    let interface = &vm["interfaces"][0];
    assert_eq!(
        [&interface["name"], &interface["VPortName"]],
        [&json!("vm-1-vm-interface-0"), &json!("vm-1-vPort-0")]
    );
    assert_eq!([&interface["IPAddress"], &interface["VMUUID"]], [&json!("10.1.0.2"), &json!("u1")]);
    assert_eq!(
        [&vm["status"], &vm["hypervisorIP"], &vm["deleteExpiry"]],
        [&json!("INIT"), &json!("FFFFFF"), &json!(0)]
    );
    assert_eq!([&vm["userName"], &vm["enterpriseName"]], [&json!("csproot"), &json!("acme")]);
    assert_eq!([&vm["domainIDs"], &vm["subnetIDs"]], [&json!([tree.domain]), &json!([tree.subnet])]);
    client.post("vms", body).await.refused(2748);
    let port = format!("vports/{}", text(interface, "VPortID"));
    assert_eq!(client.get(&port).await.one()["type"], json!("VM"));
    assert_eq!(client.get(&format!("{port}/vms")).await.names(), ["vm-1"]);
    assert_eq!(client.get(&format!("domains/{}/vms", tree.domain)).await.names(), ["vm-1"]);
    client.delete(&format!("subnets/{}?responseChoice=1", tree.subnet)).await.refused(2506);
    assert_eq!(client.delete(&format!("vms/{}", made.id())).await.status, StatusCode::NO_CONTENT);
    assert_eq!(client.get(&port).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test(start_paused = true)]
async fn an_interface_is_made_below_a_vport_too_and_a_vport_has_one_only() {
    let tree = tree().await;
    let client = &tree.client;
    let vm = client.post("vms", json!({ "name": "vm", "UUID": "u1" })).await.id();
    let port = tree.port("p", "VM").await;
    let interfaces = format!("vports/{port}/vminterfaces");
    client.post(&interfaces, json!({ "MAC": "02:00:00:00:00:01" })).await.refused(5001);
    let unknown = json!({ "VMUUID": "nobody" });
    assert_eq!(client.post(&interfaces, unknown).await.status, StatusCode::NOT_FOUND);
    let made = client.post(&interfaces, json!({ "VMUUID": "u1" })).await.one();
    assert_eq!(
        [&made["parentType"], &made["parentID"], &made["VPortID"]],
        [&json!("vm"), &json!(vm), &json!(port)]
    );
    assert_eq!(client.get(&interfaces).await.header("x-nuage-count"), "1");
    client.post(&interfaces, json!({ "VMUUID": "u1" })).await.refused(7010);
    client.post(&format!("vports/{port}/hostinterfaces"), json!({})).await.refused(7006);
    client.delete(&format!("vports/{port}")).await.refused(2506);
    assert_eq!(client.delete(&format!("vminterfaces/{}", text(&made, "ID"))).await.status, 204);
    assert_eq!(client.get(&format!("vports/{port}")).await.one()["hasAttachedInterfaces"], json!(false));

    let other = tree.subnet("other", "10.2.0.0", "255.255.255.0").await.id();
    let elsewhere = json!({ "VPortID": port, "attachedNetworkID": other });
    client.post(&format!("vms/{vm}/vminterfaces"), elsewhere).await.refused(2747);
    let host = client
        .post(&format!("vports/{port}/hostinterfaces"), json!({ "MAC": "02:00:00:00:00:02" }))
        .await
        .one();
    assert_eq!(host["IPAddress"], json!("10.1.0.2"));
    let bridge = tree.port("b", "BRIDGE").await;
    let made = client.post(&format!("vports/{bridge}/bridgeinterfaces"), json!({})).await.one();
    assert_eq!([&made["attachedNetworkID"], &made["VPortID"]], [&json!(tree.subnet), &json!(bridge)]);
}

#[tokio::test(start_paused = true)]
async fn a_machine_made_before_it_runs_keeps_its_address_for_whoever_comes_with_its_mac() {
    let tree = tree().await;
    let pod = json!({ "name": "pre", "UUID": "u1", "orchestrationID": "o", "interfaces":
        [{ "MAC": "02:00:00:00:00:07", "attachedNetworkID": tree.subnet, "IPAddress": "10.1.0.5" }] });
    let made = tree.client.post("containers", pod).await.one();
    assert_eq!([&made["VRSID"], &made["interfaces"][0]["IPAddress"]], [&Value::Null, &json!("10.1.0.5")]);
    tree.container("a", Some("10.1.0.5")).await.refused(2704);
}

#[tokio::test(start_paused = true)]
async fn policy_groups_and_redirection_targets_hold_vports_of_their_domain_seen_from_both_sides() {
    let tree = tree().await;
    let client = &tree.client;
    let made = tree.container("a", None).await.one();
    let (interface, port) = (text(&made["interfaces"][0], "ID"), text(&made["interfaces"][0], "VPortID"));
    let elsewhere = json!({ "name": "d2", "templateID": tree.template, "createBackHaulSubnet": false });
    let elsewhere = client.post(&format!("enterprises/{}/domains", tree.enterprise), elsewhere).await.id();
    for (kind, body) in [
        ("policygroup", json!({ "name": "x", "type": "SOFTWARE" })),
        ("redirectiontarget", json!({ "name": "x", "endPointType": "L3" })),
    ] {
        let here = client.post(&format!("domains/{}/{kind}s", tree.domain), body.clone()).await.id();
        let there = client.post(&format!("domains/{elsewhere}/{kind}s"), body).await.id();
        assert_eq!(client.put(&format!("{kind}s/{here}/vports"), json!([port])).await.status, 204);
        let wrong = client.put(&format!("{kind}s/{there}/vports"), json!([port])).await;
        assert_eq!(
            (wrong.status, wrong.code()),
            (StatusCode::CONFLICT, (kind == "policygroup").then_some(7309))
        );
        for seen in [format!("vports/{port}/{kind}s"), format!("containerinterfaces/{interface}/{kind}s")] {
            assert_eq!(client.get(&seen).await.names(), ["x"], "{seen}");
        }
    }
    let group = json!({ "name": "x", "endPointType": "L3" });
    client.post(&format!("domains/{}/redirectiontargets", tree.domain), group).await.refused(7016);
}

#[tokio::test(start_paused = true)]
async fn network_macros_are_ranges_that_one_macro_has_and_groups_hold_them() {
    let tree = tree().await;
    let client = &tree.client;
    let macros = format!("enterprises/{}/enterprisenetworks", tree.enterprise);
    let range = |name: &str, address: &str, netmask: &str| json!({ "name": name, "address": address, "netmask": netmask });
    let one = client.post(&macros, range("svc", "10.96.0.1", "255.255.255.255")).await.id();
    client.post(&macros, range("svc", "10.96.0.2", "255.255.255.255")).await.refused(2510);
    client.post(&macros, range("again", "10.96.0.1", "255.255.255.255")).await.refused(2504);
    client.post(&macros, range("bits", "10.96.0.1", "255.255.255.0")).await.refused(2526);
    client.post(&macros, range("mask", "10.96.0.0", "255.0.255.0")).await.refused(2529);
    let six = json!({ "name": "six", "IPType": "IPV6", "IPv6Address": "2001:db8::1/64" });
    client.post(&macros, six).await.refused(2526);
    let moved = json!({ "address": "10.96.0.9" });
    assert_eq!(client.put(&format!("enterprisenetworks/{one}"), moved).await.status, StatusCode::NO_CONTENT);
    let groups = format!("enterprises/{}/networkmacrogroups", tree.enterprise);
    let group = client.post(&groups, json!({ "name": "g" })).await.id();
    client.post(&groups, json!({ "name": "g" })).await.refused(2510);
    let members = format!("networkmacrogroups/{group}/enterprisenetworks?responseChoice=1");
    assert_eq!(client.put(&members, json!([one])).await.status, StatusCode::NO_CONTENT);
    assert_eq!(client.get(&members).await.names(), ["svc"]);
    assert_eq!(client.delete(&format!("enterprisenetworks/{one}")).await.status, StatusCode::NO_CONTENT);
    assert_eq!(client.get(&members).await.header("x-nuage-count"), "0");
}

#[tokio::test(start_paused = true)]
async fn metadata_says_what_it_is_about_and_every_object_who_made_and_changed_it_and_when() {
    let tree = tree().await;
    let client = &tree.client;
    let subnet = format!("subnets/{}", tree.subnet);
    let blob = client.post(&format!("{subnet}/metadatas"), json!({ "name": "m", "blob": "x" })).await.one();
    assert_eq!([&blob["assocEntityID"], &blob["assocEntityType"]], [&json!(tree.subnet), &json!("subnet")]);
    client.post(&format!("{subnet}/metadatas"), json!({ "name": "empty" })).await.refused(5001);
    let before = client.get(&subnet).await.one();
    let root = client.get("me").await.one()["ID"].clone();
    assert_eq!([&before["owner"], &before["lastUpdatedBy"]], [&root, &root]);
    assert_eq!(before["creationDate"], before["lastUpdatedDate"]);
    tokio::time::advance(std::time::Duration::from_secs(3)).await;
    client.put(&subnet, json!({ "description": "x" })).await;
    let after = client.get(&subnet).await.one();
    let date = |object: &Value, attribute: &str| object[attribute].as_u64().unwrap();
    assert_eq!(date(&after, "lastUpdatedDate") - date(&after, "creationDate"), 3000);
}

#[tokio::test(start_paused = true)]
async fn a_resynchronisation_runs_until_the_next_second_and_one_at_a_time() {
    let tree = tree().await;
    let client = &tree.client;
    let path = format!("subnets/{}/resync", tree.subnet);
    assert_eq!(client.post(&path, json!({})).await.one()["status"], json!("IN_PROGRESS"));
    client.post(&path, json!({})).await.refused(2715);
    tokio::time::advance(std::time::Duration::from_secs(1)).await;
    assert_eq!(client.get(&path).await.one()["status"], json!("SUCCESS"));
    assert_eq!(client.post(&path, json!({})).await.status, StatusCode::CREATED);
}
