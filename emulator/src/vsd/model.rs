//! The resource model: which entities there are, what attributes and children they have and which verbs they
//! know, read from the data file beside this one. Never holds behaviour: adding an entity is adding data.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

/// The data file. Its first line names the source of its facts.
const TEXT: &str = include_str!("model.json");

/// The name of an entity or attribute: a piece of the data file, so that objects never hold copies of names.
pub(super) type Name = &'static str;

/// The entity whose children are the root collections.
pub(super) const ROOT: Name = "me";

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'static"), deny_unknown_fields)]
pub(super) struct Model {
    /// Where the facts are from.
    source: Name,
    entities: BTreeMap<Name, Entity>,
    #[serde(skip)]
    resources: BTreeMap<Name, Name>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'static"), rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Entity {
    /// The path segment of its collections.
    pub(super) resource: Name,
    /// Of R, U and D: what a single object allows.
    pub(super) verbs: Name,
    /// The attribute whose value is unique below one parent.
    #[serde(default)]
    pub(super) unique: Option<Name>,
    /// The internal error code of a second object with the same value of `unique`.
    #[serde(default)]
    pub(super) duplicate: Option<u32>,
    pub(super) children: BTreeMap<Name, Edge>,
    pub(super) attributes: BTreeMap<Name, Attribute>,
}

/// A collection below an object.
#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'static"), rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Edge {
    /// Of C, R and U: what the collection allows.
    pub(super) verbs: Name,
    /// The attribute of the child that names the parent, where the child does not lie below it.
    #[serde(default)]
    pub(super) by: Option<Name>,
    /// Whether the two are associated, neither owning the other.
    #[serde(default)]
    pub(super) member: bool,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'static"), rename_all = "camelCase", deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own in the data file")]
pub(super) struct Attribute {
    #[serde(rename = "type")]
    pub(super) kind: Kind,
    /// Values that are allowed; any where empty.
    #[serde(default)]
    pub(super) choices: Vec<Name>,
    #[serde(default)]
    pub(super) required: bool,
    /// What a client says about it is ignored.
    #[serde(default)]
    pub(super) read_only: bool,
    /// What a client says about it after creation is ignored.
    #[serde(default)]
    pub(super) creation_only: bool,
    /// The server gives it a value of its own: a null never clears it.
    #[serde(default)]
    pub(super) assigned: bool,
    /// Objects are found by its value without a scan.
    #[serde(default)]
    pub(super) indexed: bool,
    /// Is never shown and never searched.
    #[serde(default)]
    pub(super) secret: bool,
    /// Smallest and largest integer.
    #[serde(default)]
    pub(super) range: Option<(i64, Option<i64>)>,
    /// Smallest and largest length of a string in characters.
    #[serde(default)]
    pub(super) length: Option<(usize, Option<usize>)>,
    #[serde(default)]
    pub(super) default: Value,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    String,
    Integer,
    Float,
    Boolean,
    List,
    Object,
}

impl Model {
    /// Reads the data file that is compiled in.
    #[expect(clippy::expect_used, reason = "the text is compiled in, and each test reads it")]
    pub(super) fn load() -> Arc<Self> {
        let mut model: Self = serde_json::from_str(TEXT).expect("the data file is a model");
        tracing::debug!(source = model.source, entities = model.entities.len(), "resource model");
        model.resources = model.entities.iter().map(|(name, entity)| (entity.resource, *name)).collect();
        Arc::new(model)
    }

    /// An entity and its name as the data file has it.
    pub(super) fn entity(&self, name: &str) -> Option<(Name, &Entity)> {
        self.entities.get_key_value(name).map(|(name, entity)| (*name, entity))
    }

    /// The entity that a path segment stands for.
    pub(super) fn by_resource(&self, segment: &str) -> Option<(Name, &Entity)> {
        self.entity(self.resources.get(segment)?)
    }

    /// The collection of `child` objects below a `parent` object; `me` is the parent of the root collections.
    pub(super) fn edge(&self, parent: &str, child: &str) -> Option<&Edge> {
        self.entities.get(parent)?.children.get(child)
    }
}

impl Entity {
    /// An attribute and its name as the data file has it.
    pub(super) fn attribute(&self, name: &str) -> Option<(Name, &Attribute)> {
        self.attributes.get_key_value(name).map(|(name, attribute)| (*name, attribute))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_edge_leads_to_an_entity_and_every_reference_to_an_indexed_attribute() {
        let model = Model::load();
        for (name, entity) in &model.entities {
            for (child, edge) in &entity.children {
                let (_, target) = model.entity(child).unwrap_or_else(|| panic!("{name} -> {child}"));
                if let Some(by) = edge.by {
                    assert!(target.attributes[by].indexed, "{name} -> {child} by {by}");
                }
            }
            if let Some(unique) = entity.unique {
                assert!(entity.attributes[unique].indexed, "{name} is unique by {unique}");
                assert!(entity.duplicate.is_some(), "{name} has a code for duplicates");
            }
        }
    }

    #[test]
    fn every_default_is_one_of_the_choices() {
        for (name, entity) in &Model::load().entities {
            for (attribute, facts) in &entity.attributes {
                if let (Value::String(default), false) = (&facts.default, facts.choices.is_empty()) {
                    assert!(facts.choices.contains(&default.as_str()), "{name}.{attribute}");
                }
            }
        }
    }
}
