//! What an operation, a commit or a method is refused with, in the real server's words (ovsdb-server 3.1).

use nuage_ovsdb::schema::ValueError;
use serde_json::{Map, Value, json};

/// An OVSDB error object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) error: &'static str,
    pub(super) details: String,
    pub(super) syntax: Option<String>,
}

impl Failure {
    pub(super) fn new(error: &'static str, details: impl Into<String>) -> Self {
        Self { error, details: details.into(), syntax: None }
    }

    pub(super) fn syntax(details: impl Into<String>, json: &Value) -> Self {
        Self { error: "syntax error", details: details.into(), syntax: Some(json.to_string()) }
    }

    pub(super) fn constraint(details: impl Into<String>) -> Self {
        Self::new("constraint violation", details)
    }

    /// With the JSON it is about.
    pub(super) fn about(mut self, json: &Value) -> Self {
        self.syntax = Some(json.to_string());
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
}

impl From<ValueError> for Failure {
    fn from(error: ValueError) -> Self {
        Self { error: error.tag, details: error.details, syntax: error.syntax }
    }
}
