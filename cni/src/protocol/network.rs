//! The network configuration on standard input (CNI specification 1.1.0, section "Network configuration format"). Unknown
//! keys are the runtime's or other plugins' business; ours are checked.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;

use super::environment::check_container_id;
use super::{Command, NetworkConfig, NuagePlacement, VERSIONS};
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
    let previous_result = json.get("prevResult").filter(|value| !value.is_null()).cloned();
    if command == Command::Add && previous_result.is_some() {
        // Another plugin has made the interface already; we could only make a second one of the same name.
        return Err(unsupported("prevResult", &json["prevResult"]));
    }
    if let Some(kind) = json["ipam"]["type"].as_str() {
        return Err(unsupported("ipam.type", &kind.into()));
    }
    let runtime = &json["runtimeConfig"];
    if let Some(bandwidth) = runtime.get("bandwidth").filter(|value| !value.is_null()) {
        return Err(unsupported("runtimeConfig.bandwidth", bandwidth));
    }
    Ok(NetworkConfig {
        version,
        name,
        config_dir,
        nuage: placement(&json["nuage"])?,
        previous_result,
        valid_attachments: valid_attachments(&json)?,
        mesos_labels: mesos_labels(&json["args"]["org.apache.mesos"]["network_info"]["labels"]["labels"]),
        ips: ips(&runtime["ips"])?,
        mac: text(runtime, "mac")?,
        mtu: mtu(&json["mtu"])?,
    })
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
    let Some(list) = json.get(key).filter(|value| !value.is_null()) else { return Ok(Vec::new()) };
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
    list.iter().map(|one| one.as_str().and_then(|text| text.parse().ok()).ok_or_else(wrong)).collect()
}

fn mtu(json: &Value) -> Result<Option<u32>, Error> {
    match json {
        Value::Null => Ok(None),
        json => match json.as_u64() {
            Some(0) => Ok(None),
            Some(mtu @ 68..=65_535) => Ok(u32::try_from(mtu).ok()),
            _ => Err(invalid("mtu", "must be 0 (derived) or from 68 to 65535")),
        },
    }
}
