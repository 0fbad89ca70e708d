//! What an operation, a commit or a method is refused with, in the real server's words (ovsdb-server 3.1).

use std::borrow::Cow;

use nuage_ovsdb::read::{ValueError, quote};
use nuage_ovsdb::text;
use serde_json::{Map, Value, json};

/// An OVSDB error object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) error: Cow<'static, str>,
    pub(super) details: String,
    pub(super) syntax: Option<String>,
}

impl Failure {
    pub(super) fn new(error: impl Into<Cow<'static, str>>, details: impl Into<String>) -> Self {
        Self { error: error.into(), details: details.into(), syntax: None }
    }

    pub(super) fn syntax(details: impl Into<String>, json: &Value) -> Self {
        Self::new("syntax error", details).about(json)
    }

    pub(super) fn constraint(details: impl Into<String>) -> Self {
        Self::new("constraint violation", details)
    }

    /// With the JSON it is about.
    pub(super) fn about(mut self, json: &Value) -> Self {
        self.syntax = Some(quote(json));
        self
    }

    pub(super) fn to_json(&self) -> Value {
        let mut object = Map::from_iter([("error".to_owned(), json!(self.error))]);
        if !self.details.is_empty() {
            object.insert("details".into(), json!(self.details));
        }
        if let Some(syntax) = &self.syntax {
            object.insert("syntax".into(), json!(syntax));
        }
        Value::Object(object)
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        text::json(out, &self.to_json());
    }
}

impl From<ValueError> for Failure {
    fn from(error: ValueError) -> Self {
        Self { error: error.tag.into(), details: error.details, syntax: error.syntax }
    }
}
