//! How a fault is set: by chance, for so many times or so long, for which nodes, and with which values. What comes from a
//! command line or a socket is checked here.

use std::collections::BTreeMap;
use std::time::Duration;

use super::definition::{ALL, Definition, Parameter, Takes};
use super::picked::Picked;
use crate::entropy::Entropy;

/// The chance of what happens every time.
pub const CERTAIN: u64 = 1_000_000;
/// No fault lasts longer, and no answer is held longer.
const LONGEST: Duration = Duration::from_hours(24);
/// The longest text that a fault takes, in bytes: a URL's path or an address.
const LONGEST_TEXT: usize = 255;

/// A fault that cannot be turned on: why, and what there is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refused(pub String);

impl Refused {
    pub(super) fn unknown_fault(name: &str) -> Self {
        let family = name.split('.').next().unwrap_or_default();
        let near = ALL.iter().filter(|known| known.name.split('.').next() == Some(family));
        let near: Vec<_> = near.map(|known| known.name).collect();
        let near = if near.is_empty() { "emulator fault list shows all".to_owned() } else { near.join(", ") };
        Self(format!("there is no fault {name:?}; there are: {near}"))
    }
}

/// A value of a fault's parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A duration between two bounds, both included, drawn each time.
    Span(Duration, Duration),
    /// A text, or a word of several.
    Text(String),
    /// Yes or no.
    Flag(bool),
}

/// The values of a fault, by parameter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Values(BTreeMap<&'static str, Value>);

impl Values {
    /// Adds one.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: Value) -> Self {
        self.0.insert(name, value);
        self
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &Value)> {
        self.0.iter().map(|(name, value)| (*name, value))
    }

    /// A duration; nothing where the fault has no such parameter.
    pub fn duration(&self, name: &str) -> Duration {
        match self.0.get(name) {
            Some(Value::Span(low, _)) => *low,
            _ => Duration::ZERO,
        }
    }

    /// A text; empty where the fault has no such parameter.
    pub fn text(&self, name: &str) -> &str {
        match self.0.get(name) {
            Some(Value::Text(text)) => text,
            _ => "",
        }
    }

    /// Yes or no; no where the fault has no such parameter.
    pub fn flag(&self, name: &str) -> bool {
        self.0.get(name) == Some(&Value::Flag(true))
    }

    /// With each range drawn. A range of one draws nothing.
    pub(super) fn drawn(&self, entropy: &Entropy) -> Self {
        let draw = |value: &Value| match value {
            Value::Span(low, high) if low < high => {
                let width = u64::try_from(high.saturating_sub(*low).as_millis()).unwrap_or(u64::MAX - 1);
                let drawn = *low + Duration::from_millis(entropy.next() % (width + 1));
                Value::Span(drawn, drawn)
            }
            other => other.clone(),
        };
        Self(self.0.iter().map(|(name, value)| (*name, draw(value))).collect())
    }
}

/// How a fault is set. By default it strikes everybody, every time, until it is turned off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The chance that it strikes, in [`CERTAIN`].
    pub chance: u64,
    /// How often it strikes at most.
    pub times: Option<u64>,
    /// How long it stays on.
    pub lasts: Option<Duration>,
    /// Only these nodes.
    pub nodes: Option<Vec<String>>,
    /// What its parameters are.
    pub values: Values,
    /// Which of the strikes that its chance has drawn come about.
    pub picked: Picked,
}

impl Default for Setting {
    fn default() -> Self {
        let (values, picked) = (Values::default(), Picked::default());
        Self { chance: CERTAIN, times: None, lasts: None, nodes: None, values, picked }
    }
}

impl Setting {
    /// Complete, with the defaults of what was left out.
    pub(super) fn checked(mut self, definition: &'static Definition) -> Result<Self, Refused> {
        for name in self.values.0.keys() {
            parameter(definition, name)?;
        }
        for parameter in definition.parameters {
            self.values.0.entry(parameter.name).or_insert_with(|| parameter.takes.default_value());
        }
        if self.chance == 0 || self.chance > CERTAIN || self.times == Some(0) {
            return Err(Refused("a fault that never strikes is none".to_owned()));
        }
        if self.lasts.is_some_and(|lasts| lasts > LONGEST) {
            return Err(Refused("no fault lasts longer than 24 hours".to_owned()));
        }
        Ok(self)
    }

    /// Sets a parameter from a text like `delay=2s..5s`.
    ///
    /// # Errors
    /// No `=`, no such parameter, or a value that it does not take.
    pub fn assign(&mut self, definition: &'static Definition, text: &str) -> Result<(), Refused> {
        let (name, value) =
            text.split_once('=').ok_or_else(|| Refused(format!("{text:?}: write KEY=VALUE")))?;
        let parameter = parameter(definition, name)?;
        let read = parameter.takes.read(value);
        let value = read.ok_or_else(|| Refused(format!("{name} takes {}", parameter.takes.words())))?;
        self.values.0.insert(parameter.name, value);
        Ok(())
    }
}

fn parameter(definition: &'static Definition, name: &str) -> Result<&'static Parameter, Refused> {
    let mut known = definition.parameters.iter();
    known.find(|known| known.name == name).ok_or_else(|| {
        let known: Vec<_> = definition.parameters.iter().map(|known| known.name).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        Refused(format!("{} has no parameter {name:?}; it has: {known}", definition.name))
    })
}

impl Takes {
    pub(super) fn default_value(self) -> Value {
        match self {
            Self::Span(milliseconds) => {
                let duration = Duration::from_millis(milliseconds);
                Value::Span(duration, duration)
            }
            Self::Text(text) => Value::Text(text.to_owned()),
            Self::Word(words) => Value::Text(words.first().copied().unwrap_or_default().to_owned()),
            Self::Flag => Value::Flag(false),
        }
    }

    fn read(self, text: &str) -> Option<Value> {
        match self {
            Self::Span(..) => {
                let (low, high) = match text.split_once("..") {
                    Some((low, high)) => (duration(low)?, duration(high)?),
                    None => (duration(text)?, duration(text)?),
                };
                (low <= high).then_some(Value::Span(low, high))
            }
            Self::Text(_) => {
                let fits = text.len() <= LONGEST_TEXT && !text.chars().any(char::is_control);
                fits.then(|| Value::Text(text.to_owned()))
            }
            Self::Word(words) => words.contains(&text).then(|| Value::Text(text.to_owned())),
            Self::Flag => text.parse().ok().map(Value::Flag),
        }
    }

    /// What it takes, in words.
    pub fn words(self) -> String {
        match self {
            Self::Span(..) => "a duration like 2s or a range like 2s..5s".to_owned(),
            Self::Text(_) => "a text".to_owned(),
            Self::Word(words) => format!("one of: {}", words.join(", ")),
            Self::Flag => "true or false".to_owned(),
        }
    }
}

impl std::fmt::Display for Value {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Span(low, high) if low == high => write!(formatter, "{low:?}"),
            Self::Span(low, high) => write!(formatter, "{low:?}..{high:?}"),
            Self::Text(text) => formatter.write_str(text),
            Self::Flag(flag) => write!(formatter, "{flag}"),
        }
    }
}

/// A duration like `250ms`, `10s`, `5m` or `1h`, at most 24 hours.
pub fn duration(text: &str) -> Option<Duration> {
    let parsed: jiff::SignedDuration = text.trim().parse().ok()?;
    Duration::try_from(parsed).ok().filter(|duration| *duration <= LONGEST)
}

#[cfg(test)]
mod tests {
    use super::super::find;
    use super::*;

    #[test]
    fn values_come_as_text_and_are_checked() {
        let slow = find("vrs.slow").unwrap();
        let mut setting = Setting::default();
        setting.assign(slow, "delay=250ms..2s").unwrap();
        let wanted = Value::Span(Duration::from_millis(250), Duration::from_secs(2));
        assert_eq!(setting.values.0["delay"], wanted);
        for (text, words) in [
            ("delay", "KEY=VALUE"),
            ("delay=soon", "takes a duration"),
            ("delay=5s..2s", "takes a duration"),
            ("delay=-1s", "takes a duration"),
            ("delay=25h", "takes a duration"),
            ("speed=2s", "has: delay"),
        ] {
            let refused = setting.assign(slow, text).unwrap_err();
            assert!(refused.0.contains(words), "{text}: {refused}");
        }
        assert!(Refused::unknown_fault("vrs.slwo").0.contains("vrs.slow"));
    }

    #[test]
    fn what_never_strikes_is_refused_and_the_rest_gets_its_defaults() {
        let slow = find("vrs.slow").unwrap();
        assert!(Setting { chance: 0, ..Setting::default() }.checked(slow).is_err());
        assert!(Setting { times: Some(0), ..Setting::default() }.checked(slow).is_err());
        let setting = Setting::default().checked(slow).unwrap();
        assert_eq!(setting.values.0["delay"], slow.parameters[0].takes.default_value());
    }
}
