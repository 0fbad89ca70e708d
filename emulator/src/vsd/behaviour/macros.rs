//! Network macros: ranges outside the overlay that policies name. One range has one macro. Never decides about traffic.

use std::net::Ipv4Addr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::{Behaviour, Body};
use crate::vsd::engine::Engine;
use crate::vsd::error::{Refusal, code};
use crate::vsd::model::Name;
use crate::vsd::store::Object;

/// A macro of an enterprise, or of the operator.
pub(super) struct Macro;

impl Behaviour for Macro {
    fn creating(&self, engine: &mut Engine, draft: &mut Object, _body: &Body) -> Result<(), Refusal> {
        refuse_other(engine, draft)
    }

    fn updating(&self, engine: &mut Engine, _before: &Object, after: &mut Object) -> Result<(), Refusal> {
        refuse_other(engine, after)
    }
}

/// 409 where the range is none (2529), has host bits (2526), or another macro has it (2504).
fn refuse_other(engine: &Engine, draft: &Object) -> Result<(), Refusal> {
    let asked = range(draft)?;
    let parent = draft.parent.map(|(_, id)| id);
    let others = match parent {
        Some(parent) => engine.store.below(parent, draft.entity),
        None => engine.store.all(draft.entity),
    };
    let others = others.iter().filter(|id| **id != draft.id).filter_map(|id| engine.store.get(*id));
    let mut others = others.filter(|other| other.parent == draft.parent);
    if others.any(|other| range(other).is_ok_and(|range| range == asked)) {
        let description = format!("Another network macro has the range {asked}.");
        return Err(Refusal::conflict(code::OVERLAP, "address", "Network exists", description));
    }
    Ok(())
}

fn wrong(code: u32, attribute: Name, description: String) -> Refusal {
    Refusal::conflict(code, attribute, "Invalid network", description)
}

/// The range of a macro; without one of its own, everything.
fn range(object: &Object) -> Result<IpNet, Refusal> {
    let net = if object.text("IPType") == Some("IPV6") {
        let text = object.text("IPv6Address").unwrap_or("::/0");
        let net = text.parse::<Ipv6Net>();
        IpNet::V6(net.map_err(|_| wrong(code::BAD_NETMASK, "IPv6Address", format!("{text} is no network.")))?)
    } else {
        let (address, mask) =
            (object.text("address").unwrap_or("0.0.0.0"), object.text("netmask").unwrap_or("0.0.0.0"));
        let net = address.parse::<Ipv4Addr>().ok().zip(mask.parse().ok());
        let net = net.and_then(|(address, mask)| Ipv4Net::with_netmask(address, mask).ok());
        IpNet::V4(
            net.ok_or_else(|| {
                wrong(code::BAD_NETMASK, "netmask", format!("{address}/{mask} is no network."))
            })?,
        )
    };
    if net.addr() != net.network() {
        return Err(wrong(code::HOST_BITS, "address", format!("{} has host bits.", net.addr())));
    }
    Ok(net)
}
