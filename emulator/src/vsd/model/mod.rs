//! The resource model: which entities there are, what attributes and children they have and which verbs they
//! know, read from the data file beside this one, which generate.py makes. Never holds behaviour: adding an entity is
//! adding data.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use serde::Deserialize;
use serde_json::Value;

/// The data file. Its first line names the source of its facts.
const TEXT: &str = include_str!("model.json");
/// The attributes that every entity which has them is found by.
const INDEXED: [Name; 2] = ["name", "externalID"];

/// The name of an entity or attribute: a piece of the data file, so that objects never hold copies of names.
pub(super) type Name = &'static str;

/// A release of the API.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "lowercase")]
pub(super) enum Release {
    /// 5.0. Nothing public says what those before it lack.
    #[default]
    V5,
    V6,
}

/// The entity whose children are the root collections.
pub(super) const ROOT: Name = "me";

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'static"), deny_unknown_fields)]
pub(super) struct Model {
    /// Where the facts are from.
    source: Name,
    pub(super) entities: BTreeMap<Name, Entity>,
    /// Types that only occur within attributes.
    pub(super) values: BTreeMap<Name, BTreeMap<Name, Attribute>>,
    #[serde(skip)]
    resources: BTreeMap<Name, Name>,
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'static"), rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Entity {
    /// The path segment of its collections.
    pub(super) resource: Name,
    /// What the SDKs call it.
    pub(super) class: Name,
    /// Of R, U and D: what a single object allows.
    pub(super) verbs: Name,
    /// The first release that has it.
    #[serde(default)]
    pub(super) since: Release,
    /// The attribute whose value is unique below one parent.
    #[serde(default)]
    pub(super) unique: Option<Name>,
    /// The internal error code of a second object with the same value of `unique`.
    #[serde(default)]
    pub(super) duplicate: Option<u32>,
    pub(super) children: BTreeMap<Name, Edge>,
    pub(super) attributes: BTreeMap<Name, Attribute>,
}

/// A collection below an object. In the data file: `CR`, `R by ATTRIBUTE` or `RU member`, and behind it ` since v6` where
/// the release before has none.
#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'static"), try_from = "Name")]
pub(super) struct Edge {
    /// Of C, R, U and D: what the collection allows.
    pub(super) verbs: Name,
    /// The attribute of the child that names the parent, where the child does not lie below it.
    pub(super) by: Option<Name>,
    /// Whether the two are associated, neither owning the other.
    pub(super) member: bool,
    /// The first release that has it.
    pub(super) since: Release,
}

impl TryFrom<Name> for Edge {
    type Error = String;

    fn try_from(text: Name) -> Result<Self, String> {
        let (text, since) = match text.strip_suffix(" since v6") {
            Some(rest) => (rest, Release::V6),
            None => (text, Release::V5),
        };
        let words: Vec<Name> = text.split(' ').collect();
        let (verbs, by, member) = match *words.as_slice() {
            [verbs] => (verbs, None, false),
            [verbs, "member"] => (verbs, None, true),
            [verbs, "by", attribute] => (verbs, Some(attribute), false),
            _ => return Err(format!("{text} is no edge")),
        };
        Ok(Self { verbs, by, member, since })
    }
}

#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'static"), rename_all = "camelCase", deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own in the data file")]
pub(super) struct Attribute {
    #[serde(rename = "type", default)]
    pub(super) kind: Kind,
    /// Values that are allowed; any where empty.
    #[serde(default)]
    pub(super) choices: Vec<Name>,
    #[serde(default)]
    pub(super) required: bool,
    /// The first release that has it.
    #[serde(default)]
    pub(super) since: Release,
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

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    #[default]
    String,
    Integer,
    Float,
    Boolean,
    List,
    Object,
}

impl Model {
    /// The data file that is compiled in; read once in a process.
    pub(super) fn load() -> Arc<Self> {
        static MODEL: LazyLock<Arc<Model>> = LazyLock::new(|| Arc::new(Model::read()));
        Arc::clone(&MODEL)
    }

    #[expect(clippy::expect_used, reason = "the text is compiled in, and each test reads it")]
    fn read() -> Self {
        let mut model: Self = serde_json::from_str(TEXT).expect("the data file is a model");
        tracing::debug!(source = model.source, entities = model.entities.len(), "resource model");
        model.resources = model.entities.iter().map(|(name, entity)| (entity.resource, *name)).collect();
        for entity in model.entities.values_mut() {
            for name in INDEXED {
                if let Some(attribute) = entity.attributes.get_mut(name) {
                    attribute.indexed = true;
                }
            }
        }
        model
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
    fn there_are_the_322_entities_of_the_sdk_each_at_a_path_of_its_own() {
        let model = Model::load();
        assert_eq!((model.entities.len(), model.values.len()), (311, 11));
        assert_eq!(model.resources.len(), model.entities.len());
        let edges = model.entities.values().map(|entity| entity.children.len()).sum::<usize>();
        assert_eq!(edges, 1_727);
    }

    #[test]
    fn verbs_are_known_and_members_can_be_assigned_or_only_read() {
        for (name, entity) in &Model::load().entities {
            assert!(entity.verbs.chars().all(|verb| "RUD".contains(verb)), "{name}");
            for (child, edge) in &entity.children {
                assert!(edge.verbs.chars().all(|verb| "CRUD".contains(verb)), "{name} -> {child}");
                assert!(!(edge.member && edge.verbs.contains('C')), "{name} -> {child}");
            }
        }
    }

    #[test]
    fn every_default_is_one_of_the_choices_and_of_the_type() {
        for (name, entity) in &Model::load().entities {
            for (attribute, facts) in &entity.attributes {
                if let (Value::String(default), false) = (&facts.default, facts.choices.is_empty()) {
                    assert!(facts.choices.contains(&default.as_str()), "{name}.{attribute}");
                }
                let fits = match (&facts.default, facts.kind) {
                    (Value::Null, _) => true,
                    (default, Kind::String) => default.is_string(),
                    (default, Kind::Integer) => default.is_i64(),
                    (default, Kind::Float) => default.is_number(),
                    (default, Kind::Boolean) => default.is_boolean(),
                    (default, Kind::List) => default.is_array(),
                    (default, Kind::Object) => default.is_object(),
                };
                assert!(fits, "{name}.{attribute}: {}", facts.default);
            }
        }
    }
}
