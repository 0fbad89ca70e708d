//! Whoever watches a database from inside this process: told of each row that a commit changes, at once and without the
//! protocol between. For invariants of a simulation; never a way to change anything.

use std::sync::Arc;

use nuage_ovsdb::Uuid;
use nuage_ovsdb::value::Atom;

use super::Server;
use super::storage::{Change, Column, Database, RowData, Table};

/// Is told of changes. Runs while the server is held, so it must not call it.
pub type Observer = Box<dyn FnMut(&RowChange<'_>) + Send>;

/// A row that a commit has changed.
pub struct RowChange<'a> {
    table: &'a Table,
    change: &'a Change,
}

impl std::fmt::Debug for RowChange<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "RowChange({} {})", self.table.name, self.change.uuid)
    }
}

impl<'a> RowChange<'a> {
    /// The table's name.
    pub fn table(&self) -> &'a str {
        &self.table.name
    }

    /// The row's identifier.
    pub fn uuid(&self) -> Uuid {
        self.change.uuid
    }

    /// Whether the row was there before.
    pub fn was_there(&self) -> bool {
        self.change.old.is_some()
    }

    /// Whether the row is there now.
    pub fn is_there(&self) -> bool {
        self.change.new.is_some()
    }

    /// The strings of a column before the change; none if no row was there, or it has no such column.
    pub fn before(&self, column: &str) -> Vec<&'a str> {
        self.strings(self.change.old.as_ref(), column)
    }

    /// The strings of a column after the change; none if no row is there, or it has no such column.
    pub fn after(&self, column: &str) -> Vec<&'a str> {
        self.strings(self.change.new.as_ref(), column)
    }

    fn strings(&self, row: Option<&'a Arc<RowData>>, column: &str) -> Vec<&'a str> {
        let (Some(row), Some(Column::Data(position))) = (row, self.table.column(column)) else {
            return Vec::new();
        };
        let string = |atom: &'a Atom| if let Atom::String(text) = atom { Some(&**text) } else { None };
        row.values
            .get(position)
            .into_iter()
            .flat_map(nuage_ovsdb::value::Datum::atoms)
            .filter_map(string)
            .collect()
    }
}

impl Server {
    /// Lets `observer` see every change of a database from now on, and first each row that it has, as one that is new.
    pub fn observe(&self, database: &str, mut observer: Observer) {
        let mut state = self.state();
        let Some(found) = state.databases.get(database) else { return };
        each_row(found, &mut *observer);
        state.observers.entry(database.to_owned()).or_default().push(observer);
    }

    /// Shows each row that a database has, as one that is new.
    pub fn look(&self, database: &str, mut observer: impl FnMut(&RowChange<'_>)) {
        let state = self.state();
        let Some(found) = state.databases.get(database) else { return };
        each_row(found, &mut observer);
    }
}

fn each_row(database: &Database, observer: &mut dyn FnMut(&RowChange<'_>)) {
    for (position, table) in database.tables.iter().enumerate() {
        for (uuid, row) in &table.rows {
            let change = Change { table: position, uuid: *uuid, old: None, new: Some(Arc::clone(row)) };
            observer(&RowChange { table, change: &change });
        }
    }
}

/// Tells all of them of a commit's changes.
pub(super) fn tell(observers: &mut [Observer], database: &Database, changes: &[Change]) {
    for observer in observers {
        for change in changes {
            observer(&RowChange { table: &database.tables[change.table], change });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use serde_json::json;

    use crate::entropy::Entropy;
    use crate::vrs::{DATABASE, Vrs, VrsOptions};

    use super::*;

    #[test]
    fn an_observer_sees_what_is_there_and_then_every_change_with_before_and_after() {
        let vrs = Vrs::new(Entropy::seeded(1), &VrsOptions::default()).unwrap();
        let insert = |name: &str| json!({"op": "insert", "table": "Nuage_Port_Table", "row": {"name": name}});
        vrs.server().transact(DATABASE, &[insert("early")]);
        let seen = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&seen);
        vrs.server().observe(
            DATABASE,
            Box::new(move |change| {
                if change.table() == "Nuage_Port_Table" {
                    let name = |strings: Vec<&str>| strings.concat();
                    told.lock().unwrap().push((name(change.before("name")), name(change.after("name"))));
                }
            }),
        );
        vrs.server().transact(DATABASE, &[insert("late")]);
        let rename = json!({"op": "update", "table": "Nuage_Port_Table", "where": [["name", "==", "late"]], "row": {"name": "later"}});
        vrs.server().transact(DATABASE, &[rename]);
        vrs.server().transact(DATABASE, &[insert("never"), json!({"op": "abort"})]);
        vrs.server().transact(
            DATABASE,
            &[json!({"op": "delete", "table": "Nuage_Port_Table", "where": [["name", "==", "later"]]})],
        );
        let pair = |before: &str, after: &str| (before.to_owned(), after.to_owned());
        let expected = [pair("", "early"), pair("", "late"), pair("late", "later"), pair("later", "")];
        assert_eq!(*seen.lock().unwrap(), expected);
    }
}
