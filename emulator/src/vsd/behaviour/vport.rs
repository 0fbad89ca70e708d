//! vPorts: where they are. Never allocates an address: interfaces do.

use super::{Behaviour, Body, policygroup, refuse_while_attached};
use crate::vsd::engine::Engine;
use crate::vsd::error::Refusal;
use crate::vsd::store::Object;

pub(super) struct Vport;

impl Behaviour for Vport {
    fn creating(&self, engine: &mut Engine, draft: &mut Object, _body: &Body) -> Result<(), Refusal> {
        let domain = engine.store.ancestor(draft, "domain").map(|domain| domain.id.to_string());
        let zone = engine.store.ancestor(draft, "zone").map(|zone| zone.id.to_string());
        draft.set("domainID", domain);
        draft.set("zoneID", zone);
        Ok(())
    }

    fn deleting(&self, engine: &Engine, object: &Object, _confirmed: bool) -> Result<(), Refusal> {
        refuse_while_attached(engine, object, "VPortID")
    }

    fn linking(&self, engine: &Engine, owner: &Object, member: &Object) -> Result<(), Refusal> {
        policygroup::refuse_other_domain(engine, owner, member)
    }
}
