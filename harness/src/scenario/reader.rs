//! Reads tables of a scenario key by key, and complains with file, line and column: about what is missing, wrong, out of
//! bounds, or not known.

use std::collections::BTreeSet;
use std::ops::{Range, RangeInclusive};
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::error::Error;
use crate::random::Span;

/// A name that is further off than this is not what was meant.
const NEAR: f64 = 0.5;
/// Virtual time has no finer grain.
const SHORTEST_PAUSE: Duration = Duration::from_millis(1);
/// A run is not longer either.
const LONGEST: Duration = Duration::from_hours(24);

/// Reads one table.
pub struct Reader<'a> {
    path: &'a str,
    text: &'a str,
    table: Option<&'a DeTable<'a>>,
    span: Range<usize>,
    asked: BTreeSet<&'static str>,
    /// How many nodes the scenario's cluster has, as far as is known.
    nodes: u64,
    /// What was asked for, where nothing is read but only the keys are to be known.
    described: Option<Vec<Key>>,
}

/// A key of a table, as its reader asks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// What it takes.
    pub takes: String,
    /// What it is where it is left out; absent: it must be there.
    pub default: Option<String>,
}

/// The keys that `read` asks for: what a person is told comes from the same lines that read a file.
pub fn keys_of<T>(read: impl FnOnce(&mut Reader<'_>) -> Result<T, Error>) -> Vec<Key> {
    let mut reader = Reader {
        path: "",
        text: "",
        table: None,
        span: 0..0,
        asked: BTreeSet::new(),
        nodes: u64::MAX,
        described: Some(Vec::new()),
    };
    // Nothing is there to be wrong; a refusal would only end the list early.
    let _ = read(&mut reader);
    reader.described.unwrap_or_default()
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
pub fn suggestion<'b>(given: &str, known: impl IntoIterator<Item = &'b str>) -> String {
    let scored = known.into_iter().map(|name| (strsim::normalized_damerau_levenshtein(given, name), name));
    let best = scored.max_by(|a, b| a.0.total_cmp(&b.0)).filter(|(score, _)| *score >= NEAR);
    best.map(|(_, name)| format!("; did you mean \"{name}\"?")).unwrap_or_default()
}

/// As a scenario writes it.
fn shown(duration: Duration) -> String {
    if duration.is_zero() { "\"0s\"".to_owned() } else { format!("\"{duration:?}\"") }
}

/// What was found for a key.
enum Given<'a, T> {
    Value(&'a Spanned<DeValue<'a>>),
    Default(T),
}

impl<'a> Reader<'a> {
    pub(super) fn root(path: &'a str, text: &'a str, document: &'a Spanned<DeTable<'a>>) -> Self {
        Self {
            path,
            text,
            table: Some(document.get_ref()),
            span: 0..0,
            asked: BTreeSet::new(),
            nodes: u64::MAX,
            described: None,
        }
    }

    /// From here on the cluster's size is known.
    pub(super) fn with_nodes(&mut self, nodes: usize) {
        self.nodes = nodes as u64;
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

    /// The value of a key, or what stands for it: its default, or anything where keys are only to be known.
    fn value<T>(
        &mut self,
        key: &'static str,
        takes: impl FnOnce() -> String,
        default: (Option<T>, Option<String>),
        anything: T,
    ) -> Result<Given<'a, T>, Error> {
        let (default, shown) = default;
        if let Some(described) = &mut self.described {
            described.push(Key { name: key, takes: takes(), default: shown });
            return Ok(Given::Default(default.unwrap_or(anything)));
        }
        match (self.get(key), default) {
            (Some(value), _) => Ok(Given::Value(value)),
            (None, Some(default)) => Ok(Given::Default(default)),
            (None, None) => Err(self.missing(key)),
        }
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
            nodes: self.nodes,
            described: None,
        })
    }

    /// A table, empty if it is not there.
    ///
    /// # Errors
    /// Something else stands there.
    pub fn table(&mut self, key: &'static str) -> Result<Self, Error> {
        match self.get(key) {
            Some(value) => self.sub(value),
            None => Ok(Self {
                table: None,
                asked: BTreeSet::new(),
                span: self.span.clone(),
                described: None,
                ..*self
            }),
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
        let default = (default.map(str::to_owned), default.map(|text| format!("{text:?}")));
        match self.value(key, || "a text".to_owned(), default, String::new())? {
            Given::Default(text) => Ok(text),
            Given::Value(value) => Ok(self.quoted(value)?.to_owned()),
        }
    }

    fn quoted(&self, value: &'a Spanned<DeValue<'a>>) -> Result<&'a str, Error> {
        value.get_ref().as_str().ok_or_else(|| self.at(value, "a text in quotes is expected"))
    }

    /// One of several words.
    ///
    /// # Errors
    /// It is missing without a default, or another word; the nearest one is named.
    pub fn word<T: Copy>(
        &mut self,
        key: &'static str,
        default: Option<&str>,
        words: &[(&str, T)],
    ) -> Result<T, Error> {
        let named = |name: &str| words.iter().find(|(word, _)| *word == name).map(|(_, meaning)| *meaning);
        let all = || words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ");
        let anything = words.first().map(|(_, meaning)| *meaning).ok_or_else(|| self.missing(key))?;
        let default = (default.and_then(named), default.map(|word| format!("{word:?}")));
        let value = match self.value(key, || format!("one of: {}", all()), default, anything)? {
            Given::Default(meaning) => return Ok(meaning),
            Given::Value(value) => value,
        };
        let given = self.quoted(value)?;
        named(given).ok_or_else(|| {
            let hint = suggestion(given, words.iter().map(|(word, _)| *word));
            let hint = if hint.is_empty() { format!("; there are: {}", all()) } else { hint };
            self.at(value, format!("unknown {key} \"{given}\"{hint}"))
        })
    }

    /// Yes or no.
    ///
    /// # Errors
    /// Something else stands there.
    pub fn flag(&mut self, key: &'static str, default: bool) -> Result<bool, Error> {
        let default = (Some(default), Some(default.to_string()));
        match self.value(key, || "true or false".to_owned(), default, false)? {
            Given::Default(flag) => Ok(flag),
            Given::Value(value) => {
                value.get_ref().as_bool().ok_or_else(|| self.at(value, "true or false is expected"))
            }
        }
    }

    /// A whole number within bounds.
    ///
    /// # Errors
    /// It is missing without a default, no whole number, or out of bounds.
    pub fn number(
        &mut self,
        key: &'static str,
        default: Option<u64>,
        bounds: RangeInclusive<u64>,
    ) -> Result<u64, Error> {
        let (least, most) = (*bounds.start(), *bounds.end());
        let takes = || match most {
            u64::MAX => "a whole number".to_owned(),
            _ => format!("a whole number from {least} to {most}"),
        };
        let default = (default, default.map(|number| number.to_string()));
        let value = match self.value(key, takes, default, least)? {
            Given::Default(number) => return Ok(number),
            Given::Value(value) => value,
        };
        let digits = value.get_ref().as_integer();
        let number = digits.and_then(|digits| u64::from_str_radix(digits.as_str(), digits.radix()).ok());
        let number = number.ok_or_else(|| self.at(value, "a whole number is expected"))?;
        if !bounds.contains(&number) {
            return Err(self.at(value, format!("{key} must be from {least} to {most}")));
        }
        Ok(number)
    }

    /// A whole number within bounds, to count things with.
    ///
    /// # Errors
    /// As [`Reader::number`].
    pub fn count(
        &mut self,
        key: &'static str,
        default: Option<u64>,
        bounds: RangeInclusive<u64>,
    ) -> Result<usize, Error> {
        let number = self.number(key, default, bounds)?;
        usize::try_from(number).map_err(|_| self.missing(key))
    }

    /// The number of a node, from 1 as they are named, as an index; `None`: the seed decides.
    ///
    /// # Errors
    /// No whole number, or there is no such node.
    pub fn node(&mut self, key: &'static str) -> Result<Option<usize>, Error> {
        if self.described.is_none() && self.get(key).is_none() {
            return Ok(None);
        }
        let number = self.count(key, Some(1), 1..=self.nodes)?;
        if let Some(known) = self.described.as_mut().and_then(|keys| keys.last_mut()) {
            (known.takes, known.default) =
                ("the number of a node".to_owned(), Some("one that the seed decides".to_owned()));
        }
        Ok(number.checked_sub(1))
    }

    /// A duration like `250ms`, `10s`, `5m` or `1h`.
    ///
    /// # Errors
    /// It is missing without a default, or no duration.
    pub fn duration(&mut self, key: &'static str, default: Option<Duration>) -> Result<Duration, Error> {
        let default = (default, default.map(shown));
        match self.value(key, || "a duration like \"10s\"".to_owned(), default, Duration::ZERO)? {
            Given::Default(duration) => Ok(duration),
            Given::Value(value) => {
                let parsed = value.get_ref().as_str().and_then(duration);
                parsed.ok_or_else(|| {
                    self.at(value, "a duration like \"250ms\", \"10s\", \"5m\" (at most 24h) is expected")
                })
            }
        }
    }

    /// A duration, or a range of them like `5s..20s` that the seed decides.
    ///
    /// # Errors
    /// It is missing without a default, or neither.
    pub fn span(&mut self, key: &'static str, default: Option<Duration>) -> Result<Span, Error> {
        let takes = || "a duration like \"10s\" or a range like \"5s..20s\"".to_owned();
        let exactly = Span::exactly;
        let default = (default.map(exactly), default.map(shown));
        let value = match self.value(key, takes, default, exactly(Duration::ZERO))? {
            Given::Default(span) => return Ok(span),
            Given::Value(value) => value,
        };
        let parsed = value.get_ref().as_str().and_then(|text| match text.split_once("..") {
            Some((low, high)) => Span::between(duration(low)?, duration(high)?),
            None => duration(text).map(exactly),
        });
        parsed
            .ok_or_else(|| self.at(value, "a duration like \"10s\" or a range like \"5s..20s\" is expected"))
    }

    /// A rate like `20/s` or `6/m`, as the pause between two events.
    ///
    /// # Errors
    /// It is missing, or no rate.
    pub fn pause_of_rate(&mut self, key: &'static str) -> Result<Duration, Error> {
        let takes = || "a rate like \"20/s\"".to_owned();
        let value = match self.value(key, takes, (None, None), Duration::ZERO)? {
            Given::Default(pause) => return Ok(pause),
            Given::Value(value) => value,
        };
        let parsed = value.get_ref().as_str().and_then(|text| {
            let (number, unit) = text.split_once('/')?;
            let period = duration(&format!("1{unit}"))?;
            period.checked_div(number.parse().ok().filter(|number| *number > 0)?)
        });
        parsed
            .filter(|pause| *pause >= SHORTEST_PAUSE)
            .ok_or_else(|| self.at(value, "a rate like \"20/s\", at most 1000/s, is expected"))
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
    let duration = Duration::from_millis(number.checked_mul(milliseconds)?);
    (duration <= LONGEST).then_some(duration)
}
