//! The reading of values by type (RFC 7047 section 5.1), in the order in which the real server looks at them, because that
//! decides which of several errors is told: shape and number of elements, then element by element type and constraints,
//! then duplicates.

use serde_json::Value;
use uuid::Uuid;

use crate::constraint::check_atom;
use crate::schema::{AtomicType, BaseType, ColumnType};
use crate::text;
use crate::value::{Atom, Datum};

/// Resolves a `named-uuid`; `None` where there can be none.
pub type Names<'a> = &'a mut dyn FnMut(&str) -> Option<Uuid>;

/// What the real server calls "unlimited" in its messages.
const UNLIMITED: u64 = u32::MAX as u64;

/// A value that is not of its column's type: an OVSDB error tag, the real server's words, and the offending JSON.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{details}")]
pub struct ValueError {
    /// The `error` member.
    pub tag: &'static str,
    /// The `details` member.
    pub details: String,
    /// The `syntax` member.
    pub syntax: Option<String>,
}

impl ValueError {
    /// A `syntax error` about `json`.
    pub fn syntax(details: impl Into<String>, json: &Value) -> Self {
        Self { syntax: Some(quote(json)), ..Self::unquoted(details) }
    }

    /// A `syntax error` that quotes nothing.
    pub fn unquoted(details: impl Into<String>) -> Self {
        Self { tag: "syntax error", details: details.into(), syntax: None }
    }
}

/// JSON as the `syntax` member quotes it.
pub fn quote(json: &Value) -> String {
    let mut out = Vec::new();
    text::json(&mut out, json);
    String::from_utf8(out).unwrap_or_default()
}

impl ColumnType {
    /// Reads a value of this type.
    ///
    /// # Errors
    /// [`ValueError`] with the real server's words.
    pub fn read(&self, json: &Value, named: Names<'_>) -> Result<Datum, ValueError> {
        self.read_sized(json, self.min, self.max, named)
    }

    /// Reads a value of this type but for its number of elements.
    ///
    /// # Errors
    /// [`ValueError`] with the real server's words.
    pub fn read_sized(
        &self,
        json: &Value,
        min: u64,
        max: Option<u64>,
        named: Names<'_>,
    ) -> Result<Datum, ValueError> {
        let class = if self.value.is_some() { "map" } else { "set" };
        if self.value.is_none() && !is_tagged(json, class) {
            return Ok(Datum::scalar(read_atom(json, &self.key, named)?));
        }
        let elements = elements(json, class)?;
        let count = elements.len() as u64;
        if count < min || max.is_some_and(|max| count > max) {
            let expected = match (min, max) {
                (1, Some(1)) => "exactly one member".to_owned(),
                _ => format!("{min} to {} members", max.unwrap_or(UNLIMITED)),
            };
            return Err(ValueError::syntax(
                format!("{class} must have {expected} but {count} are present"),
                json,
            ));
        }
        match &self.value {
            None => read_set(elements, &self.key, named),
            Some(value) => read_map(elements, &self.key, value, named),
        }
    }
}

fn is_tagged(json: &Value, tag: &str) -> bool {
    json.as_array().and_then(|array| array.first()).is_some_and(|first| first == tag)
}

/// The array of `[tag, array]`. **Leniency**: `[tag, null]` stands for an empty one, as clients of a VRS send it; the
/// real server refuses that.
fn elements<'a>(json: &'a Value, tag: &str) -> Result<&'a [Value], ValueError> {
    match json.as_array().map_or(&[][..], Vec::as_slice) {
        [Value::String(found), Value::Array(elements)] if found == tag => Ok(elements),
        [Value::String(found), Value::Null] if found == tag => Ok(&[]),
        _ => Err(ValueError::syntax(format!("expected [\"{tag}\", <array>]"), json)),
    }
}

fn read_set(elements: &[Value], base: &BaseType, named: Names<'_>) -> Result<Datum, ValueError> {
    let mut atoms = Vec::with_capacity(elements.len());
    for element in elements {
        atoms.push(read_atom(element, base, named)?);
    }
    let set = Datum::set(atoms);
    if set.len() < elements.len() {
        return Err(duplicate("set contains duplicate"));
    }
    Ok(set)
}

fn read_map(
    elements: &[Value],
    key: &BaseType,
    value: &BaseType,
    named: Names<'_>,
) -> Result<Datum, ValueError> {
    let mut pairs = Vec::with_capacity(elements.len());
    for element in elements {
        let [k, v] = element.as_array().map_or(&[][..], Vec::as_slice) else {
            return Err(ValueError::syntax("expected 2-element array", element));
        };
        let k = read_atom(k, key, named)?;
        pairs.push((k, read_atom(v, value, named)?));
    }
    let map = Datum::map(pairs);
    if map.len() < elements.len() {
        return Err(duplicate("map contains duplicate key"));
    }
    Ok(map)
}

fn duplicate(details: &str) -> ValueError {
    ValueError { tag: "ovsdb error", details: details.to_owned(), syntax: None }
}

/// Reads one atom and checks its constraints.
///
/// # Errors
/// [`ValueError`] with the real server's words.
pub fn read_atom(json: &Value, base: &BaseType, named: Names<'_>) -> Result<Atom, ValueError> {
    let read = match base.atomic {
        AtomicType::Integer => integer(json).map(Atom::Integer),
        AtomicType::Real => json.as_f64().map(Atom::Real),
        AtomicType::Boolean => json.as_bool().map(Atom::Boolean),
        AtomicType::String => json.as_str().map(Atom::string),
        AtomicType::Uuid => return read_uuid(json, named).map(Atom::Uuid),
    };
    let atom = read.ok_or_else(|| ValueError::syntax(format!("expected {}", base.atomic.name()), json))?;
    check_atom(base, &atom)?;
    Ok(atom)
}

fn read_uuid(json: &Value, named: Names<'_>) -> Result<Uuid, ValueError> {
    let expected = || ValueError::syntax("expected [\"uuid\", <string>]", json);
    match json.as_array().map_or(&[][..], Vec::as_slice) {
        [Value::String(tag), Value::String(text)] if tag == "uuid" => parse_uuid(text)
            .ok_or_else(|| ValueError::syntax(format!("\"{text}\" is not a valid UUID"), json)),
        [Value::String(tag), Value::String(name)] if tag == "named-uuid" => {
            if !is_id(name) {
                return Err(ValueError::syntax("named-uuid string is not a valid <id>", json));
            }
            named(name).ok_or_else(expected)
        }
        _ => Err(expected()),
    }
}

/// Whether a text is an `<id>` (RFC 7047 section 3.1).
pub fn is_id(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// A UUID in its 36 characters, the only form that OVSDB knows.
pub fn parse_uuid(text: &str) -> Option<Uuid> {
    Uuid::try_parse(text).ok().filter(|_| text.len() == 36)
}

/// An integer as OVSDB's JSON reads it: `5.0` is one.
fn integer(json: &Value) -> Option<i64> {
    json.as_i64().or_else(|| {
        let real = json.as_f64()?;
        let range = -9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0;
        #[expect(clippy::cast_possible_truncation, reason = "whole and within the range of i64")]
        (real.fract() == 0.0 && range.contains(&real)).then_some(real as i64)
    })
}
