//! The host's files, below a root: in a container that is where the host is mounted. Paths are resolved within the root, links
//! included, so that nothing of the container is touched by mistake. A file is replaced whole or not at all, and nothing is
//! touched that another user owns. Never decides what belongs where.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

use crate::error::Error;
use crate::host::{Files, LockGuard};

/// Directories that are made on the way.
const DIRECTORY_MODE: u32 = 0o755;
/// No file that is compared is longer: executables have some megabytes.
const MAX_BYTES: u64 = 256 << 20;
/// What is between a file's name and a process in the name of a file that is being written.
const TEMPORARY: &str = ".nuage-";

/// The host's files.
#[derive(Debug)]
pub(super) struct Tree {
    root: OwnedFd,
    path: PathBuf,
    /// Whom files may belong to: root, or whoever runs this.
    owners: [u32; 2],
}

/// What was done to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// It was as it should be.
    Unchanged,
    /// It is new, or has new content.
    New,
}

fn failed(operation: &str, path: &Path) -> impl FnOnce(Errno) -> Error {
    let (operation, path) = (format!("{operation} {}", path.display()), path.to_owned());
    move |errno| match errno {
        Errno::ROFS => Error::Config {
            what: path.display().to_string(),
            details: "the file system is read-only".to_owned(),
            hint: Some(
                "--bin-dir and --net-dir name other folders; the runtime must use the same".to_owned(),
            ),
        },
        errno => Error::Io { operation, details: std::io::Error::from(errno).to_string() },
    }
}

fn io(operation: &str, path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    let convert = failed(operation, path);
    move |error| convert(Errno::from_io_error(&error).unwrap_or(Errno::IO))
}

/// A path as the root's descriptor takes it.
fn relative(path: &Path) -> &Path {
    let stripped = path.strip_prefix("/").unwrap_or(path);
    if stripped.as_os_str().is_empty() { Path::new(".") } else { stripped }
}

fn split(path: &Path) -> Result<(&Path, &str), Error> {
    let name = path.file_name().and_then(|name| name.to_str());
    let parts = path.parent().zip(name);
    parts.ok_or_else(|| failed("the path", path)(Errno::INVAL))
}

impl Tree {
    /// The files below `root`.
    pub(super) fn open(root: &Path) -> Result<Self, Error> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let descriptor = rustix::fs::open(root, flags, Mode::empty()).map_err(failed("opening", root))?;
        let owners = [0, rustix::process::geteuid().as_raw()];
        Ok(Self { root: descriptor, path: root.to_owned(), owners })
    }

    /// Where the root is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Opens something below the root, as if the root were the whole system.
    fn resolve(&self, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        rustix::fs::openat2(&self.root, relative(path), flags | OFlags::CLOEXEC, Mode::empty(), resolve)
    }

    fn directory(&self, path: &Path) -> Result<Option<OwnedFd>, Error> {
        match self.resolve(path, OFlags::RDONLY | OFlags::DIRECTORY) {
            Ok(descriptor) => Ok(Some(descriptor)),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(failed("opening", path)(errno)),
        }
    }

    /// Opens a directory; makes it and those above it where they are missing.
    pub(super) fn make_directory(&self, path: &Path, mode: u32) -> Result<OwnedFd, Error> {
        if let Some(there) = self.directory(path)? {
            self.check_owner(&rustix::fs::fstat(&there).map_err(failed("looking at", path))?, path)?;
            return Ok(there);
        }
        let (parent, name) = split(path)?;
        let above = self.make_directory(parent, DIRECTORY_MODE)?;
        match rustix::fs::mkdirat(&above, name, Mode::from_raw_mode(mode)) {
            // Somebody was faster.
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(failed("making", path)(errno)),
        }
        let there = self.directory(path)?.ok_or_else(|| failed("opening", path)(Errno::NOENT))?;
        rustix::fs::fsync(&above).map_err(failed("syncing", parent))?;
        Ok(there)
    }

    fn check_owner(&self, stat: &Stat, path: &Path) -> Result<(), Error> {
        if self.owners.contains(&stat.st_uid) {
            return Ok(());
        }
        Err(Error::Config {
            what: path.display().to_string(),
            details: format!(
                "belongs to user {}: whoever that is could change what is installed there",
                stat.st_uid
            ),
            hint: Some("chown it to root".to_owned()),
        })
    }

    /// What is at a path; a link is itself.
    fn stat(&self, path: &Path) -> Result<Option<Stat>, Error> {
        let (parent, name) = split(path)?;
        let Some(directory) = self.directory(parent)? else { return Ok(None) };
        match rustix::fs::statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(failed("looking at", path)(errno)),
        }
    }

    /// Whether something is there.
    pub(super) fn has(&self, path: &Path) -> Result<bool, Error> {
        Ok(self.stat(path)?.is_some())
    }

    /// A file's content, if it is there.
    pub(super) fn read(&self, path: &Path) -> Result<Option<Vec<u8>>, Error> {
        let descriptor = match self.resolve(path, OFlags::RDONLY) {
            Ok(descriptor) => descriptor,
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
            Err(errno) => return Err(failed("reading", path)(errno)),
        };
        let mut content = Vec::new();
        let read = File::from(descriptor).take(MAX_BYTES + 1).read_to_end(&mut content);
        read.map_err(io("reading", path))?;
        if content.len() as u64 > MAX_BYTES {
            return Err(failed("reading", path)(Errno::FBIG));
        }
        Ok(Some(content))
    }

    /// The names in a directory, sorted; none where there is none.
    pub(super) fn names(&self, path: &Path) -> Result<Vec<String>, Error> {
        let Some(directory) = self.directory(path)? else { return Ok(Vec::new()) };
        let entries = std::fs::read_dir(format!("/proc/self/fd/{}", directory.as_raw_fd()));
        let entries = entries.map_err(io("listing", path))?.filter_map(Result::ok);
        let mut names: Vec<String> =
            entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort();
        Ok(names)
    }

    /// Makes a file have this content and mode. It is written beside its place and renamed into it: whoever opens or runs it
    /// meanwhile has the old one, and whenever this is killed there is the old one or the new one.
    pub(super) fn write(&self, path: &Path, content: &[u8], mode: u32) -> Result<Written, Error> {
        let (parent, name) = split(path)?;
        let directory = self.make_directory(parent, DIRECTORY_MODE)?;
        if let Some(stat) = self.stat(path)? {
            self.check_owner(&stat, path)?;
            let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
            if is_file && stat.st_mode & 0o7777 == mode && self.read(path)?.as_deref() == Some(content) {
                return Ok(Written::Unchanged);
            }
        }
        self.remove_torn(&directory, parent, name)?;
        let temporary = format!(".{name}{TEMPORARY}{}", std::process::id());
        let written = (|| {
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let file = rustix::fs::openat(&directory, &temporary, flags, Mode::from_raw_mode(0o600))?;
            let mut file = File::from(file);
            file.write_all(content)?;
            rustix::fs::fchmod(&file, Mode::from_raw_mode(mode))?;
            file.sync_all()?;
            // Closed first: what somebody has open for writing cannot be run.
            drop(file);
            rustix::fs::renameat(&directory, &temporary, &directory, name)?;
            rustix::fs::fsync(&directory)?;
            Ok(())
        })();
        if written.is_err() {
            let _ = rustix::fs::unlinkat(&directory, &temporary, AtFlags::empty());
        }
        written.map_err(io("writing", path))?;
        Ok(Written::New)
    }

    /// Removes what processes have left that were killed while they wrote the file.
    fn remove_torn(&self, directory: &OwnedFd, parent: &Path, name: &str) -> Result<(), Error> {
        let prefix = format!(".{name}{TEMPORARY}");
        for torn in self.names(parent)?.iter().filter(|torn| torn.starts_with(&prefix)) {
            let _ = rustix::fs::unlinkat(directory, torn, AtFlags::empty());
        }
        Ok(())
    }

    /// Removes a file. Gives whether it was there.
    pub(super) fn remove(&self, path: &Path) -> Result<bool, Error> {
        let (parent, name) = split(path)?;
        let Some(directory) = self.directory(parent)? else { return Ok(false) };
        self.remove_torn(&directory, parent, name)?;
        match rustix::fs::unlinkat(&directory, name, AtFlags::empty()) {
            Ok(()) => {}
            Err(Errno::NOENT) => return Ok(false),
            Err(errno) => return Err(failed("removing", path)(errno)),
        }
        rustix::fs::fsync(&directory).map_err(failed("syncing", parent))?;
        Ok(true)
    }

    /// Takes permissions away from a file or a directory; links are left alone. Gives its mode before and after, if it had them.
    pub(super) fn tighten(&self, path: &Path, forbidden: u32) -> Result<Option<(u32, u32)>, Error> {
        let Some(stat) = self.stat(path)? else { return Ok(None) };
        let kind = FileType::from_raw_mode(stat.st_mode);
        let before = stat.st_mode & 0o7777;
        if !matches!(kind, FileType::RegularFile | FileType::Directory) || before & forbidden == 0 {
            return Ok(None);
        }
        self.check_owner(&stat, path)?;
        let after = before & !forbidden;
        let descriptor = self.resolve(path, OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK);
        let descriptor = descriptor.map_err(failed("opening", path))?;
        rustix::fs::fchmod(descriptor, Mode::from_raw_mode(after)).map_err(failed("tightening", path))?;
        Ok(Some((before, after)))
    }
}

/// The host's files as the configuration's readers take them; whoever writes goes the careful way above.
impl Files for Tree {
    fn read(&self, path: &Path, limit: u64) -> std::io::Result<Option<Vec<u8>>> {
        let content = Self::read(self, path).map_err(|error| std::io::Error::other(error.details()))?;
        if content.as_ref().is_some_and(|content| content.len() as u64 > limit) {
            let kind = std::io::ErrorKind::InvalidData;
            return Err(std::io::Error::new(kind, format!("longer than {limit} bytes")));
        }
        Ok(content)
    }

    fn write(&self, _: &Path, _: &[u8]) -> std::io::Result<()> {
        Err(std::io::ErrorKind::Unsupported.into())
    }

    fn remove(&self, _: &Path) -> std::io::Result<bool> {
        Err(std::io::ErrorKind::Unsupported.into())
    }

    fn list(&self, directory: &Path) -> std::io::Result<Vec<String>> {
        self.names(directory).map_err(|error| std::io::Error::other(error.details()))
    }

    fn try_lock(&self, _: &Path) -> std::io::Result<Option<Box<dyn LockGuard>>> {
        Err(std::io::ErrorKind::Unsupported.into())
    }
}
