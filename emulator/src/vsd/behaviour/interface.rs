//! Interfaces of containers, virtual machines, hosts and bridges: each has a vPort, made if none is named, and what
//! addresses its network gives it. Never gives an address itself: `allocate` does.

use serde_json::Value;
use uuid::Uuid;

use super::{Behaviour, Body, allocate, dhcp, machine, reservation};
use crate::vsd::engine::Engine;
use crate::vsd::error::{Refusal, code};
use crate::vsd::model::Name;
use crate::vsd::store::{Ids, Object};
use crate::vsd::validate::missing;

/// A kind of interface.
pub(super) struct Interface {
    entity: Name,
    /// What it is an interface of, and the attribute that names that by its UUID. Hosts and bridges are no objects.
    machine: Option<(Name, Name)>,
    /// The type of a vPort that is made for it.
    port: &'static str,
    /// Between the machine's name and a number, in the name of one that has none.
    infix: &'static str,
    addressed: bool,
}

pub(super) const CONTAINER: Interface = Interface {
    entity: "containerinterface",
    machine: Some(("container", "containerUUID")),
    port: "CONTAINER",
    infix: "interface",
    addressed: true,
};
pub(super) const VIRTUAL: Interface = Interface {
    entity: "vminterface",
    machine: Some(("vm", "VMUUID")),
    port: "VM",
    infix: "vm-interface",
    addressed: true,
};
pub(super) const HOST: Interface =
    Interface { entity: "hostinterface", machine: None, port: "HOST", infix: "interface", addressed: true };
pub(super) const BRIDGE: Interface = Interface {
    entity: "bridgeinterface",
    machine: None,
    port: "BRIDGE",
    infix: "interface",
    addressed: false,
};

/// All that a vPort may have one of.
const KINDS: [Name; 4] = [CONTAINER.entity, VIRTUAL.entity, HOST.entity, BRIDGE.entity];

impl Behaviour for Interface {
    fn creating(&self, engine: &mut Engine, draft: &mut Object, _body: &Body) -> Result<(), Refusal> {
        let above = draft.parent.and_then(|(_, id)| engine.store.get(id)).cloned();
        let above = above.ok_or_else(|| missing("parentID"))?;
        let port = (above.entity == "vport").then_some(above.clone());
        let owner = match self.machine {
            Some((entity, attribute)) if port.is_some() => {
                let uuid = draft.text(attribute).ok_or_else(|| missing(attribute))?;
                let found = engine.store.valued(entity, "UUID", uuid).iter().next();
                let found = found.and_then(|id| engine.store.get(*id)).cloned();
                found.ok_or_else(|| Refusal::not_found(entity, uuid))?
            }
            _ => above,
        };
        draft.parent = Some((owner.entity, owner.id));
        if let Some((_, attribute)) = self.machine {
            draft.set(attribute, owner.text("UUID"));
        }
        let nth = engine.store.below(owner.id, self.entity).len();
        let name = owner.text("name").unwrap_or_default();
        draft.fill("name", format!("{name}-{}-{nth}", self.infix));
        let port = match port {
            Some(port) => self.vacant(engine, draft, port)?,
            None => self.place(engine, draft, &format!("{name}-vPort-{nth}"))?,
        };
        let network = port.parent.and_then(|(_, id)| engine.store.get(id)).cloned();
        let network = network.ok_or_else(|| Refusal::not_found("subnet", "of the vPort"))?;
        if self.addressed {
            allocate::give(engine, draft, &network)?;
        }
        locate(engine, draft, &port, &network);
        Ok(())
    }

    fn created(&self, engine: &mut Engine, id: Uuid, _body: &Body) -> Result<(), Refusal> {
        let Some(interface) = engine.store.get(id).cloned() else { return Ok(()) };
        attach(engine, interface.reference("VPortID"), true);
        reservation::mark(engine, &interface, "ASSIGNED");
        if let Some((_, machine)) = interface.parent.filter(|_| self.machine.is_some()) {
            machine::refresh(engine, machine);
        }
        Ok(())
    }

    fn updating(&self, engine: &mut Engine, before: &Object, after: &mut Object) -> Result<(), Refusal> {
        let network = before.reference("attachedNetworkID").and_then(|id| engine.store.get(id)).cloned();
        match network {
            Some(network) if self.addressed => allocate::change(engine, before, after, &network),
            _ => Ok(()),
        }
    }

    fn deleted(&self, engine: &mut Engine, object: &Object) {
        reservation::mark(engine, object, "UNASSIGNED");
        let port = object.reference("VPortID").and_then(|id| engine.store.get(id)).cloned();
        match port {
            // A vPort that was made for the interface goes with it.
            Some(port) if port.values.contains_key("autoCreated") => engine.cascade(&port),
            Some(port) => attach(engine, Some(port.id), false),
            None => {}
        }
        if let Some((_, machine)) = object.parent.filter(|_| self.machine.is_some()) {
            machine::refresh(engine, machine);
        }
    }

    fn asks(&self) -> bool {
        false
    }

    fn seen_below(&self, engine: &Engine, parent: &Object, entity: Name) -> Option<Ids> {
        match entity {
            "dhcpoption" => Some(dhcp::of_interface(engine, parent)),
            "policygroup" | "redirectiontarget" => {
                let port = parent.reference("VPortID")?;
                Some(engine.store.members(port, entity).clone())
            }
            _ => None,
        }
    }
}

impl Interface {
    /// The vPort that a draft names, or a new one in the network that it names.
    fn place(&self, engine: &mut Engine, draft: &Object, name: &str) -> Result<Object, Refusal> {
        if let Some(id) = draft.text("VPortID") {
            let port = engine.find("vport", id)?.clone();
            return self.vacant(engine, draft, port);
        }
        let id = draft.text("attachedNetworkID").ok_or_else(|| missing("attachedNetworkID"))?;
        let layer2 = draft.text("attachedNetworkType") == Some("L2DOMAIN");
        let network = if layer2 { "l2domain" } else { "subnet" };
        let network = (network, engine.find(network, id)?.id);
        let name = draft.text("VPortName").unwrap_or(name);
        let body = Body::from_iter([
            ("name".to_owned(), Value::from(name)),
            ("type".to_owned(), Value::from(self.port)),
        ]);
        let id = engine.create("vport", Some(network), &body)?;
        let mut port = engine.find("vport", &id.to_string())?.clone();
        port.set("autoCreated", true);
        engine.store.replace(port.clone());
        Ok(port)
    }

    /// The vPort, unless it has an interface already (7010 for a virtual machine, else 7006), or the draft names
    /// another network than its (2747).
    fn vacant(&self, engine: &Engine, draft: &Object, port: Object) -> Result<Object, Refusal> {
        if is_occupied(engine, &port) {
            let (code, title) = match self.port {
                "VM" => (code::MACHINE_EXISTS, "VM exists"),
                _ => (code::INTERFACE_EXISTS, "Interface exists"),
            };
            let description = format!("The vPort {} has an interface.", port.id);
            return Err(Refusal::conflict(code, "", title, description));
        }
        let network = port.parent.map(|(_, id)| id);
        if draft.reference("attachedNetworkID").is_some_and(|named| Some(named) != network) {
            let description = format!("The vPort {} is in another network.", port.id);
            return Err(Refusal::conflict(
                code::NETWORK_CHANGED,
                "attachedNetworkID",
                "Network changed",
                description,
            ));
        }
        Ok(port)
    }
}

/// Whether a vPort has an interface.
pub(super) fn is_occupied(engine: &Engine, port: &Object) -> bool {
    let id = port.id.to_string();
    KINDS.into_iter().any(|entity| !engine.store.valued(entity, "VPortID", &id).is_empty())
}

/// Says where the draft is.
fn locate(engine: &Engine, draft: &mut Object, port: &Object, network: &Object) {
    draft.set("VPortID", port.id.to_string());
    draft.set("VPortName", port.text("name"));
    draft.set("attachedNetworkID", network.id.to_string());
    draft.set("attachedNetworkType", if network.entity == "subnet" { "SUBNET" } else { "L2DOMAIN" });
    draft.set("networkName", network.text("name"));
    if let Some(zone) = engine.store.ancestor(network, "zone") {
        draft.set("zoneID", zone.id.to_string());
        draft.set("zoneName", zone.text("name"));
    }
    if let Some(domain) = engine.store.ancestor(network, "domain") {
        draft.set("domainID", domain.id.to_string());
        draft.set("domainName", domain.text("name"));
    }
}

fn attach(engine: &mut Engine, port: Option<Uuid>, attached: bool) {
    if let Some(mut port) = port.and_then(|id| engine.store.get(id)).cloned() {
        port.set("hasAttachedInterfaces", attached);
        port.set("active", attached);
        engine.store.replace(port);
    }
}
