//! What a fresh VSD gets so that a node's configuration finds its place: made through the engine, as a client
//! would, and only where it is missing. Never changes what is there.

use ipnet::Ipv4Net;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::auth;
use super::behaviour::{CSP, CSPROOT, ROOT_GROUP};
use super::engine::Engine;
use super::error::Refusal;
use super::model::Name;

/// Where a node's containers go by default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// Name of the enterprise.
    pub enterprise: String,
    /// Name of the domain; its template is called `<domain>-Template`.
    pub domain: String,
    /// Name of the zone.
    pub zone: String,
    /// Name of the subnet.
    pub subnet: String,
    /// Range of the subnet.
    pub address: Ipv4Net,
}

pub(super) fn site(engine: &mut Engine, site: &Site) -> Result<(), Refusal> {
    engine.change(CSPROOT, |engine| {
        let enterprise = ensure(engine, "enterprise", None, &json!({ "name": site.enterprise }))?;
        let below = Some(("enterprise", enterprise));
        let template = json!({ "name": format!("{}-Template", site.domain) });
        let template = ensure(engine, "domaintemplate", below, &template)?;
        // Nothing hidden: a site's own domain holds what its nodes name and no more.
        let domain = json!({
            "name": site.domain,
            "templateID": template.to_string(),
            "createBackHaulSubnet": false,
        });
        let domain = ensure(engine, "domain", below, &domain)?;
        let zone = ensure(engine, "zone", Some(("domain", domain)), &json!({ "name": site.zone }))?;
        let subnet = json!({
            "name": site.subnet,
            "address": site.address.network().to_string(),
            "netmask": site.address.netmask().to_string(),
        });
        ensure(engine, "subnet", Some(("zone", zone)), &subnet)?;
        Ok(())
    })
}

pub(super) fn set_password(engine: &mut Engine, password: &str) -> Result<(), Refusal> {
    let now = engine.find("user", &CSPROOT.to_string())?.text("password").map(str::to_owned);
    if now.as_deref() == Some(&auth::digest(password)) {
        return Ok(());
    }
    engine.change(CSPROOT, |engine| {
        let body = Map::from_iter([("password".to_owned(), Value::from(password))]);
        engine.update("user", CSPROOT, &body, true)
    })
}

pub(super) fn certificate_user(engine: &mut Engine, name: &str) -> Result<(), Refusal> {
    let password = engine.entropy.uuid().to_string();
    let user = json!({
        "userName": name, "firstName": name, "lastName": name, "email": format!("{name}@csp.invalid"), "password": password,
        "disablePasswordAuth": true,
    });
    engine.change(CSPROOT, |engine| {
        if engine.store.valued("user", "userName", name).is_empty()
            && let Value::Object(user) = user
        {
            let user = engine.create("user", Some(("enterprise", CSP)), &user)?;
            // A part of the product, as controllers are, does what its work needs.
            engine.store.link(user, ROOT_GROUP);
        }
        Ok(())
    })
}

fn ensure(
    engine: &mut Engine,
    entity: Name,
    parent: Option<(Name, Uuid)>,
    body: &Value,
) -> Result<Uuid, Refusal> {
    let name = body.get("name").and_then(Value::as_str).unwrap_or_default();
    let mut found = engine.store.valued(entity, "name", name).iter();
    let found = found.find(|id| engine.store.get(**id).is_some_and(|object| object.parent == parent));
    match (found, body) {
        (Some(id), _) => Ok(*id),
        (None, Value::Object(body)) => engine.create(entity, parent, body),
        (None, _) => Err(Refusal::malformed("no object")),
    }
}
