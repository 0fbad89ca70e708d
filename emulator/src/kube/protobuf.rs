//! Objects in Kubernetes' protobuf notation, as far as kubectl has no other way to say them: `kubectl create namespace` sends nothing
//! else. Reads the metadata of a namespace; whatever else it might be is not read at all.
//!
//! The envelope is `runtime.Unknown` of k8s.io/apimachinery after four bytes of magic: `TypeMeta typeMeta = 1` (`apiVersion = 1`,
//! `kind = 2`), `bytes raw = 2`. Of a `Namespace` in api/core/v1 field 1 is `ObjectMeta`: `name = 1`, `generateName = 2`, and maps
//! `labels = 11`, `annotations = 12`.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// What every object begins with.
const MAGIC: &[u8] = b"k8s\0";
/// No varint is longer, in bytes.
const LONGEST_VARINT: u32 = 10;

/// The namespace that a body describes; `None` where it is anything else.
pub(super) fn namespace(body: &[u8]) -> Option<Value> {
    let envelope = Message::read(body.strip_prefix(MAGIC)?)?;
    let types = Message::read(envelope.bytes(1)?)?;
    if (types.text(1)?, types.text(2)?) != ("v1".to_owned(), "Namespace".to_owned()) {
        return None;
    }
    let object = Message::read(envelope.bytes(2)?)?;
    let metadata = Message::read(object.bytes(1)?)?;
    let mut told = json!({});
    for (key, number) in [("name", 1), ("generateName", 2)] {
        if let Some(text) = metadata.text(number).filter(|text| !text.is_empty()) {
            told[key] = json!(text);
        }
    }
    for (key, number) in [("labels", 11), ("annotations", 12)] {
        let map = metadata.map(number)?;
        if !map.is_empty() {
            told[key] = json!(map);
        }
    }
    Some(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": told}))
}

/// The fields of a message that have a length, each with all its values.
struct Message<'a>(BTreeMap<u64, Vec<&'a [u8]>>);

impl<'a> Message<'a> {
    /// `None`: it is none.
    fn read(mut bytes: &'a [u8]) -> Option<Self> {
        let mut fields: BTreeMap<u64, Vec<&[u8]>> = BTreeMap::new();
        while !bytes.is_empty() {
            let key = varint(&mut bytes)?;
            let length = match key & 7 {
                0 => {
                    varint(&mut bytes)?;
                    continue;
                }
                1 => 8,
                2 => usize::try_from(varint(&mut bytes)?).ok()?,
                5 => 4,
                _ => return None,
            };
            let (value, rest) = bytes.split_at_checked(length)?;
            bytes = rest;
            if key & 7 == 2 {
                fields.entry(key >> 3).or_default().push(value);
            }
        }
        Some(Self(fields))
    }

    /// Of several the last one counts.
    fn bytes(&self, number: u64) -> Option<&'a [u8]> {
        self.0.get(&number)?.last().copied()
    }

    fn text(&self, number: u64) -> Option<String> {
        String::from_utf8(self.bytes(number)?.to_vec()).ok()
    }

    /// A map of texts; `None` where it has something else.
    fn map(&self, number: u64) -> Option<BTreeMap<String, String>> {
        let entry = |entry: &&[u8]| {
            let entry = Message::read(entry)?;
            Some((entry.text(1)?, entry.text(2).unwrap_or_default()))
        };
        self.0.get(&number).into_iter().flatten().map(entry).collect()
    }
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0u64;
    for place in 0..LONGEST_VARINT {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(first & 0x7f).checked_shl(7 * place).unwrap_or(0);
        if first & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn field(number: u8, value: &[u8]) -> Vec<u8> {
        [&[number << 3 | 2, u8::try_from(value.len()).unwrap()], value].concat()
    }

    fn object(kind: &str, metadata: &[u8]) -> Vec<u8> {
        let types = [field(1, b"v1"), field(2, kind.as_bytes())].concat();
        // A spec and a status without anything, as clients send them.
        let raw = [field(1, metadata), field(2, b""), field(3, b"")].concat();
        [MAGIC, &field(1, &types), &field(2, &raw), &field(3, b""), &field(4, b"")].concat()
    }

    #[test]
    fn a_namespace_is_read_and_nothing_else_is() {
        let label = [field(1, b"team"), field(2, b"a")].concat();
        let metadata = [field(1, b"shop"), field(2, b""), vec![0x38, 0], field(11, &label)].concat();
        let expected = json!({
            "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "labels": {"team": "a"}}
        });
        assert_eq!(namespace(&object("Namespace", &metadata)), Some(expected));
        assert_eq!(namespace(&object("Pod", &metadata)), None);
        assert_eq!(namespace(br#"{"kind": "Namespace"}"#), None);
    }

    proptest! {
        #[test]
        fn no_bytes_are_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), cut in 0usize..60) {
            let whole = object("Namespace", &field(1, b"shop"));
            let _ = namespace(&[MAGIC, &bytes].concat());
            let _ = namespace(&whole[..cut.min(whole.len())]);
        }
    }
}
