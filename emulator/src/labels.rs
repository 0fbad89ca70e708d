//! What a selector asks of the labels of a Kubernetes object, be it one of a list, of a watch or of a network policy. Pure;
//! never reads a selector.

use serde_json::Value;

/// One of the things that a selector asks; all of them must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Requirement {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    Absent(String),
}

impl Requirement {
    /// Whether the labels of an object are as asked.
    pub(crate) fn holds(&self, object: &Value) -> bool {
        let label = |key: &String| object["metadata"]["labels"][key.as_str()].as_str();
        match self {
            Self::In(key, values) => label(key).is_some_and(|found| values.iter().any(|one| one == found)),
            Self::NotIn(key, values) => label(key).is_none_or(|found| values.iter().all(|one| one != found)),
            Self::Exists(key) => label(key).is_some(),
            Self::Absent(key) => label(key).is_none(),
        }
    }
}
