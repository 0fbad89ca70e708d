//! Subnets: their range, which overlaps no other of the domain, their gateway and their numbers. Never
//! allocates an address: interfaces do.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use serde_json::Value;

use super::{Behaviour, Body, policygroup, refuse_while_attached};
use crate::vsd::engine::Engine;
use crate::vsd::error::{Refusal, code};
use crate::vsd::store::Object;
use crate::vsd::validate::missing;

/// The longest prefix that leaves room for a gateway and an interface.
const LONGEST_PREFIX: u8 = 30;

pub(super) struct Subnet;
pub(super) struct SubnetTemplate;

impl Behaviour for Subnet {
    fn creating(&self, engine: &mut Engine, draft: &mut Object, _body: &Body) -> Result<(), Refusal> {
        let (network, gateway) = range(draft)?.ok_or_else(|| missing("address"))?;
        refuse_overlap(engine, draft, network)?;
        draft.set("gateway", gateway.to_string());
        let mac = engine.number("gateway MAC", 1);
        let (high, low) = (mac >> 8 & 0xff, mac & 0xff);
        draft.fill("gatewayMACAddress", format!("68:54:ED:00:{high:02X}:{low:02X}"));
        number(engine, draft);
        Ok(())
    }

    fn updating(
        &self,
        _engine: &mut Engine,
        before: &Object,
        after: &mut Object,
        _confirmed: bool,
    ) -> Result<(), Refusal> {
        if after.text("gateway") != before.text("gateway") {
            range(after)?;
        }
        Ok(())
    }

    fn deleting(&self, engine: &Engine, object: &Object, _confirmed: bool) -> Result<(), Refusal> {
        refuse_while_attached(engine, object, "attachedNetworkID")
    }
}

impl Behaviour for SubnetTemplate {
    fn creating(&self, _engine: &mut Engine, draft: &mut Object, _body: &Body) -> Result<(), Refusal> {
        if let Some((_, gateway)) = range(draft)? {
            draft.set("gateway", gateway.to_string());
        }
        Ok(())
    }
}

/// The range and the gateway that an object asks for, `None` where it names no address.
fn range(object: &Object) -> Result<Option<(Ipv4Net, Ipv4Addr)>, Refusal> {
    let wrong = |attribute: &str| {
        Refusal::invalid(attribute, "Invalid network", format!("{attribute} is no usable IPv4 value."))
    };
    let Some(address) = object.text("address") else { return Ok(None) };
    let address: Ipv4Addr = address.parse().map_err(|_| wrong("address"))?;
    let netmask = object.text("netmask").ok_or_else(|| missing("netmask"))?;
    let netmask: Ipv4Addr = netmask.parse().map_err(|_| wrong("netmask"))?;
    let network = Ipv4Net::with_netmask(address, netmask).map_err(|_| wrong("netmask"))?;
    if network.prefix_len() > LONGEST_PREFIX {
        return Err(wrong("netmask"));
    }
    if network.network() != address {
        return Err(Refusal::invalid("address", "Invalid network", "The address has host bits."));
    }
    let gateway = match object.text("gateway") {
        Some(gateway) => gateway.parse().map_err(|_| wrong("gateway"))?,
        None => first_host(network),
    };
    if !is_host(network, gateway) {
        return Err(wrong("gateway"));
    }
    Ok(Some((network, gateway)))
}

/// The range of a stored subnet.
pub(super) fn network(subnet: &Object) -> Option<Ipv4Net> {
    let parse = |attribute| subnet.text(attribute)?.parse::<Ipv4Addr>().ok();
    Ipv4Net::with_netmask(parse("address")?, parse("netmask")?).ok()
}

/// The first address that a host of the network may have.
pub(super) fn first_host(network: Ipv4Net) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(network.network()).saturating_add(1))
}

/// The last address that a host of the network may have.
pub(super) fn last_host(network: Ipv4Net) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(network.broadcast()).saturating_sub(1))
}

pub(super) fn is_host(network: Ipv4Net, address: Ipv4Addr) -> bool {
    (first_host(network)..=last_host(network)).contains(&address)
}

fn refuse_overlap(engine: &Engine, draft: &Object, asked: Ipv4Net) -> Result<(), Refusal> {
    let Some(domain) = engine.store.ancestor(draft, "domain") else { return Ok(()) };
    let subnets = engine.store.below(domain.id, "subnet").iter();
    let taken = subnets.filter_map(|id| engine.store.get(*id)).filter_map(network);
    for taken in taken {
        if taken.contains(&asked) || asked.contains(&taken) {
            let description = format!(
                "Network {}/{} overlaps with existing network {}/{}.",
                asked.addr(),
                asked.netmask(),
                taken.addr(),
                taken.netmask()
            );
            return Err(Refusal::conflict(code::OVERLAP, "address", "Network overlaps", description));
        }
    }
    Ok(())
}

fn number(engine: &mut Engine, draft: &mut Object) {
    super::domain::route(engine, draft, &["routeDistinguisher", "routeTarget"]);
    draft.fill("vnId", super::domain::vnid(engine));
    draft.fill("serviceID", super::domain::service(engine));
    draft.fill("policyGroupID", policygroup::number(engine));
    let zone = engine.store.ancestor(draft, "domain").and_then(|domain| domain.values.get("customerID"));
    let customer = zone.cloned().unwrap_or(Value::Null);
    draft.set("customerID", customer);
}
