//! Where a database file lies. A seam, so that a medium that fails at any step can be tested; knows nothing of records.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, fcntl_lock};

/// As the emulator's other files: for the owner alone.
const FILE_MODE: u32 = 0o600;

/// One file, appended to.
pub trait Medium: Send {
    /// All of it.
    ///
    /// # Errors
    /// The system's refusal.
    fn read(&mut self) -> io::Result<Vec<u8>>;

    /// Adds bytes at its end. After an error any part of them may be there.
    ///
    /// # Errors
    /// The system's refusal.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Returns once a power failure cannot take away what has been written.
    ///
    /// # Errors
    /// The system's refusal; what was written since the last success may or may not last.
    fn sync(&mut self) -> io::Result<()>;

    /// Cuts it to this length.
    ///
    /// # Errors
    /// The system's refusal.
    fn truncate(&mut self, length: u64) -> io::Result<()>;

    /// Puts these bytes, synced, in place of all of it: afterwards it is the new file or, with an error, the old one.
    ///
    /// # Errors
    /// The system's refusal.
    fn replace(&mut self, bytes: &[u8]) -> io::Result<()>;
}

/// A file in a directory, locked against another ovsdb-server as that one locks it.
#[derive(Debug)]
pub struct FileMedium {
    path: PathBuf,
    file: File,
    /// A rename that a power failure could still undo.
    unsettled: bool,
    _lock: File,
}

impl FileMedium {
    /// Opens the file, makes it if it is not there, and locks it.
    ///
    /// # Errors
    /// The system's refusal; [`io::ErrorKind::WouldBlock`] if another process has it.
    pub fn open(path: &Path) -> io::Result<Self> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let lock = path.with_file_name(format!(".{name}.~lock~"));
        let lock = OpenOptions::new().write(true).create(true).truncate(false).mode(FILE_MODE).open(lock)?;
        // A record lock, not flock: the two know nothing of each other, and ovsdb-server takes this one.
        fcntl_lock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(|_| {
            io::Error::new(io::ErrorKind::WouldBlock, "another process has this database open")
        })?;
        let file = Self::appending(path)?;
        Ok(Self { path: path.to_owned(), file, unsettled: true, _lock: lock })
    }

    fn appending(path: &Path) -> io::Result<File> {
        OpenOptions::new().read(true).append(true).create(true).mode(FILE_MODE).open(path)
    }

    fn settle(&mut self) -> io::Result<()> {
        if self.unsettled {
            let directory = self.path.parent().unwrap_or(Path::new("/"));
            File::open(directory)?.sync_all()?;
            self.unsettled = false;
        }
        Ok(())
    }
}

impl Medium for FileMedium {
    fn read(&mut self) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        File::open(&self.path)?.read_to_end(&mut content)?;
        Ok(content)
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()?;
        self.settle()
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.file.set_len(length)
    }

    fn replace(&mut self, bytes: &[u8]) -> io::Result<()> {
        let temporary = self.path.with_extension("new");
        let made = write_beside(&temporary, bytes, &self.path);
        if made.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        self.file = made?;
        // What is acknowledged as durable from now on needs the new name to last; `sync` sees to that.
        self.unsettled = true;
        Ok(())
    }
}

/// Writes a file, synced, and gives it the name of another.
fn write_beside(temporary: &Path, bytes: &[u8], path: &Path) -> io::Result<File> {
    let _ = fs::remove_file(temporary);
    let mut file = FileMedium::appending(temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(temporary, path)?;
    Ok(file)
}
