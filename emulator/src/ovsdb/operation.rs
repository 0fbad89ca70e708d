//! The operations of a transaction (RFC 7047 section 5.2.1 to 5.2.10): what each reads, in the order in which the real
//! server reads it, and what it does to the transaction's overlay.

use std::collections::BTreeSet;
use std::sync::Arc;

use nuage_ovsdb::Uuid;
use nuage_ovsdb::constraint;
use nuage_ovsdb::members::{Expect, Members};
use nuage_ovsdb::read::parse_uuid;
use nuage_ovsdb::value::Datum;
use serde_json::{Value, json};

use super::condition::{no_column, read_conditions};
use super::failure::Failure;
use super::mutation::read_mutations;
use super::storage::{Column, RowData, Table};
use super::transaction::{Name, Reply, Step, Transaction};

/// The columns that a `row` member gives values to.
type Given = Vec<(Column, Datum)>;

impl Transaction<'_> {
    fn table(&self, members: &Members<'_>) -> Option<usize> {
        let name = members.required("table", Expect::Id)?.as_str()?;
        let table = self.database.table(name);
        if table.is_none() {
            members.fail(&format!("No table named {name}."));
        }
        table
    }

    /// Reads a `row` member.
    fn read_row(&mut self, table: usize, json: &Value) -> Result<Given, Failure> {
        let schema = self.schema(table);
        let object = json.as_object().ok_or_else(|| Failure::syntax("row must be JSON object", json))?;
        let mut given = Vec::with_capacity(object.len());
        for (name, value) in object {
            let column = schema.column(name).ok_or_else(|| no_column(schema, name, json))?;
            let mut named = |name: &str| Some(self.resolve(name));
            let datum = match column {
                Column::Data(position) => schema.columns[position].1.kind.read(value, &mut named)?,
                Column::Uuid | Column::Version => schema.kind(column).read(value, &mut named)?,
            };
            given.push((column, datum));
        }
        Ok(given)
    }

    /// `insert`. Values for `_uuid` and `_version` are read and forgotten, as in the real server.
    pub(super) fn insert(&mut self, members: &Members<'_>) -> Result<Step, Failure> {
        let table = self.table(members);
        let asked = members.optional("uuid", Expect::String);
        let name = members.optional("uuid-name", Expect::Id);
        let row = members.required("row", Expect::Object);
        members.check()?;
        let (Some(table), Some(row)) = (table, row) else { return Err(incomplete()) };
        let uuid = self.identify(table, asked, name)?;
        let schema = self.schema(table);
        let given = self.read_row(table, row)?;
        let mut values = schema.defaults.clone();
        let mut named = vec![false; values.len()];
        for (column, datum) in given {
            if let Column::Data(position) = column {
                values[position] = datum;
                named[position] = true;
            }
        }
        for (position, _) in named.iter().enumerate().filter(|(_, named)| !**named) {
            constraint::check(&schema.columns[position].1.kind, &values[position])?;
        }
        let version = self.context.entropy.uuid();
        self.replace(table, uuid, RowData { version, values: values.into() });
        Ok(Step::Result(Reply::Inserted(uuid)))
    }

    /// The identifier of a row to be inserted.
    fn identify(
        &mut self,
        table: usize,
        asked: Option<&Value>,
        name: Option<&Value>,
    ) -> Result<Uuid, Failure> {
        let mut chosen = None;
        if let Some(json) = asked {
            let uuid = json.as_str().and_then(parse_uuid).ok_or_else(|| Failure::syntax("bad uuid", json))?;
            if self.overlay.contains_key(&(table, uuid)) || self.row(table, uuid).is_some() {
                let details = "This UUID would duplicate a UUID already present within the table or deleted \
                               within the same transaction.";
                return Err(Failure::new("duplicate uuid", details).about(json));
            }
            chosen = Some(uuid);
        }
        if let Some(json) = name {
            let name = json.as_str().unwrap_or_default();
            let known = self.names.get(name).copied();
            if known.is_some_and(|known| known.inserted) {
                let details = "This \"uuid-name\" appeared on an earlier \"insert\" operation.";
                return Err(Failure::new("duplicate uuid-name", details).about(json));
            }
            let uuid =
                chosen.or(known.map(|known| known.uuid)).unwrap_or_else(|| self.context.entropy.uuid());
            self.names.insert(name.to_owned(), Name { uuid, inserted: true });
            return Ok(uuid);
        }
        Ok(chosen.unwrap_or_else(|| self.context.entropy.uuid()))
    }

    /// `select`, with `sort`, which the real server knows although RFC 7047 does not.
    pub(super) fn select(&mut self, members: &Members<'_>) -> Result<Step, Failure> {
        let table = self.table(members);
        let conditions = members.array("where");
        let columns = members.optional("columns", Expect::Array);
        let sort = members.optional("sort", Expect::Array);
        members.check()?;
        let table = table.ok_or_else(incomplete)?;
        let schema = self.schema(table);
        let conditions = read_conditions(schema, conditions, &mut |name| Some(self.resolve(name)))?;
        let columns = read_columns(schema, columns)?;
        let sort = sort.map(|json| read_columns(schema, Some(json))).transpose()?.unwrap_or_default();
        let mut rows = self.matching(table, &conditions);
        if !columns.contains(&Column::Uuid) && rows.len() > 1 {
            // What is asked for may not tell two rows apart; the real server gives such rows once.
            let mut seen: BTreeSet<Vec<Datum>> = BTreeSet::new();
            rows.retain(|(uuid, row)| seen.insert(values(*uuid, row, &columns)));
        }
        if !sort.is_empty() {
            rows.sort_by_cached_key(|(uuid, row)| values(*uuid, row, &sort));
        }
        Ok(Step::Result(Reply::Rows { table, columns, rows }))
    }

    pub(super) fn update(&mut self, members: &Members<'_>) -> Result<Step, Failure> {
        let table = self.table(members);
        let conditions = members.array("where");
        let row = members.required("row", Expect::Object);
        members.check()?;
        let (Some(table), Some(row)) = (table, row) else { return Err(incomplete()) };
        let schema = self.schema(table);
        let given = self.read_row(table, row)?;
        let mut wanted = Vec::with_capacity(given.len());
        for (column, datum) in given {
            match column {
                Column::Data(position) if schema.columns[position].1.mutable => {
                    wanted.push((position, datum));
                }
                _ => {
                    let name = schema.column_name(column);
                    let details = format!("Cannot update immutable column {name} in table {}.", schema.name);
                    return Err(Failure::constraint(details).about(members.json));
                }
            }
        }
        let conditions = read_conditions(schema, conditions, &mut |name| Some(self.resolve(name)))?;
        let found = self.matching(table, &conditions);
        let count = found.len();
        for (uuid, row) in found {
            if wanted.iter().any(|(column, datum)| row.values[*column] != *datum) {
                let mut row = Arc::unwrap_or_clone(row);
                for (column, datum) in &wanted {
                    row.values[*column] = datum.clone();
                }
                self.replace(table, uuid, row);
            }
        }
        Ok(Step::Result(Reply::Count(count)))
    }

    pub(super) fn mutate(&mut self, members: &Members<'_>) -> Result<Step, Failure> {
        let table = self.table(members);
        let conditions = members.array("where");
        let mutations = members.array("mutations");
        members.check()?;
        let table = table.ok_or_else(incomplete)?;
        let schema = self.schema(table);
        let mutations = read_mutations(schema, mutations, &mut |name| Some(self.resolve(name)))?;
        let conditions = read_conditions(schema, conditions, &mut |name| Some(self.resolve(name)))?;
        let found = self.matching(table, &conditions);
        let count = found.len();
        for (uuid, row) in found {
            let mut row = Arc::unwrap_or_clone(row);
            for mutation in &mutations {
                row.values[mutation.column] = mutation.apply(&row.values[mutation.column])?;
            }
            self.replace(table, uuid, row);
        }
        Ok(Step::Result(Reply::Count(count)))
    }

    pub(super) fn delete(&mut self, members: &Members<'_>) -> Result<Step, Failure> {
        let table = self.table(members);
        let conditions = members.array("where");
        members.check()?;
        let table = table.ok_or_else(incomplete)?;
        let conditions =
            read_conditions(self.schema(table), conditions, &mut |name| Some(self.resolve(name)))?;
        let found = self.matching(table, &conditions);
        for (uuid, _) in &found {
            self.remove(table, *uuid);
        }
        Ok(Step::Result(Reply::Count(found.len())))
    }

    pub(super) fn wait(&mut self, members: &Members<'_>) -> Result<Step, Failure> {
        let timeout = members.optional("timeout", Expect::Number);
        let conditions = members.array("where");
        let columns = members.optional("columns", Expect::Array);
        let until = members.text("until", Expect::String);
        let rows = members.array("rows");
        let table = self.table(members);
        members.check()?;
        let table = table.ok_or_else(incomplete)?;
        let schema = self.schema(table);
        let conditions = read_conditions(schema, conditions, &mut |name| Some(self.resolve(name)))?;
        let columns = read_columns(schema, columns)?;
        let equal = match until {
            "==" => true,
            "!=" => false,
            _ => return Err(Failure::syntax("\"until\" must be \"==\" or \"!=\"", &json!(until))),
        };
        let mut expected = BTreeSet::new();
        for row in rows {
            expected.insert(self.wanted(table, &columns, row)?);
        }
        let found: BTreeSet<Vec<Datum>> = self
            .matching(table, &conditions)
            .into_iter()
            .map(|(uuid, row)| values(uuid, &row, &columns))
            .collect();
        if (found == expected) == equal {
            return Ok(Step::Result(Reply::Nothing));
        }
        let waited = self.context.waited;
        match timeout.map(milliseconds) {
            Some(limit) if waited >= limit => Err(Failure::new(
                "timed out",
                match waited {
                    0 => "\"where\" clause test failed".to_owned(),
                    waited => format!("\"wait\" timed out after {waited} ms"),
                },
            )),
            timeout => Ok(Step::Blocked(timeout)),
        }
    }

    /// A row of a wait's `rows`: these columns, and their defaults where it says nothing.
    fn wanted(&mut self, table: usize, columns: &[Column], json: &Value) -> Result<Vec<Datum>, Failure> {
        let schema = self.schema(table);
        let given = self.read_row(table, json)?;
        let value = |column: &Column| {
            let given = given.iter().find(|(given, _)| given == column);
            given.map_or_else(|| schema.kind(*column).default_datum(), |(_, datum)| datum.clone())
        };
        Ok(columns.iter().map(value).collect())
    }

    pub(super) fn comment(&mut self, members: &Members<'_>) -> Result<Step, Failure> {
        let comment = members.text("comment", Expect::String);
        members.check()?;
        self.comments.push(comment.to_owned());
        Ok(Step::Result(Reply::Nothing))
    }

    pub(super) fn commit(&mut self, members: &Members<'_>) -> Result<Step, Failure> {
        let durable = members.required("durable", Expect::Boolean);
        members.check()?;
        self.durable |= durable == Some(&Value::Bool(true));
        Ok(Step::Result(Reply::Nothing))
    }

    pub(super) fn assert(&mut self, members: &Members<'_>) -> Result<Step, Failure> {
        let lock = members.text("lock", Expect::Id);
        members.check()?;
        if (self.context.holds)(lock) {
            return Ok(Step::Result(Reply::Nothing));
        }
        Err(Failure::new("not owner", format!("Asserted lock {lock} not held.")))
    }
}

/// What cannot happen: a member was checked and is not there.
fn incomplete() -> Failure {
    Failure::new("internal error", "a member that was checked is missing")
}

fn values(uuid: Uuid, row: &RowData, columns: &[Column]) -> Vec<Datum> {
    columns.iter().map(|column| row.value(uuid, *column)).collect()
}

/// A wait's time-out; less than nothing is nothing.
fn milliseconds(json: &Value) -> u64 {
    let real = json.as_f64().unwrap_or(0.0).max(0.0);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a cast of a float saturates"
    )]
    json.as_u64().unwrap_or(real as u64)
}

/// Reads a set of columns; none given means all.
fn read_columns(schema: &Table, json: Option<&Value>) -> Result<Vec<Column>, Failure> {
    let Some(json) = json else { return Ok(schema.all_columns()) };
    let expected = || Failure::syntax("array of distinct column names expected", json);
    let mut columns = Vec::new();
    for name in json.as_array().ok_or_else(expected)? {
        let name = name.as_str().ok_or_else(expected)?;
        let invalid = || Failure::syntax(format!("{name} is not a valid column name"), json);
        let column = schema.column(name).ok_or_else(invalid)?;
        if columns.contains(&column) {
            return Err(expected());
        }
        columns.push(column);
    }
    Ok(columns)
}
