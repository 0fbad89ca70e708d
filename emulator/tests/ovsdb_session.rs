//! What a session sees beyond single answers: waits beside other requests, updates before the reply, restarts.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test")]

use std::time::Duration;

use nuage_emulator::entropy::Entropy;
use nuage_emulator::vrs::{Vrs, VrsOptions};
use nuage_ovsdb::client::{Client, Limits, MonitorTable};
use nuage_ovsdb::rpc::{Decoder, Message};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const PATIENCE: Duration = Duration::from_secs(30);

fn vrs() -> Vrs {
    Vrs::new(Entropy::seeded(1), &VrsOptions::default()).unwrap()
}

fn client(vrs: &Vrs) -> Client {
    Client::spawn(vrs.connect().unwrap(), Limits::default())
}

fn insert(name: &str) -> Value {
    json!(["Open_vSwitch", {"op": "insert", "table": "Nuage_Port_Table", "row": {"name": name}}])
}

fn wait_for(name: &str, timeout: Option<u64>) -> Value {
    let mut wait = json!({
        "op": "wait", "table": "Nuage_Port_Table", "where": [["name", "==", name]], "columns": ["name"], "until": "==",
        "rows": [{"name": name}]
    });
    if let Some(timeout) = timeout {
        wait["timeout"] = json!(timeout);
    }
    json!(["Open_vSwitch", wait])
}

#[tokio::test(start_paused = true)]
async fn a_wait_ends_with_anothers_commit_and_holds_nothing_up_meanwhile() {
    let vrs = vrs();
    let (patient, writer) = (client(&vrs), client(&vrs));
    let waiting = patient.call("transact", wait_for("nu1", None), PATIENCE);
    let script = async {
        assert_eq!(patient.call("echo", json!([7]), PATIENCE).await.unwrap(), json!([7]));
        writer.call("transact", insert("nu0"), PATIENCE).await.unwrap();
        writer.call("transact", insert("nu1"), PATIENCE).await.unwrap();
    };
    let (answer, ()) = tokio::join!(waiting, script);
    assert_eq!(answer.unwrap(), json!([{}]));
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_nobody_ends_times_out_and_rolls_back() {
    let vrs = vrs();
    let client = client(&vrs);
    let mut params = insert("nu0").as_array().unwrap().clone();
    params.push(wait_for("nu1", Some(200))[1].clone());
    params.push(json!({"op": "comment", "comment": "never reached"}));
    let answer = client.call("transact", Value::Array(params), PATIENCE).await.unwrap();
    assert!(answer[0]["uuid"].is_array(), "{answer}");
    assert_eq!((&answer[1]["error"], &answer[2]), (&json!("timed out"), &Value::Null));
    assert!(answer[1]["details"].as_str().unwrap().contains("timed out after 200 ms"), "{answer}");
    assert!(vrs.server().rows("Open_vSwitch", "Nuage_Port_Table").is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_updates_of_an_own_transaction_come_before_its_reply() {
    let vrs = vrs();
    let mut stream = vrs.connect().unwrap();
    for (id, method, params) in [
        (1, "monitor", json!(["Open_vSwitch", "m", {"Nuage_Port_Table": {"columns": ["name"]}}])),
        (2, "transact", insert("nu1")),
    ] {
        let request = json!({"id": id, "method": method, "params": params});
        stream.write_all(request.to_string().as_bytes()).await.unwrap();
    }
    let mut decoder = Decoder::default();
    let mut seen = Vec::new();
    while seen.len() < 3 {
        match decoder.decode().unwrap() {
            Some(Message::Response { id, .. }) => seen.push(id.to_string()),
            Some(Message::Notification { method, .. }) => seen.push(method),
            Some(other) => panic!("{other:?}"),
            None => assert_ne!(stream.read_buf(decoder.buffer()).await.unwrap(), 0),
        }
    }
    assert_eq!(seen, ["1", "update", "2"]);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_loses_its_connection_and_nobody_elses() {
    let vrs = vrs();
    let lazy = vrs.connect().unwrap();
    let mut lazy = lazy;
    let monitor =
        json!({"id": 1, "method": "monitor", "params": ["Open_vSwitch", "m", {"Nuage_Port_Table": {}}]});
    lazy.write_all(monitor.to_string().as_bytes()).await.unwrap();
    let busy = client(&vrs);
    busy.call("echo", json!([]), PATIENCE).await.unwrap();
    assert_eq!(vrs.server().sessions(), 2);
    let long = "x".repeat(2000);
    for number in 0..20_000 {
        vrs.server().transact("Open_vSwitch", &[
            json!({"op": "delete", "table": "Nuage_Port_Table", "where": []}),
            json!({"op": "insert", "table": "Nuage_Port_Table", "row": {"name": format!("{number}{long}")}}),
        ]);
        if number % 100 == 0 {
            tokio::task::yield_now().await;
        }
    }
    busy.call("echo", json!([]), PATIENCE).await.unwrap();
    assert_eq!(vrs.server().sessions(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_breaks_the_protocol_ends_the_session_and_only_that() {
    let vrs = vrs();
    let good = client(&vrs);
    for bytes in
        [&b"[1]"[..], b"hello", br#"{"method":"echo","id":1}"#, br#"{"id":1,"result":1,"error":null}"#]
    {
        let mut bad = vrs.connect().unwrap();
        bad.write_all(bytes).await.unwrap();
        let mut rest = Vec::new();
        assert_eq!(bad.read_to_end(&mut rest).await.unwrap(), 0, "dropped without a word");
    }
    good.call("echo", json!([]), PATIENCE).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_monitor_of_the_client_follows_conditions_in_and_out() {
    let vrs = vrs();
    let (watcher, writer) = (client(&vrs), client(&vrs));
    let table = MonitorTable::new("Nuage_Port_Table", &["name", "ip_addr"]).only("ip_addr", "10.0.0.1");
    let mut monitor = watcher.monitor("Open_vSwitch", vec![table], PATIENCE).await.unwrap();
    writer.call("transact", insert("nu1"), PATIENCE).await.unwrap();
    for (address, comes) in [("10.0.0.1", true), ("10.0.0.2", false)] {
        let update =
            json!({"op": "update", "table": "Nuage_Port_Table", "where": [], "row": {"ip_addr": address}});
        writer.call("transact", json!(["Open_vSwitch", update]), PATIENCE).await.unwrap();
        let changes = monitor.next().await.unwrap();
        assert_eq!((changes[0].old.is_none(), changes[0].new.is_some()), (comes, comes));
    }
}
