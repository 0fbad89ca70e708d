//! The emulated OVSDB server beside the real one: the same requests to both, the same answers from both.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "a test")]

mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use nuage_emulator::entropy::Entropy;
use nuage_emulator::ovsdb::Server;
use nuage_emulator::vrs::{Vrs, VrsOptions, schema};
use nuage_ovsdb::Error;
use nuage_ovsdb::client::{Client, Limits};
use serde_json::{Value, json};
use support::RealServer;

const PATIENCE: Duration = Duration::from_secs(20);

/// Random identifiers become labels in the order of their first appearance; members that quote the request back are
/// compared as JSON; the order of a select's rows, which the real server takes from a hash, is taken away.
#[derive(Default)]
struct Normal(BTreeMap<String, String>);

impl Normal {
    fn of(&mut self, value: &Value) -> Value {
        match value {
            Value::String(text) => json!(self.text(text)),
            Value::Array(items) => items.iter().map(|item| self.of(item)).collect(),
            Value::Object(object) => {
                let mut object = object.clone();
                if let Some(Value::Array(rows)) = object.get_mut("rows") {
                    rows.sort_by_key(|row| row.get("name").unwrap_or(row).to_string());
                }
                object.iter().map(|(key, value)| (self.text(key), self.of(value))).collect()
            }
            other => other.clone(),
        }
    }

    fn text(&mut self, text: &str) -> String {
        let mut out = String::new();
        let mut rest = text;
        while !rest.is_empty() {
            let candidate = rest.get(..36).filter(|part| nuage_ovsdb::Uuid::try_parse(part).is_ok());
            if let Some(uuid) = candidate.filter(|uuid| !uuid.starts_with("00000000")) {
                let label = format!("U{}", self.0.len());
                out += self.0.entry(uuid.to_owned()).or_insert(label);
                rest = &rest[36..];
            } else {
                let next = rest.chars().next().unwrap();
                out.push(next);
                rest = &rest[next.len_utf8()..];
            }
        }
        out
    }
}

#[expect(clippy::too_many_lines, reason = "a list of cases")]
/// Requests in their order; what one leaves in the database the next ones find.
fn cases() -> Vec<(&'static str, Value)> {
    let transact = |operations: Value| {
        let mut params = vec![json!("Open_vSwitch")];
        params.extend(operations.as_array().unwrap().clone());
        ("transact", Value::Array(params))
    };
    let port = |name: &str| json!({"op": "insert", "table": "Nuage_Port_Table", "row": {"name": name, "evpn_id": 7}});
    let named = |name: &str| json!([["name", "==", name]]);
    vec![
        ("list_dbs", json!([])),
        ("get_schema", json!(["Nope"])),
        ("get_schema", json!([])),
        ("frobnicate", json!([])),
        ("echo", json!([1, {"a": null}])),
        ("set_db_change_aware", json!([1])),
        ("set_db_change_aware", json!([true])),
        ("monitor_cancel", json!(["none"])),
        ("monitor_cancel", json!([])),
        ("transact", json!([])),
        ("transact", json!(["Nope", {"op": "select"}])),
        ("transact", json!(["_Server", {"op": "delete", "table": "Database", "where": []}])),
        transact(json!([])),
        transact(json!([5])),
        transact(json!([{"table": "Bridge"}])),
        transact(json!([{"op": "frob"}, {"op": "comment", "comment": "x"}])),
        transact(json!([{"op": "insert", "table": "Nope", "row": {}}])),
        transact(json!([{"op": "insert", "table": "Bridge"}])),
        transact(json!([{"op": "comment", "comment": "x", "foo": 1}])),
        transact(json!([{"op": "abort"}, {"op": "comment", "comment": "x"}])),
        transact(json!([{"op": "assert", "lock": "L"}])),
        transact(json!([{"op": "commit", "durable": false}])),
        transact(json!([
            {"op": "insert", "table": "Interface", "uuid-name": "i", "row": {"name": "nu1"}},
            {"op": "insert", "table": "Port", "uuid-name": "p", "row": {"name": "nu1", "interfaces": ["named-uuid", "i"]}},
            {"op": "insert", "table": "Bridge", "uuid-name": "b", "row": {"name": "br0", "ports": ["named-uuid", "p"]}},
            {"op": "insert", "table": "Open_vSwitch", "row": {"bridges": ["named-uuid", "b"]}}
        ])),
        transact(json!([{"op": "insert", "table": "Open_vSwitch", "row": {}}])),
        transact(json!([{"op": "insert", "table": "Interface", "row": {"name": "orphan"}}])),
        transact(json!([{"op": "select", "table": "Interface", "where": [], "columns": ["name"]}])),
        transact(json!([{"op": "select", "table": "Interface", "where": [["name", "==", "nu1"]]}])),
        transact(json!([{"op": "select", "table": "Interface", "where": [["nope", "==", 1]]}])),
        transact(json!([{"op": "select", "table": "Interface", "where": [["name", "<", "x"]]}])),
        transact(json!([{"op": "select", "table": "Interface", "where": [["name", "frob", "x"]]}])),
        transact(json!([{"op": "select", "table": "Interface", "where": [false]}])),
        transact(json!([{"op": "update", "table": "Interface", "where": [], "row": {"name": "other"}}])),
        transact(
            json!([{"op": "update", "table": "Bridge", "where": named("br0"), "row": {"fail_mode": "maybe"}}]),
        ),
        transact(
            json!([{"op": "update", "table": "Bridge", "where": named("br0"), "row": {"flood_vlans": 5000}}]),
        ),
        transact(json!([{"op": "update", "table": "Bridge", "where": named("br0"), "row": {"nope": 1}}])),
        transact(
            json!([{"op": "update", "table": "Bridge", "where": named("br0"), "row": {"stp_enable": 1}}]),
        ),
        transact(
            json!([{"op": "update", "table": "Bridge", "where": named("br0"), "row": {"fail_mode": ["set", ["secure", "standalone"]]}}]),
        ),
        transact(
            json!([{"op": "update", "table": "Bridge", "where": named("br0"), "row": {"external_ids": ["map", [["a", "1"], ["a", "2"]]]}}]),
        ),
        transact(
            json!([{"op": "update", "table": "Bridge", "where": named("br0"), "row": {"external_ids": ["map", [["b", "1"], ["a", "2"]]]}}]),
        ),
        transact(
            json!([{"op": "mutate", "table": "Bridge", "where": named("br0"), "mutations": [["external_ids", "insert", ["map", [["a", "9"], ["c", "3"]]]]]}]),
        ),
        transact(
            json!([{"op": "mutate", "table": "Bridge", "where": named("br0"), "mutations": [["external_ids", "delete", ["set", ["b"]]]]}]),
        ),
        transact(
            json!([{"op": "select", "table": "Bridge", "where": named("br0"), "columns": ["external_ids", "ports"]}]),
        ),
        transact(
            json!([{"op": "mutate", "table": "Bridge", "where": [], "mutations": [["name", "insert", "x"]]}]),
        ),
        transact(
            json!([{"op": "mutate", "table": "Open_vSwitch", "where": [], "mutations": [["next_cfg", "/=", 0]]}]),
        ),
        transact(
            json!([{"op": "mutate", "table": "Bridge", "where": [], "mutations": [["ports", "insert", ["uuid", "11111111-1111-1111-1111-111111111111"]]]}]),
        ),
        transact(
            json!([{"op": "insert", "table": "Open_vSwitch", "row": {"bridges": ["named-uuid", "nobody"]}}]),
        ),
        transact(json!([{"op": "delete", "table": "Port", "where": named("nu1")}])),
        transact(
            json!([{"op": "wait", "table": "Bridge", "timeout": 0, "where": named("br0"), "columns": ["name"], "until": "==", "rows": [{"name": "br0"}]}]),
        ),
        transact(
            json!([{"op": "wait", "table": "Bridge", "timeout": 0, "where": named("br0"), "columns": ["name"], "until": "!=", "rows": [{"name": "br0"}]}]),
        ),
        transact(
            json!([{"op": "wait", "table": "Bridge", "timeout": 0, "where": named("none"), "columns": [], "until": "==", "rows": []}]),
        ),
        transact(json!([port("a"), port("a"), port("b")])),
        transact(json!([{"op": "select", "table": "Nuage_Port_Table", "where": [], "columns": ["name"]}])),
        transact(json!([{"op": "delete", "table": "Nuage_Port_Table", "where": [["name", "!=", "b"]]}])),
        transact(json!([{"op": "select", "table": "Nuage_Port_Table", "where": []}])),
        transact(
            json!([{"op": "insert", "table": "Nuage_VM_Table", "row": {"vm_uuid": "u", "ports": ["set", ["a"]], "type": 4}}]),
        ),
        transact(
            json!([{"op": "select", "table": "Nuage_VM_Table", "where": [["ports", "includes", "a"]], "columns": ["ports", "type", "metadata"]}]),
        ),
        ("monitor", json!(["Open_vSwitch", "m1", {"Nuage_VM_Table": {"columns": ["ports", "vm_uuid"]}}])),
        ("monitor", json!(["Open_vSwitch", "m1", {}])),
        (
            "monitor_cond",
            json!(["Open_vSwitch", "m2", {"Nuage_VM_Table": [{"columns": ["ports", "state"], "where": [["vm_uuid", "==", "u"]]}]}]),
        ),
        (
            "monitor_cond_since",
            json!(["Open_vSwitch", "m3", {"Bridge": [{"columns": ["name"]}]}, "00000000-0000-0000-0000-000000000000"]),
        ),
        ("monitor_cancel", json!(["m1"])),
        transact(
            json!([{"op": "update", "table": "Open_vSwitch", "where": [], "row": {"bridges": ["set", []]}}]),
        ),
        transact(
            json!([{"op": "select", "table": "Port", "where": []}, {"op": "select", "table": "Interface", "where": []}]),
        ),
    ]
}

fn comparable(normal: &mut Normal, answer: Result<Value, Error>) -> Value {
    match answer {
        Ok(Value::Array(mut names))
            if names.iter().all(|name| name == "_Server" || name == "Open_vSwitch") =>
        {
            names.sort_by_key(ToString::to_string);
            Value::Array(names)
        }
        Ok(result) => normal.of(&result),
        Err(Error::Refused { error, .. }) => json!({"refused": normal.of(&error)}),
        Err(other) => panic!("{other}"),
    }
}

#[tokio::test]
async fn the_emulated_server_answers_as_the_real_one() {
    let Some(real) = RealServer::start("the_emulated_server_answers_as_the_real_one") else { return };
    let real = (real.connect().await, real);
    // The server alone: what a switch fills in by itself is no matter of OVSDB.
    let server = Server::new(vec![schema().unwrap()], Entropy::seeded(1)).unwrap();
    let (near, far) = tokio::io::duplex(1 << 16);
    tokio::spawn(server.serve(far));
    let ours = Client::spawn(near, Limits::default());
    let (mut their_names, mut our_names) = (Normal::default(), Normal::default());
    let mut differences = Vec::new();
    for (method, params) in cases() {
        let theirs = comparable(&mut their_names, real.0.call(method, params.clone(), PATIENCE).await);
        let ours = comparable(&mut our_names, ours.call(method, params.clone(), PATIENCE).await);
        if theirs != ours {
            differences.push(format!("{method} {params}\n  real: {theirs}\n  ours: {ours}"));
        }
    }
    assert!(
        differences.is_empty(),
        "{} of {} differ:\n{}",
        differences.len(),
        cases().len(),
        differences.join("\n")
    );
}

#[tokio::test]
async fn the_real_server_prints_our_schema_as_the_emulated_one_does() {
    let Some(real) = RealServer::start("the_real_server_prints_our_schema_as_the_emulated_one_does") else {
        return;
    };
    let vrs = Vrs::new(Entropy::seeded(1), &VrsOptions::default()).unwrap();
    let ours = Client::spawn(vrs.connect().unwrap(), Limits::default());
    let params = json!(["Open_vSwitch"]);
    let theirs = real.connect().await.call("get_schema", params.clone(), PATIENCE).await.unwrap();
    assert_eq!(theirs, ours.call("get_schema", params, PATIENCE).await.unwrap());
}
