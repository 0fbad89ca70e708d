//! Watching rows: deltas of either form become full rows before and after. Uses `monitor_cond` where rows are
//! selected; a server that does not know it gets `monitor`, and the rows are selected here.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::sync::mpsc;
use uuid::Uuid;

use super::connection::{Subscription, UPDATE_QUEUE, Update};
use super::{Client, unexpected};
use crate::error::Error;
use crate::schema::{ColumnType, TableSchema};
use crate::value::Row;

/// What to watch of one table.
#[derive(Clone, Debug)]
pub struct MonitorTable {
    table: String,
    columns: Vec<String>,
    equals: Option<(String, Value)>,
    kinds: BTreeMap<String, ColumnType>,
}

impl MonitorTable {
    /// These columns of all rows.
    pub fn new(table: &str, columns: &[&str]) -> Self {
        let columns = columns.iter().map(|column| (*column).to_owned()).collect();
        Self { table: table.to_owned(), columns, equals: None, kinds: BTreeMap::new() }
    }

    /// Only rows whose `column`, a watched one, has this value.
    #[must_use]
    pub fn only(mut self, column: &str, value: impl Into<Value>) -> Self {
        self.equals = Some((column.to_owned(), value.into()));
        self
    }

    /// The table's types. Needed with [`MonitorTable::only`] when a watched column is a set or a map: a delta alone
    /// does not tell them from scalars.
    #[must_use]
    pub fn typed(mut self, schema: &TableSchema) -> Self {
        self.kinds =
            schema.columns.iter().map(|(name, column)| (name.clone(), column.kind.clone())).collect();
        self
    }

    fn request(&self, conditional: bool) -> Value {
        let mut request = json!({"columns": self.columns});
        if let (true, Some((column, value))) = (conditional, &self.equals) {
            request["where"] = json!([[column, "==", value]]);
        }
        json!([request])
    }

    fn wants(&self, row: &Row) -> bool {
        self.equals.as_ref().is_none_or(|(column, value)| row.get(column) == Some(value))
    }

    fn default_row(&self) -> Row {
        let default = |column: &String| {
            self.kinds.get(column).map_or_else(|| json!(""), |kind| kind.default_datum().to_json())
        };
        self.columns.iter().map(|column| (column.clone(), default(column))).collect()
    }
}

/// One row that came, changed or went.
#[derive(Clone, Debug, PartialEq)]
pub struct RowChange {
    /// Its table.
    pub table: String,
    /// Its identifier.
    pub uuid: Uuid,
    /// Before; `None`: it was not there (or not wanted).
    pub old: Option<Row>,
    /// After; `None`: it is gone (or not wanted any more).
    pub new: Option<Row>,
}

/// Rows by table and identifier.
pub type Rows = BTreeMap<(String, Uuid), Row>;

/// A watch in progress. Its end is an error of [`Monitor::next`], never silence.
#[derive(Debug)]
pub struct Monitor {
    tables: BTreeMap<String, MonitorTable>,
    rows: Rows,
    /// Whether rows are kept, so that changes can tell what was before.
    keeps: bool,
    updates: mpsc::Receiver<Update>,
    // The connection lives as long as somebody watches.
    _client: Client,
}

pub(super) async fn start(
    client: &Client,
    database: &str,
    tables: Vec<MonitorTable>,
    timeout: Duration,
) -> Result<Monitor, Error> {
    let conditional = tables.iter().any(|table| table.equals.is_some());
    let (sender, updates) = mpsc::channel(UPDATE_QUEUE);
    let id = client.next_monitor_id();
    let subscribe = || Some(Subscription { id: id.clone(), sender: sender.clone() });
    let params = |conditional: bool| {
        let requests: Map<String, Value> =
            tables.iter().map(|table| (table.table.clone(), table.request(conditional))).collect();
        json!([database, id, requests])
    };

    let mut answer = Err(Error::Closed);
    if conditional {
        answer = client.call_with("monitor_cond", params(true), timeout, subscribe()).await;
    }
    let unknown = matches!(&answer, Err(Error::Refused { error, .. }) if error == "unknown method");
    let second_form = conditional && !unknown;
    if !second_form {
        answer = client.call_with("monitor", params(false), timeout, subscribe()).await;
    }
    let tables = tables.into_iter().map(|table| (table.table.clone(), table)).collect();
    let mut monitor = Monitor { tables, rows: Rows::new(), keeps: true, updates, _client: client.clone() };
    monitor.apply(Update { second_form, tables: answer? })?;
    Ok(monitor)
}

impl Monitor {
    /// The rows as they are now, by table and identifier.
    pub fn rows(&self) -> &Rows {
        &self.rows
    }

    /// Gives the rows away as they are now. Changes tell no longer what was before, and every update is told, whether or not
    /// it changes a column that is watched: for whoever keeps what it needs of the rows itself. A watch that selects rows
    /// goes on as before, because its updates tell differences.
    pub fn hand_over(&mut self) -> Rows {
        if self.tables.values().any(|table| table.equals.is_some()) {
            return self.rows.clone();
        }
        self.keeps = false;
        std::mem::take(&mut self.rows)
    }

    /// Waits for the next change or changes, which happened together. The caller bounds the wait.
    ///
    /// # Errors
    /// [`Error::Closed`] once the connection is gone or this consumer was too slow, [`Error::Unexpected`].
    pub async fn next(&mut self) -> Result<Vec<RowChange>, Error> {
        loop {
            let update = self.updates.recv().await.ok_or(Error::Closed)?;
            let changes = self.apply(update)?;
            if !changes.is_empty() {
                return Ok(changes);
            }
        }
    }

    fn apply(&mut self, update: Update) -> Result<Vec<RowChange>, Error> {
        let mut changes = Vec::new();
        for (table, rows) in object(update.tables)? {
            let Some(wanted) = self.tables.get(&table) else { continue };
            for (uuid, change) in object(rows)? {
                let uuid = Uuid::try_parse(&uuid).map_err(|_| unexpected("monitor", &change))?;
                let key = (table.clone(), uuid);
                let old = self.rows.remove(&key);
                let new = if update.second_form {
                    second_form(wanted, old.as_ref(), &change).map_err(|()| unexpected("monitor", &change))?
                } else {
                    after(change)
                };
                let new = new.filter(|row| wanted.wants(row));
                if !self.keeps {
                    changes.push(RowChange { table: table.clone(), uuid, old: None, new });
                    continue;
                }
                if let Some(row) = &new {
                    self.rows.insert(key, row.clone());
                }
                if old != new {
                    changes.push(RowChange { table: table.clone(), uuid, old, new });
                }
            }
        }
        Ok(changes)
    }
}

fn object(value: Value) -> Result<Map<String, Value>, Error> {
    match value {
        Value::Object(object) => Ok(object),
        other => Err(unexpected("monitor", &other)),
    }
}

/// The row after a change of the first form.
fn after(mut change: Value) -> Option<Row> {
    match change.get_mut("new")?.take() {
        Value::Object(row) => Some(row.into_iter().collect()),
        _ => None,
    }
}

fn object_to_row(value: &Value) -> Option<Row> {
    Some(value.as_object()?.clone().into_iter().collect())
}

/// Applies `initial`, `insert`, `modify` or `delete` (ovsdb-server(7), section "Monitor Cond").
fn second_form(table: &MonitorTable, old: Option<&Row>, change: &Value) -> Result<Option<Row>, ()> {
    if let Some(row) = change.get("initial").or_else(|| change.get("insert")) {
        // What is the default is left out.
        let mut full = table.default_row();
        full.extend(object_to_row(row).ok_or(())?);
        return Ok(Some(full));
    }
    let Some(difference) = change.get("modify") else { return Ok(None) };
    let mut row = old.ok_or(())?.clone();
    for (column, difference) in difference.as_object().ok_or(())? {
        let value = match table.kinds.get(column) {
            Some(kind) if !kind.is_scalar() && !kind.is_optional() => {
                let before = row.get(column).ok_or(())?;
                differ(kind, before, difference).ok_or(())?
            }
            _ => difference.clone(),
        };
        row.insert(column.clone(), value);
    }
    Ok(Some(row))
}

/// The symmetric difference of two sets; for a map, pairs that are new or changed, and removed pairs as they were.
fn differ(kind: &ColumnType, before: &Value, difference: &Value) -> Option<Value> {
    let read = |value| kind.read_sized(value, 0, None, &mut |_| None).ok();
    Some(read(before)?.changed_by(&read(difference)?).to_json())
}
