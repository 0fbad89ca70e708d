//! Virtual machines beside containers: their rows, what the VSD has of them, and for how long.

use std::time::Duration;

use nuage_emulator::entropy::Entropy;
use nuage_emulator::vrs::{DATABASE, Vrs, VrsOptions};
use nuage_emulator::vsc::Controller;
use serde_json::{Value, json};

use crate::world::{Faults, Pod, URL, World, operator, peer, run, settled, site, told, world};

const VM: &str = "uuid-a";

/// The row of a virtual machine as it is defined, before it starts.
fn define(metadata: &Value) -> Value {
    json!({ "op": "insert", "table": "Nuage_VM_Table", "row": {
        "type": 0, "event": 0, "event_type": 0, "state": 1, "reason": 0, "domain": 0, "vm_uuid": VM, "vm_name": "a",
        "nuage_user": "admin", "nuage_enterprise": "acme", "ports": "nua", "metadata": metadata,
    } })
}

fn post(event: u8, kind: u8) -> Value {
    json!({ "op": "update", "table": "Nuage_VM_Table", "where": [["vm_uuid", "==", VM]],
            "row": { "event": event, "event_type": kind } })
}

impl World {
    /// A virtual machine is defined and started as a hypervisor does it.
    async fn start_vm(&self, metadata: &Value) {
        self.insert_port(&Pod::new("a"));
        self.transact(&[define(metadata)]);
        settled().await;
        self.transact(&[post(2, 0)]);
        settled().await;
    }

    fn vm(&self) -> Value {
        let mut machines = self.vsd.snapshot("vm");
        if machines.is_empty() { Value::Null } else { machines.remove(0) }
    }
}

fn nothing() -> Value {
    json!(["map", []])
}

#[tokio::test(start_paused = true)]
async fn a_virtual_machine_is_one_in_the_vsd_too_from_its_start_to_its_end() {
    let world = world();
    world.insert_port(&Pod::new("a"));
    world.transact(&[define(&nothing())]);
    settled().await;
    assert_eq!((world.address("a"), world.vm()), (String::new(), Value::Null), "defined is not started");
    world.transact(&[post(2, 0)]);
    settled().await;
    assert_eq!(world.address("a"), "10.1.0.2");
    let vm = world.vm();
    assert_eq!([&vm["UUID"], &vm["VRSID"], &vm["status"]], [&json!(VM), &json!("node-1"), &json!("RUNNING")]);
    let interface = &vm["interfaces"][0];
    assert_eq!([&interface["name"], &interface["IPAddress"]], [&json!("nua"), &json!("10.1.0.2")]);
    assert_eq!(world.vsd.snapshot("vport")[0]["type"], json!("VM"));
    assert!(world.containers().is_empty());
    world.delete("Nuage_VM_Table", "vm_uuid", VM);
    settled().await;
    assert_eq!((world.vm(), world.vsd.snapshot("vport").len()), (Value::Null, 0));
    assert_eq!(world.port("a")["name"], json!("nua"), "its port's row is the hypervisor's");
}

#[tokio::test(start_paused = true)]
async fn rows_of_hosts_and_bridges_are_nobodys_machines() {
    for kind in [1, 2, 3] {
        let world = world();
        world.add(&Pod::new("a"));
        world.transact(&[
            json!({ "op": "update", "table": "Nuage_VM_Table", "where": [], "row": { "type": kind } }),
        ]);
        settled().await;
        assert_eq!((world.containers().len(), world.vm()), (0, Value::Null), "type {kind}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_virtual_machine_that_was_made_in_the_vsd_before_is_activated_by_its_mac_address() {
    let world = world();
    let operator = operator(&world).await;
    let subnet = world.vsd.snapshot("subnet")[0]["ID"].clone();
    let interface =
        json!({ "MAC": "02:00:00:00:00:01", "attachedNetworkID": subnet, "IPAddress": "10.1.0.42" });
    let made = json!({ "name": "a", "UUID": VM, "interfaces": [interface] });
    operator.create("vms", &made).await.unwrap();
    world.transact(&[
        json!({ "op": "insert", "table": "Nuage_Port_Table", "row": {
            "name": "nua", "mac": "02:00:00:00:00:01", "bridge": "alubr0" } }),
        define(&json!(["map", [["nuage-extension", "true"]]])),
    ]);
    settled().await;
    assert_eq!(world.address("a"), "10.1.0.42");
    assert_eq!((world.vsd.snapshot("vminterface").len(), &world.vm()["status"]), (1, &json!("RUNNING")));
    let vm = world.vm()["ID"].as_str().unwrap().to_owned();
    operator.delete(&format!("vms/{vm}")).await.unwrap();
    told().await;
    assert_eq!(world.address("a"), "0.0.0.0", "what is deleted in the VSD has no address any more");
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_is_stopped_moved_and_started_has_an_address_of_its_new_subnet() {
    let world = world();
    world.vsd.bootstrap(&site("other", "10.2.0.0/24")).unwrap();
    world.start_vm(&nothing()).await;
    world.transact(&[post(5, 0)]);
    settled().await;
    assert!(world.vsd.snapshot("vport").is_empty(), "a stopped machine is detached");
    world.transact(&[
        json!({ "op": "update", "table": "Nuage_Port_Table", "where": [], "row": { "nuage_network": "other" } }),
        post(2, 0),
        post(2, 1),
    ]);
    settled().await;
    assert_eq!(world.address("a"), "10.2.0.2");
}

/// The rows of one switch, as somebody inserts them into another.
fn copies(world: &World) -> Vec<Value> {
    ["Nuage_Port_Table", "Nuage_VM_Table"]
        .into_iter()
        .flat_map(|table| {
            let rows = world.vrs.server().rows(DATABASE, table).into_iter();
            rows.map(move |(_, row)| {
                let mut row = serde_json::to_value(row).unwrap();
                row.as_object_mut().unwrap().retain(|column, _| !column.starts_with('_'));
                if table == "Nuage_Port_Table" {
                    row["ip_addr"] = json!("");
                }
                json!({ "op": "insert", "table": table, "row": row })
            })
        })
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_machine_keeps_its_address_when_it_migrates_whichever_switch_tells_first() {
    for destination_first in [true, false] {
        let world = world();
        world.start_vm(&nothing()).await;
        let options = VrsOptions { system_id: "node-2".to_owned(), ..VrsOptions::default() };
        let other = Vrs::new(Entropy::seeded(3), &options).unwrap();
        let _second = run(Controller::new(peer(&world.vsd, &Faults::default()), URL), &other);
        settled().await;
        let copies = copies(&world);
        if destination_first {
            other.server().transact(DATABASE, &copies);
            settled().await;
        }
        world.transact(&[post(5, 3)]);
        settled().await;
        world.delete("Nuage_VM_Table", "vm_uuid", VM);
        world.delete("Nuage_Port_Table", "name", "nua");
        settled().await;
        if !destination_first {
            let vm = world.vm();
            assert_eq!([&vm["status"], &vm["VRSID"]], [&json!("UNREACHABLE"), &json!("")]);
            other.server().transact(DATABASE, &copies);
            settled().await;
        }
        let vm = world.vm();
        assert_eq!([&vm["status"], &vm["VRSID"]], [&json!("RUNNING"), &json!("node-2")]);
        let port = &other.server().rows(DATABASE, "Nuage_Port_Table")[0].1;
        assert_eq!(port["ip_addr"], json!("10.1.0.2"), "destination first: {destination_first}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_migrated_to_nowhere_is_cleaned_up_after_two_hours() {
    let world = world();
    world.start_vm(&nothing()).await;
    world.transact(&[post(5, 3)]);
    tokio::time::sleep(Duration::from_secs(7_190)).await;
    assert_eq!(world.vm()["status"], json!("UNREACHABLE"));
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!((world.vm(), world.vsd.snapshot("vport").len()), (Value::Null, 0));
}

#[tokio::test(start_paused = true)]
async fn a_machine_with_a_timer_keeps_its_address_until_its_time_is_over_and_may_come_back() {
    let timer =
        |expiry: &str| json!(["map", [["nuage-delete-mode", "TIMER"], ["nuage-delete-expiry", expiry]]]);
    // Its own time, or the system's for purging.
    for (expiry, seconds) in [("300", 300), ("", 60), ("-1", 60)] {
        let world = world();
        world.start_vm(&timer(expiry)).await;
        assert_eq!(world.vm()["deleteMode"], json!("TIMER"));
        world.delete("Nuage_VM_Table", "vm_uuid", VM);
        tokio::time::sleep(Duration::from_secs(seconds - 5)).await;
        assert_eq!(world.vm()["status"], json!("DELETE_PENDING"), "{expiry:?}");
        world.add(&Pod::new("b"));
        settled().await;
        assert_eq!(world.address("b"), "10.1.0.3", "the address is kept");
        // It comes back, and goes again.
        world.transact(&[define(&timer(expiry)), post(2, 0)]);
        tokio::time::sleep(Duration::from_secs(seconds + 5)).await;
        assert_eq!((&world.vm()["status"], world.address("a")), (&json!("RUNNING"), "10.1.0.2".to_owned()));
        world.delete("Nuage_VM_Table", "vm_uuid", VM);
        tokio::time::sleep(Duration::from_secs(seconds + 5)).await;
        assert_eq!(world.vm(), Value::Null);
        world.add(&Pod::new("c"));
        settled().await;
        assert_eq!(world.address("c"), "10.1.0.2", "the address is free");
    }
}

#[tokio::test(start_paused = true)]
async fn the_reservation_of_an_address_says_that_its_machine_is_going() {
    let world = world();
    let operator = operator(&world).await;
    let subnet = world.vsd.snapshot("subnet")[0]["ID"].as_str().unwrap().to_owned();
    let reserved = json!({ "IPV4Address": "10.1.0.9" });
    operator.create(&format!("subnets/{subnet}/vmipreservations"), &reserved).await.unwrap();
    let state = || world.vsd.snapshot("vmipreservation")[0]["state"].clone();
    world.insert_port(&Pod { metadata: json!(["map", [["static-ip", "10.1.0.9"]]]), ..Pod::new("a") });
    world.transact(&[define(&json!(["map", [["nuage-delete-mode", "TIMER"]]])), post(2, 0)]);
    settled().await;
    assert_eq!(state(), json!("ASSIGNED"));
    world.delete("Nuage_VM_Table", "vm_uuid", VM);
    settled().await;
    assert_eq!(state(), json!("ASSIGNED_DELETE_PENDING"));
    tokio::time::sleep(Duration::from_mins(2)).await;
    assert_eq!(state(), json!("UNASSIGNED"));
}
