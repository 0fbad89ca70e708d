//! An OVSDB server (RFC 7047 and Open vSwitch's extensions) that a schema drives. Knows no table of any schema but
//! its own `_Server`; what a switch does with its rows is [`crate::vrs`]'s business.

mod commit;
mod condition;
mod convert;
mod failure;
mod listener;
mod lock;
mod method;
mod mutation;
mod observe;
mod operation;
mod outbox;
pub mod persist;
mod session;
mod sessions;
mod storage;
mod transaction;
mod view;
mod views;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nuage_ovsdb::Uuid;
use nuage_ovsdb::schema::DatabaseSchema;
use nuage_ovsdb::value::Row;
use serde_json::{Value, json};

use crate::clock::Clock;
use crate::entropy::Entropy;
use crate::faults::SwitchFaults;
use crate::tally::Tally;
use failure::Failure;
pub use listener::Listener;
use lock::Locks;
pub use observe::{Observer, RowChange};
use persist::{Journal, Medium, OpenError};
use sessions::Session;
use storage::{Change, Column, Database};
use transaction::{Context, Done, Outcome, Reply};
use views::Views;

/// The reserved database that describes the others (ovsdb-server(5)).
const SERVER_DATABASE: &str = "_Server";
/// Its schema, written from the facts of ovsdb-server(5).
const SERVER_SCHEMA: &str = include_str!("../schema/server.ovsschema");

/// What to set in a row that has changed to these values, if anything.
type Decision = Box<dyn Fn(&Row) -> Option<Row> + Send>;

/// What a switch does by itself when a row of a table has changed: told the columns that it looks at, the columns to set in
/// that row.
struct FollowUp {
    columns: &'static [&'static str],
    decide: Decision,
}

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
    /// The files of those that outlive the process.
    journals: BTreeMap<String, Journal>,
    sessions: BTreeMap<u64, Session>,
    next_session: u64,
    views: Views,
    locks: Locks,
    follow_ups: BTreeMap<String, FollowUp>,
    /// By database.
    observers: BTreeMap<String, Vec<Observer>>,
    faults: SwitchFaults,
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
        let own = DatabaseSchema::from_bytes(SERVER_SCHEMA.as_bytes())?;
        let mut databases = BTreeMap::new();
        let mut described = Vec::new();
        for schema in schemas.into_iter().chain([own]) {
            described.push(json!({"op": "insert", "table": "Database", "row": {
                "name": schema.name, "model": "standalone", "connected": true, "leader": true,
                "schema": schema.to_json().to_string()
            }}));
            databases.insert(schema.name.clone(), Database::new(schema));
        }
        let server = Self::of(databases, entropy);
        server.transact(SERVER_DATABASE, &described);
        Ok(server)
    }

    /// Another server of the same databases, all empty but `_Server`: what they are, which does not change, both share.
    #[must_use]
    pub fn twin(&self, entropy: Entropy) -> Self {
        let state = self.state();
        let databases = state.databases.iter().map(|(name, database)| {
            let kept = if name == SERVER_DATABASE { database.clone() } else { database.emptied() };
            (name.clone(), kept)
        });
        Self::of(databases.collect(), entropy)
    }

    fn of(databases: BTreeMap<String, Database>, entropy: Entropy) -> Self {
        let state = State {
            databases,
            journals: BTreeMap::new(),
            sessions: BTreeMap::new(),
            next_session: 0,
            views: Views::default(),
            locks: Locks::default(),
            follow_ups: BTreeMap::new(),
            observers: BTreeMap::new(),
            faults: SwitchFaults::default(),
        };
        let identifier = entropy.uuid();
        let (commits, epoch) = (Tally::default(), Tally::default());
        let (state, open) = (Mutex::new(state), AtomicBool::new(true));
        Self(Arc::new(Shared { state, entropy, identifier, commits, epoch, open }))
    }

    /// Keeps a database, which is still empty, in ovsdb-server's file format: brings back what the medium tells, its
    /// schema included, and from now on acknowledges no commit that is not on its way there. Gives whether the medium told anything.
    ///
    /// # Errors
    /// [`OpenError`]: the medium cannot be read, or it is another database's.
    pub fn persist(&self, database: &str, medium: Box<dyn Medium>, clock: Clock) -> Result<bool, OpenError> {
        let mut state = self.state();
        let State { databases, journals, .. } = &mut *state;
        let known = databases.get_mut(database);
        let known = known.ok_or_else(|| OpenError::Format(format!("no database is named {database}")))?;
        let (journal, begun) = Journal::open(medium, clock, known, || self.0.entropy.uuid())?;
        journals.insert(database.to_owned(), journal);
        self.describe(&mut state, database);
        Ok(begun)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes `table`'s rows change by themselves after a commit: `decide` is shown these columns, as far as the table has them.
    pub fn follow_up(
        &self,
        table: &str,
        columns: &'static [&'static str],
        decide: impl Fn(&Row) -> Option<Row> + Send + 'static,
    ) {
        let follow_up = FollowUp { columns, decide: Box::new(decide) };
        self.state().follow_ups.insert(table.to_owned(), follow_up);
    }

    /// Lets faults strike those who connect from now on.
    pub fn set_faults(&self, faults: SwitchFaults) {
        self.state().faults = faults;
    }

    /// Carries out a transaction in this process, exactly as one from the wire; a `wait` that would block fails.
    pub fn transact(&self, database: &str, operations: &[Value]) -> Vec<Value> {
        let mut state = self.state();
        match state.run(self, None, database, operations, u64::MAX) {
            Some(Outcome::Done(mut done)) => {
                self.publish(&mut state, database, &mut done);
                let database = state.databases.get(database);
                database.map_or_else(Vec::new, |database| {
                    done.results.iter().map(|result| result.to_json(database)).collect()
                })
            }
            Some(Outcome::Blocked { .. }) | None => vec![json!({"error": "timed out"})],
        }
    }

    /// Whether a database has a table: it may have been converted, or be another's file.
    pub fn has_table(&self, database: &str, table: &str) -> bool {
        self.state().databases.get(database).is_some_and(|database| database.table(table).is_some())
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

    /// Makes a transaction's changes the state and tells everybody who watches, then whoever waits. What cannot be kept is
    /// not done: then the results end with the error.
    fn publish(&self, state: &mut State, name: &str, done: &mut Done) {
        state.learn_lookups(name, done);
        if done.changes.is_empty() && !done.durable {
            return;
        }
        if let Err(failure) = state.commit(name, done) {
            done.results.push(Reply::Failed(failure));
            return;
        }
        let follow_ups = state.follow_ups(name, &done.changes);
        if !follow_ups.is_empty()
            && let Some(Outcome::Done(done)) = state.run(self, None, name, &follow_ups, 0)
        {
            // Nobody waits for what the switch does by itself; it will do it again if it is lost.
            let _ = state.commit(name, &done);
        }
        self.0.commits.step();
    }

    /// Puts a converted database in the place of the old one: whoever cannot cope with that is disconnected.
    fn replace(&self, state: &mut State, name: &str, database: Database) -> Result<(), Failure> {
        if let Some(journal) = state.journals.get_mut(name) {
            let kept = journal.convert(&database);
            kept.map_err(|error| Failure::new("I/O error", error.to_string()))?;
        }
        state.databases.insert(name.to_owned(), database);
        state.forget_database(name);
        self.describe(state, name);
        Ok(())
    }

    /// Tells in `_Server` which schema a database has now.
    fn describe(&self, state: &mut State, name: &str) {
        let Some(database) = state.databases.get(name) else { return };
        let schema = database.schema.to_json().to_string();
        let this = json!([["name", "==", name]]);
        let update = json!({"op": "update", "table": "Database", "where": this, "row": {"schema": schema}});
        if let Some(Outcome::Done(mut done)) = state.run(self, None, SERVER_DATABASE, &[update], 0) {
            self.publish(state, SERVER_DATABASE, &mut done);
        }
    }
}

impl State {
    /// Runs a transaction of a session, or of this process.
    fn run(
        &mut self,
        server: &Server,
        session: Option<u64>,
        name: &str,
        operations: &[Value],
        waited: u64,
    ) -> Option<Outcome> {
        let database = self.databases.get(name)?;
        let holds = |lock: &str| session.is_some_and(|session| self.locks.holds(lock, session));
        let reserved = session.is_some() && Self::is_reserved(name);
        let context = Context { entropy: &server.0.entropy, waited, holds: &holds, reserved };
        Some(transaction::run(database, operations, &context))
    }

    /// Prepares for more of what a transaction had to scan for.
    fn learn_lookups(&mut self, name: &str, done: &Done) {
        let Some(database) = self.databases.get_mut(name) else { return };
        for (table, column) in &done.scanned {
            database.tables[*table].look_up(*column);
        }
    }

    /// The one place where a commit becomes the state. An error means that nothing has happened.
    fn commit(&mut self, name: &str, done: &Done) -> Result<(), Failure> {
        if let Some(database) = self.databases.get_mut(name) {
            let mut journal = self.journals.get_mut(name);
            if let Some(journal) = &mut journal {
                let kept = journal.commit(database, &done.changes, done.durable, &done.comment);
                kept.map_err(|error| Failure::new("I/O error", error.to_string()))?;
            }
            database.apply(&done.changes);
            if let Some(observers) = self.observers.get_mut(name) {
                observe::tell(observers, database, &done.changes);
            }
            if let Some(journal) = journal {
                journal.tidy(database);
            }
        }
        self.tell(name, &done.changes);
        Ok(())
    }

    fn follow_ups(&self, database: &str, changes: &[Change]) -> Vec<Value> {
        let Some(database) = self.databases.get(database) else { return Vec::new() };
        let mut operations = Vec::new();
        for change in changes {
            let table = &database.tables[change.table];
            let (Some(follow_up), Some(new)) = (self.follow_ups.get(&table.name), &change.new) else {
                continue;
            };
            let columns: Vec<Column> =
                follow_up.columns.iter().filter_map(|name| table.column(name)).collect();
            let row: Row = table.object(change.uuid, new, &columns).into_iter().collect();
            if let Some(update) = (follow_up.decide)(&row) {
                let this = json!([["_uuid", "==", ["uuid", change.uuid.to_string()]]]);
                operations.push(json!({"op": "update", "table": table.name, "where": this, "row": update}));
            }
        }
        operations
    }
}
