//! The network configuration on standard input (CNI specification 1.1.0, section "Network configuration format"). Unknown
//! keys are the runtime's or other plugins' business; ours are checked.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;

use super::environment::check_container_id;
use super::{Command, NetworkConfig, NuagePlacement, Previous, VERSIONS};
use crate::error::Error;

/// How much of a value an error repeats, in characters.
const SHOWN_CHARACTERS: usize = 60;

fn invalid(what: &str, details: impl Into<String>) -> Error {
    Error::Config { what: what.to_owned(), details: details.into(), hint: None }
}

fn unsupported(key: &str, value: &Value) -> Error {
    let value = value.to_string().chars().take(SHOWN_CHARACTERS).collect();
    Error::UnsupportedField { key: key.to_owned(), value }
}

/// Reads it.
pub(super) fn parse(command: Command, stdin: &[u8]) -> Result<NetworkConfig, Error> {
    let decode = |details: String| Error::Decode {
        what: "the network configuration on standard input".into(),
        details,
    };
    let json: Value = serde_json::from_slice(stdin).map_err(|error| decode(error.to_string()))?;
    if !json.is_object() {
        return Err(decode("expected a JSON object".to_owned()));
    }
    let version = text(&json, "cniVersion")?.unwrap_or_default();
    // VERSION answers whatever is asked: it is how a runtime finds out.
    if command != Command::Version && !version.is_empty() && !VERSIONS.contains(&version.as_str()) {
        return Err(Error::IncompatibleVersion { asked: version.chars().take(32).collect() });
    }
    let name = text(&json, "name")?.unwrap_or_default();
    if command != Command::Version {
        check_container_id(&name).map_err(|problem| invalid("name", problem))?;
    }
    let config_dir = text(&json, "configDir")?.map(PathBuf::from);
    if let Some(relative) = config_dir.as_ref().filter(|path| !path.is_absolute()) {
        return Err(invalid("configDir", format!("{} is not an absolute path", relative.display())));
    }
    let mut network = NetworkConfig { version, name, config_dir, ..NetworkConfig::default() };
    network.previous = previous(command, &json)?;
    if command == Command::Add && network.previous.is_some() && matches!(&*network.version, "0.1.0" | "0.2.0")
    {
        // These versions have no lists of plugins: what was made before has no place in the answer.
        return Err(unsupported("prevResult", &json["prevResult"]));
    }
    if command == Command::Gc {
        network.valid_attachments = valid_attachments(&json)?;
    }
    // What only an ADD acts on keeps no DEL from its work.
    if command == Command::Add {
        if let Some(kind) = json["ipam"]["type"].as_str() {
            return Err(unsupported("ipam.type", &kind.into()));
        }
        let runtime = &json["runtimeConfig"];
        refuse_capabilities(runtime)?;
        network.nuage = placement(&json["nuage"])?;
        network.mesos_labels =
            mesos_labels(&json["args"]["org.apache.mesos"]["network_info"]["labels"]["labels"]);
        network.ips = ips(&runtime["ips"])?;
        network.mac = mac(runtime)?;
        network.mtu = mtu("runtimeConfig.mtu", &runtime["mtu"])?.or(mtu("mtu", &json["mtu"])?);
        network.needs_ipv6 = needs_ipv6(&json["ipFamilies"])?;
        network.default_route = match &json["isDefaultGateway"] {
            Value::Null => None,
            Value::Bool(given) => Some(*given),
            _ => return Err(invalid("isDefaultGateway", "must be true or false")),
        };
    }
    Ok(network)
}

/// Only of an ADD and a CHECK it has to make sense; a DEL does without.
fn previous(command: Command, json: &Value) -> Result<Option<Previous>, Error> {
    let Some(value) = json.get("prevResult").filter(|value| !value.is_null()) else { return Ok(None) };
    match (Previous::read(value), command) {
        (Ok(previous), _) => Ok(Some(previous).filter(|previous| !previous.is_empty())),
        (Err(problem), Command::Add | Command::Check) => Err(invalid("prevResult", problem)),
        (Err(_), _) => Ok(None),
    }
}

/// Capabilities that the runtime hands over and this plugin cannot honour. A container that believes that it has a limit
/// or an open port would be worse than none.
const REFUSED_CAPABILITIES: [&str; 5] =
    ["bandwidth", "portMappings", "ipRanges", "infinibandGUID", "deviceID"];

fn refuse_capabilities(runtime: &Value) -> Result<(), Error> {
    for name in REFUSED_CAPABILITIES {
        let asked = match &runtime[name] {
            Value::Null => false,
            Value::String(text) => !text.is_empty(),
            Value::Array(list) => !list.is_empty(),
            Value::Object(limits) => limits.values().any(|limit| limit.as_u64() != Some(0)),
            _ => true,
        };
        if asked {
            return Err(unsupported(&format!("runtimeConfig.{name}"), &runtime[name]));
        }
    }
    Ok(())
}

/// Six bytes of one card: neither nobody's nor a group's.
fn mac(runtime: &Value) -> Result<Option<String>, Error> {
    let Some(text) = text(runtime, "mac")?.filter(|text| !text.is_empty()) else { return Ok(None) };
    let byte = |part: &str| {
        let two = part.len() == 2 && part.bytes().all(|digit| digit.is_ascii_hexdigit());
        two.then(|| u8::from_str_radix(part, 16).ok()).flatten()
    };
    let bytes: Option<Vec<u8>> = text.split(':').map(byte).collect();
    let right = bytes
        .is_some_and(|bytes| bytes.len() == 6 && bytes[0] & 1 == 0 && bytes.iter().any(|byte| *byte != 0));
    if right {
        Ok(Some(text.to_ascii_lowercase()))
    } else {
        Err(invalid("runtimeConfig.mac", "is no MAC address of a card"))
    }
}

/// `ipFamilies`, as a Kubernetes service has it. Without it a pod gets what the switch tells.
fn needs_ipv6(json: &Value) -> Result<bool, Error> {
    let families = match json {
        Value::Null => return Ok(false),
        Value::Array(families) => families,
        _ => return Err(invalid("ipFamilies", "must be a list of IPv4 and IPv6")),
    };
    let has = |family: &str| families.iter().any(|one| one == family);
    if families.iter().any(|family| family != "IPv4" && family != "IPv6") {
        return Err(invalid("ipFamilies", "must be a list of IPv4 and IPv6"));
    }
    if has("IPv6") && !has("IPv4") {
        // A VRS resolves IPv4 first or not at all.
        return Err(unsupported("ipFamilies", json));
    }
    Ok(has("IPv6"))
}

fn text(json: &Value, key: &str) -> Result<Option<String>, Error> {
    match json.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(invalid(key, "must be a string")),
    }
}

fn placement(json: &Value) -> Result<Option<NuagePlacement>, Error> {
    match json {
        Value::Null => Ok(None),
        json => serde_json::from_value(json.clone())
            .map(Some)
            .map_err(|error| invalid("nuage", error.to_string())),
    }
}

fn valid_attachments(json: &Value) -> Result<Vec<(String, String)>, Error> {
    let key = "cni.dev/valid-attachments";
    // A GC that does not say what is valid must not take everything for garbage. An empty list can come as null.
    let Some(list) = json.get(key).or_else(|| json.get("cni.dev/attachments")) else {
        return Err(invalid(key, "is missing"));
    };
    if list.is_null() {
        return Ok(Vec::new());
    }
    let wrong = || invalid(key, "must be a list of objects with containerID and ifname");
    let entry = |entry: &Value| {
        Some((entry["containerID"].as_str()?.to_owned(), entry["ifname"].as_str()?.to_owned()))
    };
    list.as_array().ok_or_else(wrong)?.iter().map(|one| entry(one).ok_or_else(wrong)).collect()
}

/// Mesos hands a framework's labels over; of equal keys the last one wins, as it always did.
fn mesos_labels(json: &Value) -> BTreeMap<String, String> {
    let labels = json.as_array().map_or(&[][..], Vec::as_slice);
    labels
        .iter()
        .filter_map(|label| Some((label["key"].as_str()?.to_owned(), label["value"].as_str()?.to_owned())))
        .collect()
}

fn ips(json: &Value) -> Result<Vec<ipnet::IpNet>, Error> {
    let wrong = || invalid("runtimeConfig.ips", "must be a list of addresses with prefix lengths");
    let list = match json {
        Value::Null => return Ok(Vec::new()),
        json => json.as_array().ok_or_else(wrong)?,
    };
    // A bare address is one of a runtime that leaves the prefix to the plugin.
    let read = |text: &str| {
        text.parse().ok().or_else(|| text.parse::<std::net::IpAddr>().ok().map(ipnet::IpNet::from))
    };
    let ips: Vec<ipnet::IpNet> =
        list.iter().map(|one| one.as_str().and_then(read).ok_or_else(wrong)).collect::<Result<_, _>>()?;
    // A port's row has room for one static address.
    if ips.len() > 1 || ips.iter().any(|ip| ip.addr().is_ipv6()) {
        return Err(unsupported("runtimeConfig.ips", json));
    }
    Ok(ips)
}

fn mtu(key: &str, json: &Value) -> Result<Option<u32>, Error> {
    match json {
        Value::Null => Ok(None),
        json => match json.as_u64() {
            Some(0) => Ok(None),
            Some(mtu @ 68..=65_535) => Ok(u32::try_from(mtu).ok()),
            _ => Err(invalid(key, "must be 0 (derived) or from 68 to 65535")),
        },
    }
}
