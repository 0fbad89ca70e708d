//! The conversion of a database to another schema (`convert`, ovsdb-server(7)): tables and columns of the same name keep
//! their content where the new type can read it, and the conversion fails where it cannot; everything else begins with its
//! default or is dropped.

use std::collections::BTreeMap;
use std::sync::Arc;

use nuage_ovsdb::schema::{AtomicType, BaseType, ColumnType, DatabaseSchema};
use nuage_ovsdb::value::{Atom, Datum};

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
        values[position] = convert_value(&source.columns[from].1.kind, &row.values[from], &column.kind)?;
    }
    Ok(values.into())
}

/// A value as the new type reads the old one's notation, which is what the real server does.
fn convert_value(from: &ColumnType, datum: &Datum, to: &ColumnType) -> Result<Datum, Failure> {
    let json = datum.to_json();
    if let Some(real) = first_real_as_integer(from, datum, to) {
        return Err(Failure::syntax("expected integer", &real.to_json()));
    }
    Ok(to.read(&json, &mut |_| None)?)
}

/// The real server knows that a whole real is one, which its notation does not show; it refuses the first of them, once it has
/// counted them.
fn first_real_as_integer<'a>(from: &ColumnType, datum: &'a Datum, to: &ColumnType) -> Option<&'a Atom> {
    let narrows =
        |from: &BaseType, to: &BaseType| (from.atomic, to.atomic) == (AtomicType::Real, AtomicType::Integer);
    let count = datum.len() as u64;
    if count < to.min || to.max.is_some_and(|max| count > max) {
        return None;
    }
    match (&from.value, &to.value) {
        (None, None) if narrows(&from.key, &to.key) => datum.atoms().first(),
        (Some(_), Some(_)) if narrows(&from.key, &to.key) => datum.pairs().first().map(|(key, _)| key),
        (Some(from_value), Some(to_value))
            if narrows(from_value, to_value) && from.key.atomic == to.key.atomic =>
        {
            datum.pairs().first().map(|(_, value)| value)
        }
        _ => None,
    }
}
