//! An object as it is kept: as the text that a client gets. A cluster has a hundred thousand pods, of which most are hardly ever
//! looked into, and as a tree each would take ten times the room.

use std::sync::Arc;

use serde_json::Value;

/// A state of an object. Never changed: history, watchers and readers share it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Kept {
    text: Arc<str>,
    node: Option<Arc<str>>,
    version: u64,
}

impl Kept {
    /// Keeps an object that has got this version.
    pub(super) fn new(object: &Value, version: u64) -> Self {
        let node = object["spec"]["nodeName"].as_str().filter(|name| !name.is_empty());
        Self { text: object.to_string().into(), node: node.map(Arc::from), version }
    }

    /// The JSON text.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The object.
    pub(super) fn read(&self) -> Value {
        // It was written here, so it is JSON.
        serde_json::from_str(&self.text).unwrap_or_default()
    }

    /// The node that a pod is on.
    pub(super) fn node(&self) -> Option<&str> {
        self.node.as_deref()
    }

    /// The version that the object has.
    pub(super) fn version(&self) -> u64 {
        self.version
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_kept_is_read_again_as_it_was() {
        let pod = json!({"metadata": {"name": "a", "labels": {"k": "\u{e9}\"\n"}}, "spec": {"nodeName": "node-1"}, "n": [1, 2.5]});
        let kept = Kept::new(&pod, 7);
        assert_eq!((kept.read(), kept.node(), kept.version()), (pod.clone(), Some("node-1"), 7));
        assert_eq!(kept.text(), pod.to_string());
        assert_eq!(Kept::new(&json!({"spec": {"nodeName": ""}}), 1).node(), None);
    }
}
