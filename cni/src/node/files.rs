//! The file system: whole files, replaced by rename so that a crash leaves the old or the new content, and locks that the
//! kernel drops with the process.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::thread;

use async_trait::async_trait;
use tokio::sync::oneshot;

use crate::host::{Files, LockGuard};

/// Owner only: the journal names pods, and a lock that others can open can be held by others.
const FILE_MODE: u32 = 0o600;
const DIRECTORY_MODE: u32 = 0o700;
/// `O_NOFOLLOW`: a link in the place of one of our files is somebody's trap.
const NO_FOLLOW: i32 = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();

/// Few files here are longer, in bytes.
const USUAL_BYTES: usize = 4 << 10;
/// A file that is longer is cut instead of filled up with white space, in bytes.
const LONGEST_PADDED: usize = 64 << 10;

/// The file system of this machine.
#[derive(Debug)]
pub(super) struct FileSystem;

fn make_parent(path: &Path) -> io::Result<&Path> {
    let parent = path.parent().unwrap_or(Path::new("/"));
    DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(parent)?;
    Ok(parent)
}

/// What temporary files of a file are called, up to the process that writes.
fn temporary_prefix(name: &str) -> String {
    format!(".{name}.")
}

/// Removes what processes have left that were killed while they wrote the file: nobody else would, and a runtime that
/// kills calls again and again would fill the disk. One that writes right now loses its write, and notices.
fn remove_torn(path: &Path) {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return };
    let prefix = temporary_prefix(&name.to_string_lossy());
    let entries = fs::read_dir(parent).into_iter().flatten().filter_map(Result::ok);
    for torn in entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix)) {
        let _ = fs::remove_file(torn.path());
    }
}

/// Absence is no error here.
fn if_there<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Puts a new file in the place of `path` and waits until it is on the disk.
fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let parent = make_parent(path)?;
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_string_lossy();
    let temporary = parent.join(format!("{}{}", temporary_prefix(&name), std::process::id()));
    let written = (|| {
        let _ = fs::remove_file(&temporary);
        let mut file = create_new(&temporary)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        // The rename is only safe once the directory is.
        File::open(parent)?.sync_all()
    })();
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written
}

fn create_new(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(path)
}

/// Makes a file under its own name: a rename would cost the disk another round.
fn create(path: &Path, content: &[u8]) -> io::Result<()> {
    let parent = make_parent(path)?;
    let mut file = match create_new(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return replace(path, content),
        other => other?,
    };
    let written = file.write_all(content).and_then(|()| {
        let directory = File::open(parent)?;
        // Each waits until the disk has emptied its cache, and they can wait for the same.
        thread::scope(|scope| {
            let name = thread::Builder::new().spawn_scoped(scope, || directory.sync_all())?;
            file.sync_all()?;
            name.join().unwrap_or_else(|_| Err(io::ErrorKind::Other.into()))
        })
    });
    if written.is_err() {
        let _ = fs::remove_file(path);
    }
    written
}

/// Writes in place and in one call, so that a kill comes before or after it. Renaming a file over another is dear on some
/// file systems: it waits for the disk, to save what was not asked to be saved.
fn overwrite(path: &Path, content: &[u8]) -> io::Result<()> {
    make_parent(path)?;
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(FILE_MODE).custom_flags(NO_FOLLOW);
    let mut file = options.open(path)?;
    let length = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
    let mut content = content.to_vec();
    content.resize(content.len().max(length.min(LONGEST_PADDED)), b' ');
    file.write_all(&content)?;
    if length > content.len() { file.set_len(content.len() as u64) } else { Ok(()) }
}

#[async_trait]
impl Files for FileSystem {
    fn read(&self, path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>> {
        let Some(file) = if_there(File::open(path))? else { return Ok(None) };
        let mut content = Vec::with_capacity(USUAL_BYTES);
        file.take(limit + 1).read_to_end(&mut content)?;
        if content.len() as u64 > limit {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("longer than {limit} bytes")));
        }
        Ok(Some(content))
    }

    fn write(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        replace(path, content)
    }

    async fn create(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        let (done, result) = oneshot::channel();
        let (path, content) = (path.to_owned(), content.to_vec());
        let work = move || {
            // Who has begun a call may have given it up; its record is made all the same, and whoever ends it knows.
            let _ = done.send(create(&path, &content));
        };
        thread::Builder::new().name("disk".to_owned()).spawn(work)?;
        result.await.map_err(io::Error::other)?
    }

    fn write_lightly(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        overwrite(path, content)
    }

    fn remove(&self, path: &Path) -> io::Result<bool> {
        let was_there = if_there(fs::remove_file(path))?.is_some();
        remove_torn(path);
        Ok(was_there)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        let Some(entries) = if_there(fs::read_dir(directory))? else { return Ok(Vec::new()) };
        let mut names = Vec::new();
        for entry in entries {
            names.extend(entry?.file_name().into_string().ok().filter(|name| !name.starts_with('.')));
        }
        names.sort();
        Ok(names)
    }

    fn try_lock(&self, path: &Path) -> io::Result<Option<Box<dyn LockGuard>>> {
        make_parent(path)?;
        let mut options = OpenOptions::new();
        let file = options
            .write(true)
            .create(true)
            .truncate(false)
            .mode(FILE_MODE)
            .custom_flags(NO_FOLLOW)
            .open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        // Who held it before has removed the file: this one is nobody's lock any more.
        let current = if_there(fs::symlink_metadata(path))?;
        if current.is_none_or(|current| Some(current.ino()) != file.metadata().ok().map(|file| file.ino())) {
            return Ok(None);
        }
        Ok(Some(Box::new(Lock { path: path.to_owned(), _file: file })))
    }
}

/// A held lock. Its file goes with it, so that locks of dead sandboxes do not pile up; after a kill it stays, unlocked.
struct Lock {
    path: PathBuf,
    _file: File,
}

impl LockGuard for Lock {}

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_readable_by_its_owner_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a/b/record.json");
        FileSystem.write(&path, b"old").unwrap();
        FileSystem.write(&path, b"new").unwrap();
        assert_eq!(FileSystem.read(&path, 3).unwrap().as_deref(), Some(&b"new"[..]));
        assert_eq!(FileSystem.read(&path, 2).unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, FILE_MODE);
        assert_eq!(FileSystem.list(path.parent().unwrap()).unwrap(), ["record.json"]);
        assert!(FileSystem.remove(&path).unwrap());
        assert!(!FileSystem.remove(&path).unwrap());
        assert_eq!(FileSystem.read(&path, 3).unwrap(), None);
    }

    #[test]
    fn what_a_killed_writer_left_goes_with_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let (path, other) = (directory.path().join("record.json"), directory.path().join("other.json"));
        let torn = directory.path().join(".record.json.4711");
        let others = directory.path().join(".other.json.4711");
        for file in [&torn, &others] {
            fs::write(file, b"{").unwrap();
        }
        // Killed in its first write: there is no file yet.
        assert!(!FileSystem.remove(&path).unwrap());
        assert!(!torn.exists() && others.exists());
        FileSystem.write(&other, b"{}").unwrap();
        assert!(FileSystem.remove(&other).unwrap());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_file_that_is_overwritten_is_whole_at_every_moment_and_says_the_new() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a/record.json");
        FileSystem.write_lightly(&path, b"{\"a\": 1}").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, FILE_MODE);
        FileSystem.write_lightly(&path, b"{}").unwrap();
        assert_eq!(FileSystem.read(&path, 100).unwrap().unwrap(), b"{}      ");
        FileSystem.write_lightly(&path, b"{\"longer\": true}").unwrap();
        assert_eq!(FileSystem.read(&path, 100).unwrap().unwrap(), b"{\"longer\": true}");
        fs::write(&path, vec![b'x'; LONGEST_PADDED * 2]).unwrap();
        FileSystem.write_lightly(&path, b"{}").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().len(), LONGEST_PADDED as u64);
        let link = directory.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(FileSystem.write_lightly(&link, b"{}").is_err(), "a link in its place is not followed");
    }

    #[tokio::test]
    async fn a_file_is_made_under_its_name_at_once_or_replaces_the_one_that_is_there() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a/record.json");
        for content in [&b"first"[..], b"second, longer", b"third"] {
            FileSystem.create(&path, content).await.unwrap();
            assert_eq!(FileSystem.read(&path, 100).unwrap().unwrap(), content);
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, FILE_MODE);
        }
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        assert!(FileSystem.create(Path::new("/proc/none/record.json"), b"").await.is_err());
    }

    #[test]
    fn a_lock_is_held_by_one_and_leaves_no_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("locks/x.lock");
        let held = FileSystem.try_lock(&path).unwrap();
        assert!(held.is_some());
        assert!(FileSystem.try_lock(&path).unwrap().is_none());
        drop(held);
        assert!(!path.exists());
        assert!(FileSystem.try_lock(&path).unwrap().is_some());
    }

    #[test]
    fn a_link_in_the_place_of_a_lock_is_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.lock");
        std::os::unix::fs::symlink("/etc/passwd", &path).unwrap();
        assert!(FileSystem.try_lock(&path).is_err());
    }
}
