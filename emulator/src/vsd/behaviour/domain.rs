//! Domains, made from a template: with all that it has, with a hidden zone and subnet, and with the numbers that a
//! controller works with. Never changes the template.

use serde_json::Value;
use uuid::Uuid;

use super::{Behaviour, Body, instantiate, refuse_while_attached};
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

/// What clients of the real VSD filter out of its zones and subnets.
const HIDDEN_ZONE: &str = "BackHaulZone";
/// As above.
const HIDDEN_SUBNET: &str = "BackHaulSubnet";

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
        let Some(domain) = engine.store.get(id).cloned() else { return Ok(()) };
        if let Some(template) = domain.reference("templateID") {
            instantiate::fill(engine, template, ("domain", id))?;
        }
        if domain.values.get("createBackHaulSubnet") != Some(&Value::Bool(false)) {
            hide(engine, id)?;
        }
        Ok(())
    }

    fn deleting(&self, engine: &Engine, object: &Object) -> Result<(), Refusal> {
        refuse_while_attached(engine, object, "domainID")
    }
}

/// Makes what each domain has beside what a client sees as its own.
fn hide(engine: &mut Engine, domain: Uuid) -> Result<(), Refusal> {
    let named = |name: &str| Body::from_iter([("name".to_owned(), Value::from(name))]);
    let zone = engine.create("zone", Some(("domain", domain)), &named(HIDDEN_ZONE))?;
    engine.create("subnet", Some(("zone", zone)), &named(HIDDEN_SUBNET))?;
    Ok(())
}

/// Whether a subnet is the hidden one, which has no range.
pub(super) fn is_hidden(engine: &Engine, subnet: &Object) -> bool {
    let zone = engine.store.ancestor(subnet, "zone").and_then(|zone| zone.text("name"));
    (zone, subnet.text("name")) == (Some(HIDDEN_ZONE), Some(HIDDEN_SUBNET))
}

/// Gives a network its numbers, and the customer's, which `above` has.
pub(super) fn number(engine: &mut Engine, draft: &mut Object, above: Name) {
    route(engine, draft, &["routeDistinguisher", "routeTarget"]);
    draft.fill("vnId", vnid(engine));
    draft.fill("serviceID", service(engine));
    let customer = engine.store.ancestor(draft, above).and_then(|above| above.values.get("customerID"));
    let customer = customer.cloned().unwrap_or(Value::Null);
    draft.set("customerID", customer);
}

/// Gives a shared network its numbers.
pub(super) fn share(engine: &mut Engine, draft: &mut Object) {
    for attributes in [
        ["domainRouteDistinguisher", "domainRouteTarget"],
        ["subnetRouteDistinguisher", "subnetRouteTarget"],
        ["backHaulRouteDistinguisher", "backHaulRouteTarget"],
    ] {
        route(engine, draft, &attributes);
    }
    draft.fill("vnID", vnid(engine));
    draft.fill("backHaulVNID", vnid(engine));
}

/// Fills route distinguishers and targets with the next number.
fn route(engine: &mut Engine, draft: &mut Object, attributes: &[Name]) {
    let route = format!("{AUTONOMOUS_SYSTEM}:{}", engine.number("route", 1) % ROUTES);
    for attribute in attributes {
        draft.fill(attribute, route.clone());
    }
}

/// The next service number.
fn service(engine: &mut Engine) -> u64 {
    engine.number("service", FIRST_SERVICE)
}

/// The next overlay network number.
fn vnid(engine: &mut Engine) -> u64 {
    engine.number("vnid", 0) % VNIDS + 1
}
