//! Resynchronisations of what runs with what the VSD has: one at a time below an object, done in the next second.
//! Never does anything to a machine: controllers follow the VSD by themselves.

use serde_json::Value;

use super::{Behaviour, Body};
use crate::vsd::engine::Engine;
use crate::vsd::error::{Refusal, code};
use crate::vsd::store::Object;

pub(super) struct Resync;

impl Behaviour for Resync {
    fn creating(&self, engine: &mut Engine, draft: &mut Object, _body: &Body) -> Result<(), Refusal> {
        let Some((_, parent)) = draft.parent else { return Ok(()) };
        let mut others =
            engine.store.below(parent, draft.entity).iter().filter_map(|id| engine.store.get(*id));
        if others.any(|other| other.created == draft.created) {
            let description = "A resynchronisation is running.";
            return Err(Refusal::conflict(code::RESYNC_RUNNING, "", "Resync in progress", description));
        }
        draft.set("lastRequestTimestamp", draft.created);
        draft.set("lastTimeResyncInitiated", draft.created);
        Ok(())
    }

    fn shown(&self, engine: &Engine, object: &Object, shown: &mut Body) {
        let status = if engine.second() == object.created { "IN_PROGRESS" } else { "SUCCESS" };
        shown.insert("status".to_owned(), Value::from(status));
    }
}
