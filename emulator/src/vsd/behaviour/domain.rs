//! Domains: made from a template, with the template's zones, subnets and policy groups, and with the numbers
//! that a controller works with. Never changes the template.

use serde_json::Value;
use uuid::Uuid;

use super::{Behaviour, Body, refuse_while_attached};
use crate::vsd::engine::Engine;
use crate::vsd::error::Refusal;
use crate::vsd::model::Name;
use crate::vsd::store::Object;

/// The autonomous system of generated route distinguishers and targets: the real VSD's `ASNumber`.
const AUTONOMOUS_SYSTEM: u32 = 65_534;
/// How many route numbers there are: the real VSD's `RDUpperLimit` and `RTUpperLimit` end at 65,535.
const ROUTES: u64 = 65_536;
/// The lowest service number: the real VSD's `offsetServiceID`.
const FIRST_SERVICE: u64 = 20_001;
/// How many overlay network numbers there are: the real VSD's `VNIDUpperLimit`.
const VNIDS: u64 = 16_777_165;

pub(super) struct Domain;

impl Behaviour for Domain {
    fn creating(&self, engine: &mut Engine, draft: &mut Object, _body: &Body) -> Result<(), Refusal> {
        let template = draft.text("templateID").unwrap_or_default().to_owned();
        let parent = engine.find("domaintemplate", &template)?.parent;
        if parent != draft.parent {
            return Err(Refusal::not_found("domaintemplate", &template));
        }
        // The template's ID is looked up in the notation of its own.
        draft.set("templateID", template.to_ascii_lowercase());
        if draft.text("tunnelType") == Some("DC_DEFAULT") {
            draft.values.remove("tunnelType");
        }
        route(
            engine,
            draft,
            &["routeDistinguisher", "routeTarget", "importRouteTarget", "exportRouteTarget"],
        );
        route(engine, draft, &["backHaulRouteDistinguisher", "backHaulRouteTarget"]);
        draft.fill("backHaulVNID", vnid(engine));
        draft.fill("serviceID", service(engine));
        draft.fill("labelID", engine.number("label", 1));
        draft.fill("domainID", engine.number("domain", 1));
        let enterprise = engine.store.ancestor(draft, "enterprise");
        let id = enterprise.map(|enterprise| enterprise.id.to_string());
        let customer = enterprise.and_then(|enterprise| enterprise.values.get("customerID")).cloned();
        draft.set("enterpriseID", id);
        draft.set("customerID", customer.unwrap_or(Value::Null));
        Ok(())
    }

    fn created(&self, engine: &mut Engine, id: Uuid, _body: &Body) -> Result<(), Refusal> {
        let template = engine.store.get(id).and_then(|domain| domain.reference("templateID"));
        let Some(template) = template else { return Ok(()) };
        for group in copies(engine, template, "policygrouptemplate") {
            instantiate(engine, "policygroup", ("domain", id), &group)?;
        }
        for zone in copies(engine, template, "zonetemplate") {
            let instance = instantiate(engine, "zone", ("domain", id), &zone)?;
            for subnet in copies(engine, zone.id, "subnettemplate") {
                instantiate(engine, "subnet", ("zone", instance), &subnet)?;
            }
        }
        Ok(())
    }

    fn deleting(&self, engine: &Engine, object: &Object, _confirmed: bool) -> Result<(), Refusal> {
        refuse_while_attached(engine, object, "domainID")
    }
}

fn copies(engine: &Engine, parent: Uuid, entity: Name) -> Vec<Object> {
    engine.store.below(parent, entity).iter().filter_map(|id| engine.store.get(*id)).cloned().collect()
}

/// Makes an instance of a template's part: the same values, and the part's ID as its `templateID`.
fn instantiate(
    engine: &mut Engine,
    entity: Name,
    parent: (Name, Uuid),
    part: &Object,
) -> Result<Uuid, Refusal> {
    let body = part.values.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    let id = engine.create(entity, Some(parent), &body)?;
    if let Some(mut instance) = engine.store.get(id).cloned() {
        instance.set("templateID", part.id.to_string());
        engine.store.replace(instance);
    }
    Ok(id)
}

/// Fills route distinguishers and targets with the next number.
pub(super) fn route(engine: &mut Engine, draft: &mut Object, attributes: &[Name]) {
    let route = format!("{AUTONOMOUS_SYSTEM}:{}", engine.number("route", 1) % ROUTES);
    for attribute in attributes {
        draft.fill(attribute, route.clone());
    }
}

/// The next service number.
pub(super) fn service(engine: &mut Engine) -> u64 {
    engine.number("service", FIRST_SERVICE)
}

/// The next overlay network number.
pub(super) fn vnid(engine: &mut Engine) -> u64 {
    engine.number("vnid", 0) % VNIDS + 1
}
