//! Subnets: their ranges, which overlap no other of the domain, their gateways and their numbers. Never allocates an
//! address: interfaces do.

use ipnet::{IpNet, Ipv4Net};
use serde_json::Value;

use super::network::{Ranges, others, overlap, refuse_overlap};
use super::{Behaviour, Body, allocate, domain, policygroup, refuse_while_attached};
use crate::vsd::engine::Engine;
use crate::vsd::error::Refusal;
use crate::vsd::store::Object;
use crate::vsd::validate::missing;

/// The smallest subnet that is cut out of a zone, in addresses.
const SMALLEST_BLOCK: u32 = 4;

pub(super) struct Subnet;
pub(super) struct SubnetTemplate;

impl Behaviour for Subnet {
    fn creating(&self, engine: &mut Engine, draft: &mut Object, _body: &Body) -> Result<(), Refusal> {
        let mut ranges = Ranges::asked(draft)?;
        if ranges.is_empty() && !domain::is_hidden(engine, draft) {
            carve(engine, draft)?;
            ranges = Ranges::asked(draft)?;
        }
        if draft.text("IPType") == Some("DUALSTACK") && ranges.iter().count() < 2 {
            return Err(missing(if ranges.v4.is_none() { "address" } else { "IPv6Address" }));
        }
        refuse_overlap(engine, draft, ranges)?;
        ranges.fill_gateways(draft);
        let mac = engine.number("gateway MAC", 1);
        let (high, low) = (mac >> 8 & 0xff, mac & 0xff);
        draft.fill("gatewayMACAddress", format!("68:54:ED:00:{high:02X}:{low:02X}"));
        domain::number(engine, draft, "domain");
        draft.fill("policyGroupID", policygroup::number(engine));
        Ok(())
    }

    fn updating(&self, engine: &mut Engine, before: &Object, after: &mut Object) -> Result<(), Refusal> {
        let ranges = Ranges::asked(after)?;
        for attribute in ["gateway", "IPv6Gateway"] {
            let Some(asked) = after.text(attribute).filter(|asked| before.text(attribute) != Some(*asked))
            else {
                continue;
            };
            let Ok(address) = asked.parse() else { continue };
            let addresses = &engine.store.addresses;
            if addresses.is_used(after.id, address) || addresses.is_reserved(after.id, address) {
                return Err(allocate::in_use(attribute, address));
            }
        }
        ranges.fill_gateways(after);
        move_gateways(engine, before, after);
        Ok(())
    }

    fn deleting(&self, engine: &Engine, object: &Object) -> Result<(), Refusal> {
        refuse_while_attached(engine, object, "attachedNetworkID")
    }
}

impl Behaviour for SubnetTemplate {
    fn creating(&self, _engine: &mut Engine, draft: &mut Object, _body: &Body) -> Result<(), Refusal> {
        Ranges::asked(draft)?.fill_gateways(draft);
        Ok(())
    }

    fn updating(&self, _engine: &mut Engine, _before: &Object, after: &mut Object) -> Result<(), Refusal> {
        Ranges::asked(after)?.fill_gateways(after);
        Ok(())
    }

    fn asks_if_used(&self) -> bool {
        true
    }
}

/// Gives a subnet that names no range the first free block of its zone's range, as large as the zone says.
fn carve(engine: &Engine, draft: &mut Object) -> Result<(), Refusal> {
    let zone = draft.parent.and_then(|(_, id)| engine.store.get(id));
    let hosts = zone.and_then(|zone| zone.values.get("numberOfHostsInSubnets")).and_then(Value::as_u64);
    let hosts = hosts.and_then(|hosts| u32::try_from(hosts).ok()).filter(|hosts| *hosts > 0);
    let range = zone.and_then(|zone| Ranges::asked(zone).ok()?.v4);
    let (Some(hosts), Some(IpNet::V4(zone))) = (hosts, range.map(|range| range.net)) else {
        return Err(missing("address"));
    };
    let size = hosts.max(SMALLEST_BLOCK).checked_next_power_of_two();
    let taken: Vec<IpNet> = others(engine, draft).collect();
    let Some(block) = size.and_then(|size| first_free(zone, size, &taken)) else {
        let description = format!("No block of {hosts} addresses of {zone} is free.");
        return Err(Refusal::invalid("address", "Zone is full", description));
    };
    draft.set("address", block.network().to_string());
    draft.set("netmask", block.netmask().to_string());
    Ok(())
}

/// The first block of `size` addresses (a power of two) of a range that overlaps nothing that is taken. Each step
/// leaves one taken range behind, so there are no more steps than these.
fn first_free(zone: Ipv4Net, size: u32, taken: &[IpNet]) -> Option<Ipv4Net> {
    let prefix =
        u8::try_from(32 - size.trailing_zeros()).ok().filter(|prefix| *prefix >= zone.prefix_len())?;
    let mut start = u32::from(zone.network());
    loop {
        let block = Ipv4Net::new(start.into(), prefix).ok().filter(|block| zone.contains(block))?;
        let Some(IpNet::V4(other)) = taken.iter().find(|taken| overlap(**taken, block.into())) else {
            return Some(block);
        };
        let behind = u32::from(other.broadcast()).max(u32::from(block.broadcast()));
        start = behind.checked_add(1)?;
    }
}

/// Tells the interfaces of a subnet of its new gateways.
fn move_gateways(engine: &mut Engine, before: &Object, after: &Object) {
    for attribute in ["gateway", "IPv6Gateway"] {
        let Some(gateway) = after.text(attribute).filter(|gateway| before.text(attribute) != Some(*gateway))
        else {
            continue;
        };
        for entity in ["containerinterface", "vminterface", "hostinterface"] {
            let ids = engine.store.valued(entity, "attachedNetworkID", &after.id.to_string()).iter();
            let interfaces: Vec<Object> = ids.filter_map(|id| engine.store.get(*id)).cloned().collect();
            for mut interface in interfaces.into_iter().filter(|one| one.text(attribute).is_some()) {
                interface.set(attribute, gateway);
                engine.store.replace(interface);
            }
        }
    }
}
