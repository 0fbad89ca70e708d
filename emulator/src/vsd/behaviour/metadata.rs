//! Metadata of objects: which object, said in its own attributes. Never reads what is in it.

use super::{Behaviour, Body};
use crate::vsd::engine::Engine;
use crate::vsd::error::Refusal;
use crate::vsd::model::Name;
use crate::vsd::store::Object;

pub(super) struct Metadata;

impl Behaviour for Metadata {
    fn creating(&self, engine: &mut Engine, draft: &mut Object, _body: &Body) -> Result<(), Refusal> {
        let about: [(Name, Option<String>); 2] = [
            ("assocEntityID", draft.parent.map(|(_, id)| id.to_string())),
            ("assocEntityType", draft.parent.map(|(entity, _)| entity.to_owned())),
        ];
        let facts = engine.model.entity(draft.entity).map(|(_, facts)| facts);
        for (attribute, value) in about {
            if facts.is_some_and(|facts| facts.attribute(attribute).is_some()) {
                draft.set(attribute, value);
            }
        }
        Ok(())
    }
}
