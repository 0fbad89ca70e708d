//! A database's rows in memory: tables, unique indexes, counts of strong references. Holds committed state only and
//! checks nothing; a transaction decides what comes here.

use std::collections::BTreeMap;
use std::sync::Arc;

use nuage_ovsdb::Uuid;
use nuage_ovsdb::schema::{BaseType, ColumnSchema, ColumnType, DatabaseSchema, TableSchema};
use nuage_ovsdb::value::{Atom, Datum};
use serde_json::{Map, Value, json};

/// One committed or pending state of a row. Never changed in place: whoever holds it may keep it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct RowData {
    /// Changes with every commit that changes the row.
    pub(super) version: Uuid,
    /// In the order of the table's columns.
    pub(super) values: Vec<Datum>,
}

impl RowData {
    /// A column's value, the implicit ones included.
    pub(super) fn value(&self, uuid: Uuid, column: Column) -> Datum {
        match column {
            Column::Uuid => Datum::scalar(Atom::Uuid(uuid)),
            Column::Version => Datum::scalar(Atom::Uuid(self.version)),
            Column::Data(position) => self.values[position].clone(),
        }
    }
}

/// A column of a table or one of the two that every table has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Column {
    Uuid,
    Version,
    Data(usize),
}

/// A table and its rows.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) name: String,
    pub(super) columns: Vec<(String, ColumnSchema)>,
    pub(super) schema: TableSchema,
    pub(super) is_root: bool,
    /// The columns of each unique index.
    pub(super) indexes: Vec<Vec<usize>>,
    pub(super) rows: BTreeMap<Uuid, Arc<RowData>>,
    /// For each unique index, whose row has which key.
    keys: Vec<BTreeMap<Vec<Datum>, Uuid>>,
    /// How many strong references rows of this table have, where there are any.
    references: BTreeMap<Uuid, u64>,
}

/// A row that a commit changed: before and after.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub(super) table: usize,
    pub(super) uuid: Uuid,
    pub(super) old: Option<Arc<RowData>>,
    pub(super) new: Option<Arc<RowData>>,
}

/// A database.
#[derive(Debug)]
pub(super) struct Database {
    pub(super) schema: DatabaseSchema,
    pub(super) tables: Vec<Table>,
    positions: BTreeMap<String, usize>,
}

/// The type of `_uuid` and `_version`.
pub(super) fn uuid_type() -> ColumnType {
    let key = BaseType::plain(nuage_ovsdb::schema::AtomicType::Uuid);
    ColumnType { key, value: None, min: 1, max: Some(1) }
}

impl Table {
    fn new(name: &str, schema: &TableSchema, is_root: bool) -> Self {
        let columns: Vec<_> =
            schema.columns.iter().map(|(name, column)| (name.clone(), column.clone())).collect();
        let position = |wanted: &String| columns.iter().position(|(name, _)| name == wanted);
        let indexes: Vec<Vec<usize>> =
            schema.indexes.iter().map(|names| names.iter().filter_map(position).collect()).collect();
        Self {
            name: name.to_owned(),
            schema: schema.clone(),
            is_root,
            keys: vec![BTreeMap::new(); indexes.len()],
            indexes,
            columns,
            rows: BTreeMap::new(),
            references: BTreeMap::new(),
        }
    }

    pub(super) fn column(&self, name: &str) -> Option<Column> {
        match name {
            "_uuid" => Some(Column::Uuid),
            "_version" => Some(Column::Version),
            _ => {
                self.columns.binary_search_by(|(column, _)| column.as_str().cmp(name)).ok().map(Column::Data)
            }
        }
    }

    pub(super) fn column_name(&self, column: Column) -> &str {
        match column {
            Column::Uuid => "_uuid",
            Column::Version => "_version",
            Column::Data(position) => &self.columns[position].0,
        }
    }

    pub(super) fn kind(&self, column: Column) -> ColumnType {
        match column {
            Column::Uuid | Column::Version => uuid_type(),
            Column::Data(position) => self.columns[position].1.kind.clone(),
        }
    }

    /// The rows' key in an index.
    pub(super) fn key(&self, index: usize, row: &RowData) -> Vec<Datum> {
        self.indexes[index].iter().map(|position| row.values[*position].clone()).collect()
    }

    /// Whose row has this key.
    pub(super) fn find(&self, index: usize, key: &[Datum]) -> Option<Uuid> {
        self.keys[index].get(key).copied()
    }

    /// How many strong references a row has.
    pub(super) fn reference_count(&self, uuid: Uuid) -> u64 {
        self.references.get(&uuid).copied().unwrap_or(0)
    }

    /// These columns of a row as an object.
    pub(super) fn object(&self, uuid: Uuid, row: &RowData, columns: &[Column]) -> Map<String, Value> {
        let value = |column: &Column| match *column {
            Column::Uuid => json!(["uuid", uuid.to_string()]),
            Column::Version => json!(["uuid", row.version.to_string()]),
            Column::Data(position) => row.values[position].to_json(),
        };
        columns.iter().map(|column| (self.column_name(*column).to_owned(), value(column))).collect()
    }

    /// All columns, those that every table has included.
    pub(super) fn all_columns(&self) -> Vec<Column> {
        let data = (0..self.columns.len()).map(Column::Data);
        [Column::Uuid, Column::Version].into_iter().chain(data).collect()
    }

    fn apply(&mut self, change: &Change) {
        for index in 0..self.indexes.len() {
            if let Some(old) = &change.old {
                let key = self.key(index, old);
                // Another row may have taken the key in the same transaction.
                if self.keys[index].get(&key) == Some(&change.uuid) {
                    self.keys[index].remove(&key);
                }
            }
        }
        match &change.new {
            Some(new) => drop(self.rows.insert(change.uuid, Arc::clone(new))),
            None => drop(self.rows.remove(&change.uuid)),
        }
    }

    fn apply_keys(&mut self, change: &Change) {
        if let Some(new) = &change.new {
            for index in 0..self.indexes.len() {
                let key = self.key(index, new);
                self.keys[index].insert(key, change.uuid);
            }
        }
    }
}

impl Database {
    pub(super) fn new(schema: DatabaseSchema) -> Self {
        let tables: Vec<Table> = schema
            .tables
            .iter()
            .map(|(name, table)| Table::new(name, table, schema.is_root(table)))
            .collect();
        let positions =
            tables.iter().enumerate().map(|(position, table)| (table.name.clone(), position)).collect();
        Self { schema, tables, positions }
    }

    pub(super) fn table(&self, name: &str) -> Option<usize> {
        self.positions.get(name).copied()
    }

    /// The references of a row to rows of other tables: table, row, and whether the reference is weak.
    pub(super) fn references(&self, table: usize, row: &RowData) -> Vec<(usize, Uuid, bool)> {
        let mut found = Vec::new();
        for ((_, column), datum) in self.tables[table].columns.iter().zip(&row.values) {
            let mut collect = |base: &BaseType, atoms: &mut dyn Iterator<Item = &Atom>| {
                let Some(reference) = &base.reference else { return };
                let Some(target) = self.table(&reference.table) else { return };
                let uuids =
                    atoms.filter_map(|atom| if let Atom::Uuid(uuid) = atom { Some(*uuid) } else { None });
                found.extend(uuids.map(|uuid| (target, uuid, reference.weak)));
            };
            match datum {
                Datum::Set(set) => collect(&column.kind.key, &mut set.iter()),
                Datum::Map(map) => {
                    collect(&column.kind.key, &mut map.keys());
                    if let Some(value) = &column.kind.value {
                        collect(value, &mut map.values());
                    }
                }
            }
        }
        found
    }

    /// Makes a commit's changes the state.
    pub(super) fn apply(&mut self, changes: &[Change]) {
        for change in changes {
            for (old, sign) in [(&change.old, false), (&change.new, true)] {
                let Some(row) = old else { continue };
                for (target, uuid, _) in
                    self.references(change.table, row).into_iter().filter(|(.., weak)| !weak)
                {
                    let count = self.tables[target].references.entry(uuid).or_default();
                    *count = if sign { *count + 1 } else { count.saturating_sub(1) };
                    if *count == 0 {
                        self.tables[target].references.remove(&uuid);
                    }
                }
            }
            self.tables[change.table].apply(change);
        }
        for change in changes {
            self.tables[change.table].apply_keys(change);
        }
    }
}
