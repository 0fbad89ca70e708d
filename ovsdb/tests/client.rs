//! The client against scripted peers in memory: what a real server cannot be made to do on demand.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test")]

use std::time::Duration;

use nuage_ovsdb::Error;
use nuage_ovsdb::client::{Client, Limits, MonitorTable};
use nuage_ovsdb::operation::Operation;
use nuage_ovsdb::rpc::{Decoder, Message};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

const PATIENCE: Duration = Duration::from_secs(5);

struct Peer {
    stream: DuplexStream,
    decoder: Decoder,
}

impl Peer {
    fn new() -> (Client, Self) {
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        (Client::spawn(ours, Limits::default()), Self { stream: theirs, decoder: Decoder::default() })
    }

    async fn receive(&mut self) -> Message {
        loop {
            if let Some(message) = self.decoder.decode().unwrap() {
                return message;
            }
            assert_ne!(self.stream.read_buf(self.decoder.buffer()).await.unwrap(), 0, "the client went away");
        }
    }

    async fn expect_request(&mut self, method: &str) -> Value {
        match self.receive().await {
            Message::Request { method: found, id, .. } if found == method => id,
            other => panic!("{other:?}"),
        }
    }

    async fn send(&mut self, text: &Value) {
        self.stream.write_all(text.to_string().as_bytes()).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_nobody_answers_ends_at_its_deadline() {
    let (client, mut peer) = Peer::new();
    let call = client.call("echo", json!([]), PATIENCE);
    let (result, _) = tokio::join!(call, peer.expect_request("echo"));
    assert_eq!(result, Err(Error::Timeout(PATIENCE)));
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_stream_fails_all_calls_at_once() {
    let (client, mut peer) = Peer::new();
    let calls =
        async { tokio::join!(client.call("a", json!([]), PATIENCE), client.call("b", json!([]), PATIENCE)) };
    let gone = async move {
        peer.expect_request("a").await;
        peer.expect_request("b").await;
    };
    let started = tokio::time::Instant::now();
    let (results, ()) = tokio::join!(calls, gone);
    assert_eq!(results, (Err(Error::Closed), Err(Error::Closed)));
    assert_eq!(started.elapsed(), Duration::ZERO);
    assert_eq!(client.call("c", json!([]), PATIENCE).await, Err(Error::Closed));
}

#[tokio::test(start_paused = true)]
async fn the_servers_echo_is_answered_and_answers_may_come_in_any_order() {
    let (client, mut peer) = Peer::new();
    let calls =
        async { tokio::join!(client.call("a", json!([]), PATIENCE), client.call("b", json!([]), PATIENCE)) };
    let script = async {
        let (first, second) = (peer.expect_request("a").await, peer.expect_request("b").await);
        peer.send(&json!({"id": "echo", "method": "echo", "params": [1]})).await;
        let expected = Message::Response { result: json!([1]), error: Value::Null, id: json!("echo") };
        assert_eq!(peer.receive().await, expected);
        peer.send(&json!({"id": second, "result": "b", "error": null})).await;
        peer.send(&json!({"id": first, "error": {"error": "x"}})).await;
        peer
    };
    let ((a, b), _peer) = tokio::join!(calls, script);
    assert_eq!(a, Err(Error::Refused { method: "a".into(), error: json!({"error": "x"}) }));
    assert_eq!(b, Ok(json!("b")));
}

#[tokio::test(start_paused = true)]
async fn an_operations_error_and_a_commits_error_are_told_apart() {
    let (client, mut peer) = Peer::new();
    let failure = json!({"error": "timed out", "details": "d"});
    for (answer, expected) in [
        (
            json!([{}, failure, null]),
            Error::Operation { index: 1, error: "timed out".into(), details: "d".into() },
        ),
        (json!([{}, {}, {}, failure]), Error::Commit { error: "timed out".into(), details: "d".into() }),
    ] {
        let operations = vec![Operation::comment("x"); 3];
        let script = async {
            let id = peer.expect_request("transact").await;
            peer.send(&json!({"id": id, "result": answer, "error": null})).await;
        };
        let (result, ()) = tokio::join!(client.transact("db", operations, PATIENCE), script);
        assert_eq!(result, Err(expected));
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_without_monitor_cond_gets_monitor_and_the_rows_are_selected_here() {
    let (client, mut peer) = Peer::new();
    let uuids = ["00000000-0000-0000-0000-000000000001", "00000000-0000-0000-0000-000000000002"];
    let script = async {
        let id = peer.expect_request("monitor_cond").await;
        peer.send(&json!({"id": id, "error": "unknown method"})).await;
        let Message::Request { method, params, id } = peer.receive().await else { panic!("a request") };
        assert_eq!(method, "monitor");
        let initial = json!({"T": {uuids[0]: {"new": {"name": "a", "x": 1}}, uuids[1]: {"new": {"name": "b", "x": 1}}}});
        peer.send(&json!({"id": id, "result": initial, "error": null})).await;
        let change = json!({"T": {uuids[1]: {"new": {"name": "b", "x": 2}}}});
        peer.send(&json!({"id": null, "method": "update", "params": [params[1], change]})).await;
        let change = json!({"T": {uuids[0]: {"new": {"name": "a", "x": 2}}}});
        peer.send(&json!({"id": null, "method": "update", "params": [params[1], change]})).await;
    };
    let watch = async {
        let table = MonitorTable::new("T", &["name", "x"]).only("name", "a");
        let mut monitor = client.monitor("db", vec![table], PATIENCE).await.unwrap();
        assert_eq!(monitor.rows().len(), 1);
        let changes = monitor.next().await.unwrap();
        assert_eq!(changes.len(), 1);
        assert_eq!(changes[0].new.as_ref().unwrap()["x"], 2);
    };
    tokio::join!(watch, script);
}

#[tokio::test(start_paused = true)]
async fn a_watch_whose_rows_were_handed_over_tells_each_change_without_what_was_before() {
    let (client, mut peer) = Peer::new();
    let uuid = "00000000-0000-0000-0000-000000000001";
    let script = async {
        let Message::Request { params, id, .. } = peer.receive().await else { panic!("a request") };
        let initial = json!({"T": {uuid: {"new": {"x": 1}}}});
        peer.send(&json!({"id": id, "result": initial, "error": null})).await;
        for change in [json!({"old": {"x": 1}, "new": {"x": 2}}), json!({"old": {"x": 2}})] {
            let params = json!([params[1], {"T": {uuid: change}}]);
            peer.send(&json!({"id": null, "method": "update", "params": params})).await;
        }
    };
    let watch = async {
        let table = MonitorTable::new("T", &["x"]);
        let mut monitor = client.monitor("db", vec![table], PATIENCE).await.unwrap();
        let rows: Vec<Value> = monitor.hand_over().into_values().map(|row| row["x"].clone()).collect();
        assert_eq!((rows, monitor.rows().len()), (vec![json!(1)], 0));
        for after in [Some(json!(2)), None] {
            let changes = monitor.next().await.unwrap();
            assert_eq!((changes.len(), &changes[0].old), (1, &None));
            assert_eq!(changes[0].new.as_ref().map(|row| row["x"].clone()), after);
        }
        assert!(monitor.rows().is_empty());
    };
    tokio::join!(watch, script);
}

#[tokio::test(start_paused = true)]
async fn what_is_no_message_ends_the_connection_with_its_reason() {
    let (client, mut peer) = Peer::new();
    let script = async {
        peer.expect_request("a").await;
        peer.stream.write_all(b"hello").await.unwrap();
    };
    let (result, ()) = tokio::join!(client.call("a", json!([]), PATIENCE), script);
    assert!(matches!(result, Err(Error::Malformed(_))), "{result:?}");
}
