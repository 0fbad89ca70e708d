//! JSON read for a few of its members: an object of the VSD has eighty attributes, and a client looks at three of them. What
//! is left out is still checked to be JSON.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// The members that are kept, of objects at every depth: these and one more.
#[derive(Clone, Copy, Debug)]
pub(super) struct Only<'a>(pub(super) &'a [&'a str], pub(super) &'a str);

/// Reads a text.
///
/// # Errors
/// It is no JSON.
pub(super) fn read(text: &[u8], only: Only<'_>) -> Result<Value, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let value = only.deserialize(&mut deserializer)?;
    deserializer.end().map(|()| value)
}

impl<'de> DeserializeSeed<'de> for Only<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Only<'_> {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("no number"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut kept = Vec::new();
        while let Some(item) = items.next_element_seed(self)? {
            kept.push(item);
        }
        Ok(Value::Array(kept))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut kept = Map::new();
        while let Some(Key(key)) = members.next_key::<Key<'de>>()? {
            if self.0.contains(&&*key) || self.1 == key {
                kept.insert(key.into_owned(), members.next_value_seed(self)?);
            } else {
                members.next_value::<IgnoredAny>()?;
            }
        }
        Ok(Value::Object(kept))
    }
}

/// A member's name, which is copied only where it has escapes.
#[derive(serde::Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_the_named_members_are_kept_at_every_depth_and_what_is_no_json_is_an_error() {
        let only = Only(&["ID"], "interfaces");
        let text =
            br#"[{"ID": "a\n", "name": {"ID": 1}, "interfaces": [{"ID": -2, "MAC": "m"}, null, 1.5, true]}]"#;
        let kept = json!([{"ID": "a\n", "interfaces": [{"ID": -2}, null, 1.5, true]}]);
        assert_eq!(read(text, only).unwrap(), kept);
        for text in ["", "[", r#"[{"name": nothing}]"#, "[] []", r#"{"name" 1}"#] {
            assert!(read(text.as_bytes(), only).is_err(), "{text}");
        }
    }
}
