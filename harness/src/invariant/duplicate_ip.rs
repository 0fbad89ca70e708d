//! `no_duplicate_ip`: looks at this node's ports and at every attached sandbox of the others.

use std::collections::BTreeMap;

use super::{View, is_foreign, text};
use crate::world::sim::ledger::Phase;

pub(super) fn check(view: &View<'_>) -> Result<(), String> {
    let mut owners: BTreeMap<&str, &str> = BTreeMap::new();
    for row in view.ports.iter().filter(|row| !is_foreign(row) && !text(row, "ip_addr").is_empty()) {
        if let Some(other) = owners.insert(text(row, "ip_addr"), text(row, "name")) {
            return Err(format!(
                "{} belongs to ports {other} and {}",
                text(row, "ip_addr"),
                text(row, "name")
            ));
        }
    }
    for sandbox in view.ledger.sandboxes.values().filter(|sandbox| sandbox.node != view.node) {
        let Phase::Attached { port, address } = &sandbox.phase else { continue };
        if let Some(other) = owners.get(address.as_str()) {
            let (here, there) = (&view.world.nodes[view.node].name, &view.world.nodes[sandbox.node].name);
            return Err(format!("{address} belongs to port {other} on {here} and to port {port} on {there}"));
        }
    }
    Ok(())
}
