//! What is known of the cluster's namespaces and network policies: which policy groups a pod is in. Asks nobody.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use tokio::sync::Mutex as Gate;

use super::policy::{Entry, Policy};

/// The most policies that are remembered.
pub(super) const MOST_POLICIES: usize = 10_000;

/// Namespace and name.
pub(super) type Key = (String, String);

/// Namespaces as the API server has them, and the policies that are carried out.
#[derive(Debug, Default)]
pub(super) struct Rules {
    known: Mutex<State>,
    /// Held by whoever changes policies in the VSD: a domain has one transaction at a time.
    pub(super) turn: Gate<()>,
}

#[derive(Debug, Default)]
struct State {
    namespaces: BTreeMap<String, Value>,
    policies: BTreeMap<Key, Applied>,
}

/// A policy as it was carried out.
#[derive(Debug)]
struct Applied {
    policy: Policy,
    entries: Vec<Entry>,
}

impl Rules {
    fn state(&self) -> MutexGuard<'_, State> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The policy groups of a pod, as the plugin is told them: null where there are none.
    pub(super) fn groups(&self, namespace: &str, pod: Option<&Value>) -> Value {
        let state = self.state();
        let Some(pod) = pod.filter(|_| !state.policies.is_empty()) else { return Value::Null };
        let unknown = json!({"metadata": {"name": namespace}});
        let namespace = state.namespaces.get(namespace).unwrap_or(&unknown);
        let all = state.policies.values().flat_map(|applied| applied.policy.groups());
        let names: Vec<String> =
            all.filter(|group| group.has(pod, namespace)).map(|group| group.name).collect();
        if names.is_empty() { Value::Null } else { Value::from(names) }
    }

    /// All namespaces.
    pub(super) fn namespaces(&self) -> Vec<Value> {
        self.state().namespaces.values().cloned().collect()
    }

    /// Remembers a namespace, or that it has gone. Tells the policies that mean something else by that.
    pub(super) fn namespace(&self, name: &str, object: Option<Value>) -> Vec<Policy> {
        let mut state = self.state();
        match object {
            Some(object) => drop(state.namespaces.insert(name.to_owned(), object)),
            None => drop(state.namespaces.remove(name)),
        }
        let namespaces: Vec<Value> = state.namespaces.values().cloned().collect();
        let other = |applied: &&Applied| applied.policy.entries(&namespaces) != applied.entries;
        state.policies.values().filter(other).map(|applied| applied.policy.clone()).collect()
    }

    /// Whether the same policy is carried out already.
    pub(super) fn has(&self, policy: &Policy, entries: &[Entry]) -> bool {
        let state = self.state();
        let found = state.policies.get(&policy.key);
        found.is_some_and(|applied| applied.policy == *policy && applied.entries == entries)
    }

    /// A policy of which something is in the VSD.
    pub(super) fn get(&self, key: &Key) -> Option<Policy> {
        self.state().policies.get(key).map(|applied| applied.policy.clone())
    }

    pub(super) fn keys(&self) -> Vec<Key> {
        self.state().policies.keys().cloned().collect()
    }

    /// Remembers that a policy is carried out.
    pub(super) fn apply(&self, policy: Policy, entries: Vec<Entry>) {
        self.state().policies.insert(policy.key.clone(), Applied { policy, entries });
    }

    pub(super) fn forget(&self, key: &Key) {
        self.state().policies.remove(key);
    }

    pub(super) fn len(&self) -> usize {
        self.state().policies.len()
    }
}
