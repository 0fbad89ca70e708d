//! One transaction (RFC 7047 section 5.2): its operations work on an overlay of changed rows, so that nothing of the
//! database is copied or touched before the commit.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use nuage_ovsdb::members::{Expect, Members};
use nuage_ovsdb::{Uuid, text};
use serde_json::{Map, Value, json};

use super::commit::commit;
use super::condition::Condition;
use super::failure::Failure;
use super::storage::{Candidates, Change, Column, Database, RowData, Table};
use crate::entropy::Entropy;

/// What an operation needs to know of the world beside the database.
pub(super) struct Context<'a> {
    pub(super) entropy: &'a Entropy,
    /// How long the transaction has waited, in milliseconds.
    pub(super) waited: u64,
    /// Whether the session that asks holds a lock.
    pub(super) holds: &'a dyn Fn(&str) -> bool,
    /// Whether this is a client's transaction on the reserved database, which only the server itself writes to.
    pub(super) reserved: bool,
}

/// What became of a transaction.
#[derive(Debug)]
pub(super) enum Outcome {
    Done(Done),
    /// A `wait` is not fulfilled yet; its time-out in milliseconds from the start, if it has one.
    Blocked {
        timeout: Option<u64>,
    },
}

/// A transaction that has come to its end.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) results: Vec<Reply>,
    /// The rows it changed; none if an operation or the commit failed.
    pub(super) changes: Vec<Change>,
    /// Whether its changes have to be on disk before it is answered.
    pub(super) durable: bool,
    /// What its `comment` operations say, a line each.
    pub(super) comment: String,
    /// Tables and columns that it had to scan for a value.
    pub(super) scanned: BTreeSet<(usize, usize)>,
}

/// The result of one operation.
#[derive(Debug)]
pub(super) enum Reply {
    Nothing,
    Inserted(Uuid),
    Count(usize),
    Rows {
        table: usize,
        columns: Vec<Column>,
        rows: Vec<(Uuid, Arc<RowData>)>,
    },
    Failed(Failure),
    /// An operation behind one that failed.
    Unreached,
}

impl Done {
    /// One that a fault has made fail: these results, and nothing of it is kept.
    pub(super) fn refused(results: Vec<Reply>) -> Self {
        Self {
            results,
            changes: Vec::new(),
            durable: false,
            comment: String::new(),
            scanned: BTreeSet::new(),
        }
    }
}

impl Reply {
    /// Appends its JSON.
    pub(super) fn write(&self, out: &mut Vec<u8>, database: &Database) {
        match self {
            Self::Nothing => out.extend_from_slice(b"{}"),
            Self::Inserted(uuid) => {
                out.extend_from_slice(br#"{"uuid":"#);
                text::uuid(out, *uuid);
                out.push(b'}');
            }
            Self::Count(count) => {
                out.extend_from_slice(br#"{"count":"#);
                text::integer(out, i64::try_from(*count).unwrap_or(i64::MAX));
                out.push(b'}');
            }
            Self::Rows { table, columns, rows } => {
                out.extend_from_slice(br#"{"rows":["#);
                for (position, (uuid, row)) in rows.iter().enumerate() {
                    if position > 0 {
                        out.push(b',');
                    }
                    database.tables[*table].write(out, *uuid, row, columns.iter().copied());
                }
                out.extend_from_slice(b"]}");
            }
            Self::Failed(failure) => failure.write(out),
            Self::Unreached => out.extend_from_slice(b"null"),
        }
    }

    /// Its JSON.
    pub(super) fn to_json(&self, database: &Database) -> Value {
        match self {
            Self::Nothing => json!({}),
            Self::Inserted(uuid) => json!({"uuid": ["uuid", uuid.to_string()]}),
            Self::Count(count) => json!({ "count": count }),
            Self::Rows { table, columns, rows } => {
                let object = |(uuid, row): &(Uuid, Arc<RowData>)| -> Map<String, Value> {
                    database.tables[*table].object(*uuid, row, columns)
                };
                json!({"rows": rows.iter().map(object).collect::<Vec<_>>()})
            }
            Self::Failed(failure) => failure.to_json(),
            Self::Unreached => Value::Null,
        }
    }
}

/// A row as the transaction leaves it; `None`: deleted.
pub(super) type Overlay = BTreeMap<(usize, Uuid), Option<Arc<RowData>>>;

/// A transaction in progress.
pub(super) struct Transaction<'a> {
    pub(super) database: &'a Database,
    pub(super) context: &'a Context<'a>,
    pub(super) overlay: Overlay,
    pub(super) names: BTreeMap<String, Name>,
    pub(super) scanned: BTreeSet<(usize, usize)>,
    pub(super) durable: bool,
    pub(super) comments: Vec<String>,
}

/// What a `named-uuid` stands for.
#[derive(Clone, Copy)]
pub(super) struct Name {
    pub(super) uuid: Uuid,
    pub(super) inserted: bool,
}

/// What an operation gives if it does not fail.
pub(super) enum Step {
    Result(Reply),
    Blocked(Option<u64>),
}

/// Runs the operations. Changes nothing; the caller applies the changes.
pub(super) fn run(database: &Database, operations: &[Value], context: &Context<'_>) -> Outcome {
    let mut transaction = Transaction::new(database, context);
    let mut results = Vec::with_capacity(operations.len() + 1);
    let total = operations.len();
    for (index, operation) in operations.iter().enumerate() {
        match transaction.step(operation, index + 1, total) {
            Ok(Step::Result(result)) => results.push(result),
            Ok(Step::Blocked(timeout)) => return Outcome::Blocked { timeout },
            Err(failure) => {
                results.push(Reply::Failed(failure));
                results.resize_with(total, || Reply::Unreached);
                return transaction.done(results, Vec::new());
            }
        }
    }
    let changes = commit(&mut transaction).unwrap_or_else(|failure| {
        results.push(Reply::Failed(failure));
        Vec::new()
    });
    transaction.done(results, changes)
}

/// Checks rows as a commit does; what that makes of them.
pub(super) fn commit_rows(
    database: &Database,
    context: &Context<'_>,
    rows: Overlay,
) -> Result<Vec<Change>, Failure> {
    let mut transaction = Transaction { overlay: rows, ..Transaction::new(database, context) };
    commit(&mut transaction)
}

impl<'a> Transaction<'a> {
    fn new(database: &'a Database, context: &'a Context<'a>) -> Self {
        Self {
            database,
            context,
            overlay: BTreeMap::new(),
            names: BTreeMap::new(),
            scanned: BTreeSet::new(),
            durable: false,
            comments: Vec::new(),
        }
    }

    fn done(self, results: Vec<Reply>, changes: Vec<Change>) -> Outcome {
        let comment = self.comments.join("\n");
        Outcome::Done(Done { results, changes, durable: self.durable, comment, scanned: self.scanned })
    }

    /// Carries out one operation. A member that is wrong overrides any other error, because the real server looks at
    /// what is left over when the operation is done.
    fn step(&mut self, operation: &Value, number: usize, total: usize) -> Result<Step, Failure> {
        let members = Members::new(operation, format!("ovsdb operation {number} of {total}"));
        let name = members.text("op", Expect::Id);
        let mut reads = true;
        let result = match name {
            "select" => self.select(&members),
            "wait" => self.wait(&members),
            "comment" => self.comment(&members),
            "abort" => Err(Failure::new("aborted", "aborted by request")),
            "assert" => self.assert(&members),
            _ => {
                reads = false;
                match name {
                    "insert" => self.insert(&members),
                    "update" => self.update(&members),
                    "mutate" => self.mutate(&members),
                    "delete" => self.delete(&members),
                    "commit" => self.commit(&members),
                    other => {
                        members.fail(&format!("No operation \"{other}\""));
                        Ok(Step::Result(Reply::Nothing))
                    }
                }
            }
        };
        members.finish()?;
        if self.context.reserved && !reads && result.is_ok() {
            let reserved = &self.database.schema.name;
            let details = format!("{name} operation not allowed on table in reserved database {reserved}");
            return Err(Failure::new("not allowed", details));
        }
        result
    }

    pub(super) fn schema(&self, table: usize) -> &'a Table {
        &self.database.tables[table]
    }

    /// The row that a `named-uuid` stands for, also before the operation that inserts it.
    pub(super) fn resolve(&mut self, name: &str) -> Uuid {
        if let Some(name) = self.names.get(name) {
            return name.uuid;
        }
        let uuid = self.context.entropy.uuid();
        self.names.insert(name.to_owned(), Name { uuid, inserted: false });
        uuid
    }

    /// The present state of a row.
    pub(super) fn row(&self, table: usize, uuid: Uuid) -> Option<&Arc<RowData>> {
        match self.overlay.get(&(table, uuid)) {
            Some(pending) => pending.as_ref(),
            None => self.database.tables[table].rows.get(&uuid),
        }
    }

    /// Gives a row another state.
    pub(super) fn replace(&mut self, table: usize, uuid: Uuid, row: RowData) {
        self.overlay.insert((table, uuid), Some(Arc::new(row)));
    }

    /// Deletes a row. One that this transaction has inserted was never there.
    pub(super) fn remove(&mut self, table: usize, uuid: Uuid) {
        if self.database.tables[table].rows.contains_key(&uuid) {
            self.overlay.insert((table, uuid), None);
        } else {
            self.overlay.remove(&(table, uuid));
        }
    }

    /// The rows that fulfil all conditions, by identifier.
    pub(super) fn matching(&mut self, table: usize, conditions: &[Condition]) -> Vec<(Uuid, Arc<RowData>)> {
        let schema = self.schema(table);
        let holds = |uuid: Uuid, row: &RowData| conditions.iter().all(|condition| condition.holds(uuid, row));
        if let Some(uuid) = conditions.iter().find_map(Condition::row) {
            let row = self.row(table, uuid).filter(|row| holds(uuid, row));
            return row.map(|row| (uuid, Arc::clone(row))).into_iter().collect();
        }
        let pending = self.overlay.range((table, Uuid::nil())..=(table, Uuid::max()));
        let pending = pending.filter_map(|((_, uuid), row)| Some((*uuid, Arc::clone(row.as_ref()?))));
        let mut found: Vec<(Uuid, Arc<RowData>)> = pending.filter(|(uuid, row)| holds(*uuid, row)).collect();
        let committed = |(uuid, row): (&Uuid, &Arc<RowData>)| {
            let unchanged = self.overlay.is_empty() || !self.overlay.contains_key(&(table, *uuid));
            (unchanged && holds(*uuid, row)).then(|| (*uuid, Arc::clone(row)))
        };
        let given: BTreeMap<_, _> = conditions.iter().filter_map(Condition::equality).collect();
        let mut missing = Vec::new();
        match schema.candidates(&given, &mut missing) {
            Candidates::All => found.extend(schema.rows.iter().filter_map(committed)),
            Candidates::These(uuids) => {
                let rows = uuids.iter().filter_map(|uuid| schema.rows.get_key_value(uuid));
                found.extend(rows.filter_map(committed));
            }
        }
        self.scanned.extend(missing.into_iter().map(|column| (table, column)));
        found.sort_unstable_by_key(|(uuid, _)| *uuid);
        found
    }
}
