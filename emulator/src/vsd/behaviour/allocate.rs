//! Who gets which address: the one that is asked for, the one that is kept for the MAC address, or the lowest that
//! is free in the ranges for hosts. An address is never given to two.

use std::net::IpAddr;

use serde_json::Value;
use uuid::Uuid;

use super::network::{Range, Ranges};
use super::reservation;
use crate::vsd::engine::Engine;
use crate::vsd::error::{Refusal, code};
use crate::vsd::model::Name;
use crate::vsd::store::Object;
use crate::vsd::validate::missing;

/// The attributes of an interface that hold its addresses, by family.
const ADDRESSES: [Name; 2] = ["IPAddress", "IPv6Address"];

/// Gives an interface its addresses, one of each family that its network has.
///
/// # Errors
/// 409: not in the network (no code), in use (2704), none left (2702), or 5001 where one must be named and is not.
pub(super) fn give(engine: &mut Engine, draft: &mut Object, network: &Object) -> Result<(), Refusal> {
    let ranges = Ranges::of(network);
    if ranges.is_empty() {
        // A layer-2 domain that manages no addresses takes what it is told.
        return if network.entity == "l2domain" { Ok(()) } else { Err(missing("address")) };
    }
    let both = ranges.v4.is_some() && ranges.v6.is_some();
    let dynamic = !both || network.values.get("dualStackDynamicIPAllocation") != Some(&Value::Bool(false));
    if !dynamic && ADDRESSES.iter().all(|attribute| draft.text(attribute).is_none()) {
        return Err(missing("IPAddress"));
    }
    for (attribute, range) in ADDRESSES.into_iter().zip([ranges.v4, ranges.v6]) {
        let given = match (range, draft.text(attribute)) {
            (Some(range), Some(asked)) => {
                Some(asked_for(engine, attribute, asked, draft, network.id, range)?)
            }
            (Some(range), None) if dynamic => Some(free(engine, draft, network.id, range)?),
            (Some(_), None) | (None, _) => None,
        };
        match given {
            Some(given) => draft.set(attribute, given.to_string()),
            None => drop(draft.values.remove(attribute)),
        }
    }
    describe(draft, ranges);
    Ok(())
}

/// Gives a floating address: the one that is asked for, or the lowest that is free.
///
/// # Errors
/// As [`give`].
pub(super) fn floating(engine: &mut Engine, draft: &mut Object, network: &Object) -> Result<(), Refusal> {
    let range = Ranges::of(network).v4.ok_or_else(|| missing("address"))?;
    let given = match draft.text("address") {
        Some(asked) => asked_for(engine, "address", asked, draft, network.id, range)?,
        None => free(engine, draft, network.id, range)?,
    };
    draft.set("address", given.to_string());
    Ok(())
}

/// Lets an interface have other addresses than before.
///
/// # Errors
/// As [`give`], for those that are different.
pub(super) fn change(
    engine: &Engine,
    before: &Object,
    after: &mut Object,
    network: &Object,
) -> Result<(), Refusal> {
    let ranges = Ranges::of(network);
    for (attribute, range) in ADDRESSES.into_iter().zip([ranges.v4, ranges.v6]) {
        let (Some(range), Some(asked)) = (range, after.text(attribute)) else { continue };
        if before.text(attribute) != Some(asked) {
            let given = asked_for(engine, attribute, asked, after, network.id, range)?;
            after.set(attribute, given.to_string());
        }
    }
    Ok(())
}

/// Writes what goes with the addresses.
fn describe(draft: &mut Object, ranges: Ranges) {
    if let Some(range) = ranges.v4 {
        draft.set("netmask", range.net.netmask().to_string());
        draft.set("gateway", range.gateway.map(|gateway| gateway.to_string()));
    }
    if let Some(range) = ranges.v6 {
        draft.set("IPv6Gateway", range.gateway.map(|gateway| gateway.to_string()));
    }
}

fn asked_for(
    engine: &Engine,
    attribute: Name,
    text: &str,
    draft: &Object,
    network: Uuid,
    range: Range,
) -> Result<IpAddr, Refusal> {
    // Some clients name an IPv6 address with its prefix.
    let bare = text.split_once('/').map_or(text, |(address, _)| address);
    let asked = bare.parse::<IpAddr>().ok().filter(|asked| range.is_host(*asked));
    let asked = asked.ok_or_else(|| {
        let description = format!("{text} is no address of {}.", range.net);
        Refusal::invalid(attribute, "Invalid IP address", description)
    })?;
    let addresses = &engine.store.addresses;
    let kept = addresses.is_reserved(network, asked)
        && !reservation::admits(engine, network, asked, draft.text("MAC"));
    if kept || addresses.is_used(network, asked) {
        return Err(in_use(attribute, asked));
    }
    Ok(asked)
}

/// 409, code 2704.
pub(super) fn in_use(attribute: &str, address: IpAddr) -> Refusal {
    let description = format!("The IP address {address} is in use.");
    Refusal::conflict(code::ADDRESS_IN_USE, attribute, "IP address in use", description)
}

fn free(engine: &mut Engine, draft: &Object, network: Uuid, range: Range) -> Result<IpAddr, Refusal> {
    if let Some(address) = reservation::of_mac(engine, network, range, draft.text("MAC"))
        && !engine.store.addresses.is_used(network, address)
    {
        return Ok(address);
    }
    let pools = pools(engine, network, range);
    let found = pools.into_iter().find_map(|pool| engine.store.addresses.lowest(network, pool));
    found.ok_or_else(|| {
        let description = format!("No address of {} is free.", range.net);
        Refusal::conflict(code::SUBNET_FULL, "", "Subnet is full", description)
    })
}

/// The parts of a range that hosts get addresses of: the network's address ranges for hosts, where it has any, else
/// all that no range for something else has.
fn pools(engine: &Engine, network: Uuid, range: Range) -> Vec<(IpAddr, IpAddr)> {
    let (mut hosts, mut others) = (Vec::new(), Vec::new());
    for object in engine.store.children(network, "addressrange") {
        let Some((first, last)) = ends(object).filter(|(first, _)| range.is_host(*first)) else { continue };
        let pool = if object.text("DHCPPoolType").is_none_or(|kind| kind == "HOST") {
            &mut hosts
        } else {
            &mut others
        };
        pool.push((first, last));
    }
    if !hosts.is_empty() {
        hosts.sort_unstable();
        return hosts;
    }
    others.sort_unstable();
    let (mut next, last) = range.hosts();
    for (from, to) in others {
        if let Some(before) = step(from, false).filter(|before| *before >= next) {
            hosts.push((next, before));
        }
        match step(to, true) {
            Some(after) => next = next.max(after),
            None => return hosts,
        }
    }
    if next <= last {
        hosts.push((next, last));
    }
    hosts
}

/// The first and the last address of an address range.
pub(super) fn ends(object: &Object) -> Option<(IpAddr, IpAddr)> {
    let parse = |attribute| object.text(attribute)?.parse::<IpAddr>().ok();
    let (first, last) = (parse("minAddress")?, parse("maxAddress")?);
    (first.is_ipv4() == last.is_ipv4() && first <= last).then_some((first, last))
}

/// The address after this one, or before it.
fn step(address: IpAddr, up: bool) -> Option<IpAddr> {
    match address {
        IpAddr::V4(address) => {
            let number = u32::from(address);
            let next = if up { number.checked_add(1) } else { number.checked_sub(1) };
            next.map(|number| IpAddr::V4(number.into()))
        }
        IpAddr::V6(address) => {
            let number = u128::from(address);
            let next = if up { number.checked_add(1) } else { number.checked_sub(1) };
            next.map(|number| IpAddr::V6(number.into()))
        }
    }
}
