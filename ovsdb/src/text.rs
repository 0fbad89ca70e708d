//! JSON text as the real server writes it, appended to bytes. Where `serde_json` would write the same, it does the work.

use std::io::Write as _;

use serde_json::{Number, Value, json};
use uuid::Uuid;

/// How many significant digits the real server writes of a real (C's `DBL_DIG`).
const DIGITS: usize = 15;
/// The exponents within which C's `%g` writes a number without an exponent.
const PLAIN_EXPONENTS: std::ops::Range<i32> = -4..15;

/// Appends a string in quotes.
pub fn string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    if text.bytes().all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\') {
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
        return;
    }
    out.pop();
    // Writing into memory does not fail.
    let _ = serde_json::to_writer(&mut *out, text);
}

/// Appends an integer.
pub fn integer(out: &mut Vec<u8>, integer: i64) {
    let _ = write!(out, "{integer}");
}

/// Appends `["uuid",...]`.
pub fn uuid(out: &mut Vec<u8>, uuid: Uuid) {
    out.extend_from_slice(br#"["uuid",""#);
    bare_uuid(out, uuid);
    out.extend_from_slice(br#""]"#);
}

/// Appends the 36 characters of a UUID, without quotes.
pub fn bare_uuid(out: &mut Vec<u8>, uuid: Uuid) {
    let mut buffer = [0; 36];
    out.extend_from_slice(uuid.hyphenated().encode_lower(&mut buffer).as_bytes());
}

/// Appends a real as C's `%.15g` does: 15 significant digits, no trailing zeros, an exponent of at least two digits.
pub fn real(out: &mut Vec<u8>, real: f64) {
    let scientific = format!("{real:.*e}", DIGITS - 1);
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let trim = |text: &str| -> String {
        if text.contains('.') {
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        } else {
            text.to_owned()
        }
    };
    if PLAIN_EXPONENTS.contains(&exponent) {
        let decimals = usize::try_from(14 - exponent).unwrap_or(0);
        let _ = write!(out, "{}", trim(&format!("{real:.decimals$}")));
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        let _ = write!(out, "{}e{sign}{:02}", trim(mantissa), exponent.unsigned_abs());
    }
}

/// Appends any JSON, its reals as [`real`] does.
pub fn json(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Number(number) => match number.as_i64() {
            Some(whole) => integer(out, whole),
            None => real(out, number.as_f64().unwrap_or(0.0)),
        },
        Value::String(text) => string(out, text),
        Value::Array(items) => {
            out.push(b'[');
            for (position, item) in items.iter().enumerate() {
                if position > 0 {
                    out.push(b',');
                }
                json(out, item);
            }
            out.push(b']');
        }
        Value::Object(object) => {
            out.push(b'{');
            for (position, (name, member)) in object.iter().enumerate() {
                if position > 0 {
                    out.push(b',');
                }
                string(out, name);
                out.push(b':');
                json(out, member);
            }
            out.push(b'}');
        }
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(boolean) => out.extend_from_slice(if *boolean { b"true" } else { b"false" }),
    }
}

/// A double's JSON: without a fraction where it has none and an integer can say it exactly.
pub(crate) fn real_to_json(real: f64) -> Value {
    whole(real).map_or_else(|| json!(real), |whole| json!(whole))
}

/// The integer that a real is, if a double can tell it from its neighbours.
fn whole(real: f64) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    #[expect(clippy::cast_possible_truncation, reason = "whole and within the range of exact integers")]
    (real.fract() == 0.0 && real.abs() < EXACT).then_some(real as i64)
}

/// Makes numbers what the real server's parser makes of them: `1.0` and `1e3` are integers, an integer beyond 64 bits
/// is a real.
pub fn normalise(value: &mut Value) {
    match value {
        Value::Number(number) if !number.is_i64() => {
            let real = number.as_f64().unwrap_or(0.0);
            // The least integer itself has been read as one: what looks like it here is one that was less.
            if real.fract() == 0.0 && real.abs() < 9_223_372_036_854_775_808.0 {
                #[expect(clippy::cast_possible_truncation, reason = "whole and within the range of i64")]
                let integer = real as i64;
                *number = Number::from(integer);
            } else if let Some(real) = Number::from_f64(real) {
                *number = real;
            }
        }
        Value::Array(items) => items.iter_mut().for_each(normalise),
        Value::Object(object) => object.values_mut().for_each(normalise),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reals_are_written_as_the_real_server_writes_them() {
        for (value, text) in [
            (0.0, "0"),
            (9.0, "9"),
            (-1.5, "-1.5"),
            (0.1 + 0.2, "0.3"),
            (1e15, "1e+15"),
            (123_456_789_012_345.0, "123456789012345"),
            (9_223_372_036_854_775_808.0, "9.22337203685478e+18"),
            (0.0001, "0.0001"),
            (0.000_01, "1e-05"),
            (1e100, "1e+100"),
        ] {
            let mut out = Vec::new();
            real(&mut out, value);
            assert_eq!(String::from_utf8(out).unwrap(), text);
        }
    }

    #[test]
    fn strings_are_escaped_where_json_needs_it() {
        for text in ["", "plain", "a\"b", "back\\slash", "\u{1}\n", "\u{e9}"] {
            let mut out = Vec::new();
            string(&mut out, text);
            assert_eq!(out, serde_json::to_vec(text).unwrap());
        }
    }

    #[test]
    fn numbers_become_what_the_real_parser_makes_of_them() {
        let mut value: Value = serde_json::from_str(
            "[1.0,1e3,9223372036854775808,-9223372036854775808,-9223372036854775809,0.5,[2.0]]",
        )
        .unwrap();
        normalise(&mut value);
        let mut out = Vec::new();
        json(&mut out, &value);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "[1,1000,9.22337203685478e+18,-9223372036854775808,-9.22337203685478e+18,0.5,[2]]"
        );
    }
}
