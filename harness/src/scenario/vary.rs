//! One number of a scenario that several runs vary: `load[0].rate=1/s..50/s:10` are ten runs, `cluster.nodes=3` is one. What it
//! may be is the language's to say: the varied text is read as any scenario.

use std::str::FromStr;

use toml::{Table, Value};

use super::Scenario;
use crate::error::Error;

/// No curve needs more points.
const MAX_STEPS: usize = 1_000;

/// What is varied, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct Vary {
    /// The key, like `load[0].rate`.
    pub key: String,
    /// What stands behind the numbers, like `/s`.
    pub unit: String,
    from: f64,
    to: f64,
    steps: usize,
}

/// One value of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// The number.
    pub number: f64,
    /// As a scenario has it, unit included.
    pub text: String,
}

impl FromStr for Vary {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected =
            || "KEY=VALUE or KEY=FROM..TO:STEPS is expected, like load[0].rate=1/s..50/s:10".to_owned();
        let (key, values) = text.split_once('=').ok_or_else(expected)?;
        let (values, steps) = match values.rsplit_once(':') {
            Some((values, steps)) => (values, steps.parse().map_err(|_| expected())?),
            None => (values, 1),
        };
        let (from, to) = values.split_once("..").unwrap_or((values, values));
        let ((from, unit), (to, other)) =
            (number(from).ok_or_else(expected)?, number(to).ok_or_else(expected)?);
        if unit != other {
            return Err(format!("{unit:?} and {other:?} are different units"));
        }
        if !(1..=MAX_STEPS).contains(&steps) || from > to || (steps == 1 && from < to) {
            return Err(format!("a range from low to high in 2 to {MAX_STEPS} steps is expected"));
        }
        parts(key)?;
        Ok(Self { key: key.to_owned(), unit: unit.to_owned(), from, to, steps })
    }
}

/// A number and what stands behind it.
fn number(text: &str) -> Option<(f64, &str)> {
    let text = text.trim();
    let end =
        text.find(|character: char| !character.is_ascii_digit() && character != '.').unwrap_or(text.len());
    let number: f64 = text[..end].parse().ok()?;
    (number.is_finite() && number <= 1e9).then_some((number, &text[end..]))
}

impl Vary {
    /// The values, from low to high. Whole ends have whole numbers between them.
    pub fn values(&self) -> Vec<Step> {
        let whole = self.from.fract() == 0.0 && self.to.fract() == 0.0;
        let mut values: Vec<Step> = (0..self.steps)
            .map(|step| {
                let part = if self.steps > 1 { exact(step) / exact(self.steps - 1) } else { 0.0 };
                let number = self.from + (self.to - self.from) * part;
                let number = if whole { number.round() } else { (number * 1000.0).round() / 1000.0 };
                Step { number, text: format!("{number}{}", self.unit) }
            })
            .collect();
        values.dedup();
        values
    }

    /// Each scenario with each value, named after it.
    ///
    /// # Errors
    /// [`Error::File`]; [`Error::Scenario`]: it has no such place, or may not have such a value there.
    pub fn scenarios(&self, scenarios: &[Scenario]) -> Result<Vec<(Scenario, Step)>, Error> {
        let mut varied = Vec::new();
        for scenario in scenarios {
            let path = || scenario.path.clone();
            let text = std::fs::read_to_string(&scenario.path);
            let text = text.map_err(|source| Error::File { path: path().into(), source })?;
            for value in self.values() {
                let wrong = |message| Error::Scenario { path: path(), line: 1, column: 1, message };
                let told = self.apply(&text, &value).map_err(wrong)?;
                let read = Scenario::parse(&scenario.path, &told).map_err(|error| match error {
                    // The place is one of the varied text, which nobody sees.
                    Error::Scenario { message, .. } => {
                        wrong(format!("with {}={}: {message}", self.key, value.text))
                    }
                    other => other,
                })?;
                let name = format!("{} {}={}", scenario.name, self.key, value.text);
                varied.push((Scenario { name, ..read }, value));
            }
        }
        Ok(varied)
    }

    /// The text of a scenario with this value in it.
    ///
    /// # Errors
    /// The text is no TOML, or has no such place.
    pub fn apply(&self, text: &str, value: &Step) -> Result<String, String> {
        let mut table: Table = toml::from_str(text).map_err(|error| error.message().to_owned())?;
        let (name, tables) = parts(&self.key).and_then(|mut parts| {
            let last = parts.pop().ok_or("a key is expected")?;
            if last.1.is_some() {
                Err(format!("{}: a key of it is expected", self.key))
            } else {
                Ok((last.0, parts))
            }
        })?;
        let mut place = &mut table;
        for (part, index) in tables {
            let nothing = || {
                format!(
                    "{}: there is no {part}{}",
                    self.key,
                    index.map_or(String::new(), |index| format!("[{index}]"))
                )
            };
            let inner = place.get_mut(&part).ok_or_else(nothing)?;
            let inner = match index {
                Some(index) => inner.as_array_mut().and_then(|list| list.get_mut(index)),
                None => Some(inner),
            };
            place = inner.and_then(Value::as_table_mut).ok_or_else(nothing)?;
        }
        #[expect(clippy::cast_possible_truncation, reason = "whole, and at most a billion")]
        let told = match (self.unit.is_empty(), value.number.fract() == 0.0) {
            (true, true) => Value::Integer(value.number as i64),
            (true, false) => Value::Float(value.number),
            (false, _) => Value::String(value.text.clone()),
        };
        place.insert(name, told);
        toml::to_string(&table).map_err(|error| error.to_string())
    }
}

/// The names in a key, and which of a list each is.
fn parts(key: &str) -> Result<Vec<(String, Option<usize>)>, String> {
    let part = |part: &str| {
        let (name, index) = match part.strip_suffix(']').and_then(|part| part.split_once('[')) {
            Some((name, index)) => (name, Some(index.parse().ok()?)),
            None => (part, None),
        };
        let plain = |character: char| character.is_ascii_alphanumeric() || matches!(character, '_' | '-');
        (!name.is_empty() && name.chars().all(plain)).then(|| (name.to_owned(), index))
    };
    key.split('.')
        .map(part)
        .collect::<Option<_>>()
        .ok_or_else(|| format!("{key:?} is no key like load[0].rate"))
}

#[expect(clippy::cast_precision_loss, reason = "at most a thousand")]
fn exact(number: usize) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(text: &str) -> Vec<String> {
        text.parse::<Vary>().unwrap().values().into_iter().map(|value| value.text).collect()
    }

    #[test]
    fn a_range_has_its_ends_and_as_many_values_between_them_as_there_are() {
        assert_eq!(values("load[0].rate=1/s..50/s:5"), ["1/s", "13/s", "26/s", "38/s", "50/s"]);
        assert_eq!(values("cluster.nodes=1..3:9"), ["1", "2", "3"]);
        assert_eq!(values("x=0.5s..1s:3"), ["0.5s", "0.75s", "1s"]);
        assert_eq!(values("cluster.nodes=7"), ["7"]);
    }

    #[test]
    fn what_is_no_range_is_told_so() {
        for wrong in [
            "",
            "x",
            "x=",
            "x=1..2",
            "x=2..1:3",
            "x=1s..2:3",
            "x=1..2:0",
            "x=1..2:9999",
            "a b=1",
            "x[=1",
            "x[0]y=1",
        ] {
            assert!(wrong.parse::<Vary>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_value_stands_in_its_place_and_nowhere_else() {
        let text = "title = \"t\"\n[cluster]\nnodes = 1\n[[load]]\nkind = \"pod\"\n[[load]]\nkind = \"churn\"\nrate = \"1/s\"\n";
        let apply = |vary: &str| {
            let vary: Vary = vary.parse().unwrap();
            vary.apply(text, &vary.values()[0])
        };
        let table: Table = toml::from_str(&apply("load[1].rate=7/s").unwrap()).unwrap();
        assert_eq!(table["load"][1]["rate"].as_str(), Some("7/s"));
        assert!(table["load"][0].get("rate").is_none() && table["cluster"]["nodes"].as_integer() == Some(1));
        let table: Table = toml::from_str(&apply("cluster.nodes=5").unwrap()).unwrap();
        assert_eq!(table["cluster"]["nodes"].as_integer(), Some(5));
        assert!(apply("load[2].rate=1").unwrap_err().contains("there is no load[2]"));
        assert!(apply("title.x=1").is_err() && apply("load[0]=1").is_err());
    }
}
