//! Reads tables of a scenario key by key, and complains with file, line and column: about what is missing, wrong, out of
//! bounds, or not known.

use std::collections::BTreeSet;
use std::ops::{Range, RangeInclusive};
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::key::{Default, Key, Takes};
use super::values;
use crate::error::Error;
use crate::random::{Amount, Rate, Share, Span};

/// A name that is further off than this is not what was meant.
const NEAR: f64 = 0.5;
/// What a node is where nothing is said.
const ANY_NODE: &str = "one that the seed decides";

/// Reads one table.
#[derive(Clone)]
pub struct Reader<'a> {
    path: &'a str,
    text: &'a str,
    table: Option<&'a DeTable<'a>>,
    span: Range<usize>,
    asked: BTreeSet<&'static str>,
    /// How many nodes the scenario's cluster has, as far as is known.
    nodes: u64,
    /// Whether a key that has to be there is not.
    missed: bool,
    /// What was asked for, where nothing is read but only the keys are to be known.
    described: Option<Vec<Key>>,
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
        missed: false,
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

impl<'a> Reader<'a> {
    pub(super) fn root(path: &'a str, text: &'a str, document: &'a Spanned<DeTable<'a>>) -> Self {
        Self {
            path,
            text,
            table: Some(document.get_ref()),
            span: 0..0,
            asked: BTreeSet::new(),
            nodes: u64::MAX,
            missed: false,
            described: None,
        }
    }

    /// From here on the cluster's size is known.
    pub(super) fn with_nodes(&mut self, nodes: u64) {
        self.nodes = nodes;
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

    /// What stands for a key in the scenario, if anything does; `None` where only the keys are to be known, too.
    fn ask(
        &mut self,
        name: &'static str,
        about: &'static str,
        takes: Takes,
        default: Default,
    ) -> Result<Option<&'a Spanned<DeValue<'a>>>, Error> {
        let needed = default == Default::Needed;
        if let Some(described) = &mut self.described {
            described.push(Key { name, about, takes, default });
            return Ok(None);
        }
        match self.get(name) {
            None if needed => {
                self.missed = true;
                Err(self.missing(name))
            }
            found => Ok(found),
        }
    }

    /// Reads a value that is written in quotes.
    fn quoted_as<T>(
        &self,
        value: &'a Spanned<DeValue<'a>>,
        takes: &Takes,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, Error> {
        let wrong = || self.at(value, format!("{} is expected", takes.describe()));
        value.get_ref().as_str().and_then(read).ok_or_else(wrong)
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
            missed: false,
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
                missed: false,
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
    pub fn text(
        &mut self,
        key: &'static str,
        about: &'static str,
        default: Option<&str>,
    ) -> Result<String, Error> {
        self.text_that(key, about, default, |_| Ok(()))
    }

    /// A text that `check` has nothing against.
    ///
    /// # Errors
    /// It is missing without a default, no text, or what `check` says.
    pub fn text_that(
        &mut self,
        key: &'static str,
        about: &'static str,
        default: Option<&str>,
        check: impl FnOnce(&str) -> Result<(), String>,
    ) -> Result<String, Error> {
        let shown = default.map_or(Default::Needed, |text| Default::Value(format!("{text:?}")));
        let Some(value) = self.ask(key, about, Takes::Text, shown)? else {
            return Ok(default.unwrap_or_default().to_owned());
        };
        let text = self.quoted_as(value, &Takes::Text, |text| Some(text.to_owned()))?;
        check(&text).map_err(|message| self.at(value, message))?;
        Ok(text)
    }

    /// The name of a namespace, or the beginning of names of pods.
    ///
    /// # Errors
    /// It is none.
    pub fn name(&mut self, key: &'static str, about: &'static str, default: &str) -> Result<String, Error> {
        let shown = Default::Value(format!("{default:?}"));
        let Some(value) = self.ask(key, about, Takes::Name, shown)? else { return Ok(default.to_owned()) };
        self.quoted_as(value, &Takes::Name, |text| values::is_name(text).then(|| text.to_owned()))
    }

    /// One of several words.
    ///
    /// # Errors
    /// It is missing without a default, or another word; the nearest one is named.
    pub fn word<T: Copy>(
        &mut self,
        key: &'static str,
        about: &'static str,
        default: Option<&str>,
        words: &[(&'static str, T)],
    ) -> Result<T, Error> {
        let named = |name: &str| words.iter().find(|(word, _)| *word == name).map(|(_, meaning)| *meaning);
        let all: Vec<&'static str> = words.iter().map(|(word, _)| *word).collect();
        let first = words.first().map(|(_, meaning)| *meaning).ok_or_else(|| self.missing(key))?;
        let shown = default.map_or(Default::Needed, |word| Default::Value(format!("{word:?}")));
        let takes = Takes::Word(all.clone());
        let Some(value) = self.ask(key, about, takes.clone(), shown)? else {
            return Ok(default.and_then(named).unwrap_or(first));
        };
        let given = self.quoted_as(value, &takes, |text| Some(text.to_owned()))?;
        named(&given).ok_or_else(|| {
            let hint = suggestion(&given, all.iter().copied());
            let hint = if hint.is_empty() { format!("; there are: {}", all.join(", ")) } else { hint };
            self.at(value, format!("unknown {key} \"{given}\"{hint}"))
        })
    }

    /// Yes or no.
    ///
    /// # Errors
    /// Something else stands there.
    pub fn flag(&mut self, key: &'static str, about: &'static str, default: bool) -> Result<bool, Error> {
        let shown = Default::Value(default.to_string());
        let Some(value) = self.ask(key, about, Takes::Flag, shown)? else { return Ok(default) };
        value.get_ref().as_bool().ok_or_else(|| self.at(value, "true or false is expected"))
    }

    /// A whole number within bounds.
    ///
    /// # Errors
    /// It is missing without a default, no whole number, or out of bounds.
    pub fn number(
        &mut self,
        key: &'static str,
        about: &'static str,
        default: Option<u64>,
        bounds: RangeInclusive<u64>,
    ) -> Result<u64, Error> {
        let (least, most) = (*bounds.start(), *bounds.end());
        let shown = default.map_or(Default::Needed, |number| Default::Value(number.to_string()));
        let Some(value) = self.ask(key, about, Takes::Number(least, most), shown)? else {
            return Ok(default.unwrap_or(least));
        };
        let number = whole(value).ok_or_else(|| self.at(value, "a whole number is expected"))?;
        self.within(key, value, (number, number), (least, most))?;
        Ok(number)
    }

    /// As [`Reader::number`]; `None` where it is left out, which means what `otherwise` says.
    ///
    /// # Errors
    /// It is no whole number, or out of bounds.
    pub fn optional_number(
        &mut self,
        key: &'static str,
        about: &'static str,
        otherwise: &'static str,
        bounds: RangeInclusive<u64>,
    ) -> Result<Option<u64>, Error> {
        let (least, most) = (*bounds.start(), *bounds.end());
        let default = Default::Words(otherwise);
        let Some(value) = self.ask(key, about, Takes::Number(least, most), default)? else { return Ok(None) };
        let number = whole(value).ok_or_else(|| self.at(value, "a whole number is expected"))?;
        self.within(key, value, (number, number), (least, most))?;
        Ok(Some(number))
    }

    /// A list of whole numbers from 1 to `most`, each once; `None` where it is left out, which means what `otherwise` says.
    ///
    /// # Errors
    /// It is no list, is empty or too long, or a number is out of bounds or there twice.
    pub fn numbers(
        &mut self,
        key: &'static str,
        about: &'static str,
        otherwise: &'static str,
        longest: usize,
        most: u64,
    ) -> Result<Option<BTreeSet<u64>>, Error> {
        let default = Default::Words(otherwise);
        let Some(value) = self.ask(key, about, Takes::Numbers(most), default)? else { return Ok(None) };
        let wrong = || self.at(value, "a list of whole numbers is expected");
        let list = value.get_ref().as_array().ok_or_else(wrong)?;
        if list.is_empty() || list.len() > longest {
            return Err(self.at(value, format!("{key} must have from 1 to {longest} numbers")));
        }
        let mut numbers = BTreeSet::new();
        for entry in list {
            let number = whole(entry).ok_or_else(|| self.at(entry, "a whole number is expected"))?;
            self.within(key, entry, (number, number), (1, most))?;
            if !numbers.insert(number) {
                return Err(self.at(entry, format!("{number} is there twice")));
            }
        }
        Ok(Some(numbers))
    }

    fn within(
        &self,
        key: &str,
        value: &Spanned<DeValue<'_>>,
        (low, high): (u64, u64),
        (least, most): (u64, u64),
    ) -> Result<(), Error> {
        if low < least || high > most {
            return Err(self.at(value, format!("{key} must be from {least} to {most}")));
        }
        Ok(())
    }

    /// A whole number within bounds, or a range of them like `3..10` that the seed decides.
    ///
    /// # Errors
    /// It is missing without a default, neither, or out of bounds.
    pub fn amount(
        &mut self,
        key: &'static str,
        about: &'static str,
        default: Option<u64>,
        bounds: RangeInclusive<u64>,
    ) -> Result<Amount, Error> {
        let shown = default.map_or(Default::Needed, |number| Default::Value(number.to_string()));
        let found = self.amount_or(key, about, shown, &bounds)?;
        Ok(found.unwrap_or_else(|| Amount::exactly(default.unwrap_or(*bounds.start()))))
    }

    /// As [`Reader::amount`]; `None` where it is left out, which means what `otherwise` says.
    ///
    /// # Errors
    /// It is neither, or out of bounds.
    pub fn optional_amount(
        &mut self,
        key: &'static str,
        about: &'static str,
        otherwise: &'static str,
        bounds: RangeInclusive<u64>,
    ) -> Result<Option<Amount>, Error> {
        self.amount_or(key, about, Default::Words(otherwise), &bounds)
    }

    fn amount_or(
        &mut self,
        key: &'static str,
        about: &'static str,
        default: Default,
        bounds: &RangeInclusive<u64>,
    ) -> Result<Option<Amount>, Error> {
        let (least, most) = (*bounds.start(), *bounds.end());
        let takes = Takes::Amount(least, most);
        let Some(value) = self.ask(key, about, takes.clone(), default)? else { return Ok(None) };
        let amount = match whole(value) {
            Some(number) => Amount::exactly(number),
            None => self.quoted_as(value, &takes, values::amount)?,
        };
        self.within(key, value, amount.bounds(), (least, most))?;
        Ok(Some(amount))
    }

    /// The number of a node, from 1 as they are named, as an index; `None`: the seed decides.
    ///
    /// # Errors
    /// No whole number, or there is no such node.
    pub fn node(&mut self, key: &'static str, about: &'static str) -> Result<Option<usize>, Error> {
        let Some(value) = self.ask(key, about, Takes::Node, Default::Words(ANY_NODE))? else {
            return Ok(None);
        };
        let number = whole(value).ok_or_else(|| self.at(value, "the number of a node is expected"))?;
        self.within(key, value, (number, number), (1, self.nodes))?;
        Ok(usize::try_from(number).ok().and_then(|number| number.checked_sub(1)))
    }

    /// A duration like `250ms`, `10s`, `5m` or `1h`.
    ///
    /// # Errors
    /// It is missing without a default, or no duration.
    pub fn duration(
        &mut self,
        key: &'static str,
        about: &'static str,
        default: Option<Duration>,
    ) -> Result<Duration, Error> {
        let Some(value) = self.ask(key, about, Takes::Duration, shown(default))? else {
            return Ok(default.unwrap_or_default());
        };
        self.quoted_as(value, &Takes::Duration, values::duration)
    }

    /// A duration, or a range of them like `5s..20s` that the seed decides.
    ///
    /// # Errors
    /// It is missing without a default, or neither.
    pub fn span(
        &mut self,
        key: &'static str,
        about: &'static str,
        default: Option<Duration>,
    ) -> Result<Span, Error> {
        let Some(value) = self.ask(key, about, Takes::Span, shown(default))? else {
            return Ok(Span::exactly(default.unwrap_or_default()));
        };
        self.quoted_as(value, &Takes::Span, values::span)
    }

    /// As [`Reader::span`]; `None` where it is left out, which means what `otherwise` says.
    ///
    /// # Errors
    /// It is neither.
    pub fn optional_span(
        &mut self,
        key: &'static str,
        about: &'static str,
        otherwise: &'static str,
    ) -> Result<Option<Span>, Error> {
        let value = self.ask(key, about, Takes::Span, Default::Words(otherwise))?;
        value.map(|value| self.quoted_as(value, &Takes::Span, values::span)).transpose()
    }

    /// A rate like `20/s`, `6/m` or `5..50/s`; once a second where it is left out.
    ///
    /// # Errors
    /// It is no rate.
    pub fn rate(&mut self, key: &'static str, about: &'static str) -> Result<Rate, Error> {
        let shown = Default::Value("\"1/s\"".to_owned());
        let once = Rate { amount: Amount::exactly(1), period: Duration::from_secs(1) };
        let Some(value) = self.ask(key, about, Takes::Rate, shown)? else { return Ok(once) };
        self.quoted_as(value, &Takes::Rate, values::rate)
    }

    /// A percentage like `25%`, or a range of them like `5%..30%` that the seed decides; all where it is left out.
    ///
    /// # Errors
    /// It is neither, nought, or over a hundred.
    pub fn share(&mut self, key: &'static str, about: &'static str) -> Result<Share, Error> {
        let shown = Default::Value("\"100%\"".to_owned());
        let Some(value) = self.ask(key, about, Takes::Share, shown)? else { return Ok(Share::ALL) };
        self.quoted_as(value, &Takes::Share, values::share)
    }

    /// As [`Reader::share`]; `None` where it is left out, which means what `otherwise` says.
    ///
    /// # Errors
    /// As [`Reader::share`].
    pub fn optional_share(
        &mut self,
        key: &'static str,
        about: &'static str,
        otherwise: &'static str,
    ) -> Result<Option<Share>, Error> {
        let value = self.ask(key, about, Takes::Share, Default::Words(otherwise))?;
        value.map(|value| self.quoted_as(value, &Takes::Share, values::share)).transpose()
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

    /// The key that was meant for `key`, if that is not there and one like it is.
    pub(super) fn misspelt(&self, key: &str) -> Option<Error> {
        let table = self.table?;
        if table.iter().any(|(found, _)| found.get_ref() == key) {
            return None;
        }
        let alike = |found: &str| !suggestion(found, [key]).is_empty();
        let (found, _) = table.iter().find(|(found, _)| alike(found.get_ref()))?;
        let message = format!("unknown key \"{}\"{}", found.get_ref(), suggestion(found.get_ref(), [key]));
        Some(error(self.path, self.text, found.span().start, message))
    }

    /// Reads with `read`, then complains about unknown keys: those before what they hide, since a misspelt key is
    /// also a missing one.
    ///
    /// # Errors
    /// Either complaint.
    pub fn whole<T>(mut self, read: impl Fn(&mut Self) -> Result<T, Error>) -> Result<T, Error> {
        let result = read(&mut self);
        if self.missed {
            // What would have been asked for after that is known, too.
            let mut others = Self { table: None, described: Some(Vec::new()), missed: false, ..self.clone() };
            let _ = read(&mut others);
            self.asked.append(&mut others.asked);
            self.asked.extend(others.described.iter().flatten().map(|key| key.name));
        }
        if result.is_ok() || self.missed {
            self.finish()?;
        }
        result
    }
}

fn whole(value: &Spanned<DeValue<'_>>) -> Option<u64> {
    let digits = value.get_ref().as_integer()?;
    u64::from_str_radix(digits.as_str(), digits.radix()).ok()
}

fn shown(default: Option<Duration>) -> Default {
    default.map_or(Default::Needed, |duration| Default::Value(format!("\"{}\"", values::shown(duration))))
}
