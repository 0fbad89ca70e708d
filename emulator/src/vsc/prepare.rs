//! Makes a bare switch look like a VRS: the `Open_vSwitch` row, the bridge alubr0 and a controller of role master.
//! Changes nothing that is there, but for a role that a restart of the server forgot.

use nuage_ovsdb::Error;
use nuage_ovsdb::client::{Client, OperationResult};
use nuage_ovsdb::operation::{Condition, Mutation, Operation, named_uuid};
use nuage_ovsdb::value::Row;
use serde_json::{Value, json};

use super::rows::DATABASE;
use super::session::DEADLINE;

/// The bridge that a VRS puts containers into.
const BRIDGE: &str = "alubr0";

/// Makes what is missing, in one transaction.
///
/// # Errors
/// What the server says, for instance that somebody made the same at the same time.
pub async fn prepare(client: &Client) -> Result<(), Error> {
    let bridge = [Condition::equals("name", BRIDGE)];
    let master = [Condition::equals("role", "master")];
    let look = vec![
        Operation::select("Open_vSwitch", &[], &["_uuid"]),
        Operation::select("Bridge", &bridge, &["_uuid"]),
        Operation::select("Controller", &[], &["_uuid", "role"]),
    ];
    let found = client.transact(DATABASE, look, DEADLINE).await?;
    let rows = |index: usize| found.get(index).map(OperationResult::rows).unwrap_or_default();
    let (switch, present, controllers) = (rows(0), rows(1), rows(2));
    let has_master = controllers.iter().any(|row| row.get("role").is_some_and(|role| role == "master"));
    let mut operations = Vec::new();
    if switch.is_empty() {
        operations.push(Operation::require("Open_vSwitch", &[], &[], true, &[]));
        operations.push(Operation::insert("Open_vSwitch", &Row::new(), None));
    }
    if present.is_empty() {
        operations.push(Operation::require("Bridge", &bridge, &[], true, &[]));
        operations.extend(make_bridge());
    }
    if !has_master {
        let role = row(json!({ "role": "master", "is_connected": true }));
        operations.push(Operation::require("Controller", &master, &[], true, &[]));
        match controllers.first().and_then(|row| row.get("_uuid")) {
            Some(uuid) => {
                let this = Condition::equals("_uuid", uuid.clone());
                operations.push(Operation::update("Controller", &[this], &role));
            }
            None => operations.extend(make_controller(role)),
        }
    }
    if operations.is_empty() {
        return Ok(());
    }
    client.transact(DATABASE, operations, DEADLINE).await.map(drop)
}

fn make_bridge() -> Vec<Operation> {
    let interface = row(json!({ "name": BRIDGE, "type": "internal" }));
    let port = row(json!({ "name": BRIDGE, "interfaces": named_uuid("interface") }));
    let bridge = row(json!({ "name": BRIDGE, "ports": named_uuid("port") }));
    vec![
        Operation::insert("Interface", &interface, Some("interface")),
        Operation::insert("Port", &port, Some("port")),
        Operation::insert("Bridge", &bridge, Some("bridge")),
        Operation::mutate("Open_vSwitch", &[], &[Mutation::insert("bridges", named_uuid("bridge"))]),
    ]
}

fn make_controller(mut controller: Row) -> Vec<Operation> {
    controller.insert("target".to_owned(), json!("tcp:127.0.0.1:6633"));
    let bridge = [Condition::equals("name", BRIDGE)];
    vec![
        Operation::insert("Controller", &controller, Some("controller")),
        Operation::mutate("Bridge", &bridge, &[Mutation::insert("controller", named_uuid("controller"))]),
    ]
}

fn row(columns: Value) -> Row {
    match columns {
        Value::Object(columns) => columns.into_iter().collect(),
        _ => Row::new(),
    }
}
