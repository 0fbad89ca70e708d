//! DHCP options: kept as the bytes on the wire in hexadecimal digits, and shown as what they mean; those of an
//! interface are the nearest of each type, from its vPort to its domain. Never answers a DHCP client.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::Ipv4Addr;

use serde_json::Value;

use super::{Behaviour, Body};
use crate::vsd::engine::Engine;
use crate::vsd::error::Refusal;
use crate::vsd::store::{Ids, Object};

/// The most bytes of one option (RFC 2132: its length is one byte).
const LONGEST: usize = 255;
/// Options whose value is a number, and its size in bytes (RFC 2132).
const NUMBERS: [(u64, usize); 11] =
    [(2, 4), (13, 2), (19, 1), (22, 2), (23, 1), (26, 2), (35, 4), (51, 4), (57, 2), (58, 4), (59, 4)];

/// Options whose value is a list of IPv4 addresses (RFC 2132).
const ADDRESSES: [u64; 21] = [1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 28, 32, 41, 42, 44, 45, 48, 49, 50, 54, 69];

pub(super) struct DhcpOption;

impl Behaviour for DhcpOption {
    fn creating(&self, _engine: &mut Engine, draft: &mut Object, _body: &Body) -> Result<(), Refusal> {
        complete(draft, None)
    }

    fn updating(&self, _engine: &mut Engine, before: &Object, after: &mut Object) -> Result<(), Refusal> {
        complete(after, Some(before))
    }
}

fn wrong(attribute: &str, description: String) -> Refusal {
    Refusal::invalid(attribute, "Invalid DHCP option", description)
}

/// Makes both forms say the same: the one that a client gave, and of two the one with meaning.
fn complete(option: &mut Object, before: Option<&Object>) -> Result<(), Refusal> {
    let given = |attribute: &str| {
        let value = option.values.get(attribute).filter(|value| !value.is_null());
        value.is_some() && before.is_none_or(|before| before.values.get(attribute) != value)
    };
    if given("actualType") || given("actualValues") {
        encode(option)
    } else if given("type") || given("value") || given("length") {
        decode(option)
    } else {
        Ok(())
    }
}

fn encode(option: &mut Object) -> Result<(), Refusal> {
    let kind = option.values.get("actualType").and_then(Value::as_u64).filter(|kind| (1..255).contains(kind));
    let kind =
        kind.ok_or_else(|| wrong("actualType", "actualType is no number from 1 to 254.".to_owned()))?;
    let mut bytes = Vec::new();
    for value in option.values.get("actualValues").and_then(Value::as_array).into_iter().flatten() {
        let text = value.as_str().unwrap_or_default();
        match NUMBERS.iter().find(|(number, _)| *number == kind) {
            Some((_, size)) => {
                let number: u32 =
                    text.parse().ok().filter(|number| *size == 4 || *number < 1 << (8 * size)).ok_or_else(
                        || wrong("actualValues", format!("{text} is no number of {size} bytes.")),
                    )?;
                let all = number.to_be_bytes();
                bytes.extend(all.iter().skip(all.len() - size));
            }
            None if ADDRESSES.contains(&kind) => {
                let address = text.parse::<Ipv4Addr>();
                let address =
                    address.map_err(|_| wrong("actualValues", format!("{text} is no IPv4 address.")))?;
                bytes.extend(address.octets());
            }
            None => bytes.extend(text.bytes()),
        }
    }
    if bytes.len() > LONGEST {
        return Err(wrong("actualValues", format!("A DHCP option has at most {LONGEST} bytes.")));
    }
    option.set("type", format!("{kind:02x}"));
    option.set("length", format!("{:02x}", bytes.len()));
    option.set("value", digits(&bytes));
    Ok(())
}

/// Two hexadecimal digits a byte.
fn digits(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn decode(option: &mut Object) -> Result<(), Refusal> {
    let bytes_of = |attribute: &str| {
        let text = option.text(attribute).unwrap_or_default();
        let bytes = text.as_bytes().chunks(2).map(|pair| {
            let pair = std::str::from_utf8(pair).ok().filter(|pair| pair.len() == 2);
            pair.and_then(|pair| u8::from_str_radix(pair, 16).ok())
        });
        let bytes: Option<Vec<u8>> = bytes.collect();
        bytes.ok_or_else(|| wrong(attribute, format!("{attribute} is no pairs of hexadecimal digits.")))
    };
    let (kind, length, value) = (bytes_of("type")?, bytes_of("length")?, bytes_of("value")?);
    let kind = kind.first().copied().map(u64::from).unwrap_or_default();
    if value.len() > LONGEST || length.first().is_some_and(|length| usize::from(*length) != value.len()) {
        return Err(wrong("length", "length is not the number of bytes of value.".to_owned()));
    }
    let number = NUMBERS.iter().any(|(number, size)| *number == kind && *size == value.len());
    let meaning: Vec<String> = if number {
        vec![value.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte)).to_string()]
    } else if ADDRESSES.contains(&kind) {
        let four = value.chunks(4).filter_map(|four| <[u8; 4]>::try_from(four).ok());
        four.map(|four| Ipv4Addr::from(four).to_string()).collect()
    } else {
        text_of(&value).into_iter().collect()
    };
    option.set("actualType", kind);
    option.set("actualValues", Value::from(meaning));
    Ok(())
}

/// Bytes that are a text for people.
fn text_of(bytes: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(bytes).ok().filter(|text| !text.is_empty())?;
    text.chars().all(|letter| letter.is_ascii_graphic() || letter == ' ').then(|| text.to_owned())
}

/// The options that hold for an interface: of each type the nearest, from its vPort up to its domain.
pub(super) fn of_interface(engine: &Engine, interface: &Object) -> Ids {
    let mut by_type: BTreeMap<&str, &Object> = BTreeMap::new();
    let mut next = interface.reference("VPortID");
    while let Some(object) = next.and_then(|id| engine.store.get(id)) {
        for option in engine.store.children(object.id, "dhcpoption") {
            by_type.entry(option.text("type").unwrap_or_default()).or_insert(option);
        }
        next = object.parent.map(|(_, id)| id);
    }
    by_type.values().map(|option| option.id).collect()
}
