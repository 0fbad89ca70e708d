//! An object as bytes: a head of fixed fields and names, then its values as JSON. Says what is wrong with bytes that
//! are none; drops attributes that the model has not.

use serde_json::{Map, Value};
use uuid::Uuid;

use crate::vsd::model::Model;
use crate::vsd::store::Object;

/// The bytes of an object, without its ID.
pub(super) fn write(object: &Object) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(256);
    bytes.extend(object.created.to_le_bytes());
    bytes.extend(object.updated.to_le_bytes());
    bytes.extend(object.owner.as_bytes());
    bytes.extend(object.updated_by.as_bytes());
    name(&mut bytes, object.entity);
    let (entity, parent) = object.parent.unwrap_or(("", Uuid::nil()));
    name(&mut bytes, entity);
    bytes.extend(parent.as_bytes());
    let values = object.values.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
    bytes.extend(Value::Object(values.collect::<Map<_, _>>()).to_string().into_bytes());
    bytes
}

/// A length of one byte: names of the model are short.
fn name(bytes: &mut Vec<u8>, name: &str) {
    let name = name.as_bytes();
    let length = u8::try_from(name.len()).unwrap_or(u8::MAX);
    bytes.push(length);
    bytes.extend(name.iter().take(length.into()));
}

/// The object that bytes are.
///
/// # Errors
/// What is wrong with them.
pub(super) fn read(id: Uuid, mut bytes: &[u8], model: &Model) -> Result<Object, String> {
    let rest = &mut bytes;
    let created = u64::from_le_bytes(fixed(rest)?);
    let updated = u64::from_le_bytes(fixed(rest)?);
    let owner = Uuid::from_bytes(fixed(rest)?);
    let updated_by = Uuid::from_bytes(fixed(rest)?);
    let known = |name: &str| model.entity(name).ok_or_else(|| format!("is of an unknown entity {name:?}"));
    let (entity, facts) = known(&named(rest)?)?;
    let parent_entity = named(rest)?;
    let parent = Uuid::from_bytes(fixed(rest)?);
    let parent = if parent_entity.is_empty() { None } else { Some((known(&parent_entity)?.0, parent)) };
    let stored: Map<String, Value> = serde_json::from_slice(rest).map_err(|error| error.to_string())?;
    let known = |(name, value): (String, Value)| Some((facts.attribute(&name)?.0, value));
    let values = stored.into_iter().filter_map(known).collect();
    Ok(Object { id, entity, parent, created, updated, owner, updated_by, values })
}

fn fixed<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N], String> {
    let (first, rest) = bytes.split_first_chunk::<N>().ok_or("is cut off")?;
    *bytes = rest;
    Ok(*first)
}

fn named(bytes: &mut &[u8]) -> Result<String, String> {
    let [length] = fixed::<1>(bytes)?;
    let (name, rest) = bytes.split_at_checked(length.into()).ok_or("is cut off")?;
    *bytes = rest;
    String::from_utf8(name.to_vec()).map_err(|error| error.to_string())
}
