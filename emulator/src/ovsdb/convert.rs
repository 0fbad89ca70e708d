//! The conversion of a database to another schema (`convert`, ovsdb-server(7)): tables and columns of the same name keep
//! their content as far as the new type allows it; everything else begins with its default or is dropped.

use std::collections::BTreeMap;
use std::sync::Arc;

use nuage_ovsdb::constraint;
use nuage_ovsdb::schema::{ColumnType, DatabaseSchema};
use nuage_ovsdb::value::Datum;

use super::failure::Failure;
use super::storage::{Database, RowData, Table};
use super::transaction::{Context, commit_rows};
use crate::entropy::Entropy;

/// A database of the new schema with the old one's rows.
pub(super) fn convert(
    old: &Database,
    schema: DatabaseSchema,
    entropy: &Entropy,
) -> Result<Database, Failure> {
    let mut new = Database::new(schema);
    let mut rows = BTreeMap::new();
    for (position, table) in new.tables.iter().enumerate() {
        let Some(source) = old.table(&table.name).map(|source| &old.tables[source]) else { continue };
        for (uuid, row) in &source.rows {
            let values = convert_row(source, row, table)?;
            rows.insert((position, *uuid), Some(Arc::new(RowData { version: row.version, values })));
        }
    }
    let context = Context { entropy, waited: 0, holds: &|_| false, reserved: false };
    let changes = commit_rows(&new, &context, rows)?;
    new.apply(&changes);
    Ok(new)
}

fn convert_row(source: &Table, row: &RowData, target: &Table) -> Result<Box<[Datum]>, Failure> {
    let mut values = target.defaults.clone();
    for (position, (name, column)) in target.columns.iter().enumerate() {
        let Ok(from) = source.columns.binary_search_by(|(known, _)| known.cmp(name)) else { continue };
        values[position] =
            convert_value(name, &source.columns[from].1.kind, &row.values[from], &column.kind)?;
    }
    Ok(values.into())
}

fn convert_value(name: &str, from: &ColumnType, datum: &Datum, to: &ColumnType) -> Result<Datum, Failure> {
    let json = datum.to_json();
    let refuse =
        |why: &str| Failure::constraint(format!("column {name} cannot be converted: {why}")).about(&json);
    let same = from.key.atomic == to.key.atomic
        && from.value.as_ref().map(|value| value.atomic) == to.value.as_ref().map(|value| value.atomic);
    if !same {
        return Err(refuse("its type is another"));
    }
    let count = datum.len() as u64;
    if count < to.min {
        return Ok(to.default_datum());
    }
    if to.max.is_some_and(|max| count > max) {
        return Err(refuse("it holds too many elements"));
    }
    constraint::check(to, datum).map_err(|error| refuse(&error.details))?;
    Ok(datum.clone())
}
