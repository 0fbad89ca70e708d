//! Faults of the switch as a client of it meets them: what is cut, late, in parts, refused, or in another order.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test")]

use std::time::Duration;

use nuage_emulator::entropy::Entropy;
use nuage_emulator::faults::{Faults, Setting, SwitchFaults, Value as Given, Values};
use nuage_emulator::vrs::{DATABASE, Vrs, VrsOptions};
use nuage_ovsdb::client::{Client, Limits};
use nuage_ovsdb::rpc::{Decoder, Message};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

const PATIENCE: Duration = Duration::from_mins(1);

fn switch() -> (Vrs, Faults) {
    let vrs = Vrs::new(Entropy::seeded(1), &VrsOptions::default()).unwrap();
    let faults = Faults::new(Entropy::seeded(2));
    vrs.server().set_faults(SwitchFaults::new(faults.clone(), "node-1"));
    (vrs, faults)
}

fn client(vrs: &Vrs) -> Client {
    Client::spawn(vrs.connect_as("ADD").unwrap(), Limits::default())
}

fn once(values: Values) -> Setting {
    Setting { times: Some(1), values, ..Setting::default() }
}

fn insert(name: &str) -> Value {
    json!([DATABASE, {"op": "insert", "table": "Nuage_Port_Table", "row": {"name": name}}])
}

fn ports(vrs: &Vrs) -> Vec<Value> {
    vrs.server().rows(DATABASE, "Nuage_Port_Table").into_iter().map(|(_, row)| row["name"].clone()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_cut_off_was_not_carried_out() {
    let (vrs, faults) = switch();
    faults.on("vrs.disconnect", once(Values::default())).unwrap();
    client(&vrs).call("transact", insert("nu1"), PATIENCE).await.unwrap_err();
    assert!(ports(&vrs).is_empty());
    client(&vrs).call("transact", insert("nu1"), PATIENCE).await.unwrap();
    assert_eq!(faults.hits().len(), 1);
    assert!(faults.hits().contains_key(&("vrs.disconnect", "ADD".into())));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_cut_off_is_of_a_request_that_was_carried_out() {
    let (vrs, faults) = switch();
    faults.on("vrs.cut_reply", once(Values::default())).unwrap();
    client(&vrs).call("transact", insert("nu1"), PATIENCE).await.unwrap_err();
    assert_eq!(ports(&vrs), ["nu1"]);
    assert_eq!(vrs.server().sessions(), 0, "the session ends with its stream");
}

#[tokio::test(start_paused = true)]
async fn answers_are_late_or_come_in_parts_and_are_whole() {
    let seconds = Duration::from_secs;
    for (fault, parameter) in [("vrs.slow", "delay"), ("vrs.partial_reply", "pause")] {
        let (vrs, faults) = switch();
        faults
            .on(fault, once(Values::default().with(parameter, Given::Span(seconds(7), seconds(9)))))
            .unwrap();
        let client = client(&vrs);
        let began = tokio::time::Instant::now();
        let answer = client.call("get_schema", json!([DATABASE]), PATIENCE).await.unwrap();
        assert_eq!(answer["name"], DATABASE);
        assert!((seconds(7)..=seconds(9)).contains(&began.elapsed()), "{fault}: {:?}", began.elapsed());
        client.call("echo", json!([]), seconds(1)).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn one_operation_fails_and_with_it_the_transaction() {
    let (vrs, faults) = switch();
    let text = |text: &str| Given::Text(text.to_owned());
    let values = Values::default().with("op", text("insert")).with("table", text("Nuage_VM_Table"));
    faults.on("vrs.operation_error", once(values.with("error", text("I/O error")))).unwrap();
    let client = client(&vrs);
    let both = || {
        json!([
            DATABASE,
            {"op": "select", "table": "Bridge", "where": [], "columns": ["name"]},
            {"op": "insert", "table": "Nuage_Port_Table", "row": {"name": "nu1"}},
            {"op": "insert", "table": "Nuage_VM_Table", "row": {"vm_uuid": "u"}},
            {"op": "comment", "comment": "never reached"}
        ])
    };
    let answer = client.call("transact", both(), PATIENCE).await.unwrap();
    assert_eq!((&answer[0]["rows"][0]["name"], &answer[2]["error"]), (&json!("alubr0"), &json!("I/O error")));
    assert!(answer[1]["uuid"].is_array() && answer[3].is_null(), "{answer}");
    assert!(ports(&vrs).is_empty());
    let answer = client.call("transact", both(), PATIENCE).await.unwrap();
    assert!(answer[2]["uuid"].is_array(), "{answer}");
}

/// The names of the next messages: the method of a notification, `answer` for a response.
async fn next(stream: &mut DuplexStream, decoder: &mut Decoder, count: usize) -> Vec<String> {
    let mut seen = Vec::new();
    while seen.len() < count {
        match decoder.decode().unwrap() {
            Some(Message::Notification { method, .. }) => seen.push(method),
            Some(Message::Response { .. }) => seen.push("answer".to_owned()),
            Some(Message::Request { .. }) => {}
            None => assert!(stream.read_buf(decoder.buffer()).await.unwrap() > 0, "{seen:?}"),
        }
    }
    seen
}

async fn ask(stream: &mut DuplexStream, method: &str, params: Value) {
    let request = json!({"method": method, "params": params, "id": 1});
    stream.write_all(request.to_string().as_bytes()).await.unwrap();
}

fn watch() -> Value {
    json!([DATABASE, "watch", {"Nuage_Port_Table": [{"columns": ["name"]}]}])
}

#[tokio::test(start_paused = true)]
async fn an_answer_comes_before_or_after_the_updates_that_it_caused() {
    let (vrs, faults) = switch();
    let (mut stream, mut decoder) = (vrs.connect().unwrap(), Decoder::default());
    ask(&mut stream, "monitor", watch()).await;
    assert_eq!(next(&mut stream, &mut decoder, 1).await, ["answer"]);
    ask(&mut stream, "transact", insert("nu1")).await;
    assert_eq!(next(&mut stream, &mut decoder, 2).await, ["update", "answer"]);
    faults.on("vrs.reply_first", once(Values::default())).unwrap();
    ask(&mut stream, "transact", insert("nu2")).await;
    assert_eq!(next(&mut stream, &mut decoder, 2).await, ["answer", "update"]);
    ask(&mut stream, "transact", insert("nu3")).await;
    assert_eq!(next(&mut stream, &mut decoder, 2).await, ["update", "answer"]);
}

#[tokio::test(start_paused = true)]
async fn an_update_comes_before_the_answer_to_the_registration() {
    let (vrs, faults) = switch();
    let (mut stream, mut decoder) = (vrs.connect().unwrap(), Decoder::default());
    faults.on("vrs.update_first", once(Values::default())).unwrap();
    ask(&mut stream, "monitor", watch()).await;
    // Once the registration is under way; nobody else answers on this connection.
    tokio::time::sleep(Duration::from_secs(1)).await;
    client(&vrs).call("transact", insert("nu1"), PATIENCE).await.unwrap();
    assert_eq!(next(&mut stream, &mut decoder, 2).await, ["update", "answer"]);
}

#[tokio::test(start_paused = true)]
async fn a_lost_controller_is_the_same_when_it_is_back() {
    let (vrs, _) = switch();
    let other = json!({"target": "tcp:192.0.2.1:6633", "role": "slave", "is_connected": true, "external_ids": ["map", [["a", "b"]]]});
    vrs.server().transact(DATABASE, &[
        json!({"op": "insert", "table": "Controller", "uuid-name": "c", "row": other}),
        json!({"op": "mutate", "table": "Bridge", "where": [], "mutations": [["controller", "insert", ["named-uuid", "c"]]]}),
    ]);
    let controllers = || {
        let columns = ["target", "role", "is_connected", "external_ids"];
        vrs.server().columns(DATABASE, "Controller", &columns)
    };
    let before = controllers();
    vrs.suffer("vrs.controller_lost");
    assert!(controllers().iter().all(|row| row["role"] == "slave"), "{:?}", controllers());
    vrs.recover("vrs.controller_lost", &Values::default());
    assert_eq!(controllers(), before);
    assert_eq!(before.len(), 2);
}
