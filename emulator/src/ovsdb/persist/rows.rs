//! A commit as ovsdb-server's file has it, both ways: rows by table and identifier with the columns that changed, sets and
//! maps as differences where the real server can read them. Ephemeral columns and versions are not written.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use nuage_ovsdb::Uuid;
use nuage_ovsdb::constraint::check_atom;
use nuage_ovsdb::read::parse_uuid;
use nuage_ovsdb::schema::{AtomicType, ColumnType};
use nuage_ovsdb::text;
use nuage_ovsdb::value::{Atom, Datum};
use serde::Deserialize as _;
use serde::de::value::SeqAccessDeserializer;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::super::storage::{Change, Column, Database, RowData, Table};

/// The JSON of a commit's record; `None` if nothing of it lasts.
pub(super) fn write(database: &Database, changes: &[Change], date: u64, comment: &str) -> Option<Vec<u8>> {
    let differences =
        changes.iter().all(|change| has_readable_differences(&database.tables[change.table], change));
    let mut out = Vec::new();
    out.extend_from_slice(b"{\"_date\":");
    text::integer(&mut out, i64::try_from(date).unwrap_or(i64::MAX));
    let empty = out.len();
    // Commits come in the order of tables; a table is named once.
    let mut open = None;
    for change in changes {
        let before = out.len();
        if open == Some(change.table) {
            out.push(b',');
        } else {
            out.extend_from_slice(if open.is_some() { b"},".as_slice() } else { b"," });
            text::string(&mut out, &database.tables[change.table].name);
            out.extend_from_slice(b":{");
        }
        if write_change(&mut out, &database.tables[change.table], change, differences) {
            open = Some(change.table);
        } else {
            out.truncate(before);
        }
    }
    if out.len() == empty {
        return None;
    }
    out.push(b'}');
    if differences {
        out.extend_from_slice(b",\"_is_diff\":true");
    }
    if !comment.is_empty() {
        out.extend_from_slice(b",\"_comment\":");
        text::string(&mut out, comment);
    }
    out.push(b'}');
    Some(out)
}

/// Whether all of a row's differences are as short as values. The real 3.1 writes longer ones but does not read them: it drops
/// that commit and all that follow.
fn has_readable_differences(table: &Table, change: &Change) -> bool {
    let (Some(old), Some(new)) = (&change.old, &change.new) else { return true };
    table.columns.iter().enumerate().all(|(position, (_, column))| match column.kind.max {
        None | Some(1) => true,
        Some(max) => {
            let (before, after) = (&old.values[position], &new.values[position]);
            before == after || before.difference(after).len() as u64 <= max
        }
    })
}

/// Appends a row's entry; false if only what does not last has changed.
fn write_change(out: &mut Vec<u8>, table: &Table, change: &Change, differences: bool) -> bool {
    out.push(b'"');
    text::bare_uuid(out, change.uuid);
    out.extend_from_slice(b"\":");
    let Some(new) = &change.new else {
        out.extend_from_slice(b"null");
        return true;
    };
    let mut separator = b'{';
    for (position, (_, column)) in table.columns.iter().enumerate().filter(|(_, (_, one))| !one.ephemeral) {
        let after = &new.values[position];
        let before = change.old.as_ref().map_or(&table.defaults[position], |old| &old.values[position]);
        if before == after {
            continue;
        }
        out.push(separator);
        separator = b',';
        table.write_name(out, Column::Data(position));
        match &change.old {
            Some(_) if differences && column.kind.max != Some(1) => before.difference(after).write(out),
            _ => after.write(out),
        }
    }
    if separator == b'{' {
        out.push(b'{');
    }
    out.push(b'}');
    change.old.is_none() || separator == b','
}

/// A row's entry as it was read: its columns, or `None` where the row goes.
type Entry = (usize, Uuid, Option<Vec<(usize, Datum)>>);

/// Reads a record's JSON against what the records before it made.
///
/// # Errors
/// In words, what keeps it from being a commit of this database.
pub(super) fn read(
    database: &Database,
    json: &[u8],
    mut version: impl FnMut() -> Uuid,
) -> Result<Vec<Change>, String> {
    let mut commit = Commit { entries: Vec::new(), is_difference: false };
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    CommitSeed { database, commit: &mut commit }
        .deserialize(&mut deserializer)
        .and_then(|()| deserializer.end())
        .map_err(|error| error.to_string())?;
    let mut changes: BTreeMap<(usize, Uuid), Change> = BTreeMap::new();
    for (table, uuid, columns) in commit.entries {
        let old = database.tables[table].rows.get(&uuid).cloned();
        let new = match columns {
            None if old.is_none() => return Err(format!("row {uuid} is deleted that never was")),
            None => None,
            Some(columns) => {
                let version = version();
                Some(changed(&database.tables[table], old.as_ref(), columns, commit.is_difference, version))
            }
        };
        changes.insert((table, uuid), Change { table, uuid, old, new });
    }
    Ok(changes.into_values().collect())
}

fn changed(
    table: &Table,
    old: Option<&Arc<RowData>>,
    columns: Vec<(usize, Datum)>,
    is_difference: bool,
    version: Uuid,
) -> Arc<RowData> {
    let mut values = old.map_or_else(|| table.defaults.clone().into(), |old| old.values.clone());
    for (position, datum) in columns {
        let whole = !is_difference || old.is_none() || table.columns[position].1.kind.max == Some(1);
        values[position] = if whole { datum } else { values[position].changed_by(&datum) };
    }
    Arc::new(RowData { version, values })
}

/// What a record says.
struct Commit {
    entries: Vec<Entry>,
    is_difference: bool,
}

/// Reads a record without a tree of all its rows: a compacted database is one record.
struct CommitSeed<'a> {
    database: &'a Database,
    commit: &'a mut Commit,
}

impl<'de> DeserializeSeed<'de> for CommitSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for CommitSeed<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a transaction of a database file")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        while let Some(name) = members.next_key::<String>()? {
            match name.as_str() {
                "_is_diff" => self.commit.is_difference = members.next_value()?,
                "_date" | "_comment" => drop(members.next_value::<IgnoredAny>()?),
                name => {
                    let table = self.database.table(name);
                    let table = table.ok_or_else(|| A::Error::custom(format!("no table named {name}")))?;
                    let schema = &self.database.tables[table];
                    members.next_value_seed(TableSeed {
                        table,
                        schema,
                        entries: &mut self.commit.entries,
                    })?;
                }
            }
        }
        Ok(())
    }
}

struct TableSeed<'a> {
    table: usize,
    schema: &'a Table,
    entries: &'a mut Vec<Entry>,
}

impl<'de> DeserializeSeed<'de> for TableSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for TableSeed<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a table's rows")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut rows: A) -> Result<(), A::Error> {
        while let Some(name) = rows.next_key::<String>()? {
            let uuid = parse_uuid(&name)
                .ok_or_else(|| A::Error::custom(format!("\"{name}\" is not a valid UUID")))?;
            let columns = rows.next_value_seed(RowSeed(self.schema))?;
            self.entries.push((self.table, uuid, columns));
        }
        Ok(())
    }
}

/// Reads a row's entry: its columns, or `null`.
struct RowSeed<'a>(&'a Table);

impl<'de> DeserializeSeed<'de> for RowSeed<'_> {
    type Value = Option<Vec<(usize, Datum)>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for RowSeed<'_> {
    type Value = Option<Vec<(usize, Datum)>>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a row or null")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut columns: Vec<(usize, Datum)> = Vec::with_capacity(self.0.columns.len());
        while let Some(position) = members.next_key_seed(NameSeed(self.0))? {
            let datum = members.next_value_seed(DatumSeed(&self.0.columns[position].1.kind))?;
            match columns.iter_mut().find(|(known, _)| *known == position) {
                // Of a member that is there twice the last counts.
                Some(known) => known.1 = datum,
                None => columns.push((position, datum)),
            }
        }
        Ok(Some(columns))
    }
}

/// Reads a column's name: its position.
struct NameSeed<'a>(&'a Table);

impl<'de> DeserializeSeed<'de> for NameSeed<'_> {
    type Value = usize;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<usize, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for NameSeed<'_> {
    type Value = usize;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a column's name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<usize, E> {
        match self.0.column(name) {
            Some(Column::Data(position)) => Ok(position),
            _ => Err(E::custom(format!("no column {name} in table {}", self.0.name))),
        }
    }
}

/// Reads a column's value or difference. A plain text, which most are, is not copied before it is one.
struct DatumSeed<'a>(&'a ColumnType);

impl DatumSeed<'_> {
    fn read<E: Error>(&self, json: &Value) -> Result<Datum, E> {
        // A difference may have more elements than either value.
        self.0.read_sized(json, 0, None, &mut |_| None).map_err(E::custom)
    }
}

impl<'de> DeserializeSeed<'de> for DatumSeed<'_> {
    type Value = Datum;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Datum, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for DatumSeed<'_> {
    type Value = Datum;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a column's value")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Datum, E> {
        if self.0.value.is_some() || self.0.key.atomic != AtomicType::String {
            return self.read(&Value::from(text));
        }
        let atom = Atom::string(text);
        check_atom(&self.0.key, &atom).map_err(E::custom)?;
        Ok(Datum::scalar(atom))
    }

    fn visit_bool<E: Error>(self, flag: bool) -> Result<Datum, E> {
        self.read(&Value::from(flag))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Datum, E> {
        self.read(&Value::from(number))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Datum, E> {
        self.read(&Value::from(number))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Datum, E> {
        self.read(&Value::from(number))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, elements: A) -> Result<Datum, A::Error> {
        self.read(&Value::deserialize(SeqAccessDeserializer::new(elements))?)
    }
}
