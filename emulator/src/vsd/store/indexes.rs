//! What objects are found by without a look at each: entity, ancestor, value of an attribute. Follows the objects,
//! decides nothing.

use std::collections::BTreeMap;

use serde_json::Value;
use uuid::Uuid;

use super::texts::Texts;
use super::{Ids, Object};
use crate::vsd::model::{Attribute, Kind, Model, Name};

/// Attributes that each entity is found by, whatever the data file says.
const ALWAYS_INDEXED: [Name; 2] = ["externalID", "name"];

static NONE: Ids = Ids::None;

#[derive(Debug, Default)]
pub(super) struct Indexes {
    by_entity: BTreeMap<Name, Ids>,
    below: BTreeMap<(Uuid, Name), Ids>,
    /// By entity and attribute, then by value.
    by_value: BTreeMap<(Name, Name), Texts>,
}

impl Indexes {
    pub(super) fn all(&self, entity: &str) -> &Ids {
        self.by_entity.get(entity).unwrap_or(&NONE)
    }

    pub(super) fn below(&self, ancestor: Uuid, entity: Name) -> &Ids {
        self.below.get(&(ancestor, entity)).unwrap_or(&NONE)
    }

    pub(super) fn valued(&self, entity: Name, attribute: Name, value: &str) -> &Ids {
        self.by_value.get(&(entity, attribute)).and_then(|values| values.get(value)).unwrap_or(&NONE)
    }

    /// Adds an object, whose parents are among `objects`, or takes it out.
    pub(super) fn change(
        &mut self,
        model: &Model,
        objects: &BTreeMap<Uuid, Object>,
        object: &Object,
        add: bool,
    ) {
        change(&mut self.by_entity, object.entity, object.id, add);
        let mut next = object.parent;
        while let Some((_, id)) = next {
            change(&mut self.below, (id, object.entity), object.id, add);
            next = objects.get(&id).and_then(|parent| parent.parent);
        }
        let attributes = model.entity(object.entity).map(|(_, entity)| &entity.attributes);
        for (name, attribute) in attributes.into_iter().flatten().filter(|(name, facts)| indexed(name, facts))
        {
            let texts = match object.values.get(name).unwrap_or(&attribute.default) {
                Value::Array(items) => items.as_slice(),
                single => std::slice::from_ref(single),
            };
            for text in texts.iter().filter_map(Value::as_str) {
                let values = self.by_value.entry((object.entity, *name)).or_default();
                values.change(text, object.id, add);
                if values.is_empty() {
                    self.by_value.remove(&(object.entity, *name));
                }
            }
        }
    }
}

/// Whether objects are found by an attribute. A number is not: it equals more than one text.
pub(super) fn indexed(name: Name, facts: &Attribute) -> bool {
    let texts = matches!(facts.kind, Kind::String | Kind::List);
    texts && !facts.secret && (facts.indexed || ALWAYS_INDEXED.contains(&name))
}

pub(super) fn change<K: Ord>(index: &mut BTreeMap<K, Ids>, key: K, id: Uuid, add: bool) {
    if add {
        index.entry(key).or_default().insert(id);
    } else if let Some(ids) = index.get_mut(&key) {
        ids.remove(id);
        if ids.is_empty() {
            index.remove(&key);
        }
    }
}
