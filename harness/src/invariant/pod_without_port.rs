//! `no_pod_without_port`: everything that the result of an ADD promised is there.

use super::rows::NO_ADDRESS;
use super::{Invariant, View};
use crate::world::sim::ledger::{Phase, Sandbox};

pub(super) const INVARIANT: Invariant = Invariant::of_state(
    "no_pod_without_port",
    "a sandbox whose ADD succeeded has its rows, its links and its address until its DEL begins, unless the switch lost its \
     rows",
    check,
);

fn check(view: &View<'_>) -> Result<(), String> {
    for (id, sandbox) in view.sandboxes() {
        let Phase::Attached { port, address } = &sandbox.phase else { continue };
        let told = |what: String| format!("pod {} (port {port}, {address}) {what}", sandbox.pod);
        if !sandbox.lost {
            rows(view, id, port, address).map_err(told)?;
        }
        links(view, sandbox, port, address).map_err(told)?;
    }
    Ok(())
}

fn rows(view: &View<'_>, id: &str, port: &str, address: &str) -> Result<(), String> {
    let Some(row) = view.rows().port(port) else { return Err("has no row in Nuage_Port_Table".to_owned()) };
    // A controller may take an address back for a moment; the plugin never writes that.
    if row.address != address && row.address != NO_ADDRESS {
        return Err(format!("has {:?} in Nuage_Port_Table", row.address));
    }
    if !view.rows().entity(id).is_some_and(|entity| entity.ports.contains(port)) {
        return Err("has no row in Nuage_VM_Table that lists it".to_owned());
    }
    if !view.rows().has_switch_port(port) {
        return Err("has no port of the bridge".to_owned());
    }
    Ok(())
}

fn links(view: &View<'_>, sandbox: &Sandbox, port: &str, address: &str) -> Result<(), String> {
    if !view.kernel().has_host_link(port) {
        return Err("has no link on the host".to_owned());
    }
    let Some(link) = view.kernel().link(&sandbox.netns, "eth0") else {
        return Err("has no link inside".to_owned());
    };
    if !link.up || !link.addresses.iter().any(|ip| ip.addr().to_string() == address) {
        return Err(format!("has inside: up {}, addresses {:?}", link.up, link.addresses));
    }
    if !link.routes.iter().any(|route| route.destination.prefix_len() == 0 && route.gateway.is_some()) {
        return Err("has no default route inside".to_owned());
    }
    if !sandbox.lost && view.rows().port(port).is_some_and(|row| row.mac != link.mac) {
        return Err(format!("has MAC address {} inside and another in Nuage_Port_Table", link.mac));
    }
    Ok(())
}
