//! `no_pod_without_port`: everything that the result of an ADD promised is there.

use serde_json::Value;

use super::{View, text};
use crate::world::sim::ledger::Phase;

pub(super) fn check(view: &View<'_>) -> Result<(), String> {
    for (id, sandbox) in view.ledger.on(view.node) {
        let Phase::Attached { port, address } = &sandbox.phase else { continue };
        let missing = |what: &str| Err(format!("pod {} (port {port}) has no {what}", sandbox.pod));
        let Some(row) = view.ports.iter().find(|row| text(row, "name") == port) else {
            return missing("row in Nuage_Port_Table");
        };
        if text(row, "ip_addr") != address {
            return Err(format!(
                "pod {} has {address}, its port {port} has {}",
                sandbox.pod,
                text(row, "ip_addr")
            ));
        }
        let lists = |ports: &Value| ports.to_string().contains(&format!("\"{port}\""));
        let entity = view.entities.iter().find(|row| text(row, "vm_uuid") == id);
        if !entity.and_then(|row| row.get("ports")).is_some_and(lists) {
            return missing("row in Nuage_VM_Table that lists it");
        }
        if !view.switch_ports.contains(port) {
            return missing("port of the bridge");
        }
        if !view.links.contains(port) {
            return missing("link on the host");
        }
        let link = view.world.nodes[view.node].kernel.link(&sandbox.netns, "eth0");
        let has = |ip: &ipnet::IpNet| ip.addr().to_string() == *address;
        if !link.is_some_and(|link| link.up && link.addresses.iter().any(has)) {
            return missing("link with its address inside");
        }
    }
    Ok(())
}
