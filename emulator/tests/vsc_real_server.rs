//! The VSC against the real ovsdb-server that carries our schema: a bare one is made a VRS, and a port resolved.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test of a real peer, which may be missing"
)]

mod support;

use std::time::Duration;

use nuage_emulator::clock::Clock;
use nuage_emulator::entropy::Entropy;
use nuage_emulator::http::{PeerCertificate, in_process};
use nuage_emulator::vrs::DATABASE;
use nuage_emulator::vsc::{Connecting, Controller, Stream};
use nuage_emulator::vsd::{Site, Vsd};
use nuage_ovsdb::client::MonitorTable;
use nuage_ovsdb::operation::{Condition, Operation};
use nuage_ovsdb::value::Row;
use serde_json::{Value, json};
use support::RealServer;
use tokio::net::UnixStream;

const PATIENCE: Duration = Duration::from_secs(20);

fn row(columns: Value) -> Row {
    serde_json::from_value(columns).unwrap()
}

#[tokio::test]
async fn a_bare_real_server_is_made_a_vrs_and_its_port_is_resolved() {
    let test = "a_bare_real_server_is_made_a_vrs_and_its_port_is_resolved";
    let Some(server) = RealServer::start(test) else { return };
    let client = server.connect().await;
    let vsd = Vsd::new(Clock::System, Entropy::seeded(1));
    let names = ["acme", "cluster", "shop", "s"].map(str::to_owned);
    let [enterprise, domain, zone, subnet] = names;
    let address = "10.1.0.0/24".parse().unwrap();
    vsd.bootstrap(&Site { enterprise, domain, zone, subnet, address }).unwrap();
    let peer = PeerCertificate { common_name: "csproot".to_owned() };
    let controller =
        Controller::new(in_process(vsd.router(), Some(peer)), "https://vsd/nuage/api/v6").preparing();
    let socket = server.socket.clone();
    let task = tokio::spawn(async move {
        let connect = move || -> Connecting {
            let stream = UnixStream::connect(socket.clone());
            Box::pin(async move { Ok(Box::new(stream.await?) as Box<dyn Stream>) })
        };
        match controller.run(connect).await {}
    });

    let port = row(json!({
        "name": "nu1", "mac": "02:00:00:00:00:01", "bridge": "alubr0", "nuage_domain": "cluster",
        "nuage_zone": "shop", "nuage_network": "s", "metadata": ["map", [["static-ip", "10.1.0.9"]]],
    }));
    let entity = row(json!({
        "type": 4, "event": 2, "event_type": 0, "state": 1, "vm_uuid": "u", "vm_name": "pod",
        "nuage_enterprise": "acme", "ports": "nu1",
    }));
    let inserts = vec![
        Operation::insert("Nuage_Port_Table", &port, None),
        Operation::insert("Nuage_VM_Table", &entity, None),
    ];
    let watched = MonitorTable::new("Nuage_Port_Table", &["name", "ip_addr", "subnet_mask", "gateway"]);
    let mut monitor = client.monitor(DATABASE, vec![watched], PATIENCE).await.unwrap();
    client.transact(DATABASE, inserts, PATIENCE).await.unwrap();
    let resolved = async {
        loop {
            for change in monitor.next().await.unwrap() {
                if let Some(row) = change.new.filter(|row| row["ip_addr"] != "") {
                    return row;
                }
            }
        }
    };
    let resolved = tokio::time::timeout(PATIENCE, resolved).await.unwrap();
    assert_eq!((&resolved["ip_addr"], &resolved["gateway"]), (&json!("10.1.0.9"), &json!("10.1.0.1")));
    let look = vec![
        Operation::select("Controller", &[Condition::equals("role", "master")], &["is_connected"]),
        Operation::select("Bridge", &[], &["name"]),
    ];
    let found = client.transact(DATABASE, look, PATIENCE).await.unwrap();
    assert_eq!(found[0].rows()[0]["is_connected"], json!(true));
    assert_eq!(found[1].rows()[0]["name"], json!("alubr0"));
    task.abort();
}
