//! What the plugin asks the monitor, read from the body of its POST. Pure; the texts of the refusals are the
//! real monitor's.

use serde_json::{Map, Value};

/// A question that was understood.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ask {
    /// The pod goes: nothing to answer.
    Gone { pod: String },
    /// The pod stays in its namespace's own zone.
    Own { pod: String },
    /// The pod wants a zone that somebody else looks after.
    Desired { pod: String, zone: String, subnet: String },
}

/// Reads a body; an empty one is an empty object.
///
/// # Errors
/// The text of the refusal (status 400).
pub(super) fn read(body: &[u8]) -> Result<Ask, String> {
    let members = if body.is_empty() {
        Map::new()
    } else {
        serde_json::from_slice::<Map<String, Value>>(body).map_err(|error| error.to_string())?
    };
    let text = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    let pod = members.get("podName").ok_or("Podname missing from the JSON data")?;
    let pod = text(pod).ok_or("Invalid pod name")?;
    if members.get("action").and_then(Value::as_str) == Some("delete") {
        return Ok(Ask::Gone { pod });
    }
    let Some(zone) = members.get("desiredZone") else { return Ok(Ask::Own { pod }) };
    let zone = text(zone).ok_or("Invalid zone name")?;
    let subnet = members.get("desiredSubnet").ok_or("Invalid request: Subnet absent")?;
    let subnet = text(subnet).ok_or("Invalid subnet name")?;
    Ok(Ask::Desired { pod, zone, subnet })
}
