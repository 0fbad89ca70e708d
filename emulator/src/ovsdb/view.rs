//! What a monitor wants to see (RFC 7047 section 4.1.5; ovsdb-server(7) for the conditional ones), and a commit's changes
//! in that form. Clients that ask alike share a view, so that a change is written once for all of them.

use std::collections::BTreeMap;
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
#[derive(Clone, Debug, PartialEq)]
struct TableView {
    table: usize,
    /// With the events that each is told at.
    columns: Vec<(Column, Selection)>,
    /// Columns that only the conditions look at. They make a row count as modified, as in the real server.
    hidden: Vec<Column>,
    select: Selection,
    /// A row that fulfils any of them is seen; if there are none, every row is.
    conditions: Vec<Condition>,
}

/// What a monitor sees of a database.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct View {
    pub(super) kind: Kind,
    pub(super) database: String,
    /// In the order of the database's tables.
    tables: Vec<TableView>,
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
        let mut tables = Vec::new();
        for (table_name, requests) in object {
            let table = database
                .table(table_name)
                .ok_or_else(|| Failure::new("syntax error", format!("no table named {table_name}")))?;
            let schema = &database.tables[table];
            let mut view = TableView {
                table,
                columns: Vec::new(),
                hidden: Vec::new(),
                select: Selection(0),
                conditions: Vec::new(),
            };
            let several = requests.as_array().map_or_else(|| std::slice::from_ref(requests), Vec::as_slice);
            for request in several {
                view.add(kind, schema, request)?;
            }
            view.hide();
            tables.push(view);
        }
        tables.sort_by_key(|view| view.table);
        Ok(Self { kind, database: name.to_owned(), tables })
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
            let view = changed.tables.iter_mut().find(|view| view.table == table);
            let view = view.ok_or_else(|| wrong(format!("no table named {name} in monitor session")))?;
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
                view.conditions = read_conditions(schema, clauses, &mut |_| None)?;
                view.hide();
            }
        }
        Ok(changed)
    }

    /// Appends the rows that are there when the monitor begins: `<table-updates>`.
    pub(super) fn write_initial(&self, outbox: &mut Outbox, database: &Database) {
        let mut separators = (b'{', b'{');
        for view in self.tables.iter().filter(|view| view.select.has(Event::Initial)) {
            let table = &database.tables[view.table];
            separators.1 = b'{';
            for (uuid, row) in table.rows.iter().filter(|(uuid, row)| view.wants(**uuid, row)) {
                let out = outbox.tail();
                begin_row(out, table, *uuid, &mut separators);
                let form = if self.kind == Kind::Plain { &b"{\"new\":"[..] } else { b"{\"initial\":" };
                out.extend_from_slice(form);
                view.write_row(out, table, *uuid, row, Event::Initial, self.kind);
                out.push(b'}');
            }
            if separators.1 == b',' {
                outbox.tail().push(b'}');
            }
        }
        outbox.tail().extend_from_slice(if separators.0 == b'{' { b"{}" } else { b"}" });
    }

    /// Appends what a commit's changes are to this view: `<table-updates>`, or nothing.
    pub(super) fn write_update(&self, out: &mut Vec<u8>, database: &Database, changes: &[Change]) {
        self.write(out, database, changes, |view, change| {
            let row = |row: &Option<Arc<RowData>>| row.clone().filter(|row| view.wants(change.uuid, row));
            (row(&change.old), row(&change.new))
        });
    }

    /// Appends what the change of conditions from `before` to this view shows and hides: `<table-updates2>`, or nothing.
    pub(super) fn write_difference(&self, out: &mut Vec<u8>, database: &Database, before: &Self) {
        for (view, before) in self.tables.iter().zip(&before.tables) {
            if view.conditions == before.conditions {
                continue;
            }
            let rows = database.tables[view.table].rows.iter();
            let crossing = rows.filter(|(uuid, row)| view.wants(**uuid, row) != before.wants(**uuid, row));
            let changes: Vec<Change> = crossing
                .map(|(uuid, row)| {
                    let seen = view.wants(*uuid, row);
                    let (old, new) = if seen { (None, Some(row)) } else { (Some(row), None) };
                    Change { table: view.table, uuid: *uuid, old: old.cloned(), new: new.cloned() }
                })
                .collect();
            self.write(out, database, &changes, |_, change| (change.old.clone(), change.new.clone()));
        }
    }

    fn write(
        &self,
        out: &mut Vec<u8>,
        database: &Database,
        changes: &[Change],
        seen: impl Fn(&TableView, &Change) -> (Option<Arc<RowData>>, Option<Arc<RowData>>),
    ) {
        let start = out.len();
        let mut separators = (b'{', b'{');
        let mut open = None;
        for change in changes {
            let Ok(position) = self.tables.binary_search_by_key(&change.table, |view| view.table) else {
                continue;
            };
            let (view, table) = (&self.tables[position], &database.tables[change.table]);
            let (old, new) = seen(view, change);
            let Some(event) = view.event(old.as_deref(), new.as_deref()) else { continue };
            if open != Some(change.table) {
                if open.is_some() {
                    out.push(b'}');
                }
                open = Some(change.table);
                separators.1 = b'{';
            }
            begin_row(out, table, change.uuid, &mut separators);
            if self.kind == Kind::Plain {
                view.write_first_form(out, table, change.uuid, (old.as_deref(), new.as_deref()), event);
            } else {
                view.write_second_form(out, table, change.uuid, (old.as_deref(), new.as_deref()), event);
            }
        }
        if out.len() > start {
            out.extend_from_slice(b"}}");
        }
    }
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

impl TableView {
    fn add(&mut self, kind: Kind, table: &Table, request: &Value) -> Result<(), Failure> {
        let members = Members::new(request, format!("table {}", table.name));
        let conditions = (kind != Kind::Plain).then(|| members.optional("where", Expect::Array)).flatten();
        let columns = members.optional("columns", Expect::Array);
        let select = members.optional("select", Expect::Object);
        members.finish()?;
        let select = select.map_or(Ok(Selection::ALL), |json| read_selection(table, json))?;
        self.select.0 |= select.0;
        self.add_columns(table, columns, select)?;
        if let Some(clauses) = conditions.and_then(Value::as_array) {
            self.conditions.extend(read_conditions(table, clauses, &mut |_| None)?);
        }
        Ok(())
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

    fn hide(&mut self) {
        let seen = |column: &Column| self.columns.iter().any(|(known, _)| known == column);
        let looked_at = self.conditions.iter().filter_map(Condition::column);
        self.hidden = looked_at.filter(|column| !seen(column)).collect();
    }

    /// Whether a row belongs to what is monitored.
    fn wants(&self, uuid: Uuid, row: &RowData) -> bool {
        self.conditions.is_empty() || self.conditions.iter().any(|condition| condition.holds(uuid, row))
    }

    /// What has happened, if it is to be told.
    fn event(&self, old: Option<&RowData>, new: Option<&RowData>) -> Option<Event> {
        let event = match (old, new) {
            (None, Some(_)) => Event::Insert,
            (Some(_), None) => Event::Delete,
            (Some(old), Some(new)) => {
                let looked_at = self.columns.iter().map(|(column, _)| column).chain(&self.hidden);
                let mut changed = looked_at.filter(|column| differs(**column, old, new));
                changed.next().map(|_| Event::Modify)?
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

/// The views that sessions look at, each once.
#[derive(Debug, Default)]
pub(super) struct Views(BTreeMap<u64, Arc<View>>, u64);

impl Views {
    /// The view that is equal to this one, or this one from now on.
    pub(super) fn share(&mut self, view: View) -> (u64, Arc<View>) {
        // Views that nobody looks at any more make room.
        self.0.retain(|_, known| Arc::strong_count(known) > 1);
        if let Some((id, known)) = self.0.iter().find(|(_, known)| ***known == view) {
            return (*id, Arc::clone(known));
        }
        self.1 += 1;
        let view = Arc::new(view);
        self.0.insert(self.1, Arc::clone(&view));
        (self.1, view)
    }
}
