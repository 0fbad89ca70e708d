//! Kinds of loads, faults and expectations: a name, what it is for, and how it is read. One entry defines one kind; what a
//! scenario may say, what `harness explain` tells and what a misspelt name is compared with all follow from it.

use std::sync::Arc;

use super::key::Key;
use super::reader::{Reader, keys_of};
use crate::error::Error;

/// One kind of `T`.
pub struct Kind<T: ?Sized + 'static> {
    /// Its name in scenarios and reports.
    pub name: &'static str,
    /// What it is for, in one sentence.
    pub about: &'static str,
    /// Reads the rest of its table.
    pub read: fn(&mut Reader<'_>) -> Result<Arc<T>, Error>,
}

impl<T: ?Sized> std::fmt::Debug for Kind<T> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.name)
    }
}

impl<T: ?Sized> Kind<T> {
    /// Its keys.
    pub fn keys(&self) -> Vec<Key> {
        keys_of(self.read)
    }
}

/// Reads a table by its `kind`, with `read`.
///
/// # Errors
/// What is wrong with it, and where.
pub fn read<T: ?Sized, R>(
    kinds: &'static [Kind<T>],
    mut reader: Reader<'_>,
    read: impl Fn(&'static Kind<T>, &mut Reader<'_>) -> Result<R, Error>,
) -> Result<R, Error> {
    let words: Vec<(&'static str, &'static Kind<T>)> = kinds.iter().map(|kind| (kind.name, kind)).collect();
    if let Some(misspelt) = reader.misspelt("kind") {
        return Err(misspelt);
    }
    let kind = reader.word("kind", "which kind it is", None, &words)?;
    reader.whole(|reader| read(kind, reader))
}
