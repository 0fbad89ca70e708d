//! What a monitor wants to see (RFC 7047 section 4.1.5; ovsdb-server(7) for the conditional ones), and a commit's changes
//! in that form. Knows no sessions; who shares a view is [`super::views`]' business.

use std::collections::BTreeSet;
use std::sync::Arc;

use nuage_ovsdb::members::{Expect, Members};
use nuage_ovsdb::{Uuid, text};
use serde_json::Value;

use super::condition::{Condition, read_conditions};
use super::failure::Failure;
use super::outbox::Outbox;
use super::storage::{Change, Column, Database, RowData, Table};

/// Which method made a monitor; decides the form of its updates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Plain,
    Conditional,
    Since,
}

/// The four kinds of events that `<monitor-select>` tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    Initial,
    Insert,
    Delete,
    Modify,
}

/// A set of events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Selection(u8);

impl Selection {
    const ALL: Self = Self(0b1111);

    fn has(self, event: Event) -> bool {
        self.0 & (1 << event as u8) != 0
    }
}

/// What is seen of one table.
#[derive(Clone, Debug, PartialEq, Eq)]
struct TableScope {
    table: usize,
    /// With the events that each is told at, in their order.
    columns: Vec<(Column, Selection)>,
    select: Selection,
}

/// The tables, columns and events of a monitor, whatever its method and its conditions.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Scope {
    database: String,
    /// In the order of the database's tables.
    tables: Vec<TableScope>,
}

/// Columns, by table, that make a row count as modified beside those that are told.
pub(super) type LookedAt = BTreeSet<(usize, Column)>;

/// What a monitor sees of a database.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct View {
    pub(super) kind: Kind,
    pub(super) scope: Arc<Scope>,
    /// The number under which [`super::views`] knows the scope.
    pub(super) watch: u64,
    /// For each table: a row that fulfils any of them is seen; if there are none, every row is.
    conditions: Vec<Vec<Condition>>,
}

impl View {
    /// Reads the requests of a monitor method.
    pub(super) fn read(
        kind: Kind,
        name: &str,
        database: &Database,
        requests: &Value,
    ) -> Result<Self, Failure> {
        let object = requests
            .as_object()
            .ok_or_else(|| Failure::syntax("monitor-requests must be object", requests))?;
        let mut seen = Vec::new();
        for (table_name, requests) in object {
            let table = database
                .table(table_name)
                .ok_or_else(|| Failure::new("syntax error", format!("no table named {table_name}")))?;
            let schema = &database.tables[table];
            let mut scope = TableScope { table, columns: Vec::new(), select: Selection(0) };
            let mut conditions = Vec::new();
            let several = requests.as_array().map_or_else(|| std::slice::from_ref(requests), Vec::as_slice);
            for request in several {
                conditions.extend(scope.add(kind, schema, request)?);
            }
            scope.columns.sort_unstable_by_key(|(column, _)| *column);
            seen.push((scope, conditions));
        }
        seen.sort_by_key(|(scope, _)| scope.table);
        let (tables, conditions) = seen.into_iter().unzip();
        let scope = Arc::new(Scope { database: name.to_owned(), tables });
        Ok(Self { kind, scope, watch: 0, conditions })
    }

    /// The database that is seen.
    pub(super) fn database(&self) -> &str {
        &self.scope.database
    }

    /// The columns that its conditions look at.
    pub(super) fn looks_at(&self) -> impl Iterator<Item = (usize, Column)> {
        self.tables().flat_map(|(scope, conditions)| {
            conditions.iter().filter_map(Condition::column).map(|column| (scope.table, column))
        })
    }

    fn tables(&self) -> impl Iterator<Item = (&TableScope, &[Condition])> {
        self.scope.tables.iter().zip(self.conditions.iter().map(Vec::as_slice))
    }

    /// The same view with other conditions (`monitor_cond_change`).
    pub(super) fn with_conditions(&self, database: &Database, requests: &Value) -> Result<Self, Failure> {
        let wrong = |details: String| Failure::new("syntax error", details);
        let object = requests
            .as_object()
            .ok_or_else(|| wrong("monitor-cond-change-requests must be object".to_owned()))?;
        let mut changed = self.clone();
        for (name, requests) in object {
            let table = database.table(name).ok_or_else(|| wrong(format!("no table named {name}")))?;
            let position = self.scope.tables.iter().position(|scope| scope.table == table);
            let position =
                position.ok_or_else(|| wrong(format!("no table named {name} in monitor session")))?;
            let requests = requests
                .as_array()
                .ok_or_else(|| wrong(format!("table {name} no monitor-cond-change JSON array")))?;
            for request in requests {
                let members = Members::new(request, format!("table {name}"));
                let columns = members.optional("columns", Expect::Array);
                let conditions = members.optional("where", Expect::Array).and_then(Value::as_array);
                members.finish()?;
                if columns.is_some() {
                    return Err(Failure::syntax("changing columns is unsupported", request));
                }
                if self.kind == Kind::Plain {
                    // It has no conditions to change, and the real server does not even read these.
                    continue;
                }
                // The real 3.1 crashes without a `where`; none is none.
                let (schema, clauses) = (&database.tables[table], conditions.map_or(&[][..], Vec::as_slice));
                changed.conditions[position] = read_conditions(schema, clauses, &mut |_| None)?;
            }
        }
        Ok(changed)
    }

    /// Appends the rows that are there when the monitor begins: `<table-updates>`.
    pub(super) fn write_initial(&self, outbox: &mut Outbox, database: &Database) {
        let mut separators = (b'{', b'{');
        for (scope, conditions) in self.tables().filter(|(scope, _)| scope.select.has(Event::Initial)) {
            let table = &database.tables[scope.table];
            separators.1 = b'{';
            for (uuid, row) in table.rows.iter().filter(|(uuid, row)| wants(conditions, **uuid, row)) {
                let out = outbox.tail();
                begin_row(out, table, *uuid, &mut separators);
                let form = if self.kind == Kind::Plain { &b"{\"new\":"[..] } else { b"{\"initial\":" };
                out.extend_from_slice(form);
                scope.write_row(out, table, *uuid, row, Event::Initial, self.kind);
                out.push(b'}');
            }
            if separators.1 == b',' {
                outbox.tail().push(b'}');
            }
        }
        outbox.tail().extend_from_slice(if separators.0 == b'{' { b"{}" } else { b"}" });
    }

    /// Appends what a commit's changes are to this view: `<table-updates>`, or nothing. A row counts as modified as well where
    /// only something of `looked_at` has changed.
    pub(super) fn write_update(
        &self,
        out: &mut Vec<u8>,
        database: &Database,
        changes: &[Change],
        looked_at: &LookedAt,
    ) {
        self.write(out, database, changes, looked_at, |conditions, change| {
            let row =
                |row: &Option<Arc<RowData>>| row.clone().filter(|row| wants(conditions, change.uuid, row));
            (row(&change.old), row(&change.new))
        });
    }

    /// Appends what the change of conditions from `before` to this view shows and hides: `<table-updates2>`, or nothing.
    pub(super) fn write_difference(&self, out: &mut Vec<u8>, database: &Database, before: &Self) {
        let mut changes = Vec::new();
        for ((scope, conditions), before) in self.tables().zip(&before.conditions) {
            if conditions == before {
                continue;
            }
            for (uuid, row) in &database.tables[scope.table].rows {
                let seen = wants(conditions, *uuid, row);
                if seen != wants(before, *uuid, row) {
                    let (old, new) = if seen { (None, Some(row)) } else { (Some(row), None) };
                    changes.push(Change {
                        table: scope.table,
                        uuid: *uuid,
                        old: old.cloned(),
                        new: new.cloned(),
                    });
                }
            }
        }
        self.write(out, database, &changes, &LookedAt::new(), |_, change| {
            (change.old.clone(), change.new.clone())
        });
    }

    fn write(
        &self,
        out: &mut Vec<u8>,
        database: &Database,
        changes: &[Change],
        looked_at: &LookedAt,
        seen: impl Fn(&[Condition], &Change) -> (Option<Arc<RowData>>, Option<Arc<RowData>>),
    ) {
        let start = out.len();
        let mut separators = (b'{', b'{');
        let mut open = None;
        for change in changes {
            let tables = &self.scope.tables;
            let Ok(position) = tables.binary_search_by_key(&change.table, |scope| scope.table) else {
                continue;
            };
            let (scope, table) = (&tables[position], &database.tables[change.table]);
            let (old, new) = seen(&self.conditions[position], change);
            let Some(event) = scope.event(old.as_deref(), new.as_deref(), looked_at) else { continue };
            if open != Some(change.table) {
                if open.is_some() {
                    out.push(b'}');
                }
                open = Some(change.table);
                separators.1 = b'{';
            }
            begin_row(out, table, change.uuid, &mut separators);
            if self.kind == Kind::Plain {
                scope.write_first_form(out, table, change.uuid, (old.as_deref(), new.as_deref()), event);
            } else {
                scope.write_second_form(out, table, change.uuid, (old.as_deref(), new.as_deref()), event);
            }
        }
        if out.len() > start {
            out.extend_from_slice(b"}}");
        }
    }
}

/// Whether a row belongs to what is monitored under these conditions.
fn wants(conditions: &[Condition], uuid: Uuid, row: &RowData) -> bool {
    conditions.is_empty() || conditions.iter().any(|condition| condition.holds(uuid, row))
}

/// Appends a row's name in `<table-updates>`, after what has to come before it.
fn begin_row(out: &mut Vec<u8>, table: &Table, uuid: Uuid, (tables, rows): &mut (u8, u8)) {
    if *rows == b'{' {
        out.push(*tables);
        *tables = b',';
        text::string(out, &table.name);
        out.push(b':');
    }
    out.push(*rows);
    *rows = b',';
    out.push(b'"');
    text::bare_uuid(out, uuid);
    out.extend_from_slice(b"\":");
}

impl TableScope {
    /// Adds what a request names; gives its conditions.
    fn add(&mut self, kind: Kind, table: &Table, request: &Value) -> Result<Vec<Condition>, Failure> {
        let members = Members::new(request, format!("table {}", table.name));
        let conditions = (kind != Kind::Plain).then(|| members.optional("where", Expect::Array)).flatten();
        let columns = members.optional("columns", Expect::Array);
        let select = members.optional("select", Expect::Object);
        members.finish()?;
        let select = select.map_or(Ok(Selection::ALL), |json| read_selection(table, json))?;
        self.select.0 |= select.0;
        self.add_columns(table, columns, select)?;
        let clauses = conditions.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        read_conditions(table, clauses, &mut |_| None)
    }

    fn add_columns(&mut self, table: &Table, json: Option<&Value>, select: Selection) -> Result<(), Failure> {
        let Some(json) = json else {
            let all = table.all_columns().into_iter().filter(|column| *column != Column::Uuid);
            for column in all {
                self.add_column(table, column, select, &Value::Null)?;
            }
            return Ok(());
        };
        for name in json.as_array().map_or(&[][..], Vec::as_slice) {
            let name =
                name.as_str().ok_or_else(|| Failure::syntax("array of column names expected", json))?;
            let invalid = || Failure::syntax(format!("{name} is not a valid column name"), json);
            self.add_column(table, table.column(name).ok_or_else(invalid)?, select, json)?;
        }
        Ok(())
    }

    fn add_column(
        &mut self,
        table: &Table,
        column: Column,
        select: Selection,
        json: &Value,
    ) -> Result<(), Failure> {
        if self.columns.iter().any(|(known, _)| *known == column) {
            let details = format!("column {} mentioned more than once", table.column_name(column));
            return Err(Failure::syntax(details, json));
        }
        self.columns.push((column, select));
        Ok(())
    }

    /// What has happened, if it is to be told.
    fn event(&self, old: Option<&RowData>, new: Option<&RowData>, looked_at: &LookedAt) -> Option<Event> {
        let event = match (old, new) {
            (None, Some(_)) => Event::Insert,
            (Some(_), None) => Event::Delete,
            (Some(old), Some(new)) => {
                let range = (self.table, Column::Uuid)..=(self.table, Column::Data(usize::MAX));
                let hidden = looked_at.range(range).map(|(_, column)| column);
                let mut watched = self.columns.iter().map(|(column, _)| column).chain(hidden);
                watched.any(|column| differs(*column, old, new)).then_some(Event::Modify)?
            }
            (None, None) => return None,
        };
        self.select.has(event).then_some(event)
    }

    fn told(&self, event: Event) -> impl Iterator<Item = Column> {
        self.columns.iter().filter(move |(_, select)| select.has(event)).map(|(column, _)| *column)
    }

    /// Appends a row as it is; the second form leaves out what is the default anyway.
    fn write_row(
        &self,
        out: &mut Vec<u8>,
        table: &Table,
        uuid: Uuid,
        row: &RowData,
        event: Event,
        kind: Kind,
    ) {
        let needed = |column: &Column| match column {
            Column::Data(position) => row.values[*position] != table.defaults[*position],
            Column::Uuid | Column::Version => true,
        };
        let columns = self.told(event).filter(|column| kind == Kind::Plain || needed(column));
        table.write(out, uuid, row, columns);
    }

    fn write_first_form(
        &self,
        out: &mut Vec<u8>,
        table: &Table,
        uuid: Uuid,
        (old, new): (Option<&RowData>, Option<&RowData>),
        event: Event,
    ) {
        out.push(b'{');
        if let Some(old) = old {
            out.extend_from_slice(br#""old":"#);
            let changed = self.told(event).filter(|column| new.is_none_or(|new| differs(*column, old, new)));
            table.write(out, uuid, old, changed);
            if new.is_some() {
                out.push(b',');
            }
        }
        if let Some(new) = new {
            out.extend_from_slice(br#""new":"#);
            table.write(out, uuid, new, self.told(event));
        }
        out.push(b'}');
    }

    fn write_second_form(
        &self,
        out: &mut Vec<u8>,
        table: &Table,
        uuid: Uuid,
        (old, new): (Option<&RowData>, Option<&RowData>),
        event: Event,
    ) {
        match (old, new) {
            (Some(old), Some(new)) => {
                out.extend_from_slice(br#"{"modify":"#);
                let mut separator = b'{';
                for column in self.told(event).filter(|column| differs(*column, old, new)) {
                    out.push(separator);
                    separator = b',';
                    table.write_name(out, column);
                    write_difference(out, table, column, uuid, (old, new));
                }
                out.extend_from_slice(if separator == b'{' { b"{}}" } else { b"}}" });
            }
            (None, Some(new)) => {
                out.extend_from_slice(br#"{"insert":"#);
                self.write_row(out, table, uuid, new, event, Kind::Conditional);
                out.push(b'}');
            }
            _ => out.extend_from_slice(br#"{"delete":null}"#),
        }
    }
}

fn differs(column: Column, old: &RowData, new: &RowData) -> bool {
    match column {
        Column::Uuid => false,
        Column::Version => old.version != new.version,
        Column::Data(position) => old.values[position] != new.values[position],
    }
}

/// Appends a column's difference: of what may hold several values what has changed, of others the new value.
fn write_difference(
    out: &mut Vec<u8>,
    table: &Table,
    column: Column,
    uuid: Uuid,
    (old, new): (&RowData, &RowData),
) {
    let Column::Data(position) = column else {
        return new.value(uuid, column).write(out);
    };
    let (old, new) = (&old.values[position], &new.values[position]);
    if table.columns[position].1.kind.max == Some(1) {
        new.write(out);
    } else {
        old.difference(new).write(out);
    }
}

fn read_selection(table: &Table, json: &Value) -> Result<Selection, Failure> {
    let members = Members::new(json, format!("table {} select", table.name));
    let mut selection = Selection(0);
    for (name, event) in [
        ("initial", Event::Initial),
        ("insert", Event::Insert),
        ("delete", Event::Delete),
        ("modify", Event::Modify),
    ] {
        let wanted = members.flag(name, true);
        selection.0 |= u8::from(wanted) << event as u8;
    }
    members.finish()?;
    Ok(selection)
}
