//! What the real server does and checks before a transaction becomes the state, in its order: no-op changes dropped,
//! strong references, garbage collection, row limits, weak references, unique indexes, new versions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use nuage_ovsdb::Uuid;
use nuage_ovsdb::constraint::show_datum;
use nuage_ovsdb::value::{Atom, Datum};

use super::failure::Failure;
use super::storage::{Change, Database, ReferenceColumn, RowData};
use super::transaction::Transaction;

/// Checks a transaction and returns what it changes, in the order of tables and rows.
pub(super) fn commit(transaction: &mut Transaction<'_>) -> Result<Vec<Change>, Failure> {
    drop_unchanged(transaction);
    if transaction.overlay.is_empty() {
        return Ok(Vec::new());
    }
    let mut counts = strong_references(transaction)?;
    collect_garbage(transaction, &mut counts);
    check_row_limits(transaction)?;
    drop_weak_references(transaction)?;
    check_indexes(transaction)?;
    let (database, entropy) = (transaction.database, transaction.context.entropy);
    let changes = std::mem::take(&mut transaction.overlay).into_iter().map(|((table, uuid), new)| {
        let old = database.tables[table].rows.get(&uuid).cloned();
        let new = new.map(|row| {
            if old.is_none() {
                return row;
            }
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

fn strong_references(transaction: &Transaction<'_>) -> Result<Counts, Failure> {
    let database = transaction.database;
    let mut counts = Counts::new();
    for ((table, uuid), new) in &transaction.overlay {
        let schema = &database.tables[*table];
        if schema.reference_columns.is_empty() {
            continue;
        }
        let mut unknown = None;
        let old = schema.rows.get(uuid);
        database.strong_changes((*table, *uuid), old.map(Arc::as_ref), new.as_deref(), |target, to, by| {
            *counts.entry((target, to)).or_default() += by;
            let known = by < 0
                || database.tables[target].rows.contains_key(&to)
                || transaction.row(target, to).is_some();
            if !known && unknown.is_none() {
                unknown = Some((target, to));
            }
        });
        if let (Some((target, to)), Some(new)) = (unknown, new) {
            return Err(dangling(database, *table, *uuid, new, target, to));
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
    let refers = |column: &&ReferenceColumn| {
        column.targets(&row.values[column.column]).any(|reference| reference == (target, to, false))
    };
    let column = schema.reference_columns.iter().find(refers);
    let column = column.map_or("?", |column| schema.columns[column.column].0.as_str());
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
        database.strong_changes((table, uuid), Some(&row), None, |target, to, by| {
            *counts.entry((target, to)).or_default() += by;
        });
        let freed = database
            .references(table, uuid, &row)
            .filter(|(target, _, weak)| !weak && !database.tables[*target].is_root);
        candidates.extend(freed.map(|(target, uuid, _)| (target, uuid)));
        transaction.remove(table, uuid);
    }
}

fn check_row_limits(transaction: &Transaction<'_>) -> Result<(), Failure> {
    let database = transaction.database;
    let mut counts: BTreeMap<usize, i64> = BTreeMap::new();
    for ((table, uuid), new) in &transaction.overlay {
        let old = database.tables[*table].rows.contains_key(uuid);
        if new.is_some() != old {
            *counts.entry(*table).or_default() += i64::from(new.is_some()) - i64::from(old);
        }
    }
    let more: i64 = counts.values().sum();
    let there = || database.tables.iter().map(|table| table.rows.len()).sum::<usize>();
    if more > 0 && i64::try_from(there()).unwrap_or(i64::MAX).saturating_add(more) > database.row_limit {
        let details = format!("a database of the emulator has at most {} rows", database.row_limit);
        return Err(Failure::new("resources exhausted", details));
    }
    for (table, by) in counts {
        let schema = &database.tables[table];
        let Some(max) = schema.max_rows else { continue };
        let rows = i64::try_from(schema.rows.len()).unwrap_or(i64::MAX).saturating_add(by);
        if rows > i64::try_from(max).unwrap_or(i64::MAX) {
            return Err(Failure::constraint(format!(
                "transaction causes \"{}\" table to contain {rows} rows, greater than the schema-defined limit of {max} row(s)",
                schema.name
            )));
        }
    }
    Ok(())
}

/// Takes weak references to rows that are not there out of the rows that this transaction changes, and out of those that
/// refer to what it deletes.
fn drop_weak_references(transaction: &mut Transaction<'_>) -> Result<(), Failure> {
    let database = transaction.database;
    let mut concerned: BTreeSet<(usize, Uuid)> = BTreeSet::new();
    for ((table, uuid), new) in &transaction.overlay {
        match new {
            Some(_) => drop(concerned.insert((*table, *uuid))),
            None => concerned.extend(database.tables[*table].weak_sources(*uuid)),
        }
    }
    for (table, uuid) in concerned {
        let weak = database.tables[table].reference_columns.iter().filter(|column| column.is_weak());
        let weak: Vec<ReferenceColumn> = weak.copied().collect();
        if weak.is_empty() {
            continue;
        }
        let Some(row) = transaction.row(table, uuid).cloned() else { continue };
        let mut after: Option<RowData> = None;
        for column in weak {
            let before = &row.values[column.column];
            let kept = living(transaction, column, before);
            if kept.len() == before.len() {
                continue;
            }
            if (kept.len() as u64) < database.tables[table].columns[column.column].1.kind.min {
                return Err(emptied(database, table, uuid, column, before, &kept));
            }
            after.get_or_insert_with(|| RowData::clone(&row)).values[column.column] = kept;
        }
        if let Some(after) = after {
            transaction.replace(table, uuid, after);
        }
    }
    Ok(())
}

/// What of a value does not refer weakly to a row that is not there.
fn living(transaction: &Transaction<'_>, column: ReferenceColumn, datum: &Datum) -> Datum {
    let lives = |to: Option<(usize, bool)>, atom: &Atom| match (to, atom) {
        (Some((target, true)), Atom::Uuid(uuid)) => transaction.row(target, *uuid).is_some(),
        _ => true,
    };
    datum.filtered(|atom, paired| {
        lives(column.key, atom) && paired.is_none_or(|paired| lives(column.value, paired))
    })
}

fn emptied(
    database: &Database,
    table: usize,
    uuid: Uuid,
    column: ReferenceColumn,
    before: &Datum,
    kept: &Datum,
) -> Failure {
    let schema = &database.tables[table];
    let name = &schema.columns[column.column].0;
    let inserted = !schema.rows.contains_key(&uuid);
    let zero = column.targets(before).any(|(_, to, weak)| weak && to.is_nil());
    // The real server's words, its "volation" included.
    Failure::constraint(if zero && inserted {
        format!(
            "Weak reference column \"{name}\" in \"{}\" row {uuid} (inserted within this transaction) contained \
             all-zeros UUID (probably as the default value for this column) but deleting this value caused a \
             constraint volation because this column is not allowed to be empty.",
            schema.name
        )
    } else {
        format!(
            "Deletion of {} weak reference(s) to deleted (or never-existing) rows from column \"{name}\" in \"{}\" \
             row {uuid} {}caused this column to become empty, but constraints on this column disallow an empty column.",
            before.len() - kept.len(),
            schema.name,
            if inserted { "(inserted within this transaction) " } else { "" }
        )
    })
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
                return Err(duplicate(transaction, *table, index, *uuid, other));
            }
        }
    }
    Ok(())
}

fn duplicate(
    transaction: &Transaction<'_>,
    table: usize,
    index: usize,
    first: Uuid,
    second: Uuid,
) -> Failure {
    let schema = &transaction.database.tables[table];
    let row = |uuid| transaction.row(table, uuid);
    // The real server names the greater row first, so that its messages can be foreseen.
    let (first, second) = if row(first).map(|row| &row.values) < row(second).map(|row| &row.values) {
        (second, first)
    } else {
        (first, second)
    };
    let values = |row: &RowData| -> String {
        let show = |column: &usize| show_datum(&schema.columns[*column].1.kind, &row.values[*column]);
        schema.indexes[index].iter().map(show).collect::<Vec<_>>().join(", ")
    };
    let story = |uuid: Uuid| {
        match (schema.rows.get(&uuid), transaction.overlay.contains_key(&(table, uuid))) {
        (None, _) => "was inserted by this transaction.".to_owned(),
        (Some(_), false) => {
            "existed in the database before this transaction and was not modified by the transaction.".to_owned()
        }
        (Some(old), true) if row(uuid).is_some_and(|new| schema.key(index, new) == schema.key(index, old)) => {
            "existed in the database before this transaction, which modified some of the row's columns but not any columns in this index.".to_owned()
        }
        (Some(old), true) => {
            format!("had the following index values before the transaction: {}.", values(old))
        }
    }
    };
    let names: Vec<String> =
        schema.indexes[index].iter().map(|column| format!("\"{}\"", schema.columns[*column].0)).collect();
    Failure::constraint(format!(
        "Transaction causes multiple rows in \"{}\" table to have identical values ({}) for index on {}.  \
         First row, with UUID {first}, {}  Second row, with UUID {second}, {}",
        schema.name,
        row(first).map(|row| values(row)).unwrap_or_default(),
        listed(&names),
        story(first),
        story(second)
    ))
}

/// `column "a"`, `columns "a" and "b"`, `columns "a", "b", and "c"`.
fn listed(names: &[String]) -> String {
    match names {
        [only] => format!("column {only}"),
        [first, second] => format!("columns {first} and {second}"),
        [rest @ .., last] => format!("columns {}, and {last}", rest.join(", ")),
        [] => "columns ".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use nuage_ovsdb::schema::DatabaseSchema;
    use serde_json::{Value, json};

    use super::super::Server;
    use crate::entropy::Entropy;

    #[test]
    fn a_database_that_is_full_takes_no_more_rows_and_everything_else() {
        let schema = json!({"name": "D", "tables": {
            "a": {"columns": {"x": {"type": "integer"}}}, "b": {"columns": {"x": {"type": "integer"}}}
        }});
        let server =
            Server::new(vec![DatabaseSchema::from_json(&schema).unwrap()], Entropy::seeded(1)).unwrap();
        server.state().databases.get_mut("D").unwrap().row_limit = 3;
        let insert = |table: &str| json!({"op": "insert", "table": table, "row": {}});
        let refused = |operations: &[Value]| {
            let results = server.transact("D", operations);
            results
                .last()
                .and_then(|last| last.get("error"))
                .is_some_and(|error| error == "resources exhausted")
        };
        assert!(!refused(&[insert("a"), insert("a"), insert("b")]));
        assert!(refused(&[insert("a")]));
        assert!(refused(&[insert("b")]));
        assert!(!refused(&[json!({"op": "update", "table": "a", "where": [], "row": {"x": 1}})]));
        assert!(!refused(&[json!({"op": "delete", "table": "b", "where": []}), insert("a")]));
        assert_eq!((server.rows("D", "a").len(), server.rows("D", "b").len()), (3, 0));
    }
}
