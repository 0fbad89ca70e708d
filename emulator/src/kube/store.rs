//! The objects, and a bounded history of what happened to them for those who watch. Holds JSON; defaults and rules are
//! for the caller.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use serde_json::{Value, json};

use super::feeds::Feeds;
use super::kept::Kept;
use super::status::Status;

/// How many changes are remembered. Who watches from an older version has to list again (410).
pub(super) const HISTORY: usize = 4096;

/// The group of network policies, and the version of it.
pub(super) const NETWORKING: &str = "networking.k8s.io/v1";
/// How many events are kept. A server forgets them after an hour; here the oldest go.
const MOST_EVENTS: usize = 1000;

/// The resources that are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Resource {
    Events,
    Namespaces,
    NetworkPolicies,
    Nodes,
    Pods,
    Services,
}

impl Resource {
    pub(super) const ALL: [Self; 6] =
        [Self::Events, Self::Namespaces, Self::NetworkPolicies, Self::Nodes, Self::Pods, Self::Services];

    /// The group and version that it is in; the first group has no name.
    pub(super) fn api_version(self) -> &'static str {
        if self == Self::NetworkPolicies { NETWORKING } else { "v1" }
    }

    /// The word that kubectl takes for it, too.
    pub(super) fn short(self) -> &'static str {
        match self {
            Self::Events => "ev",
            Self::Namespaces => "ns",
            Self::NetworkPolicies => "netpol",
            Self::Nodes => "no",
            Self::Pods => "po",
            Self::Services => "svc",
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Namespaces => "namespaces",
            Self::NetworkPolicies => "networkpolicies",
            Self::Nodes => "nodes",
            Self::Pods => "pods",
            Self::Services => "services",
        }
    }

    pub(super) fn kind(self) -> &'static str {
        match self {
            Self::Events => "Event",
            Self::Namespaces => "Namespace",
            Self::NetworkPolicies => "NetworkPolicy",
            Self::Nodes => "Node",
            Self::Pods => "Pod",
            Self::Services => "Service",
        }
    }

    pub(super) fn namespaced(self) -> bool {
        !matches!(self, Self::Namespaces | Self::Nodes)
    }

    pub(super) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|resource| resource.name() == name)
    }

    pub(super) fn from_kind(kind: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|resource| resource.kind() == kind)
    }
}

/// Where an object is: resource, namespace (empty where there are none), name.
pub(super) type Key = (Resource, String, String);

/// A change that was made.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub(super) version: u64,
    pub(super) key: Key,
    /// Before and after, so that each watcher can tell whether an object entered or left its selection.
    pub(super) old: Option<Kept>,
    pub(super) new: Option<Kept>,
}

/// All objects. Never changed in place: history, watchers and readers share them.
#[derive(Debug, Default)]
pub(super) struct Store {
    objects: BTreeMap<Key, Kept>,
    /// Pods by node: a list for one node must not look at the pods of five thousand.
    by_node: BTreeMap<String, BTreeSet<Key>>,
    history: VecDeque<Arc<Change>>,
    /// Those who watch.
    pub(super) feeds: Feeds,
    version: u64,
}

impl Store {
    /// The version of the last change.
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    pub(super) fn get(&self, key: &Key) -> Result<&Kept, Status> {
        self.objects.get(key).ok_or_else(|| Status::not_found(key.0.name(), &key.2))
    }

    /// The objects of a resource, of one namespace or node if one is given, in the order of their names.
    pub(super) fn list<'a>(
        &'a self,
        resource: Resource,
        namespace: Option<&'a str>,
        node: Option<&str>,
    ) -> Box<dyn Iterator<Item = &'a Kept> + 'a> {
        let wanted =
            move |key: &Key| key.0 == resource && namespace.is_none_or(|namespace| key.1 == namespace);
        if let (Resource::Pods, Some(node)) = (resource, node) {
            let Some(keys) = self.by_node.get(node) else { return Box::new(std::iter::empty()) };
            return Box::new(
                keys.iter().filter(move |key| wanted(key)).filter_map(|key| self.objects.get(key)),
            );
        }
        let first = (resource, namespace.unwrap_or_default().to_owned(), String::new());
        Box::new(
            self.objects.range(first..).take_while(move |(key, _)| wanted(key)).map(|(_, object)| object),
        )
    }

    /// Makes room for one more event: the oldest goes.
    pub(super) fn make_room_for_event(&mut self) {
        let first = (Resource::Events, String::new(), String::new());
        let events = || self.objects.range(first.clone()..).take_while(|(key, _)| key.0 == Resource::Events);
        if events().count() >= MOST_EVENTS
            && let Some((oldest, _)) = events().min_by_key(|(_, event)| event.version())
        {
            let oldest = oldest.clone();
            self.put(oldest, None);
        }
    }

    /// Puts an object in the place of what was there, or takes it away, and remembers the change. The object with its version.
    pub(super) fn put(&mut self, key: Key, mut object: Option<Value>) -> Option<Value> {
        self.version += 1;
        let version = self.version;
        let new = object.as_mut().map(|object| {
            object["metadata"]["resourceVersion"] = json!(version.to_string());
            Kept::new(object, version)
        });
        let old = match &new {
            Some(object) => self.objects.insert(key.clone(), object.clone()),
            None => self.objects.remove(&key),
        };
        if key.0 == Resource::Pods {
            if let Some(keys) = old.as_ref().and_then(Kept::node).and_then(|node| self.by_node.get_mut(node))
            {
                keys.remove(&key);
            }
            if let Some(node) = new.as_ref().and_then(Kept::node) {
                self.by_node.entry(node.to_owned()).or_default().insert(key.clone());
            }
        }
        if self.history.len() == HISTORY {
            self.history.pop_front();
        }
        let change = Arc::new(Change { version, key, old, new });
        self.feeds.tell(&change);
        self.history.push_back(change);
        object
    }

    /// The answer to somebody who asks for more changes than are remembered.
    pub(super) fn expired(&self, version: u64) -> Status {
        Status::expired(version, self.history.front().map_or(self.version + 1, |change| change.version))
    }

    /// The changes after `version`, in their order.
    pub(super) fn changes_after(&self, version: u64) -> Result<impl Iterator<Item = &Arc<Change>>, Status> {
        let oldest = self.history.front().map_or(self.version + 1, |change| change.version);
        if version + 1 < oldest || version > self.version {
            return Err(self.expired(version));
        }
        let skip = usize::try_from(version + 1 - oldest).unwrap_or(usize::MAX);
        Ok(self.history.iter().skip(skip))
    }
}
