//! What the real server does and checks before a transaction becomes the state, in its order: no-op changes dropped,
//! strong references, garbage collection, row limits, weak references, unique indexes, new versions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use nuage_ovsdb::Uuid;
use nuage_ovsdb::schema::BaseType;
use nuage_ovsdb::value::{Atom, Datum};

use super::constraint::show;
use super::failure::Failure;
use super::storage::{Change, Database, RowData};
use super::transaction::Transaction;
use crate::entropy::Entropy;

/// Checks a transaction and returns what it changes, in the order of tables and rows.
pub(super) fn commit(transaction: &mut Transaction<'_>, entropy: &Entropy) -> Result<Vec<Change>, Failure> {
    drop_unchanged(transaction);
    if transaction.overlay.is_empty() {
        return Ok(Vec::new());
    }
    let mut counts = strong_references(transaction)?;
    collect_garbage(transaction, &mut counts);
    check_row_limits(transaction)?;
    drop_weak_references(transaction)?;
    check_indexes(transaction)?;
    drop_unchanged(transaction);
    let database = transaction.database;
    let changes = std::mem::take(&mut transaction.overlay).into_iter().map(|((table, uuid), new)| {
        let old = database.tables[table].rows.get(&uuid).cloned();
        let new = new.map(|row| {
            let mut row = Arc::unwrap_or_clone(row);
            row.version = entropy.uuid();
            Arc::new(row)
        });
        Change { table, uuid, old, new }
    });
    Ok(changes.collect())
}

fn drop_unchanged(transaction: &mut Transaction<'_>) {
    let database = transaction.database;
    transaction.overlay.retain(|(table, uuid), new| {
        let old = database.tables[*table].rows.get(uuid);
        match (old, new) {
            (Some(old), Some(new)) => old.values != new.values,
            (None, None) => false,
            _ => true,
        }
    });
}

/// Changes of the number of strong references to a row.
type Counts = BTreeMap<(usize, Uuid), i64>;

fn add_references(database: &Database, counts: &mut Counts, table: usize, row: &RowData, by: i64) {
    for (target, uuid, weak) in database.references(table, row) {
        if !weak {
            *counts.entry((target, uuid)).or_default() += by;
        }
    }
}

fn strong_references(transaction: &Transaction<'_>) -> Result<Counts, Failure> {
    let database = transaction.database;
    let mut counts = Counts::new();
    for ((table, uuid), new) in &transaction.overlay {
        if let Some(old) = database.tables[*table].rows.get(uuid) {
            add_references(database, &mut counts, *table, old, -1);
        }
        if let Some(new) = new {
            add_references(database, &mut counts, *table, new, 1);
        }
    }
    for ((table, uuid), new) in &transaction.overlay {
        let Some(new) = new else { continue };
        for (target, to, weak) in database.references(*table, new) {
            if !weak
                && transaction.row(target, to).is_none()
                && !transaction.overlay.contains_key(&(target, to))
            {
                return Err(dangling(database, *table, *uuid, new, target, to));
            }
        }
    }
    for ((table, uuid), new) in &transaction.overlay {
        let count = total(database, &counts, *table, *uuid);
        if new.is_none() && count > 0 {
            let details = format!(
                "cannot delete {} row {uuid} because of {count} remaining reference(s)",
                database.tables[*table].name
            );
            return Err(Failure::new("referential integrity violation", details));
        }
    }
    Ok(counts)
}

fn dangling(
    database: &Database,
    table: usize,
    uuid: Uuid,
    row: &RowData,
    target: usize,
    to: Uuid,
) -> Failure {
    let schema = &database.tables[table];
    let holds = |datum: &Datum| match datum {
        Datum::Set(set) => set.contains(&Atom::Uuid(to)),
        Datum::Map(map) => map.iter().any(|(k, v)| *k == Atom::Uuid(to) || *v == Atom::Uuid(to)),
    };
    let column =
        row.values.iter().position(holds).map_or("?", |position| schema.columns[position].0.as_str());
    let details = format!(
        "Table {} column {column} row {uuid} references nonexistent row {to} in table {}.",
        schema.name, database.tables[target].name
    );
    Failure::new("referential integrity violation", details)
}

fn total(database: &Database, counts: &Counts, table: usize, uuid: Uuid) -> i64 {
    let committed = i64::try_from(database.tables[table].reference_count(uuid)).unwrap_or(i64::MAX);
    committed + counts.get(&(table, uuid)).copied().unwrap_or(0)
}

/// Deletes rows of non-root tables that nothing refers to (any more), and then what they alone referred to.
fn collect_garbage(transaction: &mut Transaction<'_>, counts: &mut Counts) {
    let database = transaction.database;
    let mut candidates: BTreeSet<(usize, Uuid)> = transaction
        .overlay
        .keys()
        .chain(counts.keys())
        .copied()
        .filter(|(table, _)| !database.tables[*table].is_root)
        .collect();
    while let Some((table, uuid)) = candidates.pop_first() {
        if total(database, counts, table, uuid) > 0 {
            continue;
        }
        let Some(row) = transaction.row(table, uuid).cloned() else { continue };
        add_references(database, counts, table, &row, -1);
        let freed = database
            .references(table, &row)
            .into_iter()
            .filter(|(target, _, weak)| !weak && !database.tables[*target].is_root);
        candidates.extend(freed.map(|(target, uuid, _)| (target, uuid)));
        transaction.overlay.insert((table, uuid), None);
    }
}

fn check_row_limits(transaction: &Transaction<'_>) -> Result<(), Failure> {
    let database = transaction.database;
    let mut counts: BTreeMap<usize, i64> = BTreeMap::new();
    for ((table, uuid), new) in &transaction.overlay {
        let old = database.tables[*table].rows.contains_key(uuid);
        *counts.entry(*table).or_default() += i64::from(new.is_some()) - i64::from(old);
    }
    for (table, by) in counts {
        let schema = &database.tables[table];
        let Some(max) = schema.schema.max_rows else { continue };
        let rows = i64::try_from(schema.rows.len()).unwrap_or(i64::MAX).saturating_add(by);
        if by > 0 && rows > i64::try_from(max).unwrap_or(i64::MAX) {
            return Err(Failure::constraint(format!(
                "transaction causes \"{}\" table to contain {rows} rows, greater than the schema-defined limit of {max} row(s)",
                schema.name
            )));
        }
    }
    Ok(())
}

fn is_weak(base: &BaseType) -> bool {
    base.reference.as_ref().is_some_and(|reference| reference.weak)
}

/// Takes weak references to rows that are not there out of their columns.
fn drop_weak_references(transaction: &mut Transaction<'_>) -> Result<(), Failure> {
    let database = transaction.database;
    for (position, table) in database.tables.iter().enumerate() {
        let weak_columns: Vec<usize> = (0..table.columns.len())
            .filter(|column| {
                let kind = &table.columns[*column].1.kind;
                is_weak(&kind.key) || kind.value.as_ref().is_some_and(is_weak)
            })
            .collect();
        if weak_columns.is_empty() {
            continue;
        }
        let pending = transaction.overlay.range((position, Uuid::nil())..=(position, Uuid::max()));
        let mut uuids: BTreeSet<Uuid> = table.rows.keys().copied().collect();
        uuids.extend(pending.map(|((_, uuid), _)| *uuid));
        for uuid in uuids {
            let Some(row) = transaction.row(position, uuid).cloned() else { continue };
            let mut after = RowData::clone(&row);
            for column in &weak_columns {
                let kind = &table.columns[*column].1.kind;
                let lives = |base: &BaseType, atom: &Atom| match (&base.reference, atom) {
                    (Some(reference), Atom::Uuid(to)) if reference.weak => database
                        .table(&reference.table)
                        .is_some_and(|target| transaction.row(target, *to).is_some()),
                    _ => true,
                };
                match &mut after.values[*column] {
                    Datum::Set(set) => set.retain(|atom| lives(&kind.key, atom)),
                    Datum::Map(map) => {
                        map.retain(|k, v| {
                            lives(&kind.key, k) && kind.value.as_ref().is_none_or(|base| lives(base, v))
                        });
                    }
                }
                if (after.values[*column].len() as u64) < kind.min {
                    return Err(Failure::constraint(format!(
                        "Weak reference column \"{}\" in \"{}\" row {uuid} would be left without a value",
                        table.columns[*column].0, table.name
                    )));
                }
            }
            if after.values != row.values {
                transaction.overlay.insert((position, uuid), Some(Arc::new(after)));
            }
        }
    }
    Ok(())
}

fn check_indexes(transaction: &Transaction<'_>) -> Result<(), Failure> {
    let database = transaction.database;
    let mut taken: BTreeMap<(usize, usize, Vec<Datum>), Uuid> = BTreeMap::new();
    for ((table, uuid), new) in &transaction.overlay {
        let (schema, Some(new)) = (&database.tables[*table], new) else { continue };
        for index in 0..schema.indexes.len() {
            let key = schema.key(index, new);
            // A committed row counts unless this transaction changes it; then its new key has its turn here.
            let committed =
                schema.find(index, &key).filter(|other| !transaction.overlay.contains_key(&(*table, *other)));
            let other = committed.or_else(|| taken.insert((*table, index, key.clone()), *uuid));
            if let Some(other) = other {
                return Err(duplicate(transaction, *table, index, &key, *uuid, other));
            }
        }
    }
    Ok(())
}

fn duplicate(
    transaction: &Transaction<'_>,
    table: usize,
    index: usize,
    key: &[Datum],
    first: Uuid,
    second: Uuid,
) -> Failure {
    let schema = &transaction.database.tables[table];
    let story = |uuid: Uuid| {
        let committed = schema.rows.contains_key(&uuid);
        let pending = transaction.overlay.contains_key(&(table, uuid));
        match (committed, pending) {
            (false, _) => "was inserted by this transaction",
            (true, true) => {
                "existed in the database before this transaction, which modified some of the row's columns but not any columns in this index"
            }
            (true, false) => {
                "existed in the database before this transaction and was not modified by the transaction"
            }
        }
    };
    let names: Vec<String> =
        schema.indexes[index].iter().map(|column| format!("\"{}\"", schema.columns[*column].0)).collect();
    let values: Vec<String> = key.iter().map(show_datum).collect();
    let (columns, names) = (if names.len() == 1 { "column" } else { "columns" }, names.join(" and "));
    Failure::constraint(format!(
        "Transaction causes multiple rows in \"{}\" table to have identical values ({}) for index on {columns} {names}.  \
         First row, with UUID {first}, {}.  Second row, with UUID {second}, {}.",
        schema.name,
        values.join(" and "),
        story(first),
        story(second)
    ))
}

fn show_datum(datum: &Datum) -> String {
    match datum {
        Datum::Set(set) if set.len() == 1 => set.first().map(show).unwrap_or_default(),
        other => other.to_json().to_string(),
    }
}
