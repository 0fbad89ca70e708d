//! One transaction (RFC 7047 section 5.2): its operations work on an overlay of changed rows, so that nothing of the
//! database is copied or touched before the commit.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use nuage_ovsdb::Uuid;
use nuage_ovsdb::value::Datum;
use serde_json::{Map, Value, json};

use super::commit::commit;
use super::condition::{Condition, read_conditions, read_mutations};
use super::constraint;
use super::failure::Failure;
use super::storage::{Change, Column, Database, RowData, Table};
use crate::entropy::Entropy;

/// What became of a transaction.
#[derive(Debug)]
pub(super) enum Outcome {
    /// Its results, and the rows it changed (none if an operation failed).
    Done { results: Vec<Value>, changes: Vec<Change> },
    /// A `wait` is not fulfilled yet; its time-out in milliseconds from the start, if it has one.
    Blocked { timeout: Option<u64> },
}

/// A row as the transaction leaves it; `None`: deleted.
type Overlay = BTreeMap<(usize, Uuid), Option<Arc<RowData>>>;

/// A transaction in progress.
pub(super) struct Transaction<'a> {
    pub(super) database: &'a Database,
    pub(super) overlay: Overlay,
    names: BTreeMap<String, Name>,
    entropy: &'a Entropy,
    /// How long the transaction has waited, in milliseconds.
    waited: u64,
}

#[derive(Clone, Copy)]
struct Name {
    uuid: Uuid,
    inserted: bool,
}

enum Step {
    Result(Value),
    Blocked(Option<u64>),
}

/// Runs the operations. Changes nothing; the caller applies the changes.
pub(super) fn run(database: &Database, operations: &[Value], entropy: &Entropy, waited: u64) -> Outcome {
    let mut transaction =
        Transaction { database, overlay: BTreeMap::new(), names: BTreeMap::new(), entropy, waited };
    let mut results = Vec::with_capacity(operations.len());
    let total = operations.len();
    for (index, operation) in operations.iter().enumerate() {
        match transaction.step(operation, index + 1, total) {
            Ok(Step::Result(result)) => results.push(result),
            Ok(Step::Blocked(timeout)) => return Outcome::Blocked { timeout },
            Err(failure) => {
                results.push(failure.to_json());
                results.resize(total, Value::Null);
                return Outcome::Done { results, changes: Vec::new() };
            }
        }
    }
    let changes = commit(&mut transaction, entropy).unwrap_or_else(|failure| {
        results.push(failure.to_json());
        Vec::new()
    });
    Outcome::Done { results, changes }
}

/// The members of one operation; what is left over at the end is an error.
struct Members<'a> {
    json: &'a Value,
    rest: Map<String, Value>,
    position: String,
}

impl<'a> Members<'a> {
    fn new(json: &'a Value, number: usize, total: usize) -> Result<Self, Failure> {
        let position = format!("Parsing ovsdb operation {number} of {total} failed: ");
        let Some(object) = json.as_object() else {
            return Err(Failure::new("syntax error", format!("{position}Object expected.")));
        };
        Ok(Self { json, rest: object.clone(), position })
    }

    fn wrong(&self, details: &str) -> Failure {
        Failure::syntax(format!("{}{details}", self.position), self.json)
    }

    fn optional(&mut self, name: &str) -> Option<Value> {
        self.rest.remove(name)
    }

    fn required(&mut self, name: &str) -> Result<Value, Failure> {
        self.rest.remove(name).ok_or_else(|| self.wrong(&format!("Required '{name}' member is missing.")))
    }

    fn text(&mut self, name: &str) -> Result<String, Failure> {
        match self.required(name)? {
            Value::String(text) => Ok(text),
            _ => Err(self.wrong(&format!("Type mismatch for member '{name}'."))),
        }
    }

    fn end(&self) -> Result<(), Failure> {
        match self.rest.keys().next() {
            Some(name) => Err(self.wrong(&format!("Member '{name}' is present but not allowed here."))),
            None => Ok(()),
        }
    }
}

impl<'a> Transaction<'a> {
    fn step(&mut self, operation: &Value, number: usize, total: usize) -> Result<Step, Failure> {
        let mut members = Members::new(operation, number, total)?;
        let name = members.text("op")?;
        let result = match name.as_str() {
            "insert" => self.insert(&mut members)?,
            "select" => self.select(&mut members)?,
            "update" => self.update(&mut members)?,
            "mutate" => self.mutate(&mut members)?,
            "delete" => self.delete(&mut members)?,
            "wait" => return self.wait(&mut members),
            "comment" => {
                members.text("comment")?;
                members.end()?;
                json!({})
            }
            "commit" => {
                members.required("durable")?;
                members.end()?;
                json!({})
            }
            "abort" => return Err(Failure::new("aborted", "aborted by request")),
            "assert" => {
                let lock = members.text("lock")?;
                members.end()?;
                return Err(Failure::new("not owner", format!("Asserted lock {lock} not held.")));
            }
            other => return Err(members.wrong(&format!("No operation \"{other}\""))),
        };
        Ok(Step::Result(result))
    }

    fn table(&self, members: &mut Members<'_>) -> Result<usize, Failure> {
        let name = members.text("table")?;
        self.database.table(&name).ok_or_else(|| members.wrong(&format!("No table named {name}.")))
    }

    fn schema(&self, table: usize) -> &'a Table {
        &self.database.tables[table]
    }

    /// The row that a `named-uuid` stands for, also before the operation that inserts it.
    fn resolve(&mut self, name: &str) -> Uuid {
        let entropy = self.entropy;
        let entry = self.names.entry(name.to_owned());
        entry.or_insert_with(|| Name { uuid: entropy.uuid(), inserted: false }).uuid
    }

    /// The present state of a row.
    pub(super) fn row(&self, table: usize, uuid: Uuid) -> Option<&Arc<RowData>> {
        match self.overlay.get(&(table, uuid)) {
            Some(pending) => pending.as_ref(),
            None => self.database.tables[table].rows.get(&uuid),
        }
    }

    /// Reads the columns of a `row` member; of an update, given as a whole, only what may change.
    fn read_row(
        &mut self,
        table: usize,
        json: &Value,
        update: Option<&Value>,
    ) -> Result<Vec<(usize, Datum)>, Failure> {
        let schema = self.schema(table);
        let object = json.as_object().ok_or_else(|| Failure::syntax("object expected", json))?;
        let mut values = Vec::with_capacity(object.len());
        for (name, value) in object {
            let column = match schema.column(name) {
                Some(Column::Data(position)) => position,
                // An insert ignores `_uuid` and `_version` (measured on ovsdb-server 3.1).
                Some(_) if update.is_none() => continue,
                Some(_) => {
                    let details = format!("Cannot update immutable column {name} in table {}.", schema.name);
                    return Err(Failure::constraint(details).about(update.unwrap_or(json)));
                }
                None => {
                    let details = format!("No column {name} in table {}.", schema.name);
                    return Err(Failure::new("unknown column", details).about(json));
                }
            };
            let definition = &schema.columns[column].1;
            if update.is_some() && !definition.mutable {
                let details = format!("Cannot update immutable column {name} in table {}.", schema.name);
                return Err(Failure::constraint(details).about(update.unwrap_or(json)));
            }
            let datum = definition.kind.read(value, &mut |name| Some(self.resolve(name)))?;
            constraint::check(&definition.kind, &datum)?;
            values.push((column, datum));
        }
        Ok(values)
    }

    fn read_where(&mut self, table: usize, members: &mut Members<'_>) -> Result<Vec<Condition>, Failure> {
        let json = members.required("where")?;
        let schema = self.schema(table);
        read_conditions(schema, &json, &mut |name| Some(self.resolve(name)))
    }

    fn insert(&mut self, members: &mut Members<'_>) -> Result<Value, Failure> {
        let table = self.table(members)?;
        let row = members.required("row")?;
        let name = members.optional("uuid-name");
        let asked = members.optional("uuid");
        members.end()?;
        let mut uuid =
            match asked.as_ref().map(|json| json.as_str().and_then(|text| Uuid::try_parse(text).ok())) {
                None => self.entropy.uuid(),
                Some(Some(uuid)) => uuid,
                Some(None) => return Err(members.wrong("\"uuid\" is not a valid UUID")),
            };
        if self.row(table, uuid).is_some() {
            return Err(Failure::new(
                "duplicate uuid",
                "This UUID would duplicate a UUID already present within the table or deleted within the same transaction.",
            ));
        }
        if let Some(name) = name {
            let name = name.as_str().ok_or_else(|| members.wrong("Type mismatch for member 'uuid-name'."))?;
            let known = self.names.get(name).copied();
            if known.is_some_and(|known| known.inserted) {
                let details = "This \"uuid-name\" appeared on an earlier \"insert\" operation.";
                return Err(Failure::new("duplicate uuid-name", details).about(&json!(name)));
            }
            uuid = if asked.is_none() { known.map_or(uuid, |known| known.uuid) } else { uuid };
            self.names.insert(name.to_owned(), Name { uuid, inserted: true });
        }
        let schema = self.schema(table);
        let mut values: Vec<Datum> =
            schema.columns.iter().map(|(_, column)| column.kind.default_datum()).collect();
        let given = self.read_row(table, &row, None)?;
        let named: BTreeSet<usize> = given.iter().map(|(column, _)| *column).collect();
        for (column, datum) in given {
            values[column] = datum;
        }
        for (column, datum) in values.iter().enumerate().filter(|(column, _)| !named.contains(column)) {
            constraint::check(&schema.columns[column].1.kind, datum)?;
        }
        self.overlay.insert((table, uuid), Some(Arc::new(RowData { version: Uuid::nil(), values })));
        Ok(json!({"uuid": ["uuid", uuid.to_string()]}))
    }

    /// The rows that fulfil all conditions, by identifier.
    fn matching(&self, table: usize, conditions: &[Condition]) -> Vec<(Uuid, Arc<RowData>)> {
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
            let unchanged = !self.overlay.contains_key(&(table, *uuid));
            (unchanged && holds(*uuid, row)).then(|| (*uuid, Arc::clone(row)))
        };
        match indexed(schema, conditions) {
            Candidates::All => found.extend(schema.rows.iter().filter_map(committed)),
            Candidates::One(uuid) => found.extend(schema.rows.get_key_value(&uuid).and_then(committed)),
            Candidates::None => {}
        }
        found.sort_by_key(|(uuid, _)| *uuid);
        found
    }

    fn columns(&self, table: usize, json: Option<&Value>) -> Result<Vec<Column>, Failure> {
        let schema = self.schema(table);
        let Some(json) = json else { return Ok(schema.all_columns()) };
        let names = json
            .as_array()
            .ok_or_else(|| Failure::syntax("array of distinct column names expected", json))?;
        let column = |name: &Value| {
            let name = name
                .as_str()
                .ok_or_else(|| Failure::syntax("array of distinct column names expected", json))?;
            schema
                .column(name)
                .ok_or_else(|| Failure::syntax(format!("{name} is not a valid column name"), json))
        };
        names.iter().map(column).collect()
    }

    fn select(&mut self, members: &mut Members<'_>) -> Result<Value, Failure> {
        let table = self.table(members)?;
        let conditions = self.read_where(table, members)?;
        let columns = members.optional("columns");
        members.optional("sort");
        members.end()?;
        let columns = self.columns(table, columns.as_ref())?;
        let schema = self.schema(table);
        // What is asked for may not tell two rows apart; the real server gives such rows once.
        let mut seen: BTreeSet<Vec<Datum>> = BTreeSet::new();
        let unique = columns.contains(&Column::Uuid);
        let mut rows = Vec::new();
        for (uuid, row) in self.matching(table, &conditions) {
            if unique || seen.insert(columns.iter().map(|column| row.value(uuid, *column)).collect()) {
                rows.push(Value::Object(schema.object(uuid, &row, &columns)));
            }
        }
        Ok(json!({ "rows": rows }))
    }

    fn update(&mut self, members: &mut Members<'_>) -> Result<Value, Failure> {
        let table = self.table(members)?;
        let conditions = self.read_where(table, members)?;
        let row = members.required("row")?;
        members.end()?;
        let values = self.read_row(table, &row, Some(members.json))?;
        let found = self.matching(table, &conditions);
        for (uuid, row) in &found {
            let mut row = RowData::clone(row);
            for (column, datum) in &values {
                row.values[*column] = datum.clone();
            }
            self.overlay.insert((table, *uuid), Some(Arc::new(row)));
        }
        Ok(json!({"count": found.len()}))
    }

    fn mutate(&mut self, members: &mut Members<'_>) -> Result<Value, Failure> {
        let table = self.table(members)?;
        let conditions = self.read_where(table, members)?;
        let mutations = members.required("mutations")?;
        members.end()?;
        let schema = self.schema(table);
        let mutations = read_mutations(schema, &mutations, &mut |name| Some(self.resolve(name)))?;
        let found = self.matching(table, &conditions);
        for (uuid, row) in &found {
            let mut row = RowData::clone(row);
            for mutation in &mutations {
                let after = mutation.apply(&row.values[mutation.column])?;
                constraint::check(&schema.columns[mutation.column].1.kind, &after)?;
                row.values[mutation.column] = after;
            }
            self.overlay.insert((table, *uuid), Some(Arc::new(row)));
        }
        Ok(json!({"count": found.len()}))
    }

    fn delete(&mut self, members: &mut Members<'_>) -> Result<Value, Failure> {
        let table = self.table(members)?;
        let conditions = self.read_where(table, members)?;
        members.end()?;
        let found = self.matching(table, &conditions);
        for (uuid, _) in &found {
            self.overlay.insert((table, *uuid), None);
        }
        Ok(json!({"count": found.len()}))
    }

    fn wait(&mut self, members: &mut Members<'_>) -> Result<Step, Failure> {
        let table = self.table(members)?;
        let timeout = members.optional("timeout").and_then(|timeout| timeout.as_u64());
        let conditions = self.read_where(table, members)?;
        let columns = members.optional("columns");
        let until = members.text("until")?;
        let rows = members.required("rows")?;
        members.end()?;
        let columns = self.columns(table, columns.as_ref())?;
        let equal = match until.as_str() {
            "==" => true,
            "!=" => false,
            _ => return Err(members.wrong("\"until\" must be \"==\" or \"!=\"")),
        };
        let mut wanted = BTreeSet::new();
        for row in rows.as_array().ok_or_else(|| Failure::syntax("array expected", &rows))? {
            wanted.insert(self.wanted(table, &columns, row)?);
        }
        let values = |(uuid, row): (Uuid, Arc<RowData>)| -> Vec<Datum> {
            columns.iter().map(|column| row.value(uuid, *column)).collect()
        };
        let found: BTreeSet<Vec<Datum>> = self.matching(table, &conditions).into_iter().map(values).collect();
        if (found == wanted) == equal {
            return Ok(Step::Result(json!({})));
        }
        match timeout {
            Some(0) => Err(Failure::new("timed out", "\"where\" clause test failed")),
            Some(limit) if self.waited >= limit => {
                Err(Failure::new("timed out", format!("\"wait\" timed out after {} ms", self.waited)))
            }
            timeout => Ok(Step::Blocked(timeout)),
        }
    }

    /// A row of a wait's `rows`: these columns, and their defaults where it says nothing.
    fn wanted(&mut self, table: usize, columns: &[Column], json: &Value) -> Result<Vec<Datum>, Failure> {
        let object = json.as_object().ok_or_else(|| Failure::syntax("object expected", json))?;
        let schema = self.schema(table);
        if let Some(name) = object.keys().find(|name| schema.column(name).is_none()) {
            let details = format!("No column {name} in table {}.", schema.name);
            return Err(Failure::new("unknown column", details).about(json));
        }
        let mut values = Vec::with_capacity(columns.len());
        for column in columns {
            let kind = schema.kind(*column);
            values.push(match object.get(schema.column_name(*column)) {
                Some(value) => kind.read(value, &mut |name| Some(self.resolve(name)))?,
                None => kind.default_datum(),
            });
        }
        Ok(values)
    }
}

/// Which committed rows can fulfil some conditions.
enum Candidates {
    All,
    One(Uuid),
    None,
}

/// Where the conditions give a whole unique key, at most one row can fulfil them.
fn indexed(schema: &Table, conditions: &[Condition]) -> Candidates {
    let given: BTreeMap<usize, &Datum> = conditions.iter().filter_map(Condition::equality).collect();
    for (index, columns) in schema.indexes.iter().enumerate() {
        let key: Option<Vec<Datum>> =
            columns.iter().map(|column| Some((*given.get(column)?).clone())).collect();
        if let Some(key) = key {
            return schema.find(index, &key).map_or(Candidates::None, Candidates::One);
        }
    }
    Candidates::All
}
