//! Containers: made with their interfaces or without, and showing where these are. Never allocates: the
//! interfaces do.

use std::collections::BTreeSet;

use serde_json::Value;
use uuid::Uuid;

use super::{Behaviour, Body};
use crate::vsd::engine::Engine;
use crate::vsd::error::{Refusal, code};
use crate::vsd::model::Name;
use crate::vsd::store::Object;

/// The most interfaces of one container: what a controller sends has one to three.
const MOST_INTERFACES: usize = 64;

pub(super) struct Container;

impl Behaviour for Container {
    fn creating(&self, engine: &mut Engine, draft: &mut Object, _body: &Body) -> Result<(), Refusal> {
        let uuid = draft.text("UUID").unwrap_or_default();
        if !engine.store.valued("container", "UUID", uuid).is_empty() {
            let description = format!("A container with the UUID {uuid} exists.");
            return Err(Refusal::conflict(code::UUID_IN_USE, "UUID", "UUID in use", description));
        }
        Ok(())
    }

    fn created(&self, engine: &mut Engine, id: Uuid, body: &Body) -> Result<(), Refusal> {
        let interfaces = match body.get("interfaces") {
            None | Some(Value::Null) => return Ok(()),
            Some(Value::Array(interfaces)) if interfaces.len() <= MOST_INTERFACES => interfaces,
            Some(_) => return Err(wrong()),
        };
        for interface in interfaces {
            let Value::Object(interface) = interface else { return Err(wrong()) };
            engine.create("containerinterface", Some(("container", id)), interface)?;
        }
        Ok(())
    }

    fn asks(&self) -> bool {
        false
    }

    fn shown(&self, engine: &Engine, object: &Object, shown: &mut Body) {
        let interfaces = interfaces(engine, object.id).map(|interface| engine.render(interface));
        shown.insert("interfaces".to_owned(), Value::Array(interfaces.collect()));
    }
}

fn wrong() -> Refusal {
    Refusal::invalid("interfaces", "Invalid input", "interfaces is no list of objects.")
}

/// The interfaces of a container, in the order of their making.
fn interfaces(engine: &Engine, container: Uuid) -> impl Iterator<Item = &Object> {
    let ids = engine.store.below(container, "containerinterface").iter();
    let mut found: Vec<&Object> = ids.filter_map(|id| engine.store.get(*id)).collect();
    found.sort_by(|a, b| (a.created, a.text("name"), a.id).cmp(&(b.created, b.text("name"), b.id)));
    found.into_iter()
}

/// Makes what a container says about its place follow from its interfaces.
pub(super) fn refresh(engine: &mut Engine, id: Uuid) {
    let Some(mut container) = engine.store.get(id).cloned() else { return };
    let list = |attribute: Name| {
        let ids: BTreeSet<String> = interfaces(engine, id)
            .filter_map(|interface| interface.text(attribute).map(str::to_owned))
            .collect();
        Value::from_iter(ids)
    };
    let lists = [
        ("domainIDs", list("domainID")),
        ("zoneIDs", list("zoneID")),
        ("subnetIDs", list("attachedNetworkID")),
    ];
    container.values.extend(lists);
    let domain = interfaces(engine, id).find_map(|interface| interface.reference("domainID"));
    let domain = domain.and_then(|domain| engine.store.get(domain));
    if let Some(enterprise) = domain.and_then(|domain| engine.store.ancestor(domain, "enterprise")) {
        container.set("enterpriseID", enterprise.id.to_string());
        container.set("enterpriseName", enterprise.text("name"));
    }
    engine.store.replace(container);
}
