//! `no_duplicate_ip`: looks at this node's rows and at every attached sandbox of the cluster.

use std::collections::BTreeMap;

use super::{Invariant, View};

pub(super) const INVARIANT: Invariant = Invariant {
    name: "no_duplicate_ip",
    meaning: "no two ports of the cluster have the same address",
    check,
};

fn check(view: &View<'_>) -> Result<(), String> {
    let mut here: BTreeMap<&str, &str> = BTreeMap::new();
    for (name, port) in view.ports.iter().filter(|(_, port)| !port.address.is_empty()) {
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
