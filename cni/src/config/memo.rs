//! What configuration files meant when they were read last: who reads the same text again, as a simulation does call after call,
//! need not parse it again. Never tells of a text what another one meant, and never shows what it keeps: tokens are among it.

use std::any::Any;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How many files are remembered: a node has three, and paths come from outside.
const MOST_FILES: usize = 16;

/// What files meant, by path. Clones are handles of the same one.
#[derive(Clone, Default)]
pub struct Memo(Arc<Mutex<BTreeMap<PathBuf, Known>>>);

struct Known {
    text: String,
    content: Arc<dyn Any + Send + Sync>,
}

impl std::fmt::Debug for Memo {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Memo({} files)", self.files().len())
    }
}

impl Memo {
    fn files(&self) -> MutexGuard<'_, BTreeMap<PathBuf, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What exactly this text of a file was read as, if it was read as this type.
    pub(super) fn recall<T: Any + Clone>(&self, path: &Path, text: &str) -> Option<T> {
        let files = self.files();
        let known = files.get(path).filter(|known| known.text == text)?;
        known.content.downcast_ref::<T>().cloned()
    }

    /// Remembers what a file's text means, in the place of what is known of the file.
    pub(super) fn keep<T: Any + Send + Sync>(&self, path: &Path, text: &str, content: T) {
        let mut files = self.files();
        if files.len() >= MOST_FILES && !files.contains_key(path) {
            files.clear();
        }
        files.insert(path.to_owned(), Known { text: text.to_owned(), content: Arc::new(content) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_text_of_the_same_file_is_recalled_and_only_as_what_it_was_read_as() {
        let (memo, path) = (Memo::default(), Path::new("/a"));
        memo.keep(path, "1", 1_u32);
        assert_eq!(memo.recall::<u32>(path, "1"), Some(1));
        assert_eq!((memo.recall::<u32>(path, "2"), memo.recall::<u64>(path, "1")), (None, None));
        assert_eq!(memo.recall::<u32>(Path::new("/b"), "1"), None);
        memo.keep(path, "2", 2_u32);
        assert_eq!((memo.recall::<u32>(path, "1"), memo.recall::<u32>(path, "2")), (None, Some(2)));
    }

    #[test]
    fn files_without_end_do_not_fill_the_memory_and_nothing_is_shown() {
        let memo = Memo::default();
        for number in 0..100 {
            memo.keep(&PathBuf::from(format!("/{number}")), "token: secret", "secret");
        }
        assert!(memo.files().len() <= MOST_FILES && !format!("{memo:?}").contains("secret"));
    }
}
