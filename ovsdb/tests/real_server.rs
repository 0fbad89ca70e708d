//! The client against the real ovsdb-server with the schema that Open vSwitch ships.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "a test")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use nuage_ovsdb::Error;
use nuage_ovsdb::client::{Client, Limits, MonitorTable};
use nuage_ovsdb::operation::{Condition, Mutation, Operation, named_uuid, set};
use nuage_ovsdb::schema::DatabaseSchema;
use nuage_ovsdb::value::Row;
use serde_json::json;
use tokio::net::UnixStream;

const SCHEMA: &str = "/usr/share/openvswitch/vswitch.ovsschema";
const DATABASE: &str = "Open_vSwitch";
const PATIENCE: Duration = Duration::from_secs(20);

struct Server {
    child: Child,
    socket: PathBuf,
    _directory: tempfile::TempDir,
}

impl Server {
    fn start(test: &str) -> Option<Self> {
        let found =
            Command::new("sh").args(["-c", "command -v ovsdb-server && command -v ovsdb-tool"]).output();
        if !found.is_ok_and(|output| output.status.success()) || !Path::new(SCHEMA).is_file() {
            eprintln!("SKIPPED {test}: ovsdb-server and its schema");
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let created =
            Command::new("ovsdb-tool").arg("create").arg(path("conf.db")).arg(SCHEMA).status().unwrap();
        assert!(created.success());
        let child = Command::new("ovsdb-server")
            .arg(path("conf.db"))
            .arg(format!("--remote=punix:{}", path("db.sock").display()))
            .arg(format!("--unixctl={}", path("ctl").display()))
            .arg("-vconsole:off")
            .spawn()
            .unwrap();
        Some(Self { child, socket: path("db.sock"), _directory: directory })
    }

    async fn connect(&self) -> Client {
        for _ in 0..1000 {
            if let Ok(stream) = UnixStream::connect(&self.socket).await {
                return Client::spawn(stream, Limits::default());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("ovsdb-server does not listen");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn row(pairs: &[(&str, serde_json::Value)]) -> Row {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect()
}

/// A bridge in the switch's one row, which this makes too.
fn bridge(name: &str) -> Vec<Operation> {
    vec![
        Operation::insert("Bridge", &row(&[("name", json!(name))]), Some("bridge")),
        Operation::insert("Open_vSwitch", &row(&[("bridges", named_uuid("bridge"))]), None),
    ]
}

#[tokio::test]
async fn a_schema_is_read_and_written_back_as_the_server_wrote_it() {
    let Some(server) = Server::start("a_schema_is_read_and_written_back_as_the_server_wrote_it") else {
        return;
    };
    let client = server.connect().await;
    let databases = client.call("list_dbs", json!([]), PATIENCE).await.unwrap();
    for name in databases.as_array().unwrap() {
        let sent = client.call("get_schema", json!([name]), PATIENCE).await.unwrap();
        assert_eq!(DatabaseSchema::from_json(&sent).unwrap().to_json(), sent, "{name}");
    }
}

#[tokio::test]
async fn a_transaction_does_all_of_its_operations_or_says_which_one_failed() {
    let Some(server) = Server::start("a_transaction_does_all_of_its_operations_or_says_which_one_failed")
    else {
        return;
    };
    let client = server.connect().await;
    client.transact(DATABASE, bridge("br0"), PATIENCE).await.unwrap();
    let is_br0 = [Condition::equals("name", "br0")];
    let results = client
        .transact(
            DATABASE,
            vec![
                Operation::update("Bridge", &is_br0, &row(&[("fail_mode", json!("secure"))])),
                Operation::mutate(
                    "Bridge",
                    &is_br0,
                    &[Mutation::insert("protocols", set([json!("OpenFlow13")]))],
                ),
                Operation::require(
                    "Bridge",
                    &is_br0,
                    &["fail_mode"],
                    true,
                    &[row(&[("fail_mode", json!("secure"))])],
                ),
                Operation::select("Bridge", &is_br0, &["fail_mode", "protocols"]),
                Operation::delete("Bridge", &[Condition::equals("name", "none")]),
            ],
            PATIENCE,
        )
        .await
        .unwrap();
    assert_eq!((results[0].count(), results[1].count(), results[4].count()), (1, 1, 0));
    assert_eq!(
        results[3].rows(),
        [row(&[("fail_mode", json!("secure")), ("protocols", json!("OpenFlow13"))])]
    );

    let refused = vec![
        Operation::comment("x"),
        Operation::require("Bridge", &is_br0, &["name"], false, &[row(&[("name", json!("br0"))])]),
    ];
    let error = client.transact(DATABASE, refused, PATIENCE).await.unwrap_err();
    assert!(matches!(&error, Error::Operation { index: 1, error, .. } if error == "timed out"), "{error}");
    let second_row = vec![Operation::insert("Open_vSwitch", &Row::new(), None)];
    let error = client.transact(DATABASE, second_row, PATIENCE).await.unwrap_err();
    assert!(matches!(&error, Error::Commit { error, .. } if error == "constraint violation"), "{error}");
    let error = client.transact("Nope", Vec::new(), PATIENCE).await.unwrap_err();
    assert!(matches!(&error, Error::Refused { .. }), "{error}");
}

#[tokio::test]
async fn a_monitor_sees_the_rows_that_are_there_and_what_another_client_changes() {
    let Some(server) =
        Server::start("a_monitor_sees_the_rows_that_are_there_and_what_another_client_changes")
    else {
        return;
    };
    let (watcher, writer) = (server.connect().await, server.connect().await);
    writer.transact(DATABASE, bridge("br0"), PATIENCE).await.unwrap();
    let schema = watcher.schema(DATABASE, PATIENCE).await.unwrap();
    let columns = ["name", "fail_mode", "external_ids", "protocols"];
    let all = MonitorTable::new("Bridge", &columns);
    let one = MonitorTable::new("Bridge", &columns).only("name", "br0").typed(&schema.tables["Bridge"]);
    for table in [all, one] {
        let mut monitor = watcher.monitor(DATABASE, vec![table], PATIENCE).await.unwrap();
        assert_eq!(monitor.rows().len(), 1);
        let is_br0 = [Condition::equals("name", "br0")];
        for (ids, protocols) in [
            (json!(["map", [["a", "1"], ["b", "1"]]]), json!(["set", ["OpenFlow10", "OpenFlow13"]])),
            (json!(["map", [["b", "2"]]]), json!("OpenFlow13")),
            (json!(["map", []]), json!(["set", []])),
        ] {
            let change = row(&[("external_ids", ids.clone()), ("protocols", protocols.clone())]);
            writer
                .transact(DATABASE, vec![Operation::update("Bridge", &is_br0, &change)], PATIENCE)
                .await
                .unwrap();
            let changes = tokio::time::timeout(PATIENCE, monitor.next()).await.unwrap().unwrap();
            let new = changes[0].new.as_ref().unwrap();
            assert_eq!((&new["external_ids"], &new["protocols"]), (&ids, &protocols));
        }
    }
}

#[tokio::test]
async fn calls_are_pipelined_and_the_end_of_the_server_fails_what_is_pending() {
    let Some(mut server) =
        Server::start("calls_are_pipelined_and_the_end_of_the_server_fails_what_is_pending")
    else {
        return;
    };
    let client = server.connect().await;
    let mut calls = tokio::task::JoinSet::new();
    for number in 0..64 {
        let client = client.clone();
        calls.spawn(async move {
            client.call("echo", json!([number, "a\"{b"]), PATIENCE).await.unwrap()[0] == number
        });
    }
    assert!(calls.join_all().await.into_iter().all(|right| right));

    // Without a timeout a wait lasts until somebody changes the row: the server is gone before.
    let wait = json!([DATABASE, {"op": "wait", "table": "Bridge", "where": [], "columns": [], "until": "!=", "rows": []}]);
    let pending = client.call("transact", wait, PATIENCE);
    let kill = async {
        client.call("echo", json!([]), PATIENCE).await.unwrap();
        server.child.kill().unwrap();
    };
    let (result, ()) = tokio::join!(pending, kill);
    assert_eq!(result, Err(Error::Closed));
}
