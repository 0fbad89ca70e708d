//! An object as it is stored. Never holds what the model says anyway.

use serde_json::Value;
use uuid::Uuid;

use super::Values;
use crate::vsd::model::Name;

/// An object. Attributes that have the model's default (or null where there is none) are not stored.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::vsd) struct Object {
    pub(in crate::vsd) id: Uuid,
    pub(in crate::vsd) entity: Name,
    pub(in crate::vsd) parent: Option<(Name, Uuid)>,
    /// Milliseconds since 1970, in whole seconds as the real VSD has them.
    pub(in crate::vsd) created: u64,
    /// As `created`.
    pub(in crate::vsd) updated: u64,
    pub(in crate::vsd) owner: Uuid,
    pub(in crate::vsd) updated_by: Uuid,
    pub(in crate::vsd) values: Values,
}

impl Object {
    /// A string attribute that is set.
    pub(in crate::vsd) fn text(&self, attribute: &str) -> Option<&str> {
        self.values.get(attribute).and_then(Value::as_str)
    }

    /// An attribute that holds the ID of another object.
    pub(in crate::vsd) fn reference(&self, attribute: &str) -> Option<Uuid> {
        self.text(attribute).and_then(|text| Uuid::try_parse(text).ok())
    }

    pub(in crate::vsd) fn set(&mut self, attribute: Name, value: impl Into<Value>) {
        self.values.insert(attribute, value.into());
    }

    /// Sets an attribute that has no value yet.
    pub(in crate::vsd) fn fill(&mut self, attribute: Name, value: impl Into<Value>) {
        if !self.values.contains_key(attribute) {
            self.values.insert(attribute, value.into());
        }
    }
}
