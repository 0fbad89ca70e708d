//! What labels, annotations and the network configuration say about a container's place. Pure.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde_json::Value;

use super::Placement;
use crate::config::{Choice, VspConfig};
use crate::error::Error;
use crate::protocol::{NetworkConfig, NuagePlacement};

/// No value is longer, in bytes.
const MAX_VALUE_BYTES: usize = 255;

/// What a pod chose for itself, as far as it may.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Choices {
    pub(super) subnet: Option<String>,
    pub(super) zone: Option<String>,
    pub(super) user: Option<String>,
    pub(super) policy_group: Option<String>,
    pub(super) static_ip: Option<IpAddr>,
    pub(super) redirection_target: Option<String>,
    pub(super) mac: Option<String>,
}

fn invalid(what: &str, details: &str) -> Error {
    Error::Config { what: what.to_owned(), details: details.to_owned(), hint: None }
}

/// A value that may go into a row or a request.
pub(super) fn check(what: &str, value: &str) -> Result<String, Error> {
    if value.len() > MAX_VALUE_BYTES || value.chars().any(char::is_control) {
        return Err(invalid(what, "is longer than 255 bytes or has control characters"));
    }
    Ok(value.to_owned())
}

/// Reads `nuage.io/...` of a pod's metadata; an annotation counts before a label.
pub(super) fn of_pod(metadata: &Value, vsp: &VspConfig) -> Result<Choices, Error> {
    let value = |choice: Choice, name: &str| -> Result<Option<String>, Error> {
        if !vsp.pod_may_set.contains(&choice) {
            return Ok(None);
        }
        let key = format!("nuage.io/{name}");
        let found = metadata["annotations"][&key].as_str().or_else(|| metadata["labels"][&key].as_str());
        found.filter(|value| !value.is_empty()).map(|value| check(&key, value)).transpose()
    };
    Ok(Choices {
        subnet: value(Choice::Subnet, "subnet")?,
        zone: value(Choice::Zone, "zone")?,
        user: value(Choice::User, "user")?,
        policy_group: value(Choice::PolicyGroup, "policy-group")?,
        static_ip: address("nuage.io/static-ip", value(Choice::StaticIp, "static-ip")?)?,
        redirection_target: value(Choice::RedirectionTarget, "redirection-target")?,
        mac: value(Choice::Mac, "mac")?.map(|text| mac("nuage.io/mac", &text)).transpose()?,
    })
}

fn address(what: &str, text: Option<String>) -> Result<Option<IpAddr>, Error> {
    text.map(|text| text.parse().map_err(|_| invalid(what, "is no IP address"))).transpose()
}

/// A MAC address that one interface can have, in lower case.
pub(super) fn mac(what: &str, text: &str) -> Result<String, Error> {
    let bytes: Option<Vec<u8>> = text.split(':').map(|byte| u8::from_str_radix(byte, 16).ok()).collect();
    let right =
        |bytes: &Vec<u8>| bytes.len() == 6 && bytes[0] & 1 == 0 && bytes.iter().any(|byte| *byte != 0);
    let bytes = bytes.filter(right).ok_or_else(|| invalid(what, "is no unicast MAC address"))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":"))
}

/// A framework's labels (Mesos): the first five are required.
pub(super) fn from_mesos(network: &NetworkConfig) -> Result<Placement, Error> {
    let labels = &network.mesos_labels;
    let optional = |key: &str| {
        let value = labels.get(key).filter(|value| !value.is_empty());
        value.map(|value| check(key, value)).transpose()
    };
    let required = ["enterprise", "domain", "zone", "network", "user"];
    let missing: Vec<&str> =
        required.into_iter().filter(|key| labels.get(*key).is_none_or(String::is_empty)).collect();
    if !missing.is_empty() {
        return Err(Error::Config {
            what: "labels of the network".to_owned(),
            details: format!("missing: {}", missing.join(", ")),
            hint: Some("give them as labels of the task's network_info".to_owned()),
        });
    }
    let required = |key: &str| optional(key).map(Option::unwrap_or_default);
    Ok(Placement {
        enterprise: required("enterprise")?,
        domain: required("domain")?,
        zone: required("zone")?,
        network: required("network")?,
        user: required("user")?,
        policy_groups: optional("policy_group")?.into_iter().collect(),
        static_ip: address("static_ip", optional("static_ip")?)?,
        redirection_target: optional("redirection_target")?,
        mac: None,
    })
}

/// The network configuration's own placement, for a container that belongs to no pod. What the caller asks for in `CNI_ARGS` (`IP`,
/// `MAC`: podman's `--network NAME:ip=..,mac=..`) counts before it: whoever calls a plugin for no pod is the host's administrator.
pub(super) fn from_network(
    nuage: &NuagePlacement,
    vsp: &VspConfig,
    args: &BTreeMap<String, String>,
) -> Result<Placement, Error> {
    let asked = |key: &str| args.get(key).filter(|value| !value.is_empty()).cloned();
    let given = |key: &str, value: &Option<String>| {
        let value = value.as_ref().filter(|value| !value.is_empty());
        value.map(|value| check(key, value)).transpose()
    };
    let needed = |key: &str, value: &Option<String>| {
        given(key, value)?.ok_or_else(|| invalid(key, "is needed for a container that belongs to no pod"))
    };
    let or = |key: &str, value: &Option<String>, default: &str| -> Result<String, Error> {
        Ok(given(key, value)?.unwrap_or_else(|| default.to_owned()))
    };
    Ok(Placement {
        enterprise: or("nuage.enterprise", &nuage.enterprise, &vsp.enterprise)?,
        domain: or("nuage.domain", &nuage.domain, &vsp.domain)?,
        zone: needed("nuage.zone", &nuage.zone)?,
        network: needed("nuage.network", &nuage.network)?,
        user: or("nuage.user", &nuage.user, &vsp.user)?,
        policy_groups: nuage
            .policy_groups
            .iter()
            .map(|group| check("nuage.policyGroups", group))
            .collect::<Result<_, _>>()?,
        static_ip: match asked("IP") {
            Some(text) => address("CNI_ARGS: IP", Some(text))?,
            None => address("nuage.staticIP", given("nuage.staticIP", &nuage.static_ip)?)?,
        },
        redirection_target: given("nuage.redirectionTarget", &nuage.redirection_target)?,
        mac: asked("MAC").map(|text| mac("CNI_ARGS: MAC", &text)).transpose()?,
    })
}
