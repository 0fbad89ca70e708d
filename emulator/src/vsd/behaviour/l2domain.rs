//! Layer-2 domains: a network without zones and subnets, whose range is its own where it manages addresses. Never
//! allocates an address: interfaces do.

use serde_json::Value;
use uuid::Uuid;

use super::network::Ranges;
use super::{Behaviour, Body, domain, instantiate, refuse_while_attached};
use crate::vsd::engine::Engine;
use crate::vsd::error::Refusal;
use crate::vsd::model::Name;
use crate::vsd::store::Object;
use crate::vsd::validate::missing;

/// What a managed domain takes from its template.
const COPIED: [Name; 10] = [
    "DHCPManaged",
    "IPType",
    "address",
    "netmask",
    "gateway",
    "IPv6Address",
    "IPv6Gateway",
    "dualStackDynamicIPAllocation",
    "enableDHCPv4",
    "enableDHCPv6",
];

pub(super) struct L2Domain;
pub(super) struct L2DomainTemplate;

impl Behaviour for L2Domain {
    fn creating(&self, engine: &mut Engine, draft: &mut Object, _body: &Body) -> Result<(), Refusal> {
        if let Some(template) = draft.text("templateID") {
            let template = engine.find("l2domaintemplate", template)?;
            if template.parent != draft.parent {
                return Err(Refusal::not_found("l2domaintemplate", &template.id.to_string()));
            }
            draft.set("templateID", template.id.to_string());
            for attribute in COPIED {
                if let Some(value) = template.values.get(attribute) {
                    draft.set(attribute, value.clone());
                }
            }
        }
        check(draft)?;
        domain::number(engine, draft, "enterprise");
        Ok(())
    }

    fn created(&self, engine: &mut Engine, id: Uuid, _body: &Body) -> Result<(), Refusal> {
        let template = engine.store.get(id).and_then(|domain| domain.reference("templateID"));
        template.map_or(Ok(()), |template| instantiate::fill(engine, template, ("l2domain", id)))
    }

    fn deleting(&self, engine: &Engine, object: &Object) -> Result<(), Refusal> {
        refuse_while_attached(engine, object, "attachedNetworkID")
    }
}

impl Behaviour for L2DomainTemplate {
    fn creating(&self, _engine: &mut Engine, draft: &mut Object, _body: &Body) -> Result<(), Refusal> {
        check(draft)
    }

    fn updating(&self, _engine: &mut Engine, _before: &Object, after: &mut Object) -> Result<(), Refusal> {
        check(after)
    }

    fn asks_if_used(&self) -> bool {
        true
    }
}

/// A domain that manages addresses has a range; one that does not has none, and no gateway.
fn check(draft: &mut Object) -> Result<(), Refusal> {
    if draft.values.get("DHCPManaged") == Some(&Value::Bool(true)) {
        let ranges = Ranges::asked(draft)?;
        return if ranges.is_empty() { Err(missing("address")) } else { Ok(()) };
    }
    for attribute in ["IPType", "address", "netmask", "gateway", "IPv6Address", "IPv6Gateway"] {
        draft.values.remove(attribute);
    }
    Ok(())
}
