//! A mapping that is read once, for its typed content and for its keys: reading a file again costs a call as much as the first
//! time. Changes neither what is accepted nor where an error is found.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, DeserializeSeed, Deserializer, IntoDeserializer as _, MapAccess, Visitor};

/// Content, and the keys that its mapping has, known or not, in their order.
#[derive(Clone, Debug, Default)]
pub(super) struct Noted<T> {
    pub(super) content: T,
    pub(super) keys: Vec<String>,
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Noted<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Mapping(PhantomData))
    }
}

struct Mapping<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Mapping<T> {
    type Value = Noted<T>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a mapping")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Noted<T>, A::Error> {
        let mut keys = Vec::new();
        let content = T::deserialize(MapAccessDeserializer::new(Noting { map, keys: &mut keys }))?;
        Ok(Noted { content, keys })
    }
}

/// Gives what the mapping gives, and notes each key on its way.
struct Noting<'a, A> {
    map: A,
    keys: &'a mut Vec<String>,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Noting<'_, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        let Some(key) = self.map.next_key::<String>()? else { return Ok(None) };
        let read = seed.deserialize(key.as_str().into_deserializer())?;
        self.keys.push(key);
        Ok(Some(read))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.map.next_value_seed(seed)
    }
}
