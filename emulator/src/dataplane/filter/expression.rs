//! Expressions and statements of nftables' JSON (libnftables-json(5)), as far as filters need them. Pure notation.

use serde_json::{Value, json};

pub(super) fn meta(key: &str) -> Value {
    json!({ "meta": { "key": key } })
}

pub(super) fn field(protocol: &str, field: &str) -> Value {
    json!({ "payload": { "protocol": protocol, "field": field } })
}

pub(super) fn concat(parts: &[Value]) -> Value {
    json!({ "concat": parts })
}

pub(super) fn any_of(values: &[Value]) -> Value {
    json!({ "set": values })
}

pub(super) fn is(left: &Value, right: impl Into<Value>) -> Value {
    json!({ "match": { "op": "==", "left": left, "right": right.into() } })
}

pub(super) fn is_not(left: &Value, right: impl Into<Value>) -> Value {
    json!({ "match": { "op": "!=", "left": left, "right": right.into() } })
}

pub(super) fn set(key: &Value, value: impl Into<Value>) -> Value {
    json!({ "mangle": { "key": key, "value": value.into() } })
}

/// What a map has for a key.
pub(super) fn looked_up(key: &Value, map: &str) -> Value {
    json!({ "map": { "key": key, "data": format!("@{map}") } })
}

/// Goes by what a map has for a key.
pub(super) fn by(key: &Value, map: impl Into<Value>) -> Value {
    json!({ "vmap": { "key": key, "data": map.into() } })
}

pub(super) fn count() -> Value {
    json!({ "counter": null })
}

pub(super) fn count_as(name: &str) -> Value {
    json!({ "counter": name })
}

pub(super) fn accept() -> Value {
    json!({ "accept": null })
}

pub(super) fn drop() -> Value {
    json!({ "drop": null })
}

pub(super) fn back() -> Value {
    json!({ "return": null })
}

pub(super) fn jump(chain: &str) -> Value {
    json!({ "jump": { "target": chain } })
}

pub(super) fn goto(chain: &str) -> Value {
    json!({ "goto": { "target": chain } })
}
