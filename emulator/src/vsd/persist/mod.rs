//! The objects on disk, in an embedded store that survives a crash at any point: a change is there before anybody
//! is told that it was made, and wholly or not at all. Never read but at the start.

mod record;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use redb::backends::FileBackend;
use redb::{Database, ReadableDatabase as _, ReadableTable as _, StorageBackend, TableDefinition};
use uuid::Uuid;

use super::model::Model;
use super::store::{Object, Store};

/// Objects by ID, as [`record`] writes them.
const OBJECTS: TableDefinition<'_, u128, &[u8]> = TableDefinition::new("objects");
/// Pairs of objects that are members of each other, the smaller ID first.
const LINKS: TableDefinition<'_, (u128, u128), ()> = TableDefinition::new("links");
/// The last number that was given out of each range.
const NUMBERS: TableDefinition<'_, &str, u64> = TableDefinition::new("numbers");
/// The version of all this.
const FORMAT: TableDefinition<'_, (), u64> = TableDefinition::new("format");
const VERSION: u64 = 1;
/// What the store may keep in memory: it is read once and then only written.
const CACHE_BYTES: usize = 16 * 1024 * 1024;

/// Digests of passwords are for the owner alone.
const FILE_MODE: u32 = 0o600;

/// Why a file cannot be this VSD's.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The system.
    #[error(transparent)]
    System(#[from] io::Error),
    /// The file or the store within it.
    #[error(transparent)]
    Store(#[from] redb::Error),
    /// What stands in it.
    #[error("{0}")]
    Content(String),
}

fn store(error: impl Into<redb::Error>) -> OpenError {
    OpenError::Store(error.into())
}

/// A file to keep objects in. One that is not there is made elsewhere and put in its place as a whole: a store that
/// was begun in part could not be told from somebody else's file.
///
/// # Errors
/// [`OpenError`]: the system's refusal, or another process has it open.
pub(super) fn file(path: &Path) -> Result<FileBackend, OpenError> {
    if !path.try_exists()? {
        let begun = path.with_extension("new");
        match fs::remove_file(&begun) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        let database = Database::builder().create_with_backend(backend(&begun)?).map_err(store)?;
        begin(&database).map_err(store)?;
        drop(database);
        fs::rename(&begun, path)?;
        File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()?;
    }
    backend(path)
}

fn backend(path: &Path) -> Result<FileBackend, OpenError> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(FILE_MODE);
    FileBackend::new(options.open(path)?).map_err(store)
}

/// Numbers of ranges by their names.
pub(super) type Numbers = BTreeMap<Cow<'static, str>, u64>;

/// What was on disk.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) objects: Vec<Object>,
    pub(super) links: Vec<(Uuid, Uuid)>,
    pub(super) numbers: Numbers,
}

/// The store on disk.
pub(super) struct Disk {
    database: Database,
    /// The numbers that are there.
    numbers: Numbers,
}

impl fmt::Debug for Disk {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Disk")
    }
}

impl Disk {
    /// Opens what is there, or begins.
    ///
    /// # Errors
    /// [`OpenError`]: the medium fails, or what is there is something else.
    pub(super) fn open(backend: impl StorageBackend, model: &Model) -> Result<(Self, Kept), OpenError> {
        let database =
            Database::builder().set_cache_size(CACHE_BYTES).create_with_backend(backend).map_err(store)?;
        let version = begin(&database).map_err(store)?;
        if version != VERSION {
            return Err(OpenError::Content(format!(
                "has format {version}, and this emulator knows {VERSION}"
            )));
        }
        let kept = read(&database, model)?;
        let numbers = kept.numbers.clone();
        Ok((Self { database, numbers }, kept))
    }

    /// Writes what is different since the last commit of `objects`; it lasts once this has returned. After an error
    /// it must not become the state, and nothing can be written any more.
    ///
    /// # Errors
    /// The medium's.
    pub(super) fn commit(&mut self, objects: &Store, numbers: &Numbers) -> Result<(), redb::Error> {
        let (changes, links) = (objects.changes(), objects.link_changes());
        if changes.is_empty() && links.is_empty() {
            // Numbers that nobody has got need not last.
            return Ok(());
        }
        let transaction = self.database.begin_write()?;
        {
            let mut table = transaction.open_table(OBJECTS)?;
            for change in changes {
                match (change.before, change.after) {
                    (_, Some(after)) => {
                        drop(table.insert(after.id.as_u128(), record::write(after).as_slice())?);
                    }
                    (Some(before), None) => drop(table.remove(before.id.as_u128())?),
                    (None, None) => {}
                }
            }
            let mut table = transaction.open_table(LINKS)?;
            for ((a, b), linked) in links {
                let pair = (a.as_u128(), b.as_u128());
                if linked { drop(table.insert(pair, ())?) } else { drop(table.remove(pair)?) }
            }
            let mut table = transaction.open_table(NUMBERS)?;
            for (range, number) in
                numbers.iter().filter(|(range, number)| self.numbers.get(*range) != Some(number))
            {
                table.insert(range.as_ref(), number)?;
            }
        }
        transaction.commit()?;
        self.numbers.clone_from(numbers);
        Ok(())
    }
}

/// Makes the tables where there are none, and gives the version of what is there.
fn begin(database: &Database) -> Result<u64, redb::Error> {
    let transaction = database.begin_read()?;
    match transaction.open_table(FORMAT) {
        Ok(table) => return Ok(table.get(())?.map_or(0, |version| version.value())),
        Err(redb::TableError::TableDoesNotExist(_)) => {}
        Err(error) => return Err(error.into()),
    }
    drop(transaction);
    let transaction = database.begin_write()?;
    transaction.open_table(OBJECTS)?;
    transaction.open_table(LINKS)?;
    transaction.open_table(NUMBERS)?;
    transaction.open_table(FORMAT)?.insert((), VERSION)?;
    transaction.commit()?;
    Ok(VERSION)
}

fn read(database: &Database, model: &Model) -> Result<Kept, OpenError> {
    let mut kept = Kept { objects: Vec::new(), links: Vec::new(), numbers: Numbers::new() };
    let transaction = database.begin_read().map_err(store)?;
    for row in transaction.open_table(OBJECTS).map_err(store)?.iter().map_err(store)? {
        let (id, bytes) = row.map_err(store)?;
        let id = Uuid::from_u128(id.value());
        let object = record::read(id, bytes.value(), model);
        kept.objects.push(object.map_err(|reason| OpenError::Content(format!("object {id}: {reason}")))?);
    }
    for row in transaction.open_table(LINKS).map_err(store)?.iter().map_err(store)? {
        let (a, b) = row.map_err(store)?.0.value();
        kept.links.push((Uuid::from_u128(a), Uuid::from_u128(b)));
    }
    for row in transaction.open_table(NUMBERS).map_err(store)?.iter().map_err(store)? {
        let (range, number) = row.map_err(store)?;
        kept.numbers.insert(Cow::Owned(range.value().to_owned()), number.value());
    }
    Ok(kept)
}
