//! The emulator's directory: its own, readable by its owner alone, used by one emulator at a time, written so that a
//! reader never sees half a file.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::error::Error;

const DIRECTORY_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;
const LOCK: &str = "lock";

/// A directory that this process uses.
#[derive(Debug)]
pub struct Directory {
    /// Where it is, absolute.
    pub path: PathBuf,
    _lock: File,
}

impl Directory {
    /// Makes `path` if it is not there, and takes it.
    ///
    /// # Errors
    /// It belongs to another user, another emulator runs there, or the system refuses.
    pub fn take(path: &Path) -> Result<Self, Error> {
        make(path)?;
        let path = fs::canonicalize(path).map_err(Error::file(path))?;
        let owner = fs::metadata(&path).map_err(Error::file(&path))?.uid();
        if owner != rustix::process::geteuid().as_raw() {
            return Err(Error::ForeignDirectory(path));
        }
        let name = path.join(LOCK);
        let mut options = OpenOptions::new();
        let lock = options
            .write(true)
            .create(true)
            .truncate(false)
            .mode(FILE_MODE)
            .open(&name)
            .map_err(Error::file(&name))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path, _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(Error::InUse(path)),
            Err(TryLockError::Error(source)) => Err(Error::File { path: name, source }),
        }
    }
}

/// Makes a directory, and those above it, for the owner alone.
///
/// # Errors
/// The system's refusal.
pub fn make(path: &Path) -> Result<(), Error> {
    DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(path).map_err(Error::file(path))
}

/// Writes a file for the owner alone: whole or not at all.
///
/// # Errors
/// The system's refusal.
pub fn write_secret(path: &Path, content: &[u8]) -> Result<(), Error> {
    if let Some(parent) = path.parent() {
        make(parent)?;
    }
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    let temporary = PathBuf::from(temporary);
    let _ = fs::remove_file(&temporary);
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(FILE_MODE)
        .open(&temporary)
        .map_err(Error::file(&temporary))?;
    file.write_all(content).map_err(Error::file(&temporary))?;
    fs::rename(&temporary, path).map_err(Error::file(path))
}
