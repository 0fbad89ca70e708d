//! A call of the operator API, read from its body, and names of containers. Pure.

use serde_json::{Value, json};

/// How deep containers nest here; an agent's own bound is no lower.
const MAX_DEPTH: usize = 32;
/// No name is longer, in bytes: an agent makes a directory of it.
const MAX_NAME: usize = 255;

/// A container's name and those of whom it is nested in, outermost first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ContainerId(Vec<String>);

impl ContainerId {
    /// A container that is in no other.
    pub(super) fn outer(name: &str) -> Self {
        Self(vec![name.to_owned()])
    }

    /// Its own name.
    pub(super) fn value(&self) -> &str {
        self.0.last().map_or("", String::as_str)
    }

    pub(super) fn parent(&self) -> Option<Self> {
        let (_, outer) = self.0.split_last()?;
        (!outer.is_empty()).then(|| Self(outer.to_vec()))
    }

    pub(super) fn outermost(&self) -> Self {
        Self(self.0.iter().take(1).cloned().collect())
    }

    /// Whether it is `other`, or nested in it.
    pub(super) fn is_within(&self, other: &Self) -> bool {
        self.0.starts_with(&other.0)
    }

    /// What an agent tells of a container beside its name: the name with its parents.
    pub(super) fn status(&self) -> Value {
        let whole = self.0.iter().fold(Value::Null, |parent, name| match parent {
            Value::Null => json!({"value": name}),
            parent => json!({"value": name, "parent": parent}),
        });
        json!({"container_id": whole})
    }

    fn read(value: &Value) -> Option<Self> {
        let mut names = Vec::new();
        let mut next = value;
        while !next.is_null() {
            let name = next["value"].as_str().filter(|name| is_name(name))?;
            names.push(name.to_owned());
            if names.len() > MAX_DEPTH {
                return None;
            }
            next = &next["parent"];
        }
        names.reverse();
        (!names.is_empty()).then_some(Self(names))
    }
}

/// What an agent takes for a name: it becomes a part of a path.
fn is_name(name: &str) -> bool {
    let right = |character: char| character.is_ascii_alphanumeric() || "-_".contains(character);
    !name.is_empty() && name.len() <= MAX_NAME && name.chars().all(right)
}

/// A call that was understood.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Call {
    Health,
    Containers { nested: bool, standalone: bool },
    Launch(ContainerId),
    Kill(ContainerId),
}

/// Reads a body.
///
/// # Errors
/// Why it is no call (status 400).
pub(super) fn read(body: &[u8]) -> Result<Call, &'static str> {
    let call: Value = serde_json::from_slice(body).map_err(|_| "Failed to parse body into Call protobuf")?;
    let kind = call["type"].as_str().unwrap_or_default();
    let members = &call[kind.to_ascii_lowercase()];
    let container =
        || ContainerId::read(&members["container_id"]).ok_or("Expecting 'container_id' to be valid");
    let flag = |name: &str| members[name].as_bool().unwrap_or(false);
    match kind {
        "GET_HEALTH" => Ok(Call::Health),
        "GET_CONTAINERS" => {
            Ok(Call::Containers { nested: flag("show_nested"), standalone: flag("show_standalone") })
        }
        "LAUNCH_CONTAINER" | "LAUNCH_NESTED_CONTAINER" => Ok(Call::Launch(container()?)),
        "KILL_CONTAINER" | "KILL_NESTED_CONTAINER" => Ok(Call::Kill(container()?)),
        _ => Err("Unknown call"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_becomes_a_part_of_a_path_and_nothing_else() {
        let read = |value: &Value| ContainerId::read(value).map(|id| id.0);
        assert_eq!(
            read(&json!({"value": "in", "parent": {"value": "out"}})),
            Some(vec!["out".to_owned(), "in".to_owned()])
        );
        for odd in ["", "..", "a/b", "a.b", "a b"] {
            assert_eq!(read(&json!({"value": odd})), None, "{odd}");
        }
        let deep = (0..100).fold(json!({"value": "x"}), |inner, _| json!({"value": "x", "parent": inner}));
        assert_eq!(read(&deep), None);
    }
}
