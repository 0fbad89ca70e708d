//! What a client sent, checked against the model: types, choices, limits, mandatory values. Members that are
//! unknown or the server's own are ignored, as the real VSD does. Never looks at other objects.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::error::{Refusal, code};
use super::model::{Attribute, Entity, Kind};
use super::store::{Object, Values};

/// The longest string of an attribute without a limit of its own, in characters.
const LONGEST_TEXT: usize = 65_536;

/// The values of a new object.
///
/// # Errors
/// 409 for a wrong value; 409 with code 5001 for a missing mandatory one.
pub(super) fn new(entity: &Entity, body: &Map<String, Value>) -> Result<Values, Refusal> {
    let mut values = BTreeMap::new();
    for (member, value) in body.iter().filter(|(_, value)| !value.is_null()) {
        if let Some((name, attribute)) = entity.attribute(member)
            && !attribute.read_only
        {
            values.insert(name, checked(name, attribute, value)?);
        }
    }
    for (name, attribute) in &entity.attributes {
        if attribute.required && attribute.default.is_null() && !values.contains_key(name) {
            return Err(missing(name));
        }
    }
    let is_default =
        |name, value: &Value| entity.attributes.get(name).is_some_and(|facts| facts.default == *value);
    Ok(values.into_iter().filter(|(name, value)| !is_default(*name, value)).collect())
}

/// Applies an update to an object. A null clears what may be cleared; mandatory, assigned, read-only and
/// creation-only attributes stay.
///
/// # Errors
/// 409 for a wrong value.
pub(super) fn update(entity: &Entity, body: &Map<String, Value>, object: &mut Object) -> Result<(), Refusal> {
    for (member, value) in body {
        let Some((name, attribute)) = entity.attribute(member) else { continue };
        if attribute.read_only || attribute.creation_only {
            continue;
        }
        if value.is_null() {
            if !attribute.required && !attribute.assigned && !attribute.secret {
                object.values.remove(name);
            }
        } else {
            let value = checked(name, attribute, value)?;
            if value == attribute.default {
                object.values.remove(name);
            } else {
                object.values.insert(name, value);
            }
        }
    }
    Ok(())
}

/// 409, code 5001.
pub(super) fn missing(attribute: &str) -> Refusal {
    let title = "Invalid input";
    Refusal::conflict(code::MANDATORY, attribute, title, "This value is mandatory.")
}

fn checked(name: &str, attribute: &Attribute, value: &Value) -> Result<Value, Refusal> {
    let wrong = |description: String| Refusal::invalid(name, "Invalid input", description);
    let value = match (attribute.kind, value) {
        // Clients that keep everything in strings send numbers so.
        (Kind::Integer, Value::String(text)) => {
            text.parse::<i64>().map_or_else(|_| value.clone(), Value::from)
        }
        _ => value.clone(),
    };
    let fits = match attribute.kind {
        Kind::String => value.is_string(),
        Kind::Integer => value.is_i64(),
        Kind::Float => value.is_number(),
        Kind::Boolean => value.is_boolean(),
        Kind::List => value.is_array(),
        Kind::Object => value.is_object(),
    };
    if !fits {
        return Err(wrong(format!("{name} has the wrong type.")));
    }
    let chosen = match &value {
        Value::Array(items) => items.as_slice(),
        single => std::slice::from_ref(single),
    };
    let known = |value: &Value| value.as_str().is_some_and(|text| attribute.choices.contains(&text));
    if !attribute.choices.is_empty() && !chosen.iter().all(known) {
        return Err(wrong(format!("{name} is none of {}.", attribute.choices.join(", "))));
    }
    if let Some(number) = value.as_i64()
        && let Some((smallest, largest)) = attribute.range
        && (number < smallest || largest.is_some_and(|largest| number > largest))
    {
        return Err(wrong(format!("{name} is out of range.")));
    }
    if let Some(text) = value.as_str() {
        let (smallest, largest) = attribute.length.unwrap_or((0, None));
        let length = text.chars().count();
        if attribute.required && length == 0 {
            return Err(missing(name));
        }
        if length < smallest || length > largest.unwrap_or(LONGEST_TEXT) {
            return Err(wrong(format!("{name} is too short or too long.")));
        }
    }
    Ok(value)
}
