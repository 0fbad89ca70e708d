//! What others do in the VSD reaches the rows of the switch.

use std::sync::atomic::Ordering;
use std::time::Duration;

use nuage_emulator::vsd::Site;
use serde_json::json;

use crate::world::{Pod, World, operator, settled, site, told, world};

fn interface_of(world: &World, name: &str) -> String {
    let interfaces = world.vsd.snapshot("containerinterface");
    let found = interfaces.iter().find(|interface| interface["name"] == format!("nu{name}")).unwrap();
    format!("containerinterfaces/{}", found["ID"].as_str().unwrap())
}

#[tokio::test(start_paused = true)]
async fn an_address_that_is_changed_in_the_vsd_reaches_the_row_and_stays() {
    let world = world();
    let fixed = json!(["map", [["static-ip", "10.1.0.9"]]]);
    world.add(&Pod { metadata: fixed, ..Pod::new("a") });
    world.add(&Pod::new("b"));
    let operator = operator(&world).await;
    for (name, address) in [("a", "10.1.0.77"), ("b", "10.1.0.78")] {
        operator.update(&interface_of(&world, name), &json!({ "IPAddress": address })).await.unwrap();
        told().await;
        assert_eq!(world.address(name), address);
    }
    assert_eq!(world.port("a")["metadata"], json!(["map", [["static-ip", "10.1.0.77"]]]));
    let subnet = world.vsd.snapshot("subnet")[0]["ID"].as_str().unwrap().to_owned();
    operator.update(&format!("subnets/{subnet}"), &json!({ "gateway": "10.1.0.254" })).await.unwrap();
    told().await;
    assert_eq!(world.port("a")["gateway"], json!("10.1.0.254"));
    assert_eq!((world.address("a"), world.address("b")), ("10.1.0.77".to_owned(), "10.1.0.78".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_port_whose_interface_is_deleted_in_the_vsd_loses_its_address_until_its_entity_starts_again() {
    for whole in [false, true] {
        let world = world();
        world.add(&Pod::new("a"));
        let operator = operator(&world).await;
        let gone = if whole {
            format!("containers/{}", world.vsd.snapshot("container")[0]["ID"].as_str().unwrap())
        } else {
            interface_of(&world, "a")
        };
        operator.delete(&gone).await.unwrap();
        told().await;
        assert_eq!(world.address("a"), "0.0.0.0");
        assert!(world.vsd.snapshot("containerinterface").is_empty(), "nobody makes it again");
        world.transact(&[
            json!({ "op": "update", "table": "Nuage_VM_Table", "where": [["vm_uuid", "==", "uuid-a"]],
                                 "row": { "event": 2, "event_type": 1 } }),
        ]);
        settled().await;
        assert_eq!(world.address("a"), "10.1.0.2");
    }
}

#[tokio::test(start_paused = true)]
async fn an_interface_that_is_moved_to_another_zone_takes_its_row_along() {
    let world = world();
    let elsewhere = Site { zone: "attic".to_owned(), ..site("top", "10.2.0.0/24") };
    world.vsd.bootstrap(&elsewhere).unwrap();
    world.add(&Pod::new("a"));
    let operator = operator(&world).await;
    let container = format!("containers/{}", world.vsd.snapshot("container")[0]["ID"].as_str().unwrap());
    let subnets = world.vsd.snapshot("subnet");
    let subnet = subnets.iter().find(|subnet| subnet["name"] == json!("top")).unwrap()["ID"].clone();
    operator.delete(&interface_of(&world, "a")).await.unwrap();
    let moved =
        json!({ "name": "nua", "VPortName": "nua", "MAC": "02:00:00:00:00:01", "attachedNetworkID": subnet });
    operator.create(&format!("{container}/containerinterfaces"), &moved).await.unwrap();
    told().await;
    let port = world.port("a");
    assert_eq!([&port["ip_addr"], &port["gateway"]], [&json!("10.2.0.2"), &json!("10.2.0.1")]);
    assert_eq!([&port["nuage_zone"], &port["nuage_network"]], [&json!("attic"), &json!("top")]);
    assert_eq!(world.vsd.snapshot("containerinterface").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_changes_while_the_vsd_is_away_is_followed_when_it_is_back() {
    let world = world();
    world.add(&Pod::new("a"));
    let operator = operator(&world).await;
    world.faults.unavailable.store(true, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_mins(1)).await;
    operator.update(&interface_of(&world, "a"), &json!({ "IPAddress": "10.1.0.99" })).await.unwrap();
    world.faults.unavailable.store(false, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs(40)).await;
    assert_eq!(world.address("a"), "10.1.0.99");
}

#[tokio::test(start_paused = true)]
async fn a_container_that_was_made_in_the_vsd_before_is_activated_by_rows_that_name_no_place() {
    let world = world();
    let operator = operator(&world).await;
    let subnet = world.vsd.snapshot("subnet")[0]["ID"].clone();
    let interface =
        json!({ "MAC": "02:00:00:00:00:01", "attachedNetworkID": subnet, "IPAddress": "10.1.0.42" });
    let made = json!({ "name": "a", "UUID": "uuid-a", "orchestrationID": "o", "interfaces": [interface] });
    world.transact(&[
        json!({ "op": "insert", "table": "Nuage_Port_Table", "row": {
            "name": "nua", "mac": "02:00:00:00:00:01", "bridge": "alubr0", "vm_domain": 4 } }),
        json!({ "op": "insert", "table": "Nuage_VM_Table", "row": {
            "type": 4, "event": 0, "event_type": 0, "state": 1, "vm_uuid": "uuid-a", "vm_name": "a", "ports": "nua",
            "metadata": ["map", [["nuage-extension", "true"]]] } }),
    ]);
    settled().await;
    assert_eq!(world.address("a"), "", "there is nothing to activate yet");
    operator.create("containers", &made).await.unwrap();
    tokio::time::sleep(Duration::from_secs(15)).await;
    let port = world.port("a");
    assert_eq!([&port["ip_addr"], &port["gateway"]], [&json!("10.1.0.42"), &json!("10.1.0.1")]);
    let domain = &world.vsd.snapshot("domain")[0];
    assert_eq!(port["vrf_id"], domain["serviceID"]);
    assert_eq!(world.vsd.snapshot("containerinterface").len(), 1);
    assert_eq!(world.vsd.snapshot("container")[0]["VRSID"], json!("node-1"));
    world.delete("Nuage_VM_Table", "vm_uuid", "uuid-a");
    settled().await;
    assert!(world.containers().is_empty());
}
