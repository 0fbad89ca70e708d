//! A switch in memory, as small as it can be: the operations, columns and garbage collection that the plugin relies on, an
//! old server's plain `monitor`, and a controller that resolves. What it is worth is settled by the tests against the
//! real ovsdb-server.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nuage_ovsdb::Uuid;
use nuage_ovsdb::rpc::{Decoder, Message};
use nuage_ovsdb::value::Row;
use serde_json::{Map, Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::sync::watch;
use tokio::time::sleep;

use super::process::Process;

type Tables = BTreeMap<String, BTreeMap<Uuid, Row>>;

/// Whether it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    Up,
    /// Connections are refused.
    Away,
    /// Connections are taken, and nothing is ever answered.
    Silent,
}

struct State {
    tables: Tables,
    rows_made: u128,
    presence: Presence,
    /// How long the controller takes; `None`: for ever.
    resolves_in: Option<Duration>,
    /// Whether a port's row has columns for a second address.
    ipv6: bool,
    /// What its controller answers beside the usual.
    answer: Row,
    /// Whether the server is new enough for `monitor_cond`.
    monitor_cond: bool,
}

/// The switch of a node.
#[derive(Clone)]
pub struct Database {
    state: Arc<Mutex<State>>,
    version: watch::Sender<u64>,
}

fn row(pairs: &[(&str, Value)]) -> Row {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect()
}

fn elements(value: &Value) -> Vec<Value> {
    match value.as_array() {
        Some(pair) if ["set", "map"].iter().any(|tag| pair.first() == Some(&json!(tag))) => {
            pair[1].as_array().cloned().unwrap_or_default()
        }
        _ => vec![value.clone()],
    }
}

fn set(elements: &BTreeSet<String>) -> Value {
    let mut values: Vec<Value> =
        elements.iter().map(|element| serde_json::from_str(element).unwrap()).collect();
    if values.len() == 1 { values.remove(0) } else { json!(["set", values]) }
}

/// Sets sorted and a set of one without its brackets; names of new rows replaced.
fn canonical(value: &Value, names: &BTreeMap<String, Uuid>) -> Value {
    let array = value.as_array().map_or(&[][..], Vec::as_slice);
    match array.first().and_then(Value::as_str) {
        Some("named-uuid") => json!(["uuid", names[array[1].as_str().unwrap()].to_string()]),
        Some("set") => {
            set(&elements(value).iter().map(|element| canonical(element, names).to_string()).collect())
        }
        _ => value.clone(),
    }
}

fn matches(uuid: Uuid, row: &Row, wheres: &Value) -> bool {
    wheres.as_array().unwrap().iter().all(|condition| {
        let column = condition[0].as_str().unwrap();
        let wanted = canonical(&condition[2], &BTreeMap::new());
        let found = match column {
            "_uuid" => json!(["uuid", uuid.to_string()]),
            _ => row.get(column).cloned().unwrap_or(json!(["set", []])),
        };
        match condition[1].as_str().unwrap() {
            "==" => found == wanted,
            "includes" => elements(&wanted).iter().all(|wanted| elements(&found).contains(wanted)),
            function => panic!("function {function}"),
        }
    })
}

fn project(uuid: Uuid, row: &Row, columns: &Value) -> Row {
    let columns = columns.as_array().unwrap().iter().filter_map(Value::as_str);
    let value = |column: &str| match column {
        "_uuid" => json!(["uuid", uuid.to_string()]),
        _ => row.get(column).cloned().unwrap_or(json!("")),
    };
    columns.map(|column| (column.to_owned(), value(column))).collect()
}

fn selected(tables: &Tables, operation: &Value) -> Vec<Uuid> {
    let table = tables.get(operation["table"].as_str().unwrap());
    let rows = table.into_iter().flatten();
    rows.filter(|(uuid, row)| matches(**uuid, row, &operation["where"])).map(|(uuid, _)| *uuid).collect()
}

fn projected(tables: &Tables, operation: &Value) -> BTreeSet<Comparable> {
    let found = selected(tables, operation);
    let table = operation["table"].as_str().unwrap();
    found.iter().map(|uuid| Comparable(project(*uuid, &tables[table][uuid], &operation["columns"]))).collect()
}

/// A row that can be compared: by its text.
struct Comparable(Row);
impl Comparable {
    fn text(&self) -> String {
        json!(self.0).to_string()
    }
}
impl PartialEq for Comparable {
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text()
    }
}
impl Eq for Comparable {}
impl PartialOrd for Comparable {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Comparable {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.text().cmp(&other.text())
    }
}

/// The address of this network that a port asks for.
fn fixed_address(port: &Row) -> Option<String> {
    let pairs = port.get("metadata")?[1].as_array()?;
    let asked = pairs.iter().find(|pair| pair[0] == "static-ip")?[1].as_str()?;
    asked.starts_with("10.0.0.").then(|| asked.to_owned())
}

impl Database {
    /// A VRS with its bridge and a connected controller.
    pub fn new() -> Self {
        let state = State {
            tables: Tables::new(),
            rows_made: 0,
            presence: Presence::Up,
            resolves_in: Some(Duration::from_millis(20)),
            ipv6: false,
            answer: Row::new(),
            monitor_cond: false,
        };
        let database = Self { state: Arc::new(Mutex::new(state)), version: watch::channel(0).0 };
        database.insert("Bridge", &[("name", json!("alubr0")), ("ports", json!(["set", []]))]);
        database.insert("Controller", &[("role", json!("master"))]);
        database
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn insert(&self, table: &str, columns: &[(&str, Value)]) -> Uuid {
        let mut state = self.state();
        state.rows_made += 1;
        let uuid = Uuid::from_u128(state.rows_made);
        state.tables.entry(table.to_owned()).or_default().insert(uuid, row(columns));
        uuid
    }

    /// Adds an element to a set in every row of a table.
    pub fn add_to_set(&self, table: &str, column: &str, element: &Value) {
        self.change(table, |rows| {
            for row in rows.values_mut() {
                let all = elements(&row[column]).into_iter().chain([element.clone()]);
                row.insert(column.to_owned(), set(&all.map(|element| element.to_string()).collect()));
            }
        });
    }

    pub fn set_presence(&self, presence: Presence) {
        self.state().presence = presence;
        self.version.send_modify(|version| *version += 1);
    }

    pub fn presence(&self) -> Presence {
        self.state().presence
    }

    pub fn resolve_in(&self, delay: Option<Duration>) {
        self.state().resolves_in = delay;
    }

    /// Puts these columns into each answer of the controller.
    pub fn answer_with(&self, columns: &[(&str, Value)]) {
        self.state().answer = row(columns);
    }

    /// Lets a port's row tell a second address.
    pub fn know_ipv6(&self) {
        self.state().ipv6 = true;
    }

    /// Makes the server one that selects rows itself.
    pub fn know_conditions(&self) {
        self.state().monitor_cond = true;
    }

    /// The rows of a table, without their identifiers.
    pub fn rows(&self, table: &str) -> Vec<Row> {
        self.state().tables.get(table).into_iter().flat_map(|rows| rows.values().cloned()).collect()
    }

    /// Changes the rows of a table as somebody else would.
    pub fn change(&self, table: &str, change: impl FnOnce(&mut BTreeMap<Uuid, Row>)) {
        change(self.state().tables.entry(table.to_owned()).or_default());
        self.version.send_modify(|version| *version += 1);
    }

    /// Resolves what can be resolved: ports that a started entity lists.
    pub fn resolve(&self) {
        let mut state = self.state();
        let entities = state.tables.get("Nuage_VM_Table").into_iter().flat_map(BTreeMap::values);
        let started = entities.filter(|entity| entity["event"] == 2 && entity["state"] == 1);
        let listed: Vec<Value> = started.flat_map(|entity| elements(&entity["ports"])).collect();
        let (ipv6, answer) = (state.ipv6, state.answer.clone());
        let ports = state.tables.entry("Nuage_Port_Table".to_owned()).or_default();
        for (uuid, port) in ports.iter_mut().filter(|(_, port)| listed.contains(&port["name"])) {
            let last = uuid.as_u128() % 250 + 2;
            let address = fixed_address(port).unwrap_or_else(|| format!("10.0.0.{last}"));
            port.insert("ip_addr".to_owned(), json!(address));
            port.insert("subnet_mask".to_owned(), json!("255.255.255.0"));
            port.insert("gateway".to_owned(), json!("10.0.0.1"));
            if ipv6 {
                port.insert("ip6_addr".to_owned(), json!(format!("fd00::{last}")));
                port.insert("ip6_prefix_len".to_owned(), json!(64));
                port.insert("ip6_gateway".to_owned(), json!("fd00::1"));
            }
            port.extend(answer.clone());
        }
        drop(state);
        self.version.send_modify(|version| *version += 1);
    }

    fn transact(&self, operations: &[Value]) -> Value {
        let mut state = self.state();
        let mut tables = state.tables.clone();
        let mut names = BTreeMap::new();
        let mut made = state.rows_made;
        for name in operations.iter().filter_map(|operation| operation["uuid-name"].as_str()) {
            made += 1;
            names.insert(name.to_owned(), Uuid::from_u128(made));
        }
        let mut results = Vec::new();
        for operation in operations {
            if !state.ipv6 && operation["columns"].to_string().contains("ip6_") {
                results.push(json!({"error": "unknown column", "details": operation.to_string()}));
                results.resize(operations.len(), Value::Null);
                return json!(results);
            }
            match operate(&mut tables, operation, &names, &mut made) {
                Ok(result) => results.push(result),
                Err(error) => {
                    results.push(json!({"error": error, "details": operation.to_string()}));
                    results.resize(operations.len(), Value::Null);
                    return json!(results);
                }
            }
        }
        collect_garbage(&mut tables);
        let delay = state.resolves_in;
        state.rows_made = made;
        state.tables = tables;
        drop(state);
        self.version.send_modify(|version| *version += 1);
        if let Some(delay) = delay {
            let database = self.clone();
            tokio::spawn(async move {
                sleep(delay).await;
                database.resolve();
            });
        }
        json!(results)
    }

    /// One session; `process` is the one at its other end.
    pub async fn serve(self, mut stream: DuplexStream, process: Process) {
        let mut decoder = Decoder::default();
        let mut monitors: Vec<Monitor> = Vec::new();
        let mut version = self.version.subscribe();
        loop {
            while let Ok(Some(message)) = decoder.decode() {
                let Message::Request { method, params, id } = message else { continue };
                let answer = match method.as_str() {
                    "transact" => process.operate("switch transact", || self.transact(&params[1..])),
                    name if name == "monitor" || (name == "monitor_cond" && self.state().monitor_cond) => {
                        process.operate("switch monitor", || {
                            let mut monitor = Monitor::new(&params, name == "monitor_cond");
                            let rows = monitor.changes(&self.state().tables);
                            monitors.push(monitor);
                            rows
                        })
                    }
                    _ => {
                        let answer =
                            Message::Response { result: Value::Null, error: json!("unknown method"), id };
                        let _ = stream.write_all(&answer.encode()).await;
                        continue;
                    }
                };
                // A connection that breaks: refused before, lost after, or the process is no more.
                let Ok(result) = answer else { return };
                let answer = Message::Response { result, error: Value::Null, id };
                if stream.write_all(&answer.encode()).await.is_err() {
                    return;
                }
            }
            let presence = self.presence();
            tokio::select! {
                biased;
                _ = version.changed() => {}
                read = stream.read_buf(decoder.buffer()), if presence == Presence::Up => match read {
                    Ok(0) | Err(_) => return,
                    Ok(_) => continue,
                },
            }
            if self.presence() == Presence::Away {
                return;
            }
            for monitor in &mut monitors {
                let changes = monitor.changes(&self.state().tables);
                if changes.as_object().is_some_and(|changes| !changes.is_empty()) {
                    let params = vec![monitor.id.clone(), changes];
                    let method = if monitor.second_form { "update2" } else { "update" };
                    let update = Message::Notification { method: method.to_owned(), params };
                    let _ = stream.write_all(&update.encode()).await;
                }
            }
        }
    }
}

fn operate(
    tables: &mut Tables,
    operation: &Value,
    names: &BTreeMap<String, Uuid>,
    made: &mut u128,
) -> Result<Value, &'static str> {
    let table = operation["table"].as_str().unwrap();
    match operation["op"].as_str().unwrap() {
        "insert" => {
            let columns = operation["row"].as_object().unwrap().iter();
            let row: Row = columns.map(|(key, value)| (key.clone(), canonical(value, names))).collect();
            *made += 1;
            let known = operation["uuid-name"].as_str().map(|name| names[name]);
            let uuid = known.unwrap_or_else(|| Uuid::from_u128(*made));
            tables.entry(table.to_owned()).or_default().insert(uuid, row);
            Ok(json!({"uuid": ["uuid", uuid.to_string()]}))
        }
        "select" => {
            let rows: Vec<Row> = projected(tables, operation).into_iter().map(|row| row.0).collect();
            Ok(json!({"rows": rows}))
        }
        "wait" => {
            let found: Vec<String> = projected(tables, operation).iter().map(Comparable::text).collect();
            let wanted = operation["rows"].as_array().unwrap().iter();
            let equal = found == wanted.map(Value::to_string).collect::<Vec<_>>();
            if equal == (operation["until"] == "==") { Ok(json!({})) } else { Err("timed out") }
        }
        "delete" => {
            let found = selected(tables, operation);
            tables.entry(table.to_owned()).or_default().retain(|uuid, _| !found.contains(uuid));
            Ok(json!({"count": found.len()}))
        }
        "mutate" => {
            let found = selected(tables, operation);
            for mutation in operation["mutations"].as_array().unwrap() {
                let column = mutation[0].as_str().unwrap();
                let given: BTreeSet<String> =
                    elements(&canonical(&mutation[2], names)).iter().map(Value::to_string).collect();
                for uuid in &found {
                    let row = tables.get_mut(table).unwrap().get_mut(uuid).unwrap();
                    let mut value: BTreeSet<String> =
                        elements(&row[column]).iter().map(Value::to_string).collect();
                    match mutation[1].as_str().unwrap() {
                        "insert" => value.extend(given.clone()),
                        _ => value.retain(|element| !given.contains(element)),
                    }
                    row.insert(column.to_owned(), set(&value));
                }
            }
            Ok(json!({"count": found.len()}))
        }
        _ => Err("unknown operation"),
    }
}

/// Ports live as long as a bridge has them, interfaces as long as a port.
fn collect_garbage(tables: &mut Tables) {
    for (holder, column, held) in [("Bridge", "ports", "Port"), ("Port", "interfaces", "Interface")] {
        let holders = tables.get(holder).into_iter().flat_map(BTreeMap::values);
        let references: BTreeSet<String> =
            holders.flat_map(|row| elements(&row[column])).map(|uuid| uuid[1].to_string()).collect();
        let keep = |uuid: &Uuid| references.contains(&json!(uuid.to_string()).to_string());
        tables.entry(held.to_owned()).or_default().retain(|uuid, _| keep(uuid));
    }
}

struct Monitor {
    id: Value,
    table: String,
    columns: Value,
    wheres: Value,
    /// `initial`, `insert`, `modify`, `delete` instead of `old` and `new`.
    second_form: bool,
    begun: bool,
    seen: BTreeMap<Uuid, Row>,
}

impl Monitor {
    fn new(params: &[Value], second_form: bool) -> Self {
        let (table, request) = params[2].as_object().unwrap().iter().next().unwrap();
        let columns = request[0]["columns"].clone();
        let wheres = if second_form { request[0]["where"].clone() } else { json!([]) };
        let (id, table) = (params[1].clone(), table.clone());
        Self { id, table, columns, wheres, second_form, begun: false, seen: BTreeMap::new() }
    }

    fn changes(&mut self, tables: &Tables) -> Value {
        let rows = tables.get(&self.table).into_iter().flatten();
        let wanted = rows.filter(|(uuid, row)| matches(**uuid, row, &self.wheres));
        let now: BTreeMap<Uuid, Row> =
            wanted.map(|(uuid, row)| (*uuid, project(*uuid, row, &self.columns))).collect();
        let mut changes = Map::new();
        for uuid in now.keys().chain(self.seen.keys()) {
            let (old, new) = (self.seen.get(uuid), now.get(uuid));
            if old != new {
                let change = if self.second_form { self.second(old, new) } else { first(old, new) };
                changes.insert(uuid.to_string(), change);
            }
        }
        self.seen = now;
        self.begun = true;
        if changes.is_empty() { json!({}) } else { json!({ &self.table: changes }) }
    }

    fn second(&self, old: Option<&Row>, new: Option<&Row>) -> Value {
        match (old, new) {
            (None, Some(new)) if self.begun => json!({ "insert": new }),
            (None, Some(new)) => json!({ "initial": new }),
            (Some(old), Some(new)) => {
                let changed: Row = new
                    .clone()
                    .into_iter()
                    .filter(|(column, value)| old.get(column) != Some(value))
                    .collect();
                json!({ "modify": changed })
            }
            (_, None) => json!({ "delete": null }),
        }
    }
}

fn first(old: Option<&Row>, new: Option<&Row>) -> Value {
    let sides = [("old", old), ("new", new)];
    let there = sides.into_iter().filter_map(|(key, row)| Some((key.to_owned(), json!(row?))));
    Value::Object(there.collect())
}
