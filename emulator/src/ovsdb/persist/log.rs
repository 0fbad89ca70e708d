//! A database file as a log: a schema, then transactions. Decides what a torn or damaged file still says, and leaves no half
//! record behind that a later one could follow.

use std::io;

use super::medium::Medium;
use super::record::{self, Broken};

/// A file below this is not worth compacting (the real server's limit).
const COMPACT_MIN_BYTES: u64 = 10 << 20;
/// A file that grew by this factor since it was compacted is (the real server's).
const COMPACT_FACTOR: u64 = 2;

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unusable {
    /// The system.
    #[error(transparent)]
    System(#[from] io::Error),
    /// Its first record, the schema, cannot be read: then it may be anybody's file.
    #[error(transparent)]
    Broken(#[from] Broken),
}

/// An open log.
pub(crate) struct Log {
    medium: Box<dyn Medium>,
    /// Where the last whole record ends.
    end: u64,
    /// How long the file was when it was compacted.
    base: u64,
    /// Whether there may be something after `end`.
    dirty: bool,
    /// Whether a sync has failed. A later one may then succeed although the system has forgotten what it did not write, so
    /// everything is written anew first.
    suspect: bool,
}

impl std::fmt::Debug for Log {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Log({} bytes)", self.end)
    }
}

impl Log {
    /// Reads a log: `first` gets the schema, `next` each transaction until it refuses one. As the real server does, what
    /// follows the last good record is cut off by the next write, not by reading. An empty file gives no schema.
    ///
    /// # Errors
    /// [`Unusable`]: the medium fails, or the first record is broken.
    pub(crate) fn open(
        mut medium: Box<dyn Medium>,
        mut next: impl FnMut(usize, &[u8]) -> Result<(), String>,
    ) -> Result<Self, Unusable> {
        let file = medium.read()?;
        let (mut end, mut base) = (0, 0);
        for number in 0.. {
            match record::read(&file, end) {
                Ok(None) => break,
                Err(broken) if number == 0 => return Err(broken.into()),
                Err(broken) => {
                    tracing::warn!(%broken, "the rest of the database file is dropped");
                    break;
                }
                Ok(Some(record)) => {
                    if let Err(reason) = next(number, record.json) {
                        tracing::warn!(reason, offset = end, "the rest of the database file is dropped");
                        break;
                    }
                    end = record.end;
                    // The schema and one record of all rows: what a compaction leaves.
                    base = if number <= 1 { end } else { base };
                }
            }
        }
        let dirty = end != file.len();
        Ok(Self { medium, end: end as u64, base: base as u64, dirty, suspect: false })
    }

    /// Whether nothing has ever been written.
    pub(crate) fn is_empty(&self) -> bool {
        self.end == 0
    }

    /// Adds a record; with `durable` it returns once a power failure cannot take it away. After an error the record is as
    /// good as not there.
    ///
    /// # Errors
    /// The medium's.
    pub(crate) fn append(&mut self, json: &[u8], durable: bool) -> io::Result<()> {
        self.mend()?;
        let added = self.add(json, durable);
        if added.is_err() && self.medium.truncate(self.end).is_ok() {
            self.dirty = false;
        }
        added
    }

    fn add(&mut self, json: &[u8], durable: bool) -> io::Result<()> {
        let mut bytes = Vec::new();
        record::write(&mut bytes, json);
        // Until it has succeeded: a part may be there, or all of it without lasting.
        self.dirty = true;
        self.medium.append(&bytes)?;
        if durable {
            self.suspect = true;
            self.medium.sync()?;
            self.suspect = false;
        }
        self.dirty = false;
        self.end += bytes.len() as u64;
        Ok(())
    }

    /// Makes the file end where the last good record does.
    fn mend(&mut self) -> io::Result<()> {
        if self.suspect {
            let mut content = self.medium.read()?;
            content.truncate(usize::try_from(self.end).unwrap_or(usize::MAX));
            self.medium.replace(&content)?;
        } else if self.dirty {
            self.medium.truncate(self.end)?;
        }
        (self.dirty, self.suspect) = (false, false);
        Ok(())
    }

    /// Whether most of the file is history.
    pub(crate) fn grew_lots(&self) -> bool {
        self.end > COMPACT_MIN_BYTES && self.end / COMPACT_FACTOR >= self.base
    }

    /// Begins anew with these records; with an error the old file goes on.
    ///
    /// # Errors
    /// The medium's.
    pub(crate) fn replace(&mut self, records: &[Vec<u8>]) -> io::Result<()> {
        let mut bytes = Vec::new();
        for json in records {
            record::write(&mut bytes, json);
        }
        self.medium.replace(&bytes)?;
        (self.end, self.base) = (bytes.len() as u64, bytes.len() as u64);
        (self.dirty, self.suspect) = (false, false);
        Ok(())
    }

    /// Not to be asked for again before the file has doubled: its compaction failed.
    pub(crate) fn postpone(&mut self) {
        self.base = self.end;
    }
}
