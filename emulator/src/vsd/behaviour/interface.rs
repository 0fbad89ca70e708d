//! Interfaces of containers: each has a vPort, made if none is named, and an address of its subnet: the one
//! asked for or the lowest that is free. An address is never given to two.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use serde_json::Value;
use uuid::Uuid;

use super::subnet::{first_host, is_host, last_host, network};
use super::{Behaviour, Body, container};
use crate::vsd::engine::Engine;
use crate::vsd::error::{Refusal, code};
use crate::vsd::store::Object;
use crate::vsd::validate::missing;

pub(super) struct Interface;

impl Behaviour for Interface {
    fn creating(&self, engine: &mut Engine, draft: &mut Object, _body: &Body) -> Result<(), Refusal> {
        let container = draft.parent.and_then(|(_, id)| engine.store.get(id)).cloned();
        let container = container.ok_or_else(|| missing("parentID"))?;
        let nth = engine.store.below(container.id, "containerinterface").len();
        let name = container.text("name").unwrap_or_default();
        let (interface, port) = (format!("{name}-interface-{nth}"), format!("{name}-vPort-{nth}"));
        draft.fill("name", interface);
        draft.set("containerUUID", container.text("UUID"));
        let port = place(engine, draft, &port)?;
        let subnet = port.parent.and_then(|(_, id)| engine.store.of("subnet", id)).cloned();
        let subnet = subnet.ok_or_else(|| Refusal::not_found("subnet", "of the vPort"))?;
        address(engine, draft, &subnet)?;
        locate(engine, draft, &port, &subnet);
        Ok(())
    }

    fn created(&self, engine: &mut Engine, id: Uuid, _body: &Body) -> Result<(), Refusal> {
        let interface = engine.store.get(id);
        let port = interface.and_then(|interface| interface.reference("VPortID"));
        let container = interface.and_then(|interface| interface.parent);
        attach(engine, port, true);
        if let Some((_, container)) = container {
            container::refresh(engine, container);
        }
        Ok(())
    }

    fn deleted(&self, engine: &mut Engine, object: &Object) {
        let port = object.reference("VPortID").and_then(|id| engine.store.get(id)).cloned();
        match port {
            // A vPort that was made for the interface goes with it.
            Some(port) if port.values.contains_key("autoCreated") => engine.cascade(&port),
            Some(port) => attach(engine, Some(port.id), false),
            None => {}
        }
        if let Some((_, container)) = object.parent {
            container::refresh(engine, container);
        }
    }
}

/// The vPort that a draft names, or a new one in the subnet that it names.
fn place(engine: &mut Engine, draft: &Object, name: &str) -> Result<Object, Refusal> {
    if let Some(id) = draft.text("VPortID") {
        let port = engine.find("vport", id)?.clone();
        if !engine.store.valued("containerinterface", "VPortID", &port.id.to_string()).is_empty() {
            let description = format!("The vPort {} has an interface.", port.id);
            return Err(Refusal::conflict(code::INTERFACE_EXISTS, "", "Interface exists", description));
        }
        return Ok(port);
    }
    let id = draft.text("attachedNetworkID").ok_or_else(|| missing("attachedNetworkID"))?;
    let subnet = engine.find("subnet", id)?.id;
    let name = draft.text("VPortName").unwrap_or(name);
    let body = Body::from_iter([
        ("name".to_owned(), Value::from(name)),
        ("type".to_owned(), Value::from("CONTAINER")),
    ]);
    let id = engine.create("vport", Some(("subnet", subnet)), &body)?;
    let mut port = engine.find("vport", &id.to_string())?.clone();
    port.set("autoCreated", true);
    engine.store.replace(port.clone());
    Ok(port)
}

/// Gives the draft its address.
fn address(engine: &mut Engine, draft: &mut Object, subnet: &Object) -> Result<(), Refusal> {
    let range = network(subnet).zip(subnet.text("gateway").and_then(|text| text.parse::<Ipv4Addr>().ok()));
    let (network, gateway) = range.ok_or_else(|| missing("address"))?;
    let given = match draft.text("IPAddress") {
        Some(asked) => asked_for(engine, asked, subnet.id, network, gateway),
        None => lowest_free(engine, subnet.id, network, gateway),
    }?;
    draft.set("IPAddress", given.to_string());
    draft.set("netmask", network.netmask().to_string());
    draft.set("gateway", gateway.to_string());
    Ok(())
}

fn asked_for(
    engine: &Engine,
    text: &str,
    subnet: Uuid,
    network: Ipv4Net,
    gateway: Ipv4Addr,
) -> Result<Ipv4Addr, Refusal> {
    let attribute = "IPAddress";
    let asked = text.parse::<Ipv4Addr>().ok().filter(|asked| is_host(network, *asked));
    let asked = asked.ok_or_else(|| {
        let description = format!("{text} is no address of {network}.");
        Refusal::invalid(attribute, "Invalid IP address", description)
    })?;
    if asked == gateway || engine.store.addresses.is_taken(subnet, asked) {
        let description = format!("The IP address {asked} is in use.");
        return Err(Refusal::conflict(code::ADDRESS_IN_USE, attribute, "IP address in use", description));
    }
    Ok(asked)
}

fn lowest_free(
    engine: &mut Engine,
    subnet: Uuid,
    network: Ipv4Net,
    gateway: Ipv4Addr,
) -> Result<Ipv4Addr, Refusal> {
    let hosts = (first_host(network), last_host(network));
    engine.store.addresses.lowest(subnet, hosts, gateway).ok_or_else(|| {
        let description = format!("No address of {network} is free.");
        Refusal::conflict(code::SUBNET_FULL, "", "Subnet is full", description)
    })
}

/// Says where the draft is.
fn locate(engine: &Engine, draft: &mut Object, port: &Object, subnet: &Object) {
    draft.set("VPortID", port.id.to_string());
    draft.set("VPortName", port.text("name"));
    draft.set("attachedNetworkID", subnet.id.to_string());
    draft.set("attachedNetworkType", "SUBNET");
    draft.set("networkName", subnet.text("name"));
    if let Some(zone) = engine.store.ancestor(subnet, "zone") {
        draft.set("zoneID", zone.id.to_string());
        draft.set("zoneName", zone.text("name"));
    }
    if let Some(domain) = engine.store.ancestor(subnet, "domain") {
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
