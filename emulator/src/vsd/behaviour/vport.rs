//! vPorts: where they are, and what floating address they have. Never allocates an address: interfaces do.

use super::{Behaviour, Body, floating, policygroup, refuse_while_attached};
use crate::vsd::engine::Engine;
use crate::vsd::error::Refusal;
use crate::vsd::model::Name;
use crate::vsd::store::{Ids, Object};

pub(super) struct Vport;

impl Behaviour for Vport {
    fn creating(&self, engine: &mut Engine, draft: &mut Object, _body: &Body) -> Result<(), Refusal> {
        let domain = engine.store.ancestor(draft, "domain").map(|domain| domain.id.to_string());
        let zone = engine.store.ancestor(draft, "zone").map(|zone| zone.id.to_string());
        draft.set("domainID", domain);
        draft.set("zoneID", zone);
        floating::assign(engine, None, Some(draft))
    }

    fn updating(&self, engine: &mut Engine, before: &Object, after: &mut Object) -> Result<(), Refusal> {
        floating::assign(engine, Some(before), Some(after))
    }

    fn deleted(&self, engine: &mut Engine, object: &Object) {
        // To let go of an address is never refused.
        let _ = floating::assign(engine, Some(object), None);
    }

    fn deleting(&self, engine: &Engine, object: &Object) -> Result<(), Refusal> {
        refuse_while_attached(engine, object, "VPortID")
    }

    fn linking(&self, engine: &Engine, owner: &Object, member: &Object) -> Result<(), Refusal> {
        policygroup::refuse_other_domain(engine, owner, member)
    }

    fn seen_below(&self, engine: &Engine, parent: &Object, entity: Name) -> Option<Ids> {
        let interface = match entity {
            "container" => "containerinterface",
            "vm" => "vminterface",
            _ => return None,
        };
        let interfaces = engine.store.valued(interface, "VPortID", &parent.id.to_string()).iter();
        let machines = interfaces.filter_map(|id| engine.store.get(*id)?.parent);
        Some(machines.map(|(_, id)| id).collect())
    }
}
