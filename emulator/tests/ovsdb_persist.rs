//! Database files between the emulated server, the real ovsdb-server and ovsdb-tool: what one has written the others read, whole,
//! torn or damaged.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "a test")]
#![allow(dead_code, reason = "the generator and the peers have more than this test uses")]

#[path = "ovsdb_differential_generated/generator.rs"]
mod generator;
#[path = "ovsdb_differential_generated/peers.rs"]
mod peers;
#[path = "ovsdb_differential_generated/values.rs"]
mod values;
#[path = "ovsdb_differential_generated/watched.rs"]
mod watched;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use generator::{Generator, Step, Subject};
use nuage_emulator::clock::Clock;
use nuage_emulator::entropy::Entropy;
use nuage_emulator::ovsdb::Server;
use nuage_emulator::ovsdb::persist::FileMedium;
use nuage_ovsdb::client::{Client, Limits};
use nuage_ovsdb::schema::DatabaseSchema;
use peers::{Peer as _, Real, Session, is_installed};
use serde_json::{Value, json};

const EVERYTHING: &str = include_str!("ovsdb_differential_generated/everything.ovsschema");
/// How long one request may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// Requests of one story, about half of which change rows.
const STORY: usize = 400;

/// Rows by table and identifier, without what a file does not keep.
type Rows = BTreeMap<String, BTreeMap<String, Value>>;

fn json_schema() -> Value {
    serde_json::from_str(EVERYTHING).unwrap()
}

fn subject() -> Subject {
    let schema = DatabaseSchema::from_json(&json_schema()).unwrap();
    Subject { schema, tables: vec!["root", "root", "kid", "leaf", "need", "few", "pair", "strict", "maps"] }
}

/// The emulated server on a file.
fn open(file: &Path, seed: u64) -> Server {
    let server = Server::new(vec![subject().schema], Entropy::seeded(seed)).unwrap();
    server.persist("Everything", Box::new(FileMedium::open(file).unwrap()), Clock::System).unwrap();
    server
}

/// A generated story of transactions; `transact` carries them out.
fn story(seed: u64, mut transact: impl FnMut(&[Value]) -> Value) {
    let subject = subject();
    let mut generator = Generator::new(seed, &subject, 1);
    for _ in 0..STORY {
        let Step { method, params, inserts, .. } = generator.step();
        let waits = params.iter().any(|operation| operation["op"] == "wait");
        if method != "transact" || params.len() < 2 || waits {
            continue;
        }
        let results = transact(&params);
        for (table, result) in inserts.iter().zip(results.as_array().into_iter().flatten()) {
            if let (Some(table), Some(uuid)) = (table, result["uuid"][1].as_str()) {
                generator.remember(table, uuid);
            }
        }
    }
}

fn lasting(table: &str, mut row: BTreeMap<String, Value>) -> Value {
    row.remove("_version");
    let schema = &subject().schema.tables[table];
    row.retain(|name, _| schema.columns.get(name).is_none_or(|column| !column.ephemeral));
    json!(row)
}

fn rows_of_ours(server: &Server) -> Rows {
    let tables = subject().schema.tables.into_keys();
    tables
        .map(|table| {
            let rows = server.rows("Everything", &table).into_iter();
            let rows = rows.map(|(uuid, row)| (uuid.to_string(), lasting(&table, row))).collect();
            (table, rows)
        })
        .collect()
}

fn rows_of_real(session: &mut Session) -> Rows {
    let tables = subject().schema.tables.into_keys();
    tables
        .map(|table| {
            let select = json!({"op": "select", "table": table, "where": []});
            let answer = session.call("transact", &[json!("Everything"), select]);
            let rows = answer[0]["rows"].as_array().unwrap().clone().into_iter();
            let rows = rows
                .map(|row| {
                    let uuid = row["_uuid"][1].as_str().unwrap().to_owned();
                    (uuid, lasting(&table, serde_json::from_value(row).unwrap()))
                })
                .collect();
            (table, rows)
        })
        .collect()
}

fn count(rows: &Rows) -> usize {
    rows.values().map(BTreeMap::len).sum()
}

fn tool(arguments: &[&str], file: &Path) -> String {
    let output = Command::new("ovsdb-tool").args(arguments).arg(file).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_real_tool_and_server_read_what_ours_has_written_under_generated_load() {
    if !is_installed("the_real_tool_and_server_read_what_ours_has_written_under_generated_load") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("conf.db");
    let mut rows = rows_of_ours(&open(&file, 0));
    for seed in 1..=3 {
        let server = open(&file, seed);
        assert_eq!(rows_of_ours(&server), rows, "what the last run left");
        story(seed, |params| Value::Array(server.transact("Everything", &params[1..])));
        rows = rows_of_ours(&server);
    }
    assert!(count(&rows) > 20, "{}", count(&rows));
    assert_eq!(tool(&["db-name"], &file), "Everything\n");
    assert_eq!(tool(&["db-version"], &file), "1.0.0\n");
    let log = tool(&["-mm", "show-log"], &file);
    assert!(log.contains("record 0: \"Everything\" schema"), "{log}");
    assert!(log.matches("\nrecord ").count() > 100, "{log}");
    let real = Real::on(&file);
    assert_eq!(rows_of_real(&mut real.connect()), rows);
    drop(real);
    tool(&["compact"], &file);
    assert_eq!(rows_of_ours(&open(&file, 9)), rows, "as the real tool has compacted it");
}

#[test]
fn ours_reads_what_the_real_server_has_written_under_generated_load() {
    let name = "ours_reads_what_the_real_server_has_written_under_generated_load";
    let Some(real) = Real::start(name, &json_schema()) else { return };
    let mut session = real.connect();
    story(4, |params| session.call("transact", params));
    let rows = rows_of_real(&mut session);
    assert!(count(&rows) > 10, "{}", count(&rows));
    let copy = real.database().with_file_name("copy");
    fs::copy(real.database(), &copy).unwrap();
    assert_eq!(rows_of_ours(&open(&copy, 1)), rows);
}

#[test]
fn a_damaged_file_tells_both_servers_the_same_and_both_go_on_from_there() {
    let name = "a_damaged_file_tells_both_servers_the_same_and_both_go_on_from_there";
    if !is_installed(name) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("whole");
    let insert = |number: usize| json!({"op": "insert", "table": "few", "row": {"number": number}});
    let server = open(&file, 1);
    server.transact("Everything", &[insert(1)]);
    let two = fs::read(&file).unwrap().len();
    server.transact("Everything", &[insert(2)]);
    drop(server);
    let whole = fs::read(&file).unwrap();
    let changed = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        bytes
    };
    let record = |json: &str| {
        let scratch = directory.path().join("scratch");
        // The checksum as the system's own tool makes it.
        fs::write(&scratch, json).unwrap();
        let output = Command::new("sha1sum").arg(&scratch).output().unwrap();
        let digest = String::from_utf8(output.stdout).unwrap()[..40].to_owned();
        [whole.as_slice(), format!("OVSDB JSON {} {digest}\n{json}", json.len()).as_bytes()].concat()
    };
    let damages = [
        ("whole", whole.clone()),
        ("torn in the last record", whole[..whole.len() - 5].to_vec()),
        ("torn in its header", whole[..two + 9].to_vec()),
        ("garbage behind it", [whole.as_slice(), b"xxx\nyyy"].concat()),
        ("a byte of the last record changed", changed(whole.len() - 9)),
        ("a byte of a record before it changed", changed(two - 9)),
        ("a row that is none behind it", record("{\"few\":{\"x\":5}}\n")),
        ("a table that is not there behind it", record("{\"nowhere\":{}}\n")),
        (
            "a column that is not there behind it",
            record("{\"few\":{\"11111111-1111-4111-8111-111111111111\":{\"x\":5}}}\n"),
        ),
        ("no JSON behind it", record("{\"few\":\n")),
        (
            "a deletion of nothing behind it",
            record("{\"few\":{\"11111111-1111-4111-8111-111111111111\":null}}\n"),
        ),
    ];
    for (what, bytes) in damages {
        let (theirs, ours) = (directory.path().join("theirs"), directory.path().join("ours"));
        fs::write(&theirs, &bytes).unwrap();
        fs::write(&ours, &bytes).unwrap();
        let real = Real::on(&theirs);
        let mut session = real.connect();
        let server = open(&ours, 2);
        assert_eq!(rows_of_ours(&server), rows_of_real(&mut session), "{what}");
        let clear = json!({"op": "delete", "table": "few", "where": [["number", "==", 2]]});
        session.call("transact", &[json!("Everything"), clear.clone(), insert(7)]);
        server.transact("Everything", &[clear, insert(7)]);
        drop((real, server));
        let numbers = |rows: &Rows| -> Vec<Value> {
            let mut numbers: Vec<Value> = rows["few"].values().map(|row| row["number"].clone()).collect();
            numbers.sort_by_key(Value::to_string);
            numbers
        };
        let real = Real::on(&ours);
        let by_real = numbers(&rows_of_real(&mut real.connect()));
        assert_eq!(
            by_real,
            numbers(&rows_of_ours(&open(&theirs, 3))),
            "{what}: each other's file, afterwards"
        );
        assert!(by_real.contains(&json!(7)), "{what}");
    }
}

#[test]
fn a_file_that_a_server_has_open_is_nobody_elses() {
    let Some(real) = Real::start("a_file_that_a_server_has_open_is_nobody_elses", &json_schema()) else {
        return;
    };
    drop(real.connect());
    let refused = FileMedium::open(&real.database()).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::WouldBlock);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("conf.db");
    let _ours = open(&file, 1);
    let output = Command::new("ovsdb-tool").arg("compact").arg(&file).output().unwrap();
    assert!(!output.status.success(), "the real tool does not touch an open file");
}

#[test]
fn a_set_that_is_replaced_by_another_lasts_although_their_difference_is_longer_than_a_set_may_be() {
    let name =
        "a_set_that_is_replaced_by_another_lasts_although_their_difference_is_longer_than_a_set_may_be";
    if !is_installed(name) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("conf.db");
    let sizes = |values: [i64; 3]| json!({ "sizes": ["set", values] });
    let server = open(&file, 1);
    server.transact("Everything", &[json!({"op": "insert", "table": "root", "row": sizes([1, 2, 3])})]);
    server.transact(
        "Everything",
        &[json!({"op": "update", "table": "root", "where": [], "row": sizes([4, 5, 6])})],
    );
    let rows = rows_of_ours(&server);
    drop(server);
    let real = Real::on(&file);
    assert_eq!(rows_of_real(&mut real.connect()), rows);
    drop(real);
    assert_eq!(rows_of_ours(&open(&file, 2)), rows);
}

#[tokio::test]
async fn a_database_that_a_client_has_converted_comes_back_with_its_schema_here_and_in_the_real_server() {
    let name =
        "a_database_that_a_client_has_converted_comes_back_with_its_schema_here_and_in_the_real_server";
    if !is_installed(name) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("conf.db");
    let server = open(&file, 1);
    server.transact("Everything", &[json!({"op": "insert", "table": "few", "row": {"number": 1}})]);
    let mut schema = json_schema();
    schema["version"] = json!("7.8.9");
    schema["tables"]["few"]["columns"]["extra"] = json!({"type": "string"});
    schema["tables"].as_object_mut().unwrap().remove("pair");
    let (near, far) = tokio::io::duplex(1 << 16);
    tokio::spawn(server.clone().serve(far));
    let client = Client::spawn(near, Limits::default());
    client.call("set_db_change_aware", json!([true]), PATIENCE).await.unwrap();
    client.call("convert", json!(["Everything", schema]), PATIENCE).await.unwrap();
    server.transact(
        "Everything",
        &[json!({"op": "insert", "table": "few", "row": {"number": 2, "extra": "x"}})],
    );
    drop((client, server));
    tokio::task::yield_now().await;

    assert_eq!(tool(&["db-version"], &file), "7.8.9\n");
    let select = json!({"op": "select", "table": "few", "where": [], "columns": ["number", "extra"], "sort": ["number"]});
    let expected = json!([{"number": 1, "extra": ""}, {"number": 2, "extra": "x"}]);
    let real = Real::on(&file);
    assert_eq!(real.connect().call("transact", &[json!("Everything"), select.clone()])[0]["rows"], expected);
    drop(real);
    let again = open(&file, 2);
    assert_eq!(again.transact("Everything", &[select])[0]["rows"], expected);
    let told = json!({"op": "select", "table": "Database", "where": [["name", "==", "Everything"]], "columns": ["schema"]});
    assert!(again.transact("_Server", &[told])[0]["rows"][0]["schema"].as_str().unwrap().contains("7.8.9"));
}
