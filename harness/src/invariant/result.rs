//! `add_result_equals_dataplane`: what an ADD answers is what the kernel has and what the switch was told.

use std::collections::BTreeSet;

use serde_json::Value;

use super::rows::NO_ADDRESS;
use super::{CallView, Invariant};
use crate::world::sim::ledger::Phase;
use nuage_cni::host::Link;

pub(super) const INVARIANT: Invariant = Invariant::of_call(
    "add_result_equals_dataplane",
    "interfaces, addresses, MAC addresses and routes of an ADD's result are those of the kernel and of the switch's row",
    check,
);

fn check(view: &CallView<'_>) -> Result<(), String> {
    // Whoever is being deleted already may lose what it has at any moment.
    let going = view.sandbox().is_none_or(|sandbox| matches!(sandbox.phase, Phase::Deleting | Phase::Gone));
    let outcome = view.success().filter(|_| view.ended.asked.command == "ADD" && !going);
    let Some(outcome) = outcome else { return Ok(()) };
    let result: Value = serde_json::from_slice(&outcome.stdout).unwrap_or_default();
    compare(view, &result).map_err(|what| format!("{}: {what}", view.name()))
}

fn list<'v>(value: &'v Value, key: &str) -> Vec<&'v Value> {
    value[key].as_array().into_iter().flatten().collect()
}

fn compare(view: &CallView<'_>, result: &Value) -> Result<(), String> {
    let asked = view.ended.asked;
    if result["cniVersion"] != asked.version.as_str() {
        return Err(format!("the result is of version {}, not {}", result["cniVersion"], asked.version));
    }
    if ["0.1.0", "0.2.0"].contains(&asked.version.as_str()) {
        // Results of that time have no interfaces.
        return Ok(());
    }
    let interfaces = list(result, "interfaces");
    let inside = |found: &&&Value| {
        found["sandbox"].as_str().is_some_and(|path| asked.netns == std::path::Path::new(path))
            && found["name"] == asked.ifname.as_str()
    };
    let place =
        interfaces.iter().position(|found| inside(&found)).ok_or("the result has no interface inside")?;
    let host = interfaces[..place].iter().rev().find(|found| found["sandbox"].is_null());
    let host = host.ok_or("the result has no interface on the host")?;
    let Some(link) = view.kernel().link(&asked.netns, &asked.ifname) else {
        // A namespace that went away at the last moment took its link along.
        return if view.kernel().has_namespace(&asked.netns) {
            Err("no link inside".to_owned())
        } else {
            Ok(())
        };
    };
    let port = host["name"].as_str().unwrap_or_default();
    if !view.kernel().has_host_link(port) {
        return Err(format!("there is no link {port:?} on the host"));
    }
    kernel(result, place, interfaces[place], &link)?;
    row(view, port, &link)
}

/// The link inside is as the result tells.
fn kernel(result: &Value, place: usize, told: &Value, link: &Link) -> Result<(), String> {
    if told["mac"] != link.mac.as_str() || !link.up {
        return Err(format!(
            "inside: MAC address {}, up {}, the result has {}",
            link.mac, link.up, told["mac"]
        ));
    }
    if told["mtu"].as_u64().is_some_and(|mtu| mtu != u64::from(link.mtu)) {
        return Err(format!("inside: MTU {}, the result has {}", link.mtu, told["mtu"]));
    }
    let own: Vec<&Value> = list(result, "ips").into_iter().filter(|ip| ip["interface"] == place).collect();
    let addresses: BTreeSet<String> = own.iter().map(|ip| text(&ip["address"])).collect();
    let found: BTreeSet<String> = link.addresses.iter().map(ToString::to_string).collect();
    if addresses != found || own.is_empty() {
        return Err(format!("inside: addresses {found:?}, the result has {addresses:?}"));
    }
    let routes: BTreeSet<(String, String)> =
        list(result, "routes").iter().map(|route| (text(&route["dst"]), text(&route["gw"]))).collect();
    let through =
        |route: &nuage_cni::host::Route| Some((route.destination.to_string(), route.gateway?.to_string()));
    let found: BTreeSet<(String, String)> = link.routes.iter().filter_map(through).collect();
    if routes != found {
        return Err(format!("inside: routes {found:?}, the result has {routes:?}"));
    }
    match own.iter().find(|ip| !found.iter().any(|(_, gateway)| *gateway == text(&ip["gateway"]))) {
        Some(ip) => Err(format!("no route goes by the gateway {} of the result", ip["gateway"])),
        None => Ok(()),
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The switch's row is of this link.
fn row(view: &CallView<'_>, port: &str, link: &Link) -> Result<(), String> {
    if view.sandbox().is_none_or(|sandbox| sandbox.lost) {
        return Ok(());
    }
    let Some(row) = view.mirror.rows(view.node).port(port) else {
        return Err(format!("{port} has no row in Nuage_Port_Table"));
    };
    let told = row.address.is_empty() || row.address == NO_ADDRESS;
    // A controller may take an address back the moment after it was read.
    let same = told || link.addresses.iter().any(|ip| ip.addr().to_string() == row.address);
    if row.mac != link.mac || !same {
        return Err(format!("Nuage_Port_Table has {} and {}, inside are {link:?}", row.mac, row.address));
    }
    Ok(())
}
