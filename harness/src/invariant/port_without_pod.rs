//! `no_port_without_pod`: what no attached sandbox accounts for must be accounted for by one that is being worked on.

use std::collections::BTreeSet;

use nuage_emulator::vrs::BRIDGE;

use super::{FOREIGN, View, is_foreign, text};

pub(super) fn check(view: &View<'_>) -> Result<(), String> {
    let attached: BTreeSet<&str> = view.attached().map(|(port, _)| port).collect();
    let unsettled = view.unsettled();
    let ports = view.ports.iter().filter(|row| !is_foreign(row)).map(|row| text(row, "name"));
    strangers("rows in Nuage_Port_Table", ports, &attached, unsettled)?;
    let switch =
        view.switch_ports.iter().map(String::as_str).filter(|name| ![BRIDGE, FOREIGN].contains(name));
    strangers("ports of the bridge", switch, &attached, unsettled)?;
    strangers("links", view.links.iter().map(String::as_str), &attached, unsettled)
}

fn strangers<'a>(
    what: &str,
    names: impl Iterator<Item = &'a str>,
    attached: &BTreeSet<&str>,
    unsettled: usize,
) -> Result<(), String> {
    let strange: Vec<&str> = names.filter(|name| !attached.contains(name)).collect();
    if strange.len() > unsettled {
        return Err(format!(
            "{what} without a pod: {} ({unsettled} sandboxes are being worked on)",
            strange.join(", ")
        ));
    }
    Ok(())
}
