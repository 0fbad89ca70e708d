//! `no_duplicate_ip`: the ports' rows and the attached sandboxes of the whole cluster, found by their addresses.

use super::{Invariant, View};
use crate::world::sim::ledger::Phase;

pub(super) const INVARIANT: Invariant = Invariant::of_state(
    "no_duplicate_ip",
    "no two ports of the cluster that entities list have the same address",
    check,
);

fn check(view: &View<'_>) -> Result<(), String> {
    for name in view.names().filter(|name| is_served(view, view.node, name)) {
        let Some(port) = view.rows().port(name).filter(|port| port.is_resolved()) else { continue };
        let mut here = view.mirror.with_address(&port.address).filter(|(node, _)| *node == view.node);
        if let Some((_, other)) = here.find(|(_, other)| *other != name && is_served(view, view.node, other))
        {
            return Err(format!("{} belongs to ports {other} and {name}", port.address));
        }
        if let Some((node, other)) = view.ledger.owner(&port.address)
            && node != view.node
        {
            return Err(twice(view, &port.address, name, (node, other)));
        }
    }
    for (_, sandbox) in view.sandboxes() {
        let Phase::Attached { port, address } = &sandbox.phase else { continue };
        if view.ledger.owner(address) != Some((view.node, port)) {
            continue;
        }
        let mut elsewhere = view.mirror.with_address(address).filter(|(node, _)| *node != view.node);
        if let Some(other) = elsewhere.find(|(node, name)| is_served(view, *node, name)) {
            return Err(twice(view, address, port, other));
        }
    }
    Ok(())
}

/// A row whose entity is gone is out of the overlay, and its address free, whatever the row still says.
fn is_served(view: &View<'_>, node: usize, name: &str) -> bool {
    view.mirror.rows(node).is_listed(name)
}

fn twice(view: &View<'_>, address: &str, name: &str, (node, other): (usize, &str)) -> String {
    let (here, there) = (&view.world.nodes[view.node].name, &view.world.nodes[node].name);
    format!("{address} belongs to port {name} on {here} and to {other} on {there}")
}
