//! What is kept of a network's addresses: ranges, addresses for a MAC address, addresses for machines to come, and
//! virtual addresses. Never gives one to an interface.

use std::net::IpAddr;

use uuid::Uuid;

use super::allocate::{ends, in_use};
use super::network::{Range, Ranges};
use super::{Behaviour, Body, floating};
use crate::vsd::engine::Engine;
use crate::vsd::error::{Refusal, code};
use crate::vsd::model::Name;
use crate::vsd::store::Object;

/// A part of a network that addresses are given from.
pub(super) struct AddressRange;
/// An address for a MAC address.
pub(super) struct Reservation;
/// An address for a machine that is to come.
pub(super) struct MachineReservation;
/// An address beside those of an interface.
pub(super) struct VirtualIp;

impl Behaviour for AddressRange {
    fn creating(&self, engine: &mut Engine, draft: &mut Object, _body: &Body) -> Result<(), Refusal> {
        check_range(engine, draft)
    }

    fn updating(&self, engine: &mut Engine, _before: &Object, after: &mut Object) -> Result<(), Refusal> {
        check_range(engine, after)
    }

    fn asks_if_used(&self) -> bool {
        true
    }
}

/// 409 where the ends are none, outside the network, or overlap another range of it (2504).
fn check_range(engine: &Engine, draft: &mut Object) -> Result<(), Refusal> {
    let wrong =
        || Refusal::invalid("minAddress", "Invalid address range", "The ends are no range of addresses.");
    let (first, last) = ends(draft).ok_or_else(wrong)?;
    draft.set("IPType", if first.is_ipv4() { "IPV4" } else { "IPV6" });
    let Some(network) = draft.parent.and_then(|(_, id)| engine.store.get(id)) else { return Ok(()) };
    let ranges = Ranges::asked(network).unwrap_or_default();
    let outside = |range: Range| !range.is_host(first) || !range.is_host(last);
    if !ranges.is_empty() && ranges.around(first).is_none_or(outside) {
        return Err(Refusal::invalid(
            "minAddress",
            "Invalid address range",
            "The range is not in its network.",
        ));
    }
    let others = engine.store.children(network.id, "addressrange").filter(|other| other.id != draft.id);
    for (from, to) in others.filter_map(ends).filter(|(from, _)| from.is_ipv4() == first.is_ipv4()) {
        if from <= last && first <= to {
            let description = format!("The range {first} to {last} overlaps {from} to {to}.");
            return Err(Refusal::conflict(
                code::OVERLAP,
                "minAddress",
                "Address range overlaps",
                description,
            ));
        }
    }
    Ok(())
}

impl Behaviour for Reservation {
    fn creating(&self, engine: &mut Engine, draft: &mut Object, _body: &Body) -> Result<(), Refusal> {
        keep(engine, draft, "IPAddress")
    }
}

impl Behaviour for MachineReservation {
    fn creating(&self, engine: &mut Engine, draft: &mut Object, _body: &Body) -> Result<(), Refusal> {
        for attribute in ["IPV4Address", "IPV6Address"] {
            keep(engine, draft, attribute)?;
        }
        Ok(())
    }
}

/// Refuses an address that is not the network's, that another reservation has (7205), or that is in use (2704).
fn keep(engine: &Engine, draft: &Object, attribute: Name) -> Result<(), Refusal> {
    let Some(text) = draft.text(attribute) else { return Ok(()) };
    let network = draft.parent.and_then(|(_, id)| engine.store.get(id));
    let Some(network) = network.filter(|network| !Ranges::of(network).is_empty()) else { return Ok(()) };
    let address = host(network, attribute, text)?;
    let addresses = &engine.store.addresses;
    if reservations(engine, network.id).any(|(other, held)| other.entity == draft.entity && held == address) {
        let description = format!("The IP address {address} is reserved.");
        let title = "Duplicate IP reservation";
        return Err(Refusal::conflict(code::DUPLICATE_RESERVATION, attribute, title, description));
    }
    if addresses.is_used(network.id, address) || addresses.is_reserved(network.id, address) {
        return Err(in_use(attribute, address));
    }
    Ok(())
}

impl Behaviour for VirtualIp {
    fn creating(&self, engine: &mut Engine, draft: &mut Object, _body: &Body) -> Result<(), Refusal> {
        let text = draft.text("virtualIP").unwrap_or_default().to_owned();
        let Some(network) = around(engine, draft, &text) else {
            let description = format!("{text} is no address of a subnet.");
            return Err(Refusal::invalid("virtualIP", "Invalid IP address", description));
        };
        let address = host(network, "virtualIP", &text)?;
        let addresses = &engine.store.addresses;
        if addresses.is_used(network.id, address) || addresses.is_reserved(network.id, address) {
            return Err(in_use("virtualIP", address));
        }
        let id = network.id.to_string();
        draft.set("subnetID", id);
        floating::assign(engine, None, Some(draft))
    }

    fn updating(&self, engine: &mut Engine, before: &Object, after: &mut Object) -> Result<(), Refusal> {
        floating::assign(engine, Some(before), Some(after))
    }

    fn deleted(&self, engine: &mut Engine, object: &Object) {
        // To let go of an address is never refused.
        let _ = floating::assign(engine, Some(object), None);
    }
}

/// The network of a virtual address: that of its vPort, or the subnet of its domain which it lies in.
fn around<'a>(engine: &'a Engine, draft: &Object, text: &str) -> Option<&'a Object> {
    let networks = ["subnet", "l2domain"];
    if let Some(network) = networks.iter().find_map(|entity| engine.store.ancestor(draft, entity)) {
        return Some(network);
    }
    let (address, domain) = (text.parse::<IpAddr>().ok()?, engine.store.ancestor(draft, "domain")?);
    let subnets = engine.store.below(domain.id, "subnet").iter().filter_map(|id| engine.store.get(*id));
    subnets
        .into_iter()
        .find(|subnet| Ranges::of(subnet).around(address).is_some_and(|range| range.is_host(address)))
}

fn host(network: &Object, attribute: &str, text: &str) -> Result<IpAddr, Refusal> {
    let address = text.parse::<IpAddr>().ok();
    let inside =
        |address: &IpAddr| Ranges::of(network).around(*address).is_some_and(|range| range.is_host(*address));
    address.filter(inside).ok_or_else(|| {
        let description = format!("{text} is no address of the network.");
        Refusal::invalid(attribute, "Invalid IP address", description)
    })
}

/// The reservations of a network, a pair for each address that one holds.
fn reservations(engine: &Engine, network: Uuid) -> impl Iterator<Item = (&Object, IpAddr)> {
    let kinds = [
        ("ipreservation", "IPAddress"),
        ("vmipreservation", "IPV4Address"),
        ("vmipreservation", "IPV6Address"),
    ];
    kinds.into_iter().flat_map(move |(entity, attribute)| {
        let objects = engine.store.below(network, entity).iter().filter_map(move |id| engine.store.get(*id));
        objects.filter_map(move |object| Some((object, object.text(attribute)?.parse().ok()?)))
    })
}

/// Whether an address that is kept may be had by an interface with this MAC address that asks for it: one for that
/// MAC address, or for a machine to come. A gateway or a virtual address is nobody's.
pub(super) fn admits(engine: &Engine, network: Uuid, address: IpAddr, mac: Option<&str>) -> bool {
    reservations(engine, network).any(|(object, held)| {
        let fits = object.entity == "vmipreservation" || same_mac(object, mac);
        held == address && fits
    })
}

/// The address of a range that is kept for a MAC address.
pub(super) fn of_mac(engine: &Engine, network: Uuid, range: Range, mac: Option<&str>) -> Option<IpAddr> {
    let mut kept = reservations(engine, network).filter(|(object, _)| object.entity == "ipreservation");
    kept.find(|(object, held)| same_mac(object, mac) && range.is_host(*held)).map(|(_, held)| held)
}

fn same_mac(object: &Object, mac: Option<&str>) -> bool {
    object.text("MAC").zip(mac).is_some_and(|(kept, mac)| kept.eq_ignore_ascii_case(mac))
}

/// Writes the state of the machine reservations of an interface's addresses: `ASSIGNED`, `ASSIGNED_DELETE_PENDING` or
/// `UNASSIGNED`.
pub(super) fn mark(engine: &mut Engine, interface: &Object, state: &str) {
    let Some(network) = interface.reference("attachedNetworkID") else { return };
    if engine.store.below(network, "vmipreservation").is_empty() {
        return;
    }
    for attribute in ["IPAddress", "IPv6Address"] {
        let address = interface.text(attribute).and_then(|text| text.parse::<IpAddr>().ok());
        let found = reservations(engine, network)
            .find(|(object, held)| object.entity == "vmipreservation" && Some(*held) == address);
        if let Some(mut found) = found.map(|(object, _)| object.clone()) {
            found.set("state", state);
            engine.store.replace(found);
        }
    }
}
