//! What a session sees beyond single answers: waits beside other requests, updates before the reply, restarts.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test")]

use std::time::Duration;

use nuage_emulator::entropy::Entropy;
use nuage_emulator::vrs::{Vrs, VrsOptions};
use nuage_ovsdb::client::{Client, Limits, MonitorTable};
use nuage_ovsdb::rpc::{Decoder, MAX_MESSAGE_BYTES, Message};
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

/// Everything that comes until nothing more does.
async fn read_all(stream: &mut tokio::io::DuplexStream) -> (Vec<Message>, usize) {
    let (mut decoder, mut messages, mut bytes) = (Decoder::default(), Vec::new(), 0);
    loop {
        while let Some(message) = decoder.decode().unwrap() {
            messages.push(message);
        }
        match tokio::time::timeout(Duration::from_millis(1), stream.read_buf(decoder.buffer())).await {
            Ok(read) => bytes += read.unwrap(),
            Err(_) => return (messages, bytes),
        }
    }
}

async fn say(stream: &mut tokio::io::DuplexStream, method: &str, params: Value, id: Value) {
    let request = json!({"id": id, "method": method, "params": params});
    stream.write_all(request.to_string().as_bytes()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_holds_nobody_up_and_gets_the_difference_when_it_reads() {
    const LENGTH: usize = 2000;
    let vrs = vrs();
    let mut lazy = vrs.connect().unwrap();
    say(
        &mut lazy,
        "monitor_cond",
        json!(["Open_vSwitch", "m", {"Nuage_Port_Table": {"columns": ["name"]}}]),
        json!(1),
    )
    .await;
    let busy = client(&vrs);
    busy.call("echo", json!([]), PATIENCE).await.unwrap();
    let long = "x".repeat(LENGTH);
    for number in 0..5_000 {
        vrs.server().transact("Open_vSwitch", &[
            json!({"op": "delete", "table": "Nuage_Port_Table", "where": []}),
            json!({"op": "insert", "table": "Nuage_Port_Table", "row": {"name": format!("{number}{long}")}}),
        ]);
        if number % 100 == 0 {
            busy.call("echo", json!([]), PATIENCE).await.unwrap();
        }
    }
    assert_eq!(vrs.server().sessions(), 2);
    let (messages, bytes) = read_all(&mut lazy).await;
    assert!(bytes < 2 << 20, "{bytes} bytes were kept for it");
    let mut known = std::collections::BTreeMap::new();
    for message in messages {
        let Message::Notification { params, .. } = message else { continue };
        for (uuid, change) in params[1]["Nuage_Port_Table"].as_object().unwrap() {
            match change.get("insert") {
                Some(row) => drop(known.insert(uuid.clone(), row["name"].clone())),
                None => drop(known.remove(uuid).expect("a deletion of what it knows")),
            }
        }
    }
    let there: Vec<(String, Value)> = vrs
        .server()
        .rows("Open_vSwitch", "Nuage_Port_Table")
        .into_iter()
        .map(|(uuid, row)| (uuid.to_string(), row["name"].clone()))
        .collect();
    assert_eq!(known.into_iter().collect::<Vec<_>>(), there);
}

#[tokio::test(start_paused = true)]
async fn requests_of_a_client_that_does_not_read_wait_until_it_does() {
    let vrs = vrs();
    let mut stream = vrs.connect().unwrap();
    let long = "x".repeat(300_000);
    for id in 0..20 {
        let request = json!({"id": id, "method": "echo", "params": [long]}).to_string();
        // Nobody reads: at some point nothing is taken any more.
        if tokio::time::timeout(Duration::from_secs(1), stream.write_all(request.as_bytes())).await.is_err() {
            assert!(id > 2, "{id}");
            let (messages, _) = read_all(&mut stream).await;
            assert!(messages.len() >= id - 1, "{} of {id}", messages.len());
            return;
        }
    }
    panic!("six megabytes of answers were kept for a client that does not read");
}

#[tokio::test(start_paused = true)]
async fn a_silent_client_is_asked_and_then_left() {
    let vrs = vrs();
    let (mut ours, theirs) = tokio::io::duplex(1 << 16);
    let probe = Duration::from_secs(5);
    tokio::spawn(vrs.server().clone().serve_probing(theirs, Some(probe)));
    let started = tokio::time::Instant::now();
    tokio::time::sleep(Duration::from_secs(3)).await;
    say(&mut ours, "echo", json!([]), json!(1)).await;
    let mut seen = Vec::new();
    let mut buffer = [0; 1024];
    loop {
        let count = ours.read(&mut buffer).await.unwrap();
        seen.push((started.elapsed().as_secs(), String::from_utf8_lossy(&buffer[..count]).into_owned()));
        match seen.len() {
            2 => say(&mut ours, "echo", json!([]), json!(2)).await,
            _ if count == 0 => break,
            _ => {}
        }
    }
    let asked = r#"{"id":"echo","method":"echo","params":[]}"#;
    let times: Vec<u64> = seen.iter().map(|(at, _)| *at).collect();
    assert_eq!(times, [3, 8, 8, 13, 18], "{seen:?}");
    assert_eq!((seen[1].1.as_str(), seen[3].1.as_str()), (asked, asked));
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_wait_is_answered_only_to_those_who_know_of_changing_databases() {
    let vrs = vrs();
    let mut stream = vrs.connect().unwrap();
    say(&mut stream, "transact", wait_for("nu1", None), json!(1)).await;
    say(&mut stream, "transact", json!(["Open_vSwitch"]), json!(1)).await;
    say(&mut stream, "cancel", json!([1]), Value::Null).await;
    say(&mut stream, "set_db_change_aware", json!([true]), json!(2)).await;
    say(&mut stream, "transact", wait_for("nu1", None), json!(1)).await;
    say(&mut stream, "cancel", json!([1]), Value::Null).await;
    say(&mut stream, "cancel", json!([1]), Value::Null).await;
    let (messages, _) = read_all(&mut stream).await;
    let answers: Vec<(Value, Value)> = messages
        .into_iter()
        .map(|message| match message {
            Message::Response { id, error, .. } => (id, error),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(answers.len(), 3, "{answers:?}");
    assert_eq!(answers[0].1["details"], "transact: duplicate request ID");
    assert_eq!(answers[1], (json!(2), Value::Null));
    assert_eq!(answers[2], (json!(1), json!("canceled")));
    vrs.server().transact("Open_vSwitch", insert("nu1").as_array().unwrap().get(1..).unwrap());
    assert!(read_all(&mut stream).await.0.is_empty(), "nobody waits any more");
}

#[tokio::test(start_paused = true)]
async fn a_lock_is_handed_on_when_its_holder_leaves() {
    let vrs = vrs();
    let (mut first, mut second) = (vrs.connect().unwrap(), vrs.connect().unwrap());
    say(&mut first, "lock", json!(["L"]), json!(1)).await;
    read_all(&mut first).await;
    say(&mut second, "lock", json!(["L"]), json!(1)).await;
    let assert = json!(["Open_vSwitch", {"op": "assert", "lock": "L"}]);
    say(&mut second, "transact", assert.clone(), json!(2)).await;
    let (before, _) = read_all(&mut second).await;
    assert!(matches!(&before[0], Message::Response { result, .. } if result["locked"] == false));
    assert!(matches!(&before[1], Message::Response { result, .. } if result[0]["error"] == "not owner"));
    drop(first);
    say(&mut second, "echo", json!([]), json!(3)).await;
    say(&mut second, "transact", assert, json!(4)).await;
    let (after, _) = read_all(&mut second).await;
    let locked = Message::Notification { method: "locked".to_owned(), params: vec![json!("L")] };
    assert!(after.contains(&locked), "{after:?}");
    assert!(
        matches!(after.last(), Some(Message::Response { result, .. }) if *result == json!([{}])),
        "{after:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_converted_database_keeps_its_rows_and_leaves_those_who_cannot_cope() {
    let vrs = vrs();
    let (aware, unaware) = (client(&vrs), client(&vrs));
    aware.call("set_db_change_aware", json!([true]), PATIENCE).await.unwrap();
    unaware.call("transact", insert("nu1"), PATIENCE).await.unwrap();
    let mut schema = aware.call("get_schema", json!(["Open_vSwitch"]), PATIENCE).await.unwrap();
    schema["version"] = json!("9.9.9");
    schema["tables"]["Nuage_Port_Table"]["columns"]["extra"] = json!({"type": "integer"});
    aware.call("convert", json!(["Open_vSwitch", schema]), PATIENCE).await.unwrap();
    let select = json!(["Open_vSwitch", {"op": "select", "table": "Nuage_Port_Table", "where": [], "columns": ["name", "extra"]}]);
    let found = aware.call("transact", select, PATIENCE).await.unwrap();
    assert_eq!(found[0]["rows"], json!([{"name": "nu1", "extra": 0}]));
    assert_eq!(unaware.call("echo", json!([]), PATIENCE).await, Err(nuage_ovsdb::Error::Closed));
    let told = json!(["_Server", {"op": "select", "table": "Database", "where": [["name", "==", "Open_vSwitch"]], "columns": ["schema"]}]);
    let told = aware.call("transact", told, PATIENCE).await.unwrap();
    assert!(told[0]["rows"][0]["schema"].as_str().unwrap().contains("9.9.9"));
}

/// The leniencies, by name: what Nuage's clients send although the real server refuses it.
#[tokio::test(start_paused = true)]
async fn an_empty_map_or_set_may_be_sent_as_null() {
    let vrs = vrs();
    let row = json!({"name": "nu1", "metadata": ["map", null]});
    let entity = json!({"vm_uuid": "u", "ports": ["set", null]});
    let results = vrs.server().transact(
        "Open_vSwitch",
        &[
            json!({"op": "insert", "table": "Nuage_Port_Table", "row": row}),
            json!({"op": "insert", "table": "Nuage_VM_Table", "row": entity}),
        ],
    );
    assert!(results.iter().all(|result| result.get("uuid").is_some()), "{results:?}");
    assert_eq!(vrs.server().rows("Open_vSwitch", "Nuage_Port_Table")[0].1["metadata"], json!(["map", []]));
    assert_eq!(vrs.server().rows("Open_vSwitch", "Nuage_VM_Table")[0].1["ports"], json!(["set", []]));
}

#[tokio::test(start_paused = true)]
async fn what_makes_the_real_server_crash_is_answered() {
    let vrs = vrs();
    let client = client(&vrs);
    for (method, params) in [
        ("monitor", json!(["Open_vSwitch", "m"])),
        ("monitor", json!(["Open_vSwitch"])),
        ("monitor_cond", json!(["Open_vSwitch", "m"])),
    ] {
        assert!(matches!(
            client.call(method, params, PATIENCE).await,
            Err(nuage_ovsdb::Error::Refused { .. })
        ));
    }
    let table = json!({"Nuage_Port_Table": [{"columns": ["name"]}]});
    client.call("monitor_cond", json!(["Open_vSwitch", "m", table]), PATIENCE).await.unwrap();
    let change = json!(["m", "m", {"Nuage_Port_Table": [{}]}]);
    client.call("monitor_cond_change", change, PATIENCE).await.unwrap();
    let row = json!({"op": "insert", "table": "Nuage_Port_Table", "row": {"evpn_id": -7}});
    let nothing = json!({"op": "mutate", "table": "Nuage_Port_Table", "where": [], "mutations": [["evpn_id", "*=", 0]]});
    vrs.server().transact("Open_vSwitch", &[row]);
    assert_eq!(vrs.server().transact("Open_vSwitch", &[nothing]), [json!({"count": 1})]);
    assert_eq!(vrs.server().rows("Open_vSwitch", "Nuage_Port_Table")[0].1["evpn_id"], 0);
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

/// An echo that is a message of exactly so many bytes.
fn echo_of(bytes: usize) -> Vec<u8> {
    let (head, tail) = (r#"{"id":7,"method":"echo","params":[""#, r#""]}"#);
    format!("{head}{}{tail}", "x".repeat(bytes - head.len() - tail.len())).into_bytes()
}

#[tokio::test(start_paused = true)]
async fn a_message_of_64_mib_is_answered_and_one_byte_more_ends_its_connection_alone_and_is_logged() {
    let log = tempfile::NamedTempFile::new().unwrap();
    let writer = std::sync::Arc::new(log.reopen().unwrap());
    // For the whole process: whether a place logs is remembered, and tests beside this one pass it without a log.
    tracing_subscriber::fmt().with_ansi(false).with_writer(writer).try_init().unwrap();
    let told = || {
        let all = std::fs::read_to_string(log.path()).unwrap();
        all.lines().filter(|line| line.contains("67108864")).map(str::to_owned).collect::<Vec<_>>()
    };
    let vrs = vrs();
    let other = client(&vrs);
    let mut large = vrs.connect().unwrap();

    let fits = echo_of(MAX_MESSAGE_BYTES);
    assert_eq!(fits.len(), 64 << 20);
    let (first, rest) = fits.split_at(fits.len() / 2);
    large.write_all(first).await.unwrap();
    other.call("transact", insert("nu1"), PATIENCE).await.unwrap();
    large.write_all(rest).await.unwrap();
    let mut decoder = Decoder::new(2 * MAX_MESSAGE_BYTES);
    let answer = loop {
        match decoder.decode().unwrap() {
            Some(message) => break message,
            None => assert_ne!(large.read_buf(decoder.buffer()).await.unwrap(), 0),
        }
    };
    let Message::Response { result, id, .. } = answer else { panic!("no answer") };
    let echoed = result[0].as_str().unwrap();
    assert_eq!(id, 7);
    assert!(
        fits.len() - echoed.len() < 100 && echoed.bytes().all(|byte| byte == b'x'),
        "all of it comes back"
    );
    assert_eq!(told(), [""; 0]);

    // The last bytes may meet a connection that is closed already.
    let _ = large.write_all(&echo_of(MAX_MESSAGE_BYTES + 1)).await;
    let mut left = Vec::new();
    assert!(matches!(large.read_to_end(&mut left).await, Ok(0) | Err(_)), "dropped without a word");
    other.call("transact", insert("nu2"), PATIENCE).await.unwrap();
    assert_eq!(vrs.server().sessions(), 1);
    let told = told();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("WARN") && told[0].contains("longer than 67108864 bytes"), "{told:?}");
}
