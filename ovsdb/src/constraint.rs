//! The constraints of an atomic type (RFC 7047 section 3.2 `<base-type>`): enumeration, range, length. What is refused is
//! refused in the real server's words.

use crate::read::ValueError;
use crate::schema::{AtomicType, BaseType, ColumnType};
use crate::value::{Atom, Datum};

/// Checks every atom of a value.
///
/// # Errors
/// A `constraint violation`.
pub fn check(kind: &ColumnType, datum: &Datum) -> Result<(), ValueError> {
    datum.atoms().iter().try_for_each(|atom| check_atom(&kind.key, atom))?;
    datum.pairs().iter().try_for_each(|(key, value)| {
        check_atom(&kind.key, key)?;
        kind.value.as_ref().map_or(Ok(()), |base| check_atom(base, value))
    })
}

/// Checks one atom.
///
/// # Errors
/// A `constraint violation`.
pub fn check_atom(base: &BaseType, atom: &Atom) -> Result<(), ValueError> {
    if let Some(allowed) = &base.enumeration {
        if allowed.contains(atom) {
            return Ok(());
        }
        let list: Vec<String> = allowed.iter().map(show).collect();
        return Err(violation(format!(
            "{} is not one of the allowed values ([{}])",
            show(atom),
            list.join(", ")
        )));
    }
    match atom {
        Atom::String(text) => check_length(base, text),
        Atom::Integer(_) | Atom::Real(_) => check_range(base, atom),
        Atom::Boolean(_) | Atom::Uuid(_) => Ok(()),
    }
}

fn violation(details: String) -> ValueError {
    ValueError { tag: "constraint violation", details, syntax: None }
}

/// An atom as the real server's messages show it: strings bare where they are identifiers and cannot be taken for
/// another type.
pub fn show(atom: &Atom) -> String {
    match atom {
        Atom::String(text) if is_bare(text) => text.to_string(),
        Atom::Uuid(uuid) => uuid.to_string(),
        other => {
            let mut out = Vec::new();
            other.write(&mut out);
            String::from_utf8(out).unwrap_or_default()
        }
    }
}

/// A value as the real server's messages show it: brackets where the type may hold several or the value holds none.
pub fn show_datum(kind: &ColumnType, datum: &Datum) -> String {
    let several = kind.max != Some(1) || datum.is_empty();
    if let Datum::Map(pairs) = datum {
        let pairs: Vec<String> =
            pairs.iter().map(|(key, value)| format!("{}={}", show(key), show(value))).collect();
        return if several { format!("{{{}}}", pairs.join(", ")) } else { pairs.join(", ") };
    }
    let atoms: Vec<String> = datum.atoms().iter().map(show).collect();
    if several { format!("[{}]", atoms.join(", ")) } else { atoms.join(", ") }
}

fn is_bare(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
        && text != "true"
        && text != "false"
        && uuid::Uuid::try_parse(text).is_err()
}

fn check_range(base: &BaseType, atom: &Atom) -> Result<(), ValueError> {
    let low = base.min.as_ref().filter(|min| atom < *min);
    let high = base.max.as_ref().filter(|max| atom > *max);
    let value = show(atom);
    Err(violation(match (low, high, &base.min, &base.max) {
        (None, None, _, _) => return Ok(()),
        (_, _, Some(min), Some(max)) => {
            format!("{value} is not in the valid range {} to {} (inclusive)", show(min), show(max))
        }
        (Some(min), ..) => format!("{value} is less than minimum allowed value {}", show(min)),
        (_, Some(max), ..) => format!("{value} is greater than maximum allowed value {}", show(max)),
    }))
}

fn check_length(base: &BaseType, text: &str) -> Result<(), ValueError> {
    if base.min_length.is_none() && base.max_length.is_none() {
        return Ok(());
    }
    let length = text.chars().count() as u64;
    if let Some(min) = base.min_length.filter(|min| length < *min) {
        return Err(violation(format!(
            "\"{text}\" length {length} is less than minimum allowed length {min}"
        )));
    }
    if let Some(max) = base.max_length.filter(|max| length > *max) {
        return Err(violation(format!(
            "\"{text}\" length {length} is greater than maximum allowed length {max}"
        )));
    }
    Ok(())
}

/// A type as the real server's messages name it: `string`, `set of up to 3 integers`, `map of (string, string) pairs`.
pub fn in_english(kind: &ColumnType) -> String {
    let key = kind.key.atomic.name();
    if kind.is_scalar() {
        return key.to_owned();
    }
    let container = if kind.value.is_some() { "map" } else { "set" };
    let count = match (kind.min, kind.max) {
        (0, None) => "of".to_owned(),
        (min, None) => format!("of {min} or more"),
        (0, Some(max)) => format!("of up to {max}"),
        (min, Some(max)) => format!("of {min} to {max}"),
    };
    match kind.value.as_ref().map(|value| AtomicType::name(value.atomic)) {
        None => format!("{container} {count} {key}s"),
        Some(value) => format!("{container} {count} ({key}, {value}) pairs"),
    }
}
