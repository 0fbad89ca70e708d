//! `no_duplicate_ip`: looks at this node's rows and at every attached sandbox of the cluster.

use std::collections::BTreeMap;

use super::{Invariant, View};

pub(super) const INVARIANT: Invariant = Invariant {
    name: "no_duplicate_ip",
    meaning: "no two ports of the cluster that entities list have the same address",
    check,
};

fn check(view: &View<'_>) -> Result<(), String> {
    let mut here: BTreeMap<&str, &str> = BTreeMap::new();
    // A row whose entity is gone is out of the overlay, and its address free, whatever the row still says.
    let served = |name: &str| view.entities.values().any(|entity| entity.ports.contains(name));
    let resolved = view.ports.iter().filter(|(_, port)| !is_unresolved(&port.address));
    for (name, port) in resolved.filter(|(name, _)| served(name)) {
        if let Some(other) = here.insert(&port.address, name) {
            return Err(format!("{} belongs to ports {other} and {name}", port.address));
        }
        if let Some((node, other)) = view.ledger.owner(&port.address)
            && node != view.node
        {
            let (here, there) = (&view.world.nodes[view.node].name, &view.world.nodes[node].name);
            return Err(format!(
                "{} belongs to port {name} on {here} and to {other} on {there}",
                port.address
            ));
        }
    }
    Ok(())
}

/// What a controller writes while it has no address to give.
pub(super) fn is_unresolved(address: &str) -> bool {
    address.is_empty() || address == "0.0.0.0"
}
