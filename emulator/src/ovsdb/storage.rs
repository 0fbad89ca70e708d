//! A database's rows in memory: tables, unique indexes, lookups by value, counts of strong references and the sources of
//! weak ones. Holds committed state only and checks nothing; a transaction decides what comes here.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;
use std::sync::Arc;

use nuage_ovsdb::Uuid;
use nuage_ovsdb::schema::{AtomicType, BaseType, ColumnSchema, ColumnType, DatabaseSchema, TableSchema};
use nuage_ovsdb::text;
use nuage_ovsdb::value::{Atom, Datum, Pair};
use serde_json::{Map, Value, json};

/// From how many rows on a column that is asked for by value gets a lookup of its own. Fewer are scanned as fast.
const LOOKUP_ROWS: usize = 128;
/// How many rows a database may have: ten times what the largest switch has, and an end to what a client can make of memory.
const MAX_ROWS: i64 = 2_000_000;
/// How many columns of a table may have one: each costs memory and time at every commit, and clients choose them.
const LOOKUP_COLUMNS: usize = 4;

/// One committed or pending state of a row. Never changed in place: whoever holds it may keep it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct RowData {
    /// Changes with every commit that changes the row.
    pub(super) version: Uuid,
    /// In the order of the table's columns.
    pub(super) values: Box<[Datum]>,
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

/// A column that refers to rows: the table its keys refer to, the table its values refer to, each with whether weakly.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReferenceColumn {
    pub(super) column: usize,
    pub(super) key: Option<(usize, bool)>,
    pub(super) value: Option<(usize, bool)>,
}

impl ReferenceColumn {
    pub(super) fn is_weak(&self) -> bool {
        [self.key, self.value].into_iter().flatten().any(|(_, weak)| weak)
    }

    /// The rows that a value of this column refers to: table, row, and whether weakly.
    pub(super) fn targets<'a>(
        &self,
        datum: &'a Datum,
    ) -> impl Iterator<Item = (usize, Uuid, bool)> + use<'a> {
        let this = *self;
        let atoms = datum.atoms().iter().filter_map(move |atom| refer(this.key, atom));
        atoms.chain(datum.pairs().iter().flat_map(move |pair| this.pair_targets(pair)))
    }

    /// The rows that a pair of a map refers to.
    fn pair_targets(self, (key, value): &Pair) -> impl Iterator<Item = (usize, Uuid, bool)> + use<> {
        [refer(self.key, key), refer(self.value, value)].into_iter().flatten()
    }
}

fn refer(to: Option<(usize, bool)>, atom: &Atom) -> Option<(usize, Uuid, bool)> {
    match (to, atom) {
        (Some((table, weak)), Atom::Uuid(uuid)) => Some((table, *uuid, weak)),
        _ => None,
    }
}

/// What a table is, by its schema. Never changes: servers with the same databases share it.
#[derive(Debug)]
pub(super) struct Shape {
    pub(super) name: String,
    pub(super) columns: Vec<(String, ColumnSchema)>,
    /// `"name":` of each column, ready for the wire.
    tokens: Vec<Vec<u8>>,
    pub(super) defaults: Vec<Datum>,
    pub(super) max_rows: Option<u64>,
    pub(super) is_root: bool,
    /// The columns of each unique index.
    pub(super) indexes: Vec<Vec<usize>>,
    pub(super) reference_columns: Vec<ReferenceColumn>,
}

/// A table and its rows.
#[derive(Clone, Debug)]
pub(super) struct Table {
    shape: Arc<Shape>,
    pub(super) rows: BTreeMap<Uuid, Arc<RowData>>,
    /// For each unique index, whose row has which key.
    keys: Vec<BTreeMap<Vec<Datum>, Uuid>>,
    /// For columns that are asked for by value, which rows have which.
    lookups: BTreeMap<usize, BTreeSet<(Datum, Uuid)>>,
    /// How many strong references rows of this table have, where there are any.
    references: BTreeMap<Uuid, u64>,
    /// Which rows (of which table) refer weakly to a row of this table.
    weak_sources: BTreeMap<Uuid, BTreeSet<(usize, Uuid)>>,
}

/// A row that a commit changed: before and after.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub(super) table: usize,
    pub(super) uuid: Uuid,
    pub(super) old: Option<Arc<RowData>>,
    pub(super) new: Option<Arc<RowData>>,
}

impl Deref for Table {
    type Target = Shape;

    fn deref(&self) -> &Shape {
        &self.shape
    }
}

/// A database. A clone shares what never changes, and each row until it does.
#[derive(Clone, Debug)]
pub(super) struct Database {
    pub(super) schema: Arc<DatabaseSchema>,
    pub(super) tables: Vec<Table>,
    /// How many rows all tables together may have.
    pub(super) row_limit: i64,
    positions: Arc<BTreeMap<String, usize>>,
}

/// Which rows of a table can have the values that are asked for.
pub(super) enum Candidates {
    All,
    These(Vec<Uuid>),
}

/// The type of `_uuid` and `_version`.
pub(super) fn uuid_type() -> ColumnType {
    ColumnType { key: BaseType::plain(AtomicType::Uuid), value: None, min: 1, max: Some(1) }
}

impl Table {
    fn new(name: &str, schema: &TableSchema, positions: &BTreeMap<String, usize>) -> Self {
        let columns: Vec<_> =
            schema.columns.iter().map(|(name, column)| (name.clone(), column.clone())).collect();
        let position = |wanted: &String| columns.iter().position(|(name, _)| name == wanted);
        // One with `_uuid` in it is unique whatever the others hold.
        let enforced = schema.indexes.iter().filter(|names| names.iter().all(|name| name != "_uuid"));
        let indexes: Vec<Vec<usize>> =
            enforced.map(|names| names.iter().filter_map(position).collect()).collect();
        let target = |base: &BaseType| {
            let reference = base.reference.as_ref()?;
            Some((*positions.get(&reference.table)?, reference.weak))
        };
        let reference_columns = columns.iter().enumerate().filter_map(|(column, (_, schema))| {
            let (key, value) = (target(&schema.kind.key), schema.kind.value.as_ref().and_then(target));
            (key.is_some() || value.is_some()).then_some(ReferenceColumn { column, key, value })
        });
        let token = |(name, _): &(String, ColumnSchema)| {
            let mut token = Vec::new();
            text::string(&mut token, name);
            token.push(b':');
            token
        };
        let shape = Shape {
            name: name.to_owned(),
            tokens: columns.iter().map(token).collect(),
            defaults: columns.iter().map(|(_, column)| column.kind.default_datum()).collect(),
            max_rows: schema.max_rows,
            is_root: schema.is_root,
            indexes,
            reference_columns: reference_columns.collect(),
            columns,
        };
        Self::empty(Arc::new(shape))
    }

    /// One without rows.
    fn empty(shape: Arc<Shape>) -> Self {
        Self {
            keys: vec![BTreeMap::new(); shape.indexes.len()],
            shape,
            rows: BTreeMap::new(),
            lookups: BTreeMap::new(),
            references: BTreeMap::new(),
            weak_sources: BTreeMap::new(),
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

    /// The row's key in an index.
    pub(super) fn key(&self, index: usize, row: &RowData) -> Vec<Datum> {
        self.indexes[index].iter().map(|position| row.values[*position].clone()).collect()
    }

    /// Whose row has this key.
    pub(super) fn find(&self, index: usize, key: &[Datum]) -> Option<Uuid> {
        self.keys[index].get(key).copied()
    }

    /// Which rows can have all these values; the columns of `missing` would have told it with a lookup.
    pub(super) fn candidates(&self, given: &BTreeMap<usize, &Datum>, missing: &mut Vec<usize>) -> Candidates {
        for (index, columns) in self.indexes.iter().enumerate() {
            let key: Option<Vec<Datum>> =
                columns.iter().map(|column| Some((*given.get(column)?).clone())).collect();
            if let Some(key) = key {
                return Candidates::These(self.find(index, &key).into_iter().collect());
            }
        }
        for (column, datum) in given {
            if let Some(lookup) = self.lookups.get(column) {
                let range = ((*datum).clone(), Uuid::nil())..=((*datum).clone(), Uuid::max());
                return Candidates::These(lookup.range(range).map(|(_, uuid)| *uuid).collect());
            }
        }
        if self.rows.len() >= LOOKUP_ROWS && self.lookups.len() < LOOKUP_COLUMNS {
            missing.extend(given.keys().next());
        }
        Candidates::All
    }

    /// From now on rows are found by this column's value.
    pub(super) fn look_up(&mut self, column: usize) {
        if self.lookups.len() < LOOKUP_COLUMNS && !self.lookups.contains_key(&column) {
            let lookup = self.rows.iter().map(|(uuid, row)| (row.values[column].clone(), *uuid)).collect();
            self.lookups.insert(column, lookup);
        }
    }

    /// How many strong references a row has.
    pub(super) fn reference_count(&self, uuid: Uuid) -> u64 {
        self.references.get(&uuid).copied().unwrap_or(0)
    }

    /// Which rows refer weakly to a row.
    pub(super) fn weak_sources(&self, uuid: Uuid) -> impl Iterator<Item = (usize, Uuid)> {
        self.weak_sources.get(&uuid).into_iter().flatten().copied()
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

    /// Appends these columns of a row as an object.
    pub(super) fn write(
        &self,
        out: &mut Vec<u8>,
        uuid: Uuid,
        row: &RowData,
        columns: impl IntoIterator<Item = Column>,
    ) {
        let mut separator = b'{';
        for column in columns {
            out.push(separator);
            separator = b',';
            self.write_name(out, column);
            match column {
                Column::Uuid => text::uuid(out, uuid),
                Column::Version => text::uuid(out, row.version),
                Column::Data(position) => row.values[position].write(out),
            }
        }
        if separator == b'{' {
            out.push(b'{');
        }
        out.push(b'}');
    }

    /// Appends a column's name and a colon.
    pub(super) fn write_name(&self, out: &mut Vec<u8>, column: Column) {
        out.extend_from_slice(match column {
            Column::Uuid => br#""_uuid":"#,
            Column::Version => br#""_version":"#,
            Column::Data(position) => &self.tokens[position],
        });
    }

    /// All columns, those that every table has included.
    pub(super) fn all_columns(&self) -> Vec<Column> {
        let data = (0..self.columns.len()).map(Column::Data);
        [Column::Uuid, Column::Version].into_iter().chain(data).collect()
    }

    fn forget(&mut self, change: &Change) {
        let Some(old) = &change.old else { return };
        for index in 0..self.indexes.len() {
            let key = self.key(index, old);
            self.keys[index].remove(&key);
        }
        for (column, lookup) in &mut self.lookups {
            lookup.remove(&(old.values[*column].clone(), change.uuid));
        }
    }

    fn learn(&mut self, change: &Change) {
        let Some(new) = &change.new else {
            self.rows.remove(&change.uuid);
            return;
        };
        for index in 0..self.indexes.len() {
            let key = self.key(index, new);
            self.keys[index].insert(key, change.uuid);
        }
        for (column, lookup) in &mut self.lookups {
            lookup.insert((new.values[*column].clone(), change.uuid));
        }
        self.rows.insert(change.uuid, Arc::clone(new));
    }
}

impl Database {
    pub(super) fn new(schema: DatabaseSchema) -> Self {
        let positions: BTreeMap<String, usize> =
            schema.tables.keys().enumerate().map(|(position, name)| (name.clone(), position)).collect();
        let tables = schema.tables.iter().map(|(name, table)| Table::new(name, table, &positions)).collect();
        Self { schema: Arc::new(schema), tables, row_limit: MAX_ROWS, positions: Arc::new(positions) }
    }

    /// One of the same schema, without rows.
    pub(super) fn emptied(&self) -> Self {
        let tables = self.tables.iter().map(|table| Table::empty(Arc::clone(&table.shape))).collect();
        let (schema, positions) = (Arc::clone(&self.schema), Arc::clone(&self.positions));
        Self { schema, tables, row_limit: self.row_limit, positions }
    }

    pub(super) fn table(&self, name: &str) -> Option<usize> {
        self.positions.get(name).copied()
    }

    /// The references of a row to other rows: table, row, and whether the reference is weak. A reference to itself keeps
    /// no row and counts for nothing, as in the real server.
    pub(super) fn references<'a>(
        &'a self,
        table: usize,
        uuid: Uuid,
        row: &'a RowData,
    ) -> impl Iterator<Item = (usize, Uuid, bool)> + 'a {
        let columns = self.tables[table].reference_columns.iter();
        columns
            .flat_map(|column| column.targets(&row.values[column.column]))
            .filter(move |(_, target, _)| *target != uuid)
    }

    /// Tells which strong references a row has no longer (-1) and which it has from now on (1); of a column of pairs all
    /// of them before and after. What stays is not told: a bridge with thousands of ports gets one more at the price of
    /// one.
    pub(super) fn strong_changes(
        &self,
        (table, uuid): (usize, Uuid),
        old: Option<&RowData>,
        new: Option<&RowData>,
        mut tell: impl FnMut(usize, Uuid, i64),
    ) {
        let none = Datum::set(Vec::new());
        for column in &self.tables[table].reference_columns {
            let value =
                |row: Option<&RowData>| row.map_or(none.clone(), |row| row.values[column.column].clone());
            let (before, after) = (value(old), value(new));
            // As a rule they are one value, which is known without a look at what is in it.
            if before == after {
                continue;
            }
            if let Some((target, false)) = column.key {
                before.for_each_change(&after, |atom, begins| match atom {
                    Atom::Uuid(to) if *to != uuid => tell(target, *to, if begins { 1 } else { -1 }),
                    _ => {}
                });
            }
            for (pairs, by) in [(before.pairs(), -1), (after.pairs(), 1)] {
                for (target, to, weak) in pairs.iter().flat_map(|pair| column.pair_targets(pair)) {
                    if !weak && to != uuid {
                        tell(target, to, by);
                    }
                }
            }
        }
    }

    /// Makes a commit's changes the state.
    pub(super) fn apply(&mut self, changes: &[Change]) {
        for change in changes {
            self.count_references(change);
            if self.weak_differ(change) {
                self.refer_weakly(change, change.old.as_ref(), false);
                self.refer_weakly(change, change.new.as_ref(), true);
            }
            self.tables[change.table].forget(change);
        }
        // Only now: another row may have had the key in an index until this commit.
        for change in changes {
            self.tables[change.table].learn(change);
        }
    }

    fn count_references(&mut self, change: &Change) {
        let mut counted = Vec::new();
        let (old, new) = (change.old.as_deref(), change.new.as_deref());
        self.strong_changes((change.table, change.uuid), old, new, |target, uuid, by| {
            counted.push((target, uuid, by));
        });
        for (target, uuid, by) in counted {
            let references = &mut self.tables[target].references;
            let count = references.entry(uuid).or_default();
            *count = count.saturating_add_signed(by);
            if *count == 0 {
                references.remove(&uuid);
            }
        }
    }

    /// Whether a change concerns a column that refers weakly.
    fn weak_differ(&self, change: &Change) -> bool {
        let value =
            |row: &Option<Arc<RowData>>, column: usize| row.as_ref().map(|row| row.values[column].clone());
        let mut weak = self.tables[change.table].reference_columns.iter().filter(|column| column.is_weak());
        weak.any(|weak| value(&change.old, weak.column) != value(&change.new, weak.column))
    }

    /// Notes or forgets that a row refers to others. All of a row at once: several of its columns may refer to the same.
    fn refer_weakly(&mut self, change: &Change, row: Option<&Arc<RowData>>, begins: bool) {
        let Some(row) = row else { return };
        let source = (change.table, change.uuid);
        let references = self.references(change.table, change.uuid, row).filter(|(_, _, weak)| *weak);
        for (target, uuid, _) in references.collect::<Vec<_>>() {
            let weak_sources = &mut self.tables[target].weak_sources;
            let sources = weak_sources.entry(uuid).or_default();
            if begins {
                sources.insert(source);
            } else {
                sources.remove(&source);
            }
            if sources.is_empty() {
                weak_sources.remove(&uuid);
            }
        }
    }
}
