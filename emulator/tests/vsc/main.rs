//! Promises of the VSC, against the emulated VRS and the emulated VSD, over OVSDB's bytes in memory.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail by panicking")]

mod failover;
mod following;
mod machines;
mod second_address;
mod world;

use std::sync::atomic::Ordering;
use std::time::Duration;

use nuage_emulator::entropy::Entropy;
use nuage_emulator::vrs::{DATABASE, Vrs, VrsOptions};
use nuage_emulator::vsc::{Controller, prepare};
use nuage_emulator::vsd::client;
use nuage_ovsdb::client::{Client, Limits};
use serde_json::{Value, json};

use crate::world::{Faults, Pod, URL, World, peer, run, settled, site, vsd, world};

#[tokio::test(start_paused = true)]
async fn a_port_is_resolved_when_its_row_and_an_entity_that_lists_it_are_there() {
    let world = world();
    let pod = Pod::new("a");
    world.insert_port(&pod);
    settled().await;
    assert_eq!(world.address("a"), "");
    world.insert_entity(&pod);
    settled().await;
    let port = world.port("a");
    assert_eq!((&port["ip_addr"], &port["subnet_mask"]), (&json!("10.1.0.2"), &json!("255.255.255.0")));
    assert_eq!(port["gateway"], json!("10.1.0.1"));
    let (subnet, domain) = (world.vsd.snapshot("subnet").remove(0), world.vsd.snapshot("domain").remove(0));
    assert_eq!((&port["evpn_id"], &port["vrf_id"]), (&subnet["serviceID"], &domain["serviceID"]));
    let container = world.vsd.snapshot("container").remove(0);
    assert_eq!((&container["UUID"], &container["VRSID"]), (&json!("uuid-a"), &json!("node-1")));
    assert_eq!(container["userName"], json!("admin"));
    let vport = world.vsd.snapshot("vport").remove(0);
    assert_eq!((&vport["name"], &vport["active"]), (&json!("nua"), &json!(true)));
    assert_eq!(container["interfaces"][0]["MAC"], json!("02:00:00:00:00:01"));
}

#[tokio::test(start_paused = true)]
async fn the_entity_may_come_first_and_one_that_is_only_defined_resolves_once_it_starts() {
    let world = world();
    let pod = Pod::new("a");
    world.insert_entity(&pod);
    world.transact(&[
        json!({ "op": "update", "table": "Nuage_VM_Table", "where": [], "row": { "event": 0 } }),
    ]);
    settled().await;
    world.insert_port(&pod);
    settled().await;
    assert_eq!(world.address("a"), "");
    world.transact(&[
        json!({ "op": "update", "table": "Nuage_VM_Table", "where": [], "row": { "event": 2 } }),
    ]);
    settled().await;
    assert_eq!(world.address("a"), "10.1.0.2");
}

#[tokio::test(start_paused = true)]
async fn an_entity_that_goes_takes_its_objects_along_and_leaves_its_port_row() {
    let world = world();
    for name in ["a", "b"] {
        world.add(&Pod::new(name));
    }
    settled().await;
    assert_eq!((world.address("a"), world.address("b")), ("10.1.0.2".to_owned(), "10.1.0.3".to_owned()));
    world.delete("Nuage_VM_Table", "vm_uuid", "uuid-a");
    settled().await;
    assert_eq!(world.containers(), ["b"]);
    assert_eq!(world.vsd.snapshot("vport").len(), 1);
    assert_eq!(world.port("a")["name"], json!("nua"));
    world.delete("Nuage_Port_Table", "name", "nua");
    world.add(&Pod::new("c"));
    settled().await;
    assert_eq!(world.address("c"), "10.1.0.2", "what was freed is given again");
}

#[tokio::test(start_paused = true)]
async fn stopped_and_undefined_entities_lose_their_objects() {
    for (event, kind) in [(5, 0), (5, 1), (1, 0)] {
        let world = world();
        world.add(&Pod::new("a"));
        settled().await;
        assert_eq!(world.containers(), ["a"]);
        let row = json!({ "event": event, "event_type": kind });
        world.transact(&[json!({ "op": "update", "table": "Nuage_VM_Table", "where": [], "row": row })]);
        settled().await;
        assert!(world.containers().is_empty(), "{event}/{kind}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_static_address_is_honoured_and_one_that_is_taken_is_waited_for() {
    let world = world();
    let fixed = |name| Pod { metadata: json!(["map", [["static-ip", "10.1.0.77"]]]), ..Pod::new(name) };
    world.add(&fixed("a"));
    settled().await;
    world.add(&fixed("b"));
    settled().await;
    assert_eq!((world.address("a"), world.address("b")), ("10.1.0.77".to_owned(), String::new()));
    world.delete("Nuage_VM_Table", "vm_uuid", "uuid-a");
    tokio::time::sleep(Duration::from_secs(11)).await;
    assert_eq!(world.address("b"), "10.1.0.77");
}

#[tokio::test(start_paused = true)]
async fn a_port_of_an_unknown_subnet_waits_without_holding_up_others_until_the_subnet_is_there() {
    let world = world();
    world.add(&Pod { subnet: "later", ..Pod::new("a") });
    world.add(&Pod::new("b"));
    tokio::time::sleep(Duration::from_hours(1)).await;
    assert_eq!((world.address("a"), world.address("b")), (String::new(), "10.1.0.2".to_owned()));
    assert_eq!(world.containers(), ["b"]);
    world.vsd.bootstrap(&site("later", "10.2.0.0/24")).unwrap();
    tokio::time::sleep(Duration::from_secs(11)).await;
    assert_eq!(world.address("a"), "10.2.0.2");
}

#[tokio::test(start_paused = true)]
async fn a_vsd_that_fails_is_asked_again() {
    let world = world();
    world.faults.unavailable.store(true, Ordering::Relaxed);
    world.add(&Pod::new("a"));
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert_eq!(world.address("a"), "");
    world.faults.unavailable.store(false, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs(11)).await;
    assert_eq!(world.address("a"), "10.1.0.2");
}

#[tokio::test(start_paused = true)]
async fn after_a_restart_of_the_switch_addresses_stay_and_what_went_meanwhile_is_removed() {
    let world = world();
    for name in ["a", "b"] {
        world.add(&Pod::new(name));
    }
    settled().await;
    world.vrs.stop();
    settled().await;
    world.delete("Nuage_VM_Table", "vm_uuid", "uuid-a");
    world.delete("Nuage_Port_Table", "name", "nua");
    world.add(&Pod::new("c"));
    // The row forgets its answer, the VSD does not.
    let forget = json!({ "ip_addr": "", "subnet_mask": "", "gateway": "" });
    world.transact(&[json!({ "op": "update", "table": "Nuage_Port_Table", "where": [], "row": forget })]);
    tokio::time::sleep(Duration::from_mins(1)).await;
    world.vrs.start(false);
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(world.containers(), ["b", "c"]);
    assert_eq!(world.address("b"), "10.1.0.3");
    assert!(!world.address("c").is_empty());
    world.vrs.stop();
    world.vrs.start(true);
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert!(world.containers().is_empty(), "rows that a restart lost are gone");
}

#[tokio::test(start_paused = true)]
async fn a_container_of_another_switch_is_taken_over_but_never_removed() {
    let world = world();
    world.add(&Pod::new("a"));
    settled().await;
    let options = VrsOptions { system_id: "node-2".to_owned(), ..VrsOptions::default() };
    let other = Vrs::new(Entropy::seeded(3), &options).unwrap();
    let _second = run(Controller::new(peer(&world.vsd, &Faults::default()), URL), &other);
    settled().await;
    assert_eq!(world.containers(), ["a"], "an empty switch removes nothing of another");
    for (_, row) in world.vrs.server().rows(DATABASE, "Nuage_Port_Table") {
        let mut row = serde_json::to_value(row).unwrap();
        row.as_object_mut().unwrap().retain(|column, _| !column.starts_with('_'));
        row["ip_addr"] = json!("");
        other
            .server()
            .transact(DATABASE, &[json!({ "op": "insert", "table": "Nuage_Port_Table", "row": row })]);
    }
    for (_, row) in world.vrs.server().rows(DATABASE, "Nuage_VM_Table") {
        let mut row = serde_json::to_value(row).unwrap();
        row.as_object_mut().unwrap().retain(|column, _| !column.starts_with('_'));
        other
            .server()
            .transact(DATABASE, &[json!({ "op": "insert", "table": "Nuage_VM_Table", "row": row })]);
    }
    settled().await;
    world.delete("Nuage_VM_Table", "vm_uuid", "uuid-a");
    settled().await;
    assert_eq!(world.containers(), ["a"]);
    assert_eq!(world.vsd.snapshot("container")[0]["VRSID"], json!("node-2"));
    assert_eq!(other.server().rows(DATABASE, "Nuage_Port_Table")[0].1["ip_addr"], json!("10.1.0.2"));
}

#[tokio::test(start_paused = true)]
async fn two_ports_of_one_entity_have_an_interface_each_and_come_and_go_alone() {
    let world = world();
    let (a, b) = (Pod::new("a"), Pod::new("b"));
    world.add(&a);
    settled().await;
    world.insert_port(&b);
    let ports = |ports: Value| json!({ "op": "update", "table": "Nuage_VM_Table", "where": [], "row": { "ports": ports } });
    world.transact(&[ports(json!(["set", ["nua", "nub"]]))]);
    settled().await;
    assert_eq!((world.address("a"), world.address("b")), ("10.1.0.2".to_owned(), "10.1.0.3".to_owned()));
    assert_eq!((world.containers().len(), world.vsd.snapshot("containerinterface").len()), (1, 2));
    world.transact(&[ports(json!("nub"))]);
    settled().await;
    let left = world.vsd.snapshot("containerinterface");
    assert_eq!((left.len(), &left[0]["name"], &left[0]["IPAddress"]), (1, &json!("nub"), &json!("10.1.0.3")));
}

#[tokio::test(start_paused = true)]
async fn a_port_that_moves_to_another_subnet_gets_an_address_there() {
    let world = world();
    world.vsd.bootstrap(&site("t", "10.2.0.0/24")).unwrap();
    world.add(&Pod::new("a"));
    settled().await;
    let row = json!({ "nuage_network": "t" });
    world.transact(&[json!({ "op": "update", "table": "Nuage_Port_Table", "where": [], "row": row })]);
    settled().await;
    assert_eq!(world.address("a"), "10.2.0.2");
    assert_eq!(world.vsd.snapshot("containerinterface").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_comes_too_late_is_not_written_into_a_row_that_asks_for_something_else() {
    let world = world();
    world.vsd.bootstrap(&site("t", "10.2.0.0/24")).unwrap();
    settled().await;
    world.faults.delay.store(1_000, Ordering::Relaxed);
    world.add(&Pod::new("a"));
    // Container, enterprise, domain, zone and subnet are looked up, then the container is made.
    tokio::time::sleep(Duration::from_millis(5_500)).await;
    let row = json!({ "nuage_network": "t" });
    world.transact(&[json!({ "op": "update", "table": "Nuage_Port_Table", "where": [], "row": row })]);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!((world.containers(), world.address("a")), (vec!["a".to_owned()], String::new()));
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(world.address("a"), "10.2.0.2");
}

#[tokio::test(start_paused = true)]
async fn a_row_that_goes_while_it_is_resolved_leaves_nothing_behind() {
    let world = world();
    world.faults.delay.store(1_000, Ordering::Relaxed);
    world.add(&Pod::new("a"));
    tokio::time::sleep(Duration::from_millis(6_500)).await;
    world.delete("Nuage_VM_Table", "vm_uuid", "uuid-a");
    world.delete("Nuage_Port_Table", "name", "nua");
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert!(world.containers().is_empty() && world.vsd.snapshot("vport").is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_vport_joins_the_policy_groups_it_names_and_a_missing_one_does_not_matter() {
    let world = world();
    let client = client::Client::new(peer(&world.vsd, &Faults::default()), URL);
    let domain = world.vsd.snapshot("domain")[0]["ID"].as_str().unwrap().to_owned();
    let group = json!({ "name": "web", "type": "SOFTWARE" });
    let group = client.create(&format!("domains/{domain}/policygroups"), &group).await.unwrap();
    world.add(&Pod { metadata: json!(["map", [["nuage-policy-group", "web, none"]]]), ..Pod::new("a") });
    settled().await;
    assert_eq!(world.address("a"), "10.1.0.2");
    let members = format!("policygroups/{}/vports", group["ID"].as_str().unwrap());
    assert_eq!(client.list(&members, None).await.unwrap()[0]["name"], json!("nua"));
}

#[tokio::test(start_paused = true)]
async fn the_vport_joins_the_redirection_target_it_names() {
    let world = world();
    let client = client::Client::new(peer(&world.vsd, &Faults::default()), URL);
    let domain = world.vsd.snapshot("domain")[0]["ID"].as_str().unwrap().to_owned();
    let target = json!({ "name": "firewall", "endPointType": "L3" });
    let target = client.create(&format!("domains/{domain}/redirectiontargets"), &target).await.unwrap();
    world.add(&Pod { metadata: json!(["map", [["nuage-redirection-target", "firewall"]]]), ..Pod::new("a") });
    settled().await;
    let members = format!("redirectiontargets/{}/vports", target["ID"].as_str().unwrap());
    assert_eq!(client.list(&members, None).await.unwrap()[0]["name"], json!("nua"));
}

#[tokio::test(start_paused = true)]
async fn a_burst_of_pods_is_resolved_without_an_address_given_twice() {
    let world = world();
    for number in 0..200 {
        world.add(&Pod::new(&number.to_string()));
    }
    settled().await;
    let mut addresses: Vec<String> = (0..200).map(|number| world.address(&number.to_string())).collect();
    addresses.sort();
    addresses.dedup();
    assert_eq!((addresses.len(), addresses.contains(&String::new())), (200, false));
    world.transact(&[json!({ "op": "delete", "table": "Nuage_VM_Table", "where": [] })]);
    settled().await;
    assert!(world.containers().is_empty() && world.vsd.snapshot("vport").is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_same_events_make_the_same_objects_and_the_same_answers() {
    let run = async || {
        let world = world();
        world.faults.delay.store(7, Ordering::Relaxed);
        for number in 0..40 {
            world.add(&Pod::new(&number.to_string()));
            if number % 3 == 0 {
                world.delete("Nuage_VM_Table", "vm_uuid", &format!("uuid-{}", number / 2));
                settled().await;
            }
        }
        tokio::time::sleep(Duration::from_mins(1)).await;
        let rows = world.vrs.server().rows(DATABASE, "Nuage_Port_Table");
        let objects = ["container", "containerinterface", "vport"].map(|entity| world.vsd.snapshot(entity));
        format!("{rows:?} {objects:?}")
    };
    assert_eq!(run().await, run().await);
}

#[tokio::test(start_paused = true)]
async fn preparing_makes_a_bare_switch_a_vrs_once() {
    let vrs = Vrs::new(Entropy::seeded(2), &VrsOptions { empty: true, ..VrsOptions::default() }).unwrap();
    let client = Client::spawn(vrs.connect().unwrap(), Limits::default());
    prepare(&client).await.unwrap();
    prepare(&client).await.unwrap();
    let rows = |table| vrs.server().rows(DATABASE, table);
    assert_eq!(rows("Open_vSwitch").len(), 1);
    assert_eq!((rows("Bridge").len(), &rows("Bridge")[0].1["name"]), (1, &json!("alubr0")));
    assert_eq!((rows("Controller").len(), &rows("Controller")[0].1["role"]), (1, &json!("master")));
    let forget = json!({ "role": ["set", []], "is_connected": false });
    vrs.server()
        .transact(DATABASE, &[json!({ "op": "update", "table": "Controller", "where": [], "row": forget })]);
    prepare(&client).await.unwrap();
    assert_eq!((rows("Controller").len(), &rows("Controller")[0].1["role"]), (1, &json!("master")));

    let vsd = vsd();
    let controller = Controller::new(peer(&vsd, &Faults::default()), URL).preparing();
    let task = run(controller, &vrs);
    let world = World { vsd, vrs: vrs.clone(), faults: Faults::default(), _controller: task };
    world.add(&Pod::new("a"));
    settled().await;
    assert_eq!(world.address("a"), "10.1.0.2");
    assert_eq!(
        world.vsd.snapshot("container")[0]["VRSID"].as_str(),
        Some(rows("Open_vSwitch")[0].0.to_string().as_str())
    );
}
