//! An OVSDB server (RFC 7047 and Open vSwitch's extensions) that a schema drives. Knows no table of any schema but
//! its own `_Server`; what a switch does with its rows is [`crate::vrs`]'s business.

mod commit;
mod condition;
mod constraint;
mod failure;
mod method;
mod monitor;
mod observe;
mod session;
mod storage;
mod transaction;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nuage_ovsdb::Uuid;
use nuage_ovsdb::rpc::Message;
use nuage_ovsdb::schema::DatabaseSchema;
use nuage_ovsdb::value::Row;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::entropy::Entropy;
use crate::faults::{Order, SwitchFaults};
use crate::tally::Tally;
use monitor::Monitor;
pub use observe::{Observer, RowChange};
use storage::{Change, Column, Database};
use transaction::Outcome;

/// The reserved database that describes the others (ovsdb-server(5)).
const SERVER_DATABASE: &str = "_Server";
/// Its schema, written from the facts of ovsdb-server(5).
const SERVER_SCHEMA: &str = include_str!("../schema/server.ovsschema");
/// How many messages may wait for one session. A client that does not read loses its connection, not our memory.
const OUTBOX_MESSAGES: usize = 16 << 10;

/// What a switch does by itself when a row of a table has changed: columns to set in that row.
pub type FollowUp = fn(&Row) -> Option<Row>;

/// The server. Clones are handles of the same one.
#[derive(Clone)]
pub struct Server(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    entropy: Entropy,
    identifier: Uuid,
    /// Counts commits, so that a `wait` knows when to look again.
    commits: Tally,
    /// Counts restarts: every session ends when it changes.
    epoch: Tally,
    /// Whether clients are served; a closed server ends a connection as soon as it is there.
    open: AtomicBool,
}

struct State {
    databases: BTreeMap<String, Database>,
    sessions: BTreeMap<u64, Session>,
    next_session: u64,
    follow_ups: BTreeMap<String, FollowUp>,
    /// By database.
    observers: BTreeMap<String, Vec<Observer>>,
    faults: SwitchFaults,
}

/// What the server knows of a connection.
struct Session {
    outbox: mpsc::Sender<Vec<u8>>,
    monitors: Vec<Monitor>,
    /// What its client does, as far as is known: hits of faults are counted by it.
    operation: Arc<str>,
    order: Order,
    /// What waits for a message that a fault has put before it.
    held: Vec<Vec<u8>>,
}

impl Session {
    fn new(outbox: mpsc::Sender<Vec<u8>>, operation: Arc<str>) -> Self {
        Self { outbox, monitors: Vec::new(), operation, order: Order::AsHappened, held: Vec::new() }
    }

    /// Sends a message, or holds it where the order asks for that; false: the client does not keep up.
    fn send(&mut self, message: &Message) -> bool {
        let is_update = matches!(message, Message::Notification { .. });
        let holds = match self.order {
            Order::AsHappened => false,
            Order::AnswerFirst => is_update,
            Order::UpdateFirst => !is_update,
        };
        if holds {
            self.held.push(message.encode());
            return self.held.len() <= OUTBOX_MESSAGES;
        }
        self.order = Order::AsHappened;
        let held = std::mem::take(&mut self.held);
        std::iter::once(message.encode()).chain(held).all(|bytes| self.outbox.try_send(bytes).is_ok())
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Server({})", self.0.identifier)
    }
}

impl Server {
    /// A server of these databases, all empty, and of `_Server`.
    ///
    /// # Errors
    /// Never in practice: only if the built-in schema of `_Server` were none.
    pub fn new(schemas: Vec<DatabaseSchema>, entropy: Entropy) -> Result<Self, nuage_ovsdb::Error> {
        let own: Value = serde_json::from_str(SERVER_SCHEMA)
            .map_err(|error| nuage_ovsdb::Error::Schema(error.to_string()))?;
        let own = DatabaseSchema::from_json(&own)?;
        let mut databases = BTreeMap::new();
        let mut described = Vec::new();
        for schema in schemas.into_iter().chain([own]) {
            described.push(json!({"op": "insert", "table": "Database", "row": {
                "name": schema.name, "model": "standalone", "connected": true, "leader": true,
                "schema": schema.to_json().to_string()
            }}));
            databases.insert(schema.name.clone(), Database::new(schema));
        }
        let state = State {
            databases,
            sessions: BTreeMap::new(),
            next_session: 0,
            follow_ups: BTreeMap::new(),
            observers: BTreeMap::new(),
            faults: SwitchFaults::default(),
        };
        let identifier = entropy.uuid();
        let (commits, epoch) = (Tally::default(), Tally::default());
        let (state, open) = (Mutex::new(state), AtomicBool::new(true));
        let server = Self(Arc::new(Shared { state, entropy, identifier, commits, epoch, open }));
        server.transact(SERVER_DATABASE, &described);
        Ok(server)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes `table`'s rows change by themselves after a commit.
    pub fn follow_up(&self, table: &str, follow_up: FollowUp) {
        self.state().follow_ups.insert(table.to_owned(), follow_up);
    }

    /// Lets faults strike those who connect from now on.
    pub fn set_faults(&self, faults: SwitchFaults) {
        self.state().faults = faults;
    }

    /// Carries out a transaction in this process, exactly as one from the wire; a `wait` that would block fails.
    pub fn transact(&self, database: &str, operations: &[Value]) -> Vec<Value> {
        let mut state = self.state();
        match state.run(self, database, operations, u64::MAX) {
            Some(Outcome::Done { results, changes }) => {
                self.publish(&mut state, database, &changes);
                results
            }
            Some(Outcome::Blocked { .. }) | None => vec![json!({"error": "timed out"})],
        }
    }

    /// A snapshot of a table in OVSDB's notation, by identifier.
    pub fn rows(&self, database: &str, table: &str) -> Vec<(Uuid, Row)> {
        let state = self.state();
        let Some(database) = state.databases.get(database) else { return Vec::new() };
        let Some(table) = database.table(table).map(|position| &database.tables[position]) else {
            return Vec::new();
        };
        let columns = table.all_columns();
        table
            .rows
            .iter()
            .map(|(uuid, row)| (*uuid, table.object(*uuid, row, &columns).into_iter().collect()))
            .collect()
    }

    /// These columns of a table's rows, by identifier; for whoever looks often and at little.
    pub fn columns(&self, database: &str, table: &str, columns: &[&str]) -> Vec<Row> {
        let state = self.state();
        let Some(database) = state.databases.get(database) else { return Vec::new() };
        let Some(table) = database.table(table).map(|position| &database.tables[position]) else {
            return Vec::new();
        };
        let columns: Vec<Column> = columns.iter().filter_map(|name| table.column(name)).collect();
        table
            .rows
            .iter()
            .map(|(uuid, row)| table.object(*uuid, row, &columns).into_iter().collect())
            .collect()
    }

    /// Ends every session, as a restart does. The rows stay.
    pub fn disconnect_all(&self) {
        self.0.epoch.step();
    }

    /// Serves clients again.
    pub fn open(&self) {
        self.0.open.store(true, Ordering::Relaxed);
    }

    /// Ends every session and serves nobody until it is opened again.
    pub fn close(&self) {
        self.0.open.store(false, Ordering::Relaxed);
        self.disconnect_all();
    }

    /// Whether clients are served.
    pub fn is_open(&self) -> bool {
        self.0.open.load(Ordering::Relaxed)
    }

    /// How many clients are connected.
    pub fn sessions(&self) -> usize {
        self.state().sessions.len()
    }

    /// Makes changes the state and tells everybody who watches, then whoever waits.
    fn publish(&self, state: &mut State, database: &str, changes: &[Change]) {
        if changes.is_empty() {
            return;
        }
        state.apply(database, changes);
        let follow_ups = state.follow_ups(database, changes);
        if !follow_ups.is_empty()
            && let Some(Outcome::Done { changes, .. }) = state.run(self, database, &follow_ups, 0)
        {
            state.apply(database, &changes);
        }
        self.0.commits.step();
    }
}

impl State {
    fn run(&self, server: &Server, database: &str, operations: &[Value], waited: u64) -> Option<Outcome> {
        let database = self.databases.get(database)?;
        Some(transaction::run(database, operations, &server.0.entropy, waited))
    }

    fn apply(&mut self, name: &str, changes: &[Change]) {
        let Some(database) = self.databases.get_mut(name) else { return };
        database.apply(changes);
        if let Some(observers) = self.observers.get_mut(name) {
            observe::tell(observers, database, changes);
        }
        let mut lost = Vec::new();
        for (id, session) in &mut self.sessions {
            let watching = session.monitors.iter().filter(|monitor| monitor.database == name);
            let updates: Vec<_> = watching.filter_map(|monitor| monitor.update(database, changes)).collect();
            for (method, params) in updates {
                let Value::Array(params) = params else { continue };
                if !session.send(&Message::Notification { method: method.to_owned(), params }) {
                    lost.push(*id);
                }
            }
        }
        for id in lost {
            self.sessions.remove(&id);
        }
    }

    fn follow_ups(&self, database: &str, changes: &[Change]) -> Vec<Value> {
        let Some(database) = self.databases.get(database) else { return Vec::new() };
        let mut operations = Vec::new();
        for change in changes {
            let table = &database.tables[change.table];
            let (Some(follow_up), Some(new)) = (self.follow_ups.get(&table.name), &change.new) else {
                continue;
            };
            let row: Row = table.object(change.uuid, new, &table.all_columns()).into_iter().collect();
            if let Some(update) = follow_up(&row) {
                let this = json!([["_uuid", "==", ["uuid", change.uuid.to_string()]]]);
                operations.push(json!({"op": "update", "table": table.name, "where": this, "row": update}));
            }
        }
        operations
    }

    /// Sends to a session; one that does not keep up is lost.
    fn send(&mut self, session: u64, message: &Message) {
        if let Some(known) = self.sessions.get_mut(&session)
            && !known.send(message)
        {
            self.sessions.remove(&session);
        }
    }
}
