//! What a pod is, as its object in the API says: ordinary, static with a mirror, or on its node's own network.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::kubelet::Pod;

/// The annotations of a mirror: the hash of the file that the kubelet has, which it takes for the pod's UID.
const MIRROR: &str = "kubernetes.io/config.mirror";
const HASH: &str = "kubernetes.io/config.hash";

/// What sort of pod it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sort {
    /// One that the API server has given to a node.
    #[default]
    Plain,
    /// One that a kubelet has from a file; the API server has its mirror.
    Static,
    /// One on its node's own network: no plugin is called for it.
    HostNetwork,
    /// One that does not come about (`only`): it has a place, and nobody but the loads knows of it.
    Absent,
}

/// A pod as somebody wants it.
#[derive(Clone, Debug, Default)]
pub struct Spec {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Whether somebody puts another one in its place when it is evicted.
    pub replaced: bool,
    /// What sort of pod it is.
    pub sort: Sort,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
}

impl Spec {
    /// An ordinary pod.
    pub fn new(namespace: &str, name: &str) -> Self {
        Self { namespace: namespace.to_owned(), name: name.to_owned(), ..Self::default() }
    }

    /// `namespace/name`
    pub fn full_name(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    /// Its object.
    pub(super) fn object(&self, node: &str) -> Value {
        let mut annotations = self.annotations.clone();
        if self.sort == Sort::Static {
            annotations.extend([MIRROR, HASH].map(|key| (key.to_owned(), self.hash())));
        }
        json!({
            "kind": "Pod",
            "metadata": {
                "namespace": self.namespace, "name": self.name, "annotations": annotations, "labels": self.labels,
            },
            "spec": {
                "nodeName": node,
                "hostNetwork": self.sort == Sort::HostNetwork,
                "containers": [{"name": "main", "image": "none"}],
            }
        })
    }

    /// What its kubelet knows of it.
    pub(super) fn pod(&self, object: &Value, node: usize) -> Pod {
        let object_uid = object["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
        let uid = if self.sort == Sort::Static { self.hash() } else { object_uid.clone() };
        Pod { namespace: self.namespace.clone(), name: self.name.clone(), uid, object_uid, node }
    }

    /// 32 digits, as a kubelet makes of the file.
    fn hash(&self) -> String {
        let digits =
            self.full_name().bytes().fold(String::new(), |digits, byte| digits + &format!("{byte:02x}"));
        format!("{digits:0<32}").chars().take(32).collect()
    }
}
