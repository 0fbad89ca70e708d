//! Databases that outlive the process, in ovsdb-server's standalone file format, so that ovsdb-tool and the real server read
//! ours and we theirs. A commit is on its way to the file before it becomes the state, and refused if it cannot be.

mod log;
mod medium;
mod record;
mod rows;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;

use nuage_ovsdb::Uuid;
use nuage_ovsdb::schema::DatabaseSchema;
use nuage_ovsdb::text;

use super::storage::{Change, Database, RowData, Table};
use crate::clock::Clock;
use log::{Log, Unusable};
pub use medium::{FileMedium, Medium};

/// Why a file cannot be this database's.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The system's refusal.
    #[error(transparent)]
    System(io::Error),
    /// It is no database file, or its schema cannot be read.
    #[error("{0}")]
    Format(String),
    /// It is another database's.
    #[error("is the file of the database {0}")]
    Another(String),
}

impl From<Unusable> for OpenError {
    fn from(error: Unusable) -> Self {
        match error {
            Unusable::System(error) => Self::System(error),
            Unusable::Broken(broken) => Self::Format(broken.to_string()),
        }
    }
}

/// A database's file.
#[derive(Debug)]
pub(super) struct Journal {
    log: Log,
    clock: Clock,
}

impl Journal {
    /// Opens a file and brings `database`, which is empty, to the state and the schema that the file tells; a file that is empty
    /// begins now. Gives whether it had begun before.
    pub(super) fn open(
        medium: Box<dyn Medium>,
        clock: Clock,
        database: &mut Database,
        mut version: impl FnMut() -> Uuid,
    ) -> Result<(Self, bool), OpenError> {
        let mut begun = None;
        let log = Log::open(medium, |number, json| {
            if number == 0 {
                begun = Some(adopt(database, json));
            } else if matches!(begun, Some(Ok(()))) {
                database.apply(&rows::read(database, json, &mut version)?);
            }
            Ok(())
        })?;
        let mut journal = Self { log, clock };
        if let Some(adopted) = begun {
            return adopted.map(|()| (journal, true));
        }
        debug_assert!(journal.log.is_empty(), "a record before the schema");
        journal.log.replace(&[schema_record(database)]).map_err(OpenError::System)?;
        Ok((journal, false))
    }

    /// Writes a commit that has not become the state yet. After an error it must not.
    pub(super) fn commit(
        &mut self,
        database: &Database,
        changes: &[Change],
        durable: bool,
        comment: &str,
    ) -> io::Result<()> {
        match rows::write(database, changes, self.clock.now(), comment) {
            Some(json) => self.log.append(&json, durable),
            None => Ok(()),
        }
    }

    /// Replaces a file that is mostly history by the present state. A failure is told and changes nothing: the old file goes on.
    pub(super) fn tidy(&mut self, database: &Database) {
        if !self.log.grew_lots() {
            return;
        }
        if let Err(error) = self.compact(database) {
            tracing::warn!(%error, "the database file was not compacted");
            self.log.postpone();
        }
    }

    /// Begins anew with a database of another schema.
    pub(super) fn convert(&mut self, database: &Database) -> io::Result<()> {
        self.compact(database)
    }

    fn compact(&mut self, database: &Database) -> io::Result<()> {
        let inserts = |(table, content): (usize, &Table)| -> Vec<Change> {
            let insert = |(uuid, row): (&Uuid, &Arc<RowData>)| Change {
                table,
                uuid: *uuid,
                old: None,
                new: Some(Arc::clone(row)),
            };
            content.rows.iter().map(insert).collect()
        };
        let all: Vec<Change> = database.tables.iter().enumerate().flat_map(inserts).collect();
        let mut records = vec![schema_record(database)];
        // One record: rows refer to each other, and the real server checks references after each record.
        records.extend(rows::write(database, &all, self.clock.now(), "compacting database online"));
        self.log.replace(&records)
    }
}

/// Gives `database`, which is empty, the schema of its file, as the real server does: a client may have converted it.
fn adopt(database: &mut Database, json: &[u8]) -> Result<(), OpenError> {
    let schema = DatabaseSchema::from_bytes(json).map_err(|error| OpenError::Format(error.to_string()))?;
    if schema.name != database.schema.name {
        return Err(OpenError::Another(schema.name));
    }
    if schema != *database.schema {
        *database = Database::new(schema);
    }
    Ok(())
}

fn schema_record(database: &Database) -> Vec<u8> {
    let mut out = Vec::new();
    text::json(&mut out, &database.schema.to_json());
    out
}
