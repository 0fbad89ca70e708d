//! Answers in the shape of each version of the specification: 0.1.0 and 0.2.0 (`ip4`, `ip6`), 0.3.x and 0.4.0 (`ips` with
//! a version), 1.0.0, 1.1.0 (interfaces with an MTU).

use std::net::IpAddr;

use serde_json::{Map, Value, json};

use super::{Attachment, VERSIONS};
use crate::host::Route;

/// The answer to VERSION.
pub fn versions(asked: &str) -> Value {
    let version = if asked.is_empty() { VERSIONS[VERSIONS.len() - 1] } else { asked };
    json!({"cniVersion": version, "supportedVersions": VERSIONS})
}

/// The answer to ADD.
pub fn result(attachment: &Attachment, version: &str) -> Value {
    match version {
        "0.1.0" | "0.2.0" => old_result(attachment, version),
        _ => new_result(attachment, version),
    }
}

fn route(route: &Route) -> Value {
    let mut object = Map::from_iter([("dst".to_owned(), json!(route.destination.to_string()))]);
    if let Some(gateway) = route.gateway {
        object.insert("gw".into(), json!(gateway.to_string()));
    }
    Value::Object(object)
}

/// Routes that a reader of the result can use: those through a gateway.
fn routes(attachment: &Attachment, ipv4: bool) -> Vec<Value> {
    let wanted = |found: &&Route| found.gateway.is_some_and(|gateway| gateway.is_ipv4() == ipv4);
    attachment.routes.iter().filter(wanted).map(route).collect()
}

fn old_result(attachment: &Attachment, version: &str) -> Value {
    let mut object =
        Map::from_iter([("cniVersion".to_owned(), json!(version)), ("dns".to_owned(), json!({}))]);
    for (key, ipv4) in [("ip4", true), ("ip6", false)] {
        let Some((address, gateway)) = attachment.ips.iter().find(|(ip, _)| ip.addr().is_ipv4() == ipv4)
        else {
            continue;
        };
        let mut ip = Map::from_iter([("ip".to_owned(), json!(address.to_string()))]);
        if let Some(gateway) = gateway {
            ip.insert("gateway".into(), json!(gateway.to_string()));
        }
        ip.insert("routes".into(), Value::Array(routes(attachment, ipv4)));
        object.insert(key.into(), Value::Object(ip));
    }
    Value::Object(object)
}

fn new_result(attachment: &Attachment, version: &str) -> Value {
    let mut host = json!({"name": attachment.host_name});
    if let Some(mac) = &attachment.host_mac {
        host["mac"] = json!(mac);
    }
    let mut pod = json!({
        "name": attachment.pod_name, "mac": attachment.pod_mac, "sandbox": attachment.netns.to_string_lossy()
    });
    if version == "1.1.0" {
        host["mtu"] = json!(attachment.mtu);
        pod["mtu"] = json!(attachment.mtu);
    }
    let (before, first) = match &attachment.previous {
        Some(previous) => (Some(&previous.json), previous.interfaces.len()),
        None => (None, 0),
    };
    // What was made before stands first, so that its indices stay right.
    let after = |key: &str, own: Vec<Value>| -> Vec<Value> {
        let earlier = before.and_then(|before| before[key].as_array()).cloned().unwrap_or_default();
        earlier.into_iter().chain(own).collect()
    };
    let ips = attachment.ips.iter().map(|ip| address(ip, first + POD_END, version)).collect();
    let all = [routes(attachment, true), routes(attachment, false)].concat();
    let dns = before.map(|before| before["dns"].clone()).filter(Value::is_object);
    json!({
        "cniVersion": version,
        "interfaces": after("interfaces", vec![host, pod]),
        "ips": after("ips", ips),
        "routes": after("routes", all),
        "dns": dns.unwrap_or_else(|| json!({})),
    })
}

/// The place of the pod's end among the two that are made.
const POD_END: usize = 1;

fn address((address, gateway): &(ipnet::IpNet, Option<IpAddr>), interface: usize, version: &str) -> Value {
    let mut ip = json!({"address": address.to_string(), "interface": interface});
    if let Some(gateway) = gateway {
        ip["gateway"] = json!(gateway.to_string());
    }
    if version.starts_with("0.") {
        ip["version"] = json!(if address.addr().is_ipv4() { "4" } else { "6" });
    }
    ip
}
