//! Reads tables of a scenario key by key, and complains with file, line and column: about what is missing, wrong, out of
//! bounds, or not known.

use std::collections::BTreeSet;
use std::ops::{Range, RangeInclusive};
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::error::Error;
use crate::random::Span as RandomSpan;

pub use crate::random::Span;

/// A name that is further off than this is not what was meant.
const NEAR: f64 = 0.5;

/// Reads one table.
pub struct Reader<'a> {
    path: &'a str,
    text: &'a str,
    table: Option<&'a DeTable<'a>>,
    span: Range<usize>,
    asked: BTreeSet<&'static str>,
}

impl std::fmt::Debug for Reader<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Reader({})", self.path)
    }
}

fn error(path: &str, text: &str, at: usize, message: impl Into<String>) -> Error {
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    Error::Scenario { path: path.to_owned(), line, column, message: message.into() }
}

/// Parses the TOML.
pub(super) fn document<'a>(path: &str, text: &'a str) -> Result<Spanned<DeTable<'a>>, Error> {
    DeTable::parse(text).map_err(|wrong| {
        let at = wrong.span().map_or(0, |span| span.start);
        error(path, text, at, wrong.message().replace('\n', ", "))
    })
}

/// `; did you mean "..."?`, if something is near enough.
fn suggestion<'b>(given: &str, known: impl IntoIterator<Item = &'b str>) -> String {
    let scored = known.into_iter().map(|name| (strsim::normalized_damerau_levenshtein(given, name), name));
    let best = scored.max_by(|a, b| a.0.total_cmp(&b.0)).filter(|(score, _)| *score >= NEAR);
    best.map(|(_, name)| format!("; did you mean \"{name}\"?")).unwrap_or_default()
}

impl<'a> Reader<'a> {
    pub(super) fn root(path: &'a str, text: &'a str, document: &'a Spanned<DeTable<'a>>) -> Self {
        Self { path, text, table: Some(document.get_ref()), span: 0..0, asked: BTreeSet::new() }
    }

    /// A complaint about the table as a whole.
    pub fn error(&self, message: impl Into<String>) -> Error {
        error(self.path, self.text, self.span.start, message)
    }

    fn at(&self, value: &Spanned<DeValue<'_>>, message: impl Into<String>) -> Error {
        error(self.path, self.text, value.span().start, message)
    }

    fn get(&mut self, key: &'static str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.asked.insert(key);
        self.table?.iter().find(|(found, _)| found.get_ref() == key).map(|(_, value)| value)
    }

    fn missing(&self, key: &str) -> Error {
        self.error(format!("\"{key}\" is missing"))
    }

    fn sub(&self, value: &'a Spanned<DeValue<'a>>) -> Result<Self, Error> {
        let table = value.get_ref().as_table().ok_or_else(|| self.at(value, "a table is expected"))?;
        Ok(Self {
            path: self.path,
            text: self.text,
            table: Some(table),
            span: value.span(),
            asked: BTreeSet::new(),
        })
    }

    /// A table, empty if it is not there.
    ///
    /// # Errors
    /// Something else stands there.
    pub fn table(&mut self, key: &'static str) -> Result<Self, Error> {
        match self.get(key) {
            Some(value) => self.sub(value),
            None => Ok(Self { table: None, asked: BTreeSet::new(), span: self.span.clone(), ..*self }),
        }
    }

    /// The tables of a list, none if it is not there.
    ///
    /// # Errors
    /// Something else stands there.
    pub fn tables(&mut self, key: &'static str) -> Result<Vec<Self>, Error> {
        let Some(value) = self.get(key) else { return Ok(Vec::new()) };
        let list = value.get_ref().as_array().ok_or_else(|| self.at(value, format!("write [[{key}]]")))?;
        list.iter().map(|entry| self.sub(entry)).collect()
    }

    /// A text.
    ///
    /// # Errors
    /// It is missing without a default, or no text.
    pub fn text(&mut self, key: &'static str, default: Option<&str>) -> Result<String, Error> {
        let Some(value) = self.get(key) else {
            return default.map(str::to_owned).ok_or_else(|| self.missing(key));
        };
        value
            .get_ref()
            .as_str()
            .map(str::to_owned)
            .ok_or_else(|| self.at(value, "a text in quotes is expected"))
    }

    /// One of several words.
    ///
    /// # Errors
    /// It is missing without a default, or another word; the nearest one is named.
    pub fn word<T: Copy>(
        &mut self,
        key: &'static str,
        default: Option<T>,
        words: &[(&str, T)],
    ) -> Result<T, Error> {
        let Some(value) = self.get(key) else { return default.ok_or_else(|| self.missing(key)) };
        let given = value.get_ref().as_str().ok_or_else(|| self.at(value, "a text in quotes is expected"))?;
        let found = words.iter().find(|(word, _)| *word == given).map(|(_, meaning)| *meaning);
        found.ok_or_else(|| {
            let hint = suggestion(given, words.iter().map(|(word, _)| *word));
            let all: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            let hint = if hint.is_empty() { format!("; there are: {}", all.join(", ")) } else { hint };
            self.at(value, format!("unknown {key} \"{given}\"{hint}"))
        })
    }

    /// Yes or no.
    ///
    /// # Errors
    /// Something else stands there.
    pub fn flag(&mut self, key: &'static str, default: bool) -> Result<bool, Error> {
        let Some(value) = self.get(key) else { return Ok(default) };
        value.get_ref().as_bool().ok_or_else(|| self.at(value, "true or false is expected"))
    }

    /// A whole number.
    ///
    /// # Errors
    /// It is missing without a default, or no whole number from 0 on.
    pub fn number(&mut self, key: &'static str, default: Option<u64>) -> Result<u64, Error> {
        let Some(value) = self.get(key) else { return default.ok_or_else(|| self.missing(key)) };
        let digits = value.get_ref().as_integer();
        let number = digits.and_then(|digits| u64::from_str_radix(digits.as_str(), digits.radix()).ok());
        number.ok_or_else(|| self.at(value, "a whole number is expected"))
    }

    /// A whole number within bounds.
    ///
    /// # Errors
    /// As [`Reader::number`], or out of bounds.
    pub fn count(
        &mut self,
        key: &'static str,
        default: Option<u64>,
        bounds: RangeInclusive<u64>,
    ) -> Result<usize, Error> {
        let number = self.number(key, default)?;
        match (bounds.contains(&number), self.get(key)) {
            (false, Some(value)) => {
                Err(self.at(value, format!("{key} must be from {} to {}", bounds.start(), bounds.end())))
            }
            _ => usize::try_from(number).map_err(|_| self.missing(key)),
        }
    }

    /// A duration like `250ms`, `10s`, `5m` or `1h`.
    ///
    /// # Errors
    /// It is missing without a default, or no duration.
    pub fn duration(&mut self, key: &'static str, default: Option<Duration>) -> Result<Duration, Error> {
        let Some(value) = self.get(key) else { return default.ok_or_else(|| self.missing(key)) };
        let parsed = value.get_ref().as_str().and_then(duration);
        parsed.ok_or_else(|| self.at(value, "a duration like \"250ms\", \"10s\", \"5m\" is expected"))
    }

    /// A duration, or a range of them like `5s..20s` that the seed decides.
    ///
    /// # Errors
    /// It is missing without a default, or neither.
    pub fn span(&mut self, key: &'static str, default: Option<Duration>) -> Result<Span, Error> {
        let Some(value) = self.get(key) else {
            return default.map(RandomSpan::exactly).ok_or_else(|| self.missing(key));
        };
        let parsed = value.get_ref().as_str().and_then(|text| match text.split_once("..") {
            Some((low, high)) => RandomSpan::between(duration(low)?, duration(high)?),
            None => duration(text).map(RandomSpan::exactly),
        });
        parsed
            .ok_or_else(|| self.at(value, "a duration like \"10s\" or a range like \"5s..20s\" is expected"))
    }

    /// A rate like `20/s` or `6/m`, as the pause between two events.
    ///
    /// # Errors
    /// It is missing, or no rate.
    pub fn pause_of_rate(&mut self, key: &'static str) -> Result<Duration, Error> {
        let value = self.get(key).ok_or_else(|| self.missing(key))?;
        let parsed = value.get_ref().as_str().and_then(|text| {
            let (number, unit) = text.split_once('/')?;
            let period = duration(&format!("1{unit}"))?;
            period.checked_div(number.parse().ok().filter(|number| *number > 0)?)
        });
        parsed.ok_or_else(|| self.at(value, "a rate like \"20/s\" is expected"))
    }

    /// Complains about the first key that nobody asked for.
    ///
    /// # Errors
    /// There is one.
    pub fn finish(&self) -> Result<(), Error> {
        let unknown = self
            .table
            .and_then(|table| table.iter().find(|(key, _)| !self.asked.contains(key.get_ref().as_ref())));
        let Some((key, _)) = unknown else { return Ok(()) };
        let name = key.get_ref();
        let message = format!("unknown key \"{name}\"{}", suggestion(name, self.asked.iter().copied()));
        Err(error(self.path, self.text, key.span().start, message))
    }

    /// Reads with `read`, then complains about unknown keys: those before what they hide, since a misspelt key is
    /// also a missing one.
    ///
    /// # Errors
    /// Either complaint.
    pub fn whole<T>(mut self, read: impl FnOnce(&mut Self) -> Result<T, Error>) -> Result<T, Error> {
        let result = read(&mut self);
        match result {
            Err(Error::Scenario { message, .. }) if message.ends_with("is missing") => {
                self.finish()?;
                Err(self.error(message))
            }
            Err(other) => Err(other),
            Ok(value) => self.finish().map(|()| value),
        }
    }
}

fn duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    let milliseconds = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    number.checked_mul(milliseconds).map(Duration::from_millis)
}
