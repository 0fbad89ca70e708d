//! The ranges of subnets, of their templates, of zones and of layer-2 domains, one of each family at most: read from
//! the attributes, and checked. Never gives an address away.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde_json::Value;

use crate::vsd::engine::Engine;
use crate::vsd::error::{Refusal, code};
use crate::vsd::store::Object;
use crate::vsd::validate::missing;

/// The longest prefixes that leave room for a gateway and an interface.
const LONGEST_PREFIX: (u8, u8) = (30, 126);

/// A range and its gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) net: IpNet,
    /// A layer-2 domain need not have one.
    pub(super) gateway: Option<IpAddr>,
}

/// What a network has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Ranges {
    pub(super) v4: Option<Range>,
    pub(super) v6: Option<Range>,
}

impl Ranges {
    /// What an object asks for by its `IPType`; what it says of the other family does not count.
    ///
    /// # Errors
    /// 409 for what is no range, or whose gateway is no host of it.
    pub(super) fn asked(object: &Object) -> Result<Self, Refusal> {
        let kind = object.text("IPType").unwrap_or("IPV4");
        let v4 = if kind == "IPV6" { None } else { v4(object)? };
        let v6 = if kind == "IPV4" { None } else { v6(object)? };
        Ok(Self { v4, v6 })
    }

    /// What a stored network has. A layer-2 domain that manages no addresses has none.
    pub(super) fn of(object: &Object) -> Self {
        let managed =
            object.entity != "l2domain" || object.values.get("DHCPManaged") == Some(&Value::Bool(true));
        if managed { Self::asked(object).unwrap_or_default() } else { Self::default() }
    }

    pub(super) fn is_empty(self) -> bool {
        self.v4.is_none() && self.v6.is_none()
    }

    /// The range of an address's family.
    pub(super) fn around(self, address: IpAddr) -> Option<Range> {
        if address.is_ipv4() { self.v4 } else { self.v6 }
    }

    pub(super) fn iter(self) -> impl Iterator<Item = Range> {
        self.v4.into_iter().chain(self.v6)
    }

    /// Writes gateways into an object that named none: the first host of each range.
    pub(super) fn fill_gateways(self, object: &mut Object) {
        for (attribute, range) in [("gateway", self.v4), ("IPv6Gateway", self.v6)] {
            if let Some(range) = range {
                object.set(attribute, range.gateway.unwrap_or(range.hosts().0).to_string());
            }
        }
    }
}

impl Range {
    /// The first and the last address that a host may have.
    pub(super) fn hosts(self) -> (IpAddr, IpAddr) {
        match self.net {
            IpNet::V4(net) => {
                let (network, broadcast) = (u32::from(net.network()), u32::from(net.broadcast()));
                (
                    Ipv4Addr::from(network.saturating_add(1)).into(),
                    Ipv4Addr::from(broadcast.saturating_sub(1)).into(),
                )
            }
            IpNet::V6(net) => {
                let first = u128::from(net.network()).saturating_add(1);
                (Ipv6Addr::from(first).into(), net.broadcast().into())
            }
        }
    }

    /// Whether a host may have the address.
    pub(super) fn is_host(self, address: IpAddr) -> bool {
        let (first, last) = self.hosts();
        first.is_ipv4() == address.is_ipv4() && (first..=last).contains(&address)
    }
}

fn wrong(attribute: &str, family: &str) -> Refusal {
    Refusal::invalid(attribute, "Invalid network", format!("{attribute} is no usable {family} value."))
}

fn v4(object: &Object) -> Result<Option<Range>, Refusal> {
    let wrong = |attribute| wrong(attribute, "IPv4");
    let Some(address) = object.text("address") else { return Ok(None) };
    let address: Ipv4Addr = address.parse().map_err(|_| wrong("address"))?;
    let netmask = object.text("netmask").ok_or_else(|| missing("netmask"))?;
    let netmask: Ipv4Addr = netmask.parse().map_err(|_| wrong("netmask"))?;
    let net = Ipv4Net::with_netmask(address, netmask).map_err(|_| wrong("netmask"))?;
    if net.prefix_len() > LONGEST_PREFIX.0 {
        return Err(wrong("netmask"));
    }
    with_gateway(object, net.into(), "address", "gateway", wrong).map(Some)
}

fn v6(object: &Object) -> Result<Option<Range>, Refusal> {
    let wrong = |attribute| wrong(attribute, "IPv6");
    let Some(net) = object.text("IPv6Address") else { return Ok(None) };
    let net: Ipv6Net = net.parse().map_err(|_| wrong("IPv6Address"))?;
    if net.prefix_len() == 0 || net.prefix_len() > LONGEST_PREFIX.1 {
        return Err(wrong("IPv6Address"));
    }
    with_gateway(object, net.into(), "IPv6Address", "IPv6Gateway", wrong).map(Some)
}

fn with_gateway(
    object: &Object,
    net: IpNet,
    address: &'static str,
    gateway: &'static str,
    wrong: impl Fn(&'static str) -> Refusal,
) -> Result<Range, Refusal> {
    if net.network() != net.addr() {
        return Err(Refusal::invalid(address, "Invalid network", "The address has host bits."));
    }
    let mut range = Range { net, gateway: None };
    if let Some(text) = object.text(gateway) {
        let asked: IpAddr = text.parse().map_err(|_| wrong(gateway))?;
        if !range.is_host(asked) {
            return Err(wrong(gateway));
        }
        range.gateway = Some(asked);
    }
    Ok(range)
}

/// 409, code 2504, if one of the ranges overlaps one of another subnet of the draft's domain.
pub(super) fn refuse_overlap(engine: &Engine, draft: &Object, asked: Ranges) -> Result<(), Refusal> {
    for taken in others(engine, draft) {
        if let Some(range) = asked.iter().find(|range| overlap(range.net, taken)) {
            let description = format!(
                "Network {}/{} overlaps with existing network {}/{}.",
                range.net.addr(),
                mask(range.net),
                taken.addr(),
                mask(taken)
            );
            return Err(Refusal::conflict(code::OVERLAP, "address", "Network overlaps", description));
        }
    }
    Ok(())
}

/// The ranges of the other subnets of an object's domain.
pub(super) fn others(engine: &Engine, draft: &Object) -> impl Iterator<Item = IpNet> {
    let domain = engine.store.ancestor(draft, "domain");
    let ids = domain.into_iter().flat_map(move |domain| engine.store.below(domain.id, "subnet").iter());
    let subnets = ids.filter(move |id| **id != draft.id).filter_map(move |id| engine.store.get(*id));
    subnets.flat_map(|subnet| Ranges::of(subnet).iter()).map(|range| range.net)
}

/// Whether two ranges have addresses in common.
pub(super) fn overlap(a: IpNet, b: IpNet) -> bool {
    a.contains(&b) || b.contains(&a)
}

/// The mask as the API has it: dotted for IPv4, the prefix for IPv6.
fn mask(net: IpNet) -> String {
    match net {
        IpNet::V4(net) => net.netmask().to_string(),
        IpNet::V6(net) => net.prefix_len().to_string(),
    }
}
