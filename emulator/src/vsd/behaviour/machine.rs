//! Containers and virtual machines: made with their interfaces or without, and showing where these are. Never
//! allocates: the interfaces do.

use std::collections::BTreeSet;

use serde_json::Value;
use uuid::Uuid;

use super::{Behaviour, Body, linger};
use crate::vsd::engine::Engine;
use crate::vsd::error::{Refusal, code};
use crate::vsd::model::Name;
use crate::vsd::store::Object;

/// The most interfaces of one machine: what a controller sends has one to three.
const MOST_INTERFACES: usize = 64;

/// A kind of machine.
pub(super) struct Machine {
    pub(super) entity: Name,
    /// The entity of its interfaces.
    pub(super) interface: Name,
}

pub(super) const CONTAINER: Machine = Machine { entity: "container", interface: "containerinterface" };
pub(super) const VIRTUAL: Machine = Machine { entity: "vm", interface: "vminterface" };

impl Behaviour for Machine {
    fn creating(&self, engine: &mut Engine, draft: &mut Object, _body: &Body) -> Result<(), Refusal> {
        let uuid = draft.text("UUID").unwrap_or_default();
        if !engine.store.valued(self.entity, "UUID", uuid).is_empty() {
            let description = format!("A {} with the UUID {uuid} exists.", self.entity);
            return Err(Refusal::conflict(code::UUID_IN_USE, "UUID", "UUID in use", description));
        }
        // Whom it is for: who asks, or whom a cloud management system asks for.
        let user = engine.store.get(engine.actor).and_then(|user| user.text("userName")).map(str::to_owned);
        draft.set("userID", engine.actor.to_string());
        if let Some(user) = user {
            draft.fill("userName", user);
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
            engine.create(self.interface, Some((self.entity, id)), interface)?;
        }
        Ok(())
    }

    fn updating(&self, engine: &mut Engine, before: &Object, after: &mut Object) -> Result<(), Refusal> {
        linger::state_changes(engine, before, after);
        Ok(())
    }

    fn asks(&self) -> bool {
        false
    }

    fn shown(&self, engine: &Engine, object: &Object, shown: &mut Body) {
        let interfaces = interfaces(engine, object).map(|interface| engine.render(interface));
        shown.insert("interfaces".to_owned(), Value::Array(interfaces.collect()));
    }
}

fn wrong() -> Refusal {
    Refusal::invalid("interfaces", "Invalid input", "interfaces is no list of objects.")
}

/// The kind of machine that an object is.
fn kind(machine: &Object) -> Option<Machine> {
    [CONTAINER, VIRTUAL].into_iter().find(|kind| kind.entity == machine.entity)
}

/// The interfaces of a machine, in the order of their making.
pub(super) fn interfaces<'a>(
    engine: &'a Engine,
    machine: &Object,
) -> impl Iterator<Item = &'a Object> + use<'a> {
    let entity = kind(machine).map_or("", |kind| kind.interface);
    let ids = engine.store.below(machine.id, entity).iter();
    let mut found: Vec<&Object> = ids.filter_map(|id| engine.store.get(*id)).collect();
    found.sort_by(|a, b| (a.created, a.text("name"), a.id).cmp(&(b.created, b.text("name"), b.id)));
    found.into_iter()
}

/// Makes what a machine says about its place follow from its interfaces.
pub(super) fn refresh(engine: &mut Engine, id: Uuid) {
    let Some(mut machine) = engine.store.get(id).cloned() else { return };
    let list = |attribute: Name, network: Option<&str>| {
        let here = interfaces(engine, &machine)
            .filter(|interface| network.is_none() || interface.text("attachedNetworkType") == network);
        let ids: BTreeSet<String> =
            here.filter_map(|interface| interface.text(attribute).map(str::to_owned)).collect();
        Value::from_iter(ids)
    };
    let lists = [
        ("domainIDs", list("domainID", None)),
        ("zoneIDs", list("zoneID", None)),
        ("subnetIDs", list("attachedNetworkID", Some("SUBNET"))),
        ("l2DomainIDs", list("attachedNetworkID", Some("L2DOMAIN"))),
    ];
    let network = interfaces(engine, &machine).find_map(|interface| interface.reference("attachedNetworkID"));
    let network = network.and_then(|network| engine.store.get(network));
    if let Some(enterprise) = network.and_then(|network| engine.store.ancestor(network, "enterprise")) {
        machine.set("enterpriseID", enterprise.id.to_string());
        machine.set("enterpriseName", enterprise.text("name"));
    }
    machine.values.extend(lists);
    engine.store.replace(machine);
}
