//! What a key of a scenario takes: told to people, written as JSON schema, and shown by an example. Follows from the lines
//! that read the key; says nothing that they do not enforce.

use serde_json::{Value, json};

/// A duration in a pattern of JSON schema.
const DURATION: &str = r"\s*[0-9]+(ms|s|m|h)\s*";
const SHARE: &str = r"\s*[0-9]+(\.[0-9]+)?%\s*";

/// What a key takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Takes {
    /// Any text.
    Text,
    /// The name of a namespace, or the beginning of names of pods.
    Name,
    /// One of several words.
    Word(Vec<&'static str>),
    /// Yes or no.
    Flag,
    /// A whole number within bounds.
    Number(u64, u64),
    /// A whole number within bounds, or a range of them that the seed decides.
    Amount(u64, u64),
    /// A duration.
    Duration,
    /// A duration, or a range of them that the seed decides.
    Span,
    /// So many a second, minute or hour, or a range of them that the seed decides.
    Rate,
    /// A percentage, or a range of them that the seed decides.
    Share,
    /// The number of a node.
    Node,
    /// A list of whole numbers from 1, up to this one.
    Numbers(u64),
}

/// A key of a table, as its reader asks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// What it is for.
    pub about: &'static str,
    /// What it takes.
    pub takes: Takes,
    /// What stands for it where it is left out.
    pub default: Default,
}

/// What stands for a key that is left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Default {
    /// Nothing: it has to be there.
    Needed,
    /// A value, as TOML and JSON write it.
    Value(String),
    /// No value could say it.
    Words(&'static str),
}

impl Key {
    /// Whether it has to be there.
    pub fn is_needed(&self) -> bool {
        self.default == Default::Needed
    }

    /// What stands for it, for people.
    pub fn otherwise(&self) -> String {
        match &self.default {
            Default::Needed => "needed".to_owned(),
            Default::Value(value) => format!("default {value}"),
            Default::Words(words) => format!("otherwise {words}"),
        }
    }

    /// A value that it takes: its default, or an example.
    pub fn sample(&self) -> String {
        match &self.default {
            Default::Value(value) => value.clone(),
            _ => self.takes.example(),
        }
    }

    /// Its JSON schema.
    pub fn schema(&self) -> Value {
        let mut schema = self.takes.schema();
        schema["description"] = json!(format!("{} ({})", self.about, self.otherwise()));
        if let Default::Value(value) = &self.default
            && let Ok(value) = serde_json::from_str::<Value>(value)
        {
            schema["default"] = value;
        }
        schema
    }
}

impl Takes {
    /// For people.
    pub fn describe(&self) -> String {
        match self {
            Self::Text => "a text".to_owned(),
            Self::Name => "a name of lower-case letters, digits and hyphens".to_owned(),
            Self::Word(words) => format!("one of: {}", words.join(", ")),
            Self::Flag => "true or false".to_owned(),
            Self::Number(least, most) => format!("a whole number{}", between(*least, *most)),
            Self::Amount(least, most) => {
                format!("a whole number{}, or a range like \"3..10\"", between(*least, *most))
            }
            Self::Duration => "a duration like \"10s\"".to_owned(),
            Self::Span => "a duration like \"10s\" or a range like \"5s..20s\"".to_owned(),
            Self::Rate => "a rate like \"20/s\" or a range like \"5..50/s\", at most 1000/s".to_owned(),
            Self::Share => "a percentage like \"25%\" or a range like \"5%..30%\"".to_owned(),
            Self::Node => "the number of a node".to_owned(),
            Self::Numbers(_) => "a list of whole numbers, from 1".to_owned(),
        }
    }

    /// A value that it takes, as TOML writes it.
    fn example(&self) -> String {
        match self {
            Self::Text => "\"...\"".to_owned(),
            Self::Name => "\"name\"".to_owned(),
            Self::Word(words) => format!("{:?}", words.first().copied().unwrap_or_default()),
            Self::Flag => "true".to_owned(),
            Self::Number(least, most) | Self::Amount(least, most) => (*least).max(1).min(*most).to_string(),
            Self::Duration | Self::Span => "\"10s\"".to_owned(),
            Self::Rate => "\"1/s\"".to_owned(),
            Self::Share => "\"25%\"".to_owned(),
            Self::Node => "1".to_owned(),
            Self::Numbers(_) => "[1]".to_owned(),
        }
    }

    fn schema(&self) -> Value {
        let pattern = |pattern: String| json!({"type": "string", "pattern": pattern});
        let range = |one: &str| pattern(format!("^{one}(\\.\\.{one})?$"));
        let number = |least: u64, most: u64| json!({"type": "integer", "minimum": least, "maximum": most});
        match self {
            Self::Text => json!({"type": "string"}),
            Self::Name => pattern("^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$".to_owned()),
            Self::Word(words) => json!({"type": "string", "enum": words}),
            Self::Flag => json!({"type": "boolean"}),
            Self::Number(least, most) => number(*least, *most),
            Self::Amount(least, most) => {
                json!({"anyOf": [number(*least, *most), pattern(r"^\s*[0-9]+\s*\.\.\s*[0-9]+\s*$".to_owned())]})
            }
            Self::Duration => pattern(format!("^{DURATION}$")),
            Self::Span => range(DURATION),
            Self::Rate => pattern(r"^\s*[0-9]+\s*(\.\.\s*[0-9]+\s*)?/\s*(ms|s|m|h)\s*$".to_owned()),
            Self::Share => range(SHARE),
            Self::Node => json!({"type": "integer", "minimum": 1}),
            Self::Numbers(most) => {
                json!({"type": "array", "minItems": 1, "uniqueItems": true, "items": number(1, *most)})
            }
        }
    }
}

fn between(least: u64, most: u64) -> String {
    if most >= i64::MAX.cast_unsigned() { String::new() } else { format!(" from {least} to {most}") }
}
