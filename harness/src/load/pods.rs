//! The pods of a run: where they go, how they come and go. Shared by all loads, so that a drain meets the pods of others.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::json;
use tokio::sync::{Notify, watch};

use crate::kubelet::{self, Pod};
use crate::world::sim::World;

/// The pods of a run.
#[derive(Clone, Debug)]
pub struct Pods {
    /// Where they run.
    pub world: Arc<World>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug)]
struct State {
    pods: BTreeMap<String, Running>,
    /// How many pods each node has.
    counts: Vec<usize>,
    cordoned: BTreeSet<usize>,
}

#[derive(Debug)]
struct Running {
    namespace: String,
    name: String,
    node: usize,
    up: bool,
    /// Whether somebody puts another one in its place when it is evicted.
    replaced: bool,
    stop: watch::Sender<bool>,
}

/// A pod to be evicted.
#[derive(Clone, Debug)]
pub struct Evicted {
    /// Its full name.
    pub full_name: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Whether it is put up elsewhere.
    pub replaced: bool,
}

impl Pods {
    /// No pods yet.
    pub fn new(world: Arc<World>) -> Self {
        let counts = vec![0; world.nodes.len()];
        let state = State { pods: BTreeMap::new(), counts, cordoned: BTreeSet::new() };
        Self { world, shared: Arc::new(Shared { state: Mutex::new(state), changed: Notify::new() }) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The node with the fewest pods, the first of several, among those that take any.
    fn place(&self) -> usize {
        let state = self.state();
        let open = (0..state.counts.len()).filter(|node| !state.cordoned.contains(node));
        open.min_by_key(|node| state.counts[*node]).unwrap_or(0)
    }

    /// Makes a pod and lets it live in a task of its own.
    pub fn spawn(&self, namespace: &str, name: &str, replaced: bool) {
        let node = self.place();
        let world = &self.world;
        // It may be there from an earlier pod.
        let _ = world.kube.create(json!({"kind": "Namespace", "metadata": {"name": namespace}}));
        let object = json!({
            "kind": "Pod", "metadata": {"namespace": namespace, "name": name},
            "spec": {"nodeName": world.nodes[node].name, "containers": [{"name": "main", "image": "none"}]}
        });
        let Ok(object) = world.kube.create(object) else { return };
        let pod = Pod {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            uid: object["metadata"]["uid"].as_str().unwrap_or_default().to_owned(),
            node,
        };
        let (stop, stopped) = watch::channel(false);
        let running = Running {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            node,
            up: false,
            replaced,
            stop,
        };
        {
            let mut state = self.state();
            state.pods.insert(pod.full_name(), running);
            state.counts[node] += 1;
        }
        world.ledger().pods += 1;
        tokio::task::spawn_local(self.clone().live(pod, stopped));
    }

    async fn live(self, pod: Pod, mut stopped: watch::Receiver<bool>) {
        let id = kubelet::start(&self.world, &pod, &mut stopped).await;
        if let Some(running) = self.state().pods.get_mut(&pod.full_name()) {
            running.up = true;
        }
        self.shared.changed.notify_waiters();
        let _ = stopped.wait_for(|stopped| *stopped).await;
        if let Some(id) = id {
            kubelet::stop(&self.world, &pod, &id).await;
        }
        let _ = self.world.kube.delete("Pod", &pod.namespace, &pod.name);
        {
            let mut state = self.state();
            state.pods.remove(&pod.full_name());
            state.counts[pod.node] -= 1;
        }
        self.shared.changed.notify_waiters();
    }

    /// Deletes a pod; it is gone some time later.
    pub fn stop(&self, full_name: &str) {
        if let Some(running) = self.state().pods.get(full_name) {
            running.stop.send_replace(true);
        }
    }

    /// Whether a pod is up (or given up); `None` once it is gone.
    pub fn is_up(&self, full_name: &str) -> Option<bool> {
        self.state().pods.get(full_name).map(|running| running.up)
    }

    /// Waits until `condition` holds; it is looked at whenever a pod came up or went.
    pub async fn until(&self, condition: impl Fn(&Self) -> bool) {
        loop {
            let changed = self.shared.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if condition(self) {
                return;
            }
            changed.await;
        }
    }

    /// Lets a node take pods, or not.
    pub fn cordon(&self, node: usize, closed: bool) {
        let mut state = self.state();
        if closed {
            state.cordoned.insert(node)
        } else {
            state.cordoned.remove(&node)
        };
    }

    /// The pods of a node.
    pub fn on(&self, node: usize) -> Vec<Evicted> {
        let state = self.state();
        let here = state.pods.iter().filter(|(_, pod)| pod.node == node);
        here.map(|(full_name, pod)| Evicted {
            full_name: full_name.clone(),
            namespace: pod.namespace.clone(),
            name: pod.name.clone(),
            replaced: pod.replaced,
        })
        .collect()
    }

    /// The pods whose full names begin with `prefix`.
    pub fn with_prefix(&self, prefix: &str) -> Vec<String> {
        let state = self.state();
        let from = state.pods.range(prefix.to_owned()..).map(|(name, _)| name);
        from.take_while(|name| name.starts_with(prefix)).cloned().collect()
    }
}
