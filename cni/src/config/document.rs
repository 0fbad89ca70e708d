//! One YAML file: where a value is wrong, it is named with file, line and key. Never shows a line of the file: beside the
//! wrong value may stand a key or a token.

use std::any::Any;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use super::keys::Key;
use super::noted::Noted;
use super::{Memo, invalid, read};
use crate::error::Error;
use crate::host::Files;

/// Less similar than this, two keys are not the same word with a slip in it.
const SIMILAR: f64 = 0.8;

/// What a file can be read as. An empty one is the default.
pub(super) trait Content: DeserializeOwned + Default + Clone + Any + Send + Sync {}
impl<T: DeserializeOwned + Default + Clone + Any + Send + Sync> Content for T {}

/// The text of a YAML file.
pub(super) struct Document {
    path: PathBuf,
    text: String,
    memo: Option<Memo>,
}

impl Document {
    /// Reads a file; one that is not there is an empty one.
    pub(super) fn read(files: &dyn Files, path: &Path) -> Result<Self, Error> {
        let empty = || Self { path: path.to_owned(), text: String::new(), memo: None };
        Ok(Self::read_if_there(files, path)?.unwrap_or_else(empty))
    }

    /// Reads a file, if it is there.
    pub(super) fn read_if_there(files: &dyn Files, path: &Path) -> Result<Option<Self>, Error> {
        let Some(bytes) = read(files, path)? else { return Ok(None) };
        let text = String::from_utf8(bytes).map_err(|_| invalid(path, "is not UTF-8"))?;
        Ok(Some(Self { path: path.to_owned(), text, memo: files.memo().cloned() }))
    }

    /// Whether nothing stands in it but comments: an empty mapping, not a null.
    fn is_empty(&self) -> bool {
        self.text.lines().map(str::trim).all(|line| line.is_empty() || line.starts_with('#') || line == "---")
    }

    /// Its typed content.
    pub(super) fn parse<T: Content>(&self) -> Result<T, Error> {
        if self.is_empty() {
            return Ok(T::default());
        }
        if let Some(known) = self.memo.as_ref().and_then(|memo| memo.recall(&self.path, &self.text)) {
            return Ok(known);
        }
        let content: T = serde_saphyr::from_str(&self.text).map_err(|error| self.wrong(&error))?;
        if let Some(memo) = &self.memo {
            memo.keep(&self.path, &self.text, content.clone());
        }
        Ok(content)
    }

    /// Its typed content, and all keys of its mapping.
    pub(super) fn parse_noting<T: Content>(&self) -> Result<(T, Vec<String>), Error> {
        let Noted { content, keys } = self.parse()?;
        Ok((content, keys))
    }

    fn wrong(&self, error: &serde_saphyr::Error) -> Error {
        let (line, key) = match error.location() {
            Some(at) => (at.line(), self.key_at(at.line())),
            None => (0, None),
        };
        let text = error.without_snippet().to_string();
        let what = text.split(" at line ").next().unwrap_or_default();
        let key = key.map(|key| format!("{key}: ")).unwrap_or_default();
        Error::Config {
            what: format!("{}:{line}", self.path.display()),
            details: format!("{key}{what}"),
            hint: None,
        }
    }

    /// The key that the value on a line (from 1) belongs to.
    fn key_at(&self, line: u64) -> Option<&str> {
        let until = usize::try_from(line).ok()?;
        let before: Vec<&str> = self.text.lines().take(until).collect();
        before.iter().rev().find_map(|line| {
            let (key, _) = line.trim_start_matches([' ', '-', '{']).split_once(':')?;
            let word = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            (!key.is_empty() && key.chars().all(word)).then_some(key)
        })
    }

    /// What is odd about these of its keys: those of `idle` have no effect any more, others than `known` never had.
    pub(super) fn odd_keys(&self, keys: &[String], known: &[Key], idle: &[&str]) -> Vec<String> {
        let is_known = |key: &str| known.iter().any(|known| known.name == key) || idle.contains(&key);
        let unknown = keys.iter().filter(|key| !is_known(key));
        let told = |key: &String| {
            let line = self.text.lines().position(|line| line.trim_start().starts_with(key.as_str()));
            let place = line.map(|line| format!(":{}", line + 1)).unwrap_or_default();
            let near = known.iter().map(|known| (strsim::jaro_winkler(key, known.name), known.name));
            let near = near.max_by(|(a, _), (b, _)| a.total_cmp(b)).filter(|(score, _)| *score >= SIMILAR);
            let guess = near.map(|(_, known)| format!(", did you mean {known}?")).unwrap_or_default();
            let key: String = key.chars().take(64).collect();
            format!("{}{place}: unknown key {key}{guess}", self.path.display())
        };
        unknown.map(told).collect()
    }
}
