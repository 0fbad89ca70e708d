//! The constraints of a column's type: enumeration, range, length. Types and counts are checked where values are read.

use nuage_ovsdb::schema::{BaseType, ColumnType};
use nuage_ovsdb::value::{Atom, Datum};

use super::failure::Failure;

/// Checks every atom of a value.
pub(super) fn check(kind: &ColumnType, datum: &Datum) -> Result<(), Failure> {
    match (datum, &kind.value) {
        (Datum::Set(set), _) => set.iter().try_for_each(|atom| check_atom(&kind.key, atom)),
        (Datum::Map(map), Some(value)) => {
            map.iter().try_for_each(|(k, v)| check_atom(&kind.key, k).and_then(|()| check_atom(value, v)))
        }
        (Datum::Map(_), None) => Err(Failure::new("internal error", "a map in a column of sets")),
    }
}

/// An atom as the real server's messages show it: strings bare where they are identifiers.
pub(super) fn show(atom: &Atom) -> String {
    match atom {
        Atom::String(text) if is_identifier(text) => text.clone(),
        Atom::Uuid(uuid) => uuid.to_string(),
        other => other.to_json().to_string(),
    }
}

fn is_identifier(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-' || byte == b'.')
        && text != "true"
        && text != "false"
}

fn check_atom(base: &BaseType, atom: &Atom) -> Result<(), Failure> {
    if let Some(allowed) = &base.enumeration {
        if !allowed.contains(atom) {
            let list: Vec<String> = allowed.iter().map(show).collect();
            let value = show(atom);
            return Err(Failure::constraint(format!(
                "{value} is not one of the allowed values ([{}])",
                list.join(", ")
            )));
        }
        return Ok(());
    }
    match atom {
        Atom::String(text) => check_length(base, text),
        Atom::Integer(_) | Atom::Real(_) => check_range(base, atom),
        Atom::Boolean(_) | Atom::Uuid(_) => Ok(()),
    }
}

fn check_range(base: &BaseType, atom: &Atom) -> Result<(), Failure> {
    let low = base.min.as_ref().filter(|min| atom < *min);
    let high = base.max.as_ref().filter(|max| atom > *max);
    let value = show(atom);
    let details = match (low, high, &base.min, &base.max) {
        (None, None, _, _) => return Ok(()),
        (_, _, Some(min), Some(max)) => {
            format!("{value} is not in the valid range {} to {} (inclusive)", show(min), show(max))
        }
        (Some(min), ..) => format!("{value} is less than minimum allowed value {}", show(min)),
        (_, Some(max), ..) => format!("{value} is greater than maximum allowed value {}", show(max)),
    };
    Err(Failure::constraint(details))
}

fn check_length(base: &BaseType, text: &str) -> Result<(), Failure> {
    let length = text.chars().count() as u64;
    if let Some(min) = base.min_length.filter(|min| length < *min) {
        return Err(Failure::constraint(format!(
            "\"{text}\" length {length} is less than minimum allowed length {min}"
        )));
    }
    if let Some(max) = base.max_length.filter(|max| length > *max) {
        return Err(Failure::constraint(format!(
            "\"{text}\" length {length} is greater than maximum allowed length {max}"
        )));
    }
    Ok(())
}
