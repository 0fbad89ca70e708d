//! Which objects are members of another: the whole set at once, or some more, or some less. Never changes the
//! objects themselves.

use http::Method;
use uuid::Uuid;

use super::{Asking, Request};
use crate::vsd::access::Right;
use crate::vsd::behaviour;
use crate::vsd::engine::Engine;
use crate::vsd::error::Refusal;
use crate::vsd::model::Name;

/// The most IDs in one assignment: the chunks of real clients hold 250.
const MOST: usize = 10_000;

impl Request<'_> {
    /// Replaces, extends or reduces the members of an object, if the caller may use it and them.
    pub(super) fn assign(
        &self,
        engine: &mut Engine,
        asking: &Asking,
        owner: Uuid,
        entity: Name,
    ) -> Result<(), Refusal> {
        let ids = self.ids(engine, entity)?;
        for object in ids.iter().chain([&owner]).filter_map(|id| engine.store.get(*id)) {
            asking.caller.demand(&engine.store, object, Right::Use)?;
        }
        engine.change(asking.user, |engine| self.reassign(engine, owner, entity, ids))
    }

    fn reassign(
        &self,
        engine: &mut Engine,
        owner: Uuid,
        entity: Name,
        ids: Vec<Uuid>,
    ) -> Result<(), Refusal> {
        let present: Vec<Uuid> = engine.store.members(owner, entity).iter().copied().collect();
        let kind = self.headers.get("x-nuage-patchtype").and_then(|value| value.to_str().ok());
        let (add, remove) = match (self.method, kind) {
            (&Method::PATCH, Some("remove")) => (Vec::new(), ids),
            (&Method::PATCH, Some("add")) => (ids, Vec::new()),
            (&Method::PATCH, _) => return Err(Refusal::malformed("X-Nuage-PatchType is add or remove")),
            _ => {
                let gone = present.iter().copied().filter(|id| !ids.contains(id)).collect();
                (ids, gone)
            }
        };
        for id in remove {
            engine.store.unlink(owner, id);
        }
        for id in add {
            if let (Some(owner), Some(member)) = (engine.store.get(owner), engine.store.get(id)) {
                behaviour::of(owner.entity).linking(engine, owner, member)?;
            }
            engine.store.link(owner, id);
        }
        Ok(())
    }

    fn ids(&self, engine: &Engine, entity: Name) -> Result<Vec<Uuid>, Refusal> {
        let wrong = || Refusal::malformed("the body is no array of IDs");
        let ids: Vec<String> = serde_json::from_slice(self.body).map_err(|_| wrong())?;
        if ids.len() > MOST {
            return Err(wrong());
        }
        ids.iter().map(|id| engine.find(entity, id).map(|object| object.id)).collect()
    }
}
