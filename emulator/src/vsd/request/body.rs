//! What a request's body holds: an object, several or a list of IDs. Never looks at what an object says.

use serde_json::{Map, Value};

use super::Request;
use crate::vsd::error::Refusal;

impl Request<'_> {
    /// The JSON of the body. One client encodes it twice.
    pub(super) fn json(&self) -> Result<Value, Refusal> {
        let parsed =
            serde_json::from_slice(self.body).map_err(|error| Refusal::malformed(error.to_string()))?;
        Ok(match parsed {
            Value::String(text) => serde_json::from_str(&text).unwrap_or(Value::Null),
            other => other,
        })
    }

    /// The members of the object in the body.
    pub(super) fn one(&self) -> Result<Map<String, Value>, Refusal> {
        object(self.json()?)
    }
}

/// The members of an object.
pub(super) fn object(value: Value) -> Result<Map<String, Value>, Refusal> {
    match value {
        Value::Object(members) => Ok(members),
        _ => Err(Refusal::malformed("the body is no object")),
    }
}
