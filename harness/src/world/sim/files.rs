//! A node's files, in memory, by directory: the journal lists its directories with every call. Refuses nothing and loses
//! nothing; faults of a disk are wrappers around it.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nuage_cni::config::Memo;
use nuage_cni::host::{Files, LockGuard};

/// Files of a node. They survive everything but the run. Clones are handles of the same ones.
#[derive(Clone, Debug, Default)]
pub struct MemoryFiles {
    directories: Arc<Mutex<BTreeMap<OsString, Directory>>>,
    locks: Arc<Mutex<BTreeSet<OsString>>>,
    /// What the configuration meant: each call reads it, and it hardly ever changes.
    memo: Memo,
}

/// Files of a directory, by name.
type Directory = BTreeMap<OsString, File>;

/// From how many characters on a word is remembered: an identifier of a sandbox is longer than anything else in a record.
const LONG: usize = 32;

/// A file, and where in it its long words are: after every DEL all records are searched for a sandbox.
#[derive(Debug)]
struct File {
    content: Vec<u8>,
    words: Vec<Range<usize>>,
}

fn in_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
}

impl File {
    fn new(content: &[u8]) -> Self {
        let mut words = Vec::new();
        let mut begin = 0;
        for word in content.split(|byte| !in_word(*byte)) {
            if word.len() >= LONG {
                words.push(begin..begin + word.len());
            }
            begin += word.len() + 1;
        }
        Self { content: content.to_vec(), words }
    }

    fn mentions(&self, text: &str) -> bool {
        let text = text.as_bytes();
        let found = |place: &[u8]| place.windows(text.len().max(1)).any(|window| window == text);
        if text.len() >= LONG && text.iter().copied().all(in_word) {
            self.words.iter().any(|word| found(&self.content[word.clone()]))
        } else {
            found(&self.content)
        }
    }
}

/// The directory and the name of a file. The root, which is no file, is one without a name.
fn split(path: &Path) -> (&OsStr, &OsStr) {
    let directory = path.parent().map(Path::as_os_str);
    (directory.unwrap_or_default(), path.file_name().unwrap_or_default())
}

impl MemoryFiles {
    fn directories(&self) -> MutexGuard<'_, BTreeMap<OsString, Directory>> {
        self.directories.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The files below a directory that have this text in them.
    pub fn mentioning(&self, directory: &Path, text: &str) -> Vec<PathBuf> {
        let directories = self.directories();
        let below = directories.iter().map(|(path, files)| (Path::new(path), files));
        let below = below.filter(|(path, _)| path.starts_with(directory));
        below
            .flat_map(|(path, files)| {
                let named = files.iter().filter(|(_, file)| file.mentions(text));
                named.map(move |(name, _)| path.join(name))
            })
            .collect()
    }

    /// Removes all files below a directory.
    pub fn remove_below(&self, directory: &Path) {
        self.directories().retain(|path, _| !Path::new(path).starts_with(directory));
    }
}

struct MemoryLock {
    path: OsString,
    locks: Arc<Mutex<BTreeSet<OsString>>>,
}

impl LockGuard for MemoryLock {}

// As the kernel drops the locks of a process that ends, however it ends.
impl Drop for MemoryLock {
    fn drop(&mut self) {
        self.locks.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.path);
    }
}

impl Files for MemoryFiles {
    fn read(&self, path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>> {
        let (directory, name) = split(path);
        let directories = self.directories();
        match directories.get(directory).and_then(|files| files.get(name)) {
            Some(file) if file.content.len() as u64 > limit => Err(io::ErrorKind::InvalidData.into()),
            file => Ok(file.map(|file| file.content.clone())),
        }
    }

    fn write(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        let (directory, name) = split(path);
        let mut directories = self.directories();
        let files = match directories.get_mut(directory) {
            Some(files) => files,
            None => directories.entry(directory.to_owned()).or_default(),
        };
        files.insert(name.to_owned(), File::new(content));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<bool> {
        let (directory, name) = split(path);
        let mut directories = self.directories();
        Ok(directories.get_mut(directory).is_some_and(|files| files.remove(name).is_some()))
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        let directories = self.directories();
        let names = directories.get(directory.as_os_str()).into_iter().flat_map(BTreeMap::keys);
        Ok(names.filter_map(|name| name.to_str().map(str::to_owned)).collect())
    }

    fn try_lock(&self, path: &Path) -> io::Result<Option<Box<dyn LockGuard>>> {
        let path = path.as_os_str().to_owned();
        if !self.locks.lock().unwrap_or_else(PoisonError::into_inner).insert(path.clone()) {
            return Ok(None);
        }
        Ok(Some(Box::new(MemoryLock { path, locks: Arc::clone(&self.locks) })))
    }

    fn memo(&self) -> Option<&Memo> {
        Some(&self.memo)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_lists_its_own_files_sorted_and_no_others() {
        let files = MemoryFiles::default();
        for path in ["/a/z", "/a/b", "/a/c/d", "/ab/e"] {
            files.write(Path::new(path), b"text").unwrap();
        }
        assert_eq!(files.list(Path::new("/a")).unwrap(), ["b", "z"]);
        assert_eq!(files.list(Path::new("/")).unwrap(), [""; 0]);
        assert!(files.remove(Path::new("/a/z")).unwrap() && !files.remove(Path::new("/a/z")).unwrap());
        files.remove_below(Path::new("/a"));
        assert_eq!(
            (files.list(Path::new("/a/c")).unwrap(), files.read(Path::new("/a/b"), 9).unwrap()),
            (vec![], None)
        );
        assert_eq!(files.mentioning(Path::new("/"), "ex"), [PathBuf::from("/ab/e")]);
    }

    #[test]
    fn a_text_is_found_wherever_it_stands_in_a_file_short_or_long_whole_or_part_of_a_word() {
        let (long, files) = ("0123456789abcdef".repeat(4), MemoryFiles::default());
        let contents = [
            long.clone(),
            format!("{{\"id\":\"{long}\",\"n\":1}}"),
            format!("x{long}y"),
            format!("{long}-0"),
        ];
        for (number, content) in contents.iter().enumerate() {
            files.write(&Path::new("/a").join(number.to_string()), content.as_bytes()).unwrap();
        }
        let found = |text: &str| files.mentioning(Path::new("/a"), text).len();
        assert_eq!((found(&long), found("1234"), found(&format!("{long}-0"))), (4, 4, 1));
        assert_eq!((found(&"0".repeat(64)), found("5678-")), (0, 0));
    }

    #[test]
    fn a_file_that_is_too_long_is_an_error_and_a_lock_is_held_once_until_it_is_dropped() {
        let files = MemoryFiles::default();
        let path = Path::new("/a/b");
        files.write(path, b"12").unwrap();
        assert_eq!(files.read(path, 1).unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert_eq!(files.read(path, 2).unwrap(), Some(b"12".to_vec()));
        let held = files.try_lock(path).unwrap();
        assert!(held.is_some() && files.try_lock(path).unwrap().is_none());
        drop(held);
        assert!(files.try_lock(path).unwrap().is_some());
    }
}
