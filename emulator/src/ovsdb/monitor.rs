//! Monitors of all three kinds (RFC 7047 section 4.1.5; ovsdb-server(7) for the conditional ones): what a client
//! wants to see, and what a commit's changes are in its form.

use std::sync::Arc;

use nuage_ovsdb::value::Datum;
use serde_json::{Map, Value, json};

use super::condition::{Condition, read_conditions};
use super::failure::Failure;
use super::storage::{Change, Column, Database, RowData, Table};

/// Which method made a monitor; decides the form of its updates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Plain,
    Conditional,
    Since,
}

#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "the four members of <monitor-select>")]
struct Selection {
    initial: bool,
    insert: bool,
    delete: bool,
    modify: bool,
}

#[derive(Debug)]
struct Request {
    table: usize,
    columns: Vec<Column>,
    conditions: Option<Vec<Condition>>,
    select: Selection,
}

/// One monitor of one session.
#[derive(Debug)]
pub(super) struct Monitor {
    pub(super) database: String,
    pub(super) id: Value,
    pub(super) kind: Kind,
    requests: Vec<Request>,
}

impl Monitor {
    /// Reads the requests of a monitor method.
    pub(super) fn new(
        kind: Kind,
        name: &str,
        database: &Database,
        id: &Value,
        requests: &Value,
    ) -> Result<Self, Failure> {
        let object = requests
            .as_object()
            .ok_or_else(|| Failure::syntax("<monitor-requests> must be an object", requests))?;
        let mut all = Vec::new();
        for (table_name, requests) in object {
            let table = database
                .table(table_name)
                .ok_or_else(|| Failure::syntax(format!("no table named {table_name}"), requests))?;
            let several = requests.as_array().map_or_else(|| std::slice::from_ref(requests), Vec::as_slice);
            for request in several {
                all.push(read_request(kind, &database.tables[table], table, request)?);
            }
        }
        Ok(Self { database: name.to_owned(), id: id.clone(), kind, requests: all })
    }

    /// The rows that are there when the monitor begins.
    pub(super) fn initial(&self, database: &Database) -> Value {
        let mut tables = Tables::default();
        for request in self.requests.iter().filter(|request| request.select.initial) {
            let table = &database.tables[request.table];
            for (uuid, row) in table.rows.iter().filter(|(uuid, row)| request.wants(**uuid, row)) {
                let content = match self.kind {
                    Kind::Plain => json!({"new": table.object(*uuid, row, &request.columns)}),
                    _ => json!({"initial": without_defaults(table, row, *uuid, &request.columns)}),
                };
                tables.put(table, &uuid.to_string(), content);
            }
        }
        Value::Object(tables.0)
    }

    /// The notification that a commit's changes are to this monitor, if any.
    pub(super) fn update(&self, database: &Database, changes: &[Change]) -> Option<(&'static str, Value)> {
        let mut tables = Tables::default();
        for change in changes {
            for request in self.requests.iter().filter(|request| request.table == change.table) {
                let table = &database.tables[change.table];
                let content = match self.kind {
                    Kind::Plain => request.first_form(table, change),
                    _ => request.second_form(table, change),
                };
                if let Some(content) = content {
                    tables.put(table, &change.uuid.to_string(), content);
                }
            }
        }
        if tables.0.is_empty() {
            return None;
        }
        let updates = Value::Object(tables.0);
        Some(match self.kind {
            Kind::Plain => ("update", json!([self.id, updates])),
            Kind::Conditional => ("update2", json!([self.id, updates])),
            Kind::Since => ("update3", json!([self.id, ZERO, updates])),
        })
    }
}

/// The transaction id of a server without history.
pub(super) const ZERO: &str = "00000000-0000-0000-0000-000000000000";

/// `<table-updates>`: several requests for one table add up.
#[derive(Default)]
struct Tables(Map<String, Value>);

impl Tables {
    fn put(&mut self, table: &Table, uuid: &str, content: Value) {
        let rows = self.0.entry(table.name.clone()).or_insert_with(|| json!({}));
        let Value::Object(content) = content else { return };
        for (key, columns) in content {
            match (&mut rows[uuid][&key], columns) {
                (Value::Object(known), Value::Object(more)) => known.extend(more),
                (slot, columns) => *slot = columns,
            }
        }
    }
}

fn read_request(kind: Kind, table: &Table, position: usize, json: &Value) -> Result<Request, Failure> {
    let object =
        json.as_object().ok_or_else(|| Failure::syntax("<monitor-request> must be an object", json))?;
    let mut request = Request {
        table: position,
        // All but `_uuid`, `_version` included (measured on ovsdb-server 3.1).
        columns: table.all_columns().into_iter().filter(|column| *column != Column::Uuid).collect(),
        conditions: None,
        select: Selection { initial: true, insert: true, delete: true, modify: true },
    };
    for (key, value) in object {
        match key.as_str() {
            "columns" => {
                let names = value
                    .as_array()
                    .ok_or_else(|| Failure::syntax("array of column names expected", value))?;
                let column = |name: &Value| {
                    let name = name.as_str().unwrap_or_default();
                    table
                        .column(name)
                        .ok_or_else(|| Failure::syntax(format!("{name} is not a valid column name"), value))
                };
                request.columns = names.iter().map(column).collect::<Result<_, Failure>>()?;
            }
            "where" if kind != Kind::Plain => {
                request.conditions = Some(read_conditions(table, value, &mut |_| None)?);
            }
            "select" => {
                let wants = |name: &str| value.get(name).and_then(Value::as_bool).unwrap_or(true);
                request.select = Selection {
                    initial: wants("initial"),
                    insert: wants("insert"),
                    delete: wants("delete"),
                    modify: wants("modify"),
                };
            }
            other => {
                return Err(Failure::syntax(
                    format!("Member '{other}' is present but not allowed here."),
                    json,
                ));
            }
        }
    }
    Ok(request)
}

impl Request {
    /// Whether a row belongs to what is monitored. Clauses of a monitor's `where` are alternatives (ovsdb-server(7)).
    fn wants(&self, uuid: nuage_ovsdb::Uuid, row: &RowData) -> bool {
        let Some(conditions) = &self.conditions else { return true };
        conditions.is_empty() || conditions.iter().any(|condition| condition.holds(uuid, row))
    }

    fn changed(&self, old: &RowData, new: &RowData) -> Vec<Column> {
        let differs = |column: &&Column| match **column {
            Column::Uuid => false,
            Column::Version => old.version != new.version,
            Column::Data(position) => old.values[position] != new.values[position],
        };
        self.columns.iter().filter(differs).copied().collect()
    }

    fn first_form(&self, table: &Table, change: &Change) -> Option<Value> {
        let all = |row: &Arc<RowData>| table.object(change.uuid, row, &self.columns);
        match (&change.old, &change.new) {
            (None, Some(new)) if self.select.insert => Some(json!({"new": all(new)})),
            (Some(old), None) if self.select.delete => Some(json!({"old": all(old)})),
            (Some(old), Some(new)) if self.select.modify => {
                let changed = self.changed(old, new);
                let old = table.object(change.uuid, old, &changed);
                (!changed.is_empty()).then(|| json!({"old": old, "new": all(new)}))
            }
            _ => None,
        }
    }

    fn second_form(&self, table: &Table, change: &Change) -> Option<Value> {
        let wanted = |row: &Option<Arc<RowData>>| {
            row.as_ref().filter(|row| self.wants(change.uuid, row)).map(Arc::clone)
        };
        match (wanted(&change.old), wanted(&change.new)) {
            (None, Some(new)) if self.select.insert => {
                Some(json!({"insert": without_defaults(table, &new, change.uuid, &self.columns)}))
            }
            (Some(_), None) if self.select.delete => Some(json!({"delete": null})),
            (Some(old), Some(new)) if self.select.modify => {
                let changed = self.changed(&old, &new);
                let difference: Map<String, Value> = changed
                    .iter()
                    .map(|column| {
                        (table.column_name(*column).to_owned(), difference(table, *column, &old, &new))
                    })
                    .collect();
                (!changed.is_empty()).then(|| json!({"modify": difference}))
            }
            _ => None,
        }
    }
}

fn without_defaults(
    table: &Table,
    row: &RowData,
    uuid: nuage_ovsdb::Uuid,
    columns: &[Column],
) -> Map<String, Value> {
    let told = |column: &&Column| match **column {
        Column::Data(position) => row.values[position] != table.columns[position].1.kind.default_datum(),
        Column::Uuid | Column::Version => true,
    };
    let columns: Vec<Column> = columns.iter().filter(told).copied().collect();
    table.object(uuid, row, &columns)
}

fn difference(table: &Table, column: Column, old: &RowData, new: &RowData) -> Value {
    let Column::Data(position) = column else { return json!(["uuid", new.version.to_string()]) };
    let kind = &table.columns[position].1.kind;
    let (old, new) = (&old.values[position], &new.values[position]);
    match (old, new) {
        (Datum::Set(old), Datum::Set(new)) if !kind.is_scalar() && !kind.is_optional() => {
            Datum::Set(old.symmetric_difference(new).cloned().collect()).to_json()
        }
        (Datum::Map(old), Datum::Map(new)) => {
            let fresh = new.iter().filter(|(key, value)| old.get(key) != Some(value));
            let gone = old.iter().filter(|(key, _)| !new.contains_key(key));
            Datum::Map(fresh.chain(gone).map(|(key, value)| (key.clone(), value.clone())).collect()).to_json()
        }
        (_, new) => new.to_json(),
    }
}
