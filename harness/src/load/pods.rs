//! The pods of a run: where they go, how they come and go. Shared by all loads, so that a drain meets the pods of others.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nuage_emulator::faults::Picked;
use serde_json::json;
use tokio::sync::{Notify, watch};

use super::spec::{Sort, Spec};
use crate::kubelet::{self, Orders, Pod};
use crate::random::{Draws, Random};
use crate::world::sim::World;

/// The pods of a run.
#[derive(Clone, Debug)]
pub struct Pods {
    /// Where they run.
    pub world: Arc<World>,
    /// What the load draws from that this handle is for.
    pub random: Random,
    /// Which of the pods that it makes come about.
    picked: Picked,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Everything that a node still has to do with, by a number of its own: a name can be used again before that.
    pods: BTreeMap<u64, Running>,
    /// The numbers of those that the API server knows.
    names: BTreeMap<String, u64>,
    next: u64,
    /// How many pods each node has.
    counts: Vec<usize>,
    /// The nodes that take pods, the one with the fewest first: each pod asks, and a cluster has thousands of nodes.
    open: BTreeSet<(usize, usize)>,
}

impl State {
    /// Of so many nodes, all without pods.
    fn of(nodes: usize) -> Self {
        Self { counts: vec![0; nodes], open: (0..nodes).map(|node| (0, node)).collect(), ..Self::default() }
    }

    /// A node has so many pods now.
    fn count(&mut self, node: usize, count: usize) {
        if self.open.remove(&(self.counts[node], node)) {
            self.open.insert((count, node));
        }
        self.counts[node] = count;
    }
}

#[derive(Debug)]
struct Running {
    spec: Spec,
    node: usize,
    up: bool,
    orders: watch::Sender<Orders>,
}

/// A pod that is about to be evicted.
#[derive(Clone, Debug)]
pub struct Evicted {
    /// Its full name.
    pub full_name: String,
    /// What it was.
    pub spec: Spec,
}

impl Pods {
    /// No pods yet.
    pub fn new(world: Arc<World>) -> Self {
        let state = State::of(world.nodes.len());
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Notify::new() });
        Self { random: world.random.clone(), picked: Picked::default(), world, shared }
    }

    /// The same pods, for a load that draws by itself.
    #[must_use]
    pub fn drawing(&self, draws: Draws) -> Self {
        let Draws { random, picked } = draws;
        Self { world: Arc::clone(&self.world), random, picked, shared: Arc::clone(&self.shared) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The node with the fewest pods, the first of several, among those that take any.
    pub fn place(&self) -> usize {
        self.state().open.first().map_or(0, |(_, node)| *node)
    }

    /// Makes an ordinary pod and lets it live in a task of its own.
    pub fn spawn(&self, namespace: &str, name: &str, replaced: bool) {
        self.make(&Spec { replaced, ..Spec::new(namespace, name) });
    }

    /// Makes a pod and lets it live in a task of its own.
    pub fn make(&self, spec: &Spec) {
        if !self.comes_about() || spec.sort == Sort::Absent {
            return self.stand_in(spec);
        }
        let node = self.place();
        if let Some(pod) = self.submit(spec, node) {
            self.live_on(spec, pod, None);
        }
    }

    /// Counts a pod that the load is about to make; whether it comes about.
    pub fn comes_about(&self) -> bool {
        self.picked.comes_about()
    }

    /// Keeps the place of a pod that does not come about, so that loads and the other pods go on as if it had.
    pub fn stand_in(&self, spec: &Spec) {
        let pod = Pod {
            namespace: spec.namespace.clone(),
            name: spec.name.clone(),
            uid: String::new(),
            object_uid: String::new(),
            node: self.place(),
        };
        self.live_on(&Spec { sort: Sort::Absent, ..spec.clone() }, pod, None);
    }

    /// Tells the API server of a pod on a node, without bringing it up.
    pub fn submit(&self, spec: &Spec, node: usize) -> Option<Pod> {
        let kube = &self.world.kube;
        // It may be there from an earlier pod.
        let _ = kube.create(json!({"kind": "Namespace", "metadata": {"name": spec.namespace}}));
        let Ok(object) = kube.create(spec.object(&self.world.nodes[node].name)) else {
            // Two loads that use one name: a mistake of the scenario, which all_running tells.
            self.world.ledger().given_up.push(spec.full_name());
            return None;
        };
        self.world.ledger().pods += 1;
        Some(spec.pod(&object, node))
    }

    /// Lets a pod live that the API server knows; `attached` is its sandbox, if it has one already.
    pub fn live_on(&self, spec: &Spec, pod: Pod, attached: Option<String>) {
        let (orders, seen) = watch::channel(Orders::default());
        let running = Running { spec: spec.clone(), node: pod.node, up: false, orders };
        let number = {
            let mut state = self.state();
            state.next += 1;
            let number = state.next;
            let count = state.counts[pod.node] + 1;
            state.count(pod.node, count);
            state.names.insert(pod.full_name(), number);
            state.pods.insert(number, running);
            number
        };
        tokio::task::spawn_local(self.clone().live(number, pod, attached, seen));
    }

    async fn live(
        self,
        number: u64,
        pod: Pod,
        mut sandbox: Option<String>,
        mut orders: watch::Receiver<Orders>,
    ) {
        let sort = self.state().pods.get(&number).map(|pod| pod.spec.sort);
        let networked = matches!(sort, Some(Sort::Plain | Sort::Static));
        loop {
            if sandbox.is_none() && networked {
                // Boxed: what it needs while it works is not kept for every pod that is up.
                sandbox = Box::pin(kubelet::start(&self.world, &pod, &mut orders)).await;
            }
            self.set_up(number, true);
            let dead = || sandbox.as_ref().is_some_and(|id| !kubelet::is_attached(&self.world, &pod, id));
            let _ = orders.wait_for(|orders| orders.is_over() || dead()).await;
            let over = orders.borrow().is_over();
            if !over {
                self.set_up(number, false);
            }
            if let Some(id) = sandbox.take() {
                Box::pin(kubelet::stop(&self.world, &pod, &id)).await;
            }
            if over {
                break;
            }
        }
        if !orders.borrow().delete {
            kubelet::report(&self.world, &pod, &json!({"phase": "Succeeded"}));
            let _ = orders.wait_for(|orders| orders.delete).await;
            if sort != Some(Sort::Absent) {
                Box::pin(kubelet::remove(&self.world, &pod)).await;
            }
        }
        self.forget(number, &pod);
    }

    fn set_up(&self, number: u64, up: bool) {
        if let Some(running) = self.state().pods.get_mut(&number) {
            running.up = up;
        }
        self.shared.changed.notify_waiters();
    }

    fn forget(&self, number: u64, pod: &Pod) {
        {
            let mut state = self.state();
            state.pods.remove(&number);
            let count = state.counts[pod.node].saturating_sub(1);
            state.count(pod.node, count);
            if state.names.get(&pod.full_name()) == Some(&number) {
                state.names.remove(&pod.full_name());
                let _ = self.world.kube.delete("Pod", &pod.namespace, &pod.name);
            }
        }
        self.shared.changed.notify_waiters();
    }

    fn order(&self, full_name: &str, change: impl FnOnce(&mut Orders)) {
        let state = self.state();
        let running = state.names.get(full_name).and_then(|number| state.pods.get(number));
        if let Some(running) = running {
            running.orders.send_modify(change);
        }
    }

    /// Deletes a pod; it is gone some time later.
    pub fn stop(&self, full_name: &str) {
        self.order(full_name, |orders| orders.delete = true);
    }

    /// A pod's containers have ended by themselves: its sandbox goes, its object stays.
    pub fn finish(&self, full_name: &str) {
        self.order(full_name, |orders| orders.finish = true);
    }

    /// Deletes a pod by force: its name is free at once, while its node still has to take it down.
    pub fn abandon(&self, full_name: &str) {
        self.stop(full_name);
        let known = self.state().names.remove(full_name).is_some();
        if let (true, Some((namespace, name))) = (known, full_name.split_once('/')) {
            let _ = self.world.kube.delete("Pod", namespace, name);
        }
    }

    /// The sandbox of a pod has died, and its node finds out.
    pub fn crash(&self, full_name: &str) {
        let node = {
            let state = self.state();
            state.names.get(full_name).and_then(|number| state.pods.get(number)).map(|running| running.node)
        };
        let Some(node) = node else { return };
        kubelet::sandbox_died(&self.world, node, full_name);
        self.order(full_name, |_| ());
    }

    /// The sandboxes of all pods of a node may have died, and the node finds out.
    pub fn look_again(&self, node: usize) {
        let state = self.state();
        state.pods.values().filter(|running| running.node == node).for_each(|running| {
            running.orders.send_modify(|_| ());
        });
    }

    /// Whether a pod is up (or given up); `None` once it is gone.
    pub fn is_up(&self, full_name: &str) -> Option<bool> {
        let state = self.state();
        state.names.get(full_name).and_then(|number| state.pods.get(number)).map(|running| running.up)
    }

    /// How many pods whose full names begin with `prefix` have not finished.
    pub fn running(&self, prefix: &str) -> usize {
        let names = self.with_prefix(prefix);
        let state = self.state();
        let running = names.iter().filter_map(|name| state.pods.get(state.names.get(name)?));
        running.filter(|running| !running.orders.borrow().is_over()).count()
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

    /// Waits until all pods whose full names begin with `prefix` are up.
    pub async fn until_up(&self, prefix: &str) {
        self.until(|pods| pods.with_prefix(prefix).iter().all(|name| pods.is_up(name) != Some(false))).await;
    }

    /// Deletes all pods whose full names begin with `prefix`, and waits until they are gone.
    pub async fn clear(&self, prefix: &str) {
        self.with_prefix(prefix).iter().for_each(|name| self.stop(name));
        self.until(|pods| pods.with_prefix(prefix).is_empty()).await;
    }

    /// Waits until no node has anything to do with a pod of this beginning, those included whose names are free again.
    pub async fn until_forgotten(&self, prefix: &str) {
        self.until(|pods| {
            pods.state().pods.values().all(|running| !running.spec.full_name().starts_with(prefix))
        })
        .await;
    }

    /// Lets a node take pods, or not.
    pub fn cordon(&self, node: usize, closed: bool) {
        let mut state = self.state();
        let place = (state.counts[node], node);
        if closed {
            state.open.remove(&place)
        } else {
            state.open.insert(place)
        };
    }

    /// The pods of a node that a drain evicts: a static one is its kubelet's alone.
    pub fn on(&self, node: usize) -> Vec<Evicted> {
        let state = self.state();
        let here = state.names.iter().filter_map(|(name, number)| Some((name, state.pods.get(number)?)));
        here.filter(|(_, running)| running.node == node && running.spec.sort != Sort::Static)
            .map(|(name, running)| Evicted { full_name: name.clone(), spec: running.spec.clone() })
            .collect()
    }

    /// The pods whose full names begin with `prefix`.
    pub fn with_prefix(&self, prefix: &str) -> Vec<String> {
        let state = self.state();
        let from = state.names.range(prefix.to_owned()..).map(|(name, _)| name);
        from.take_while(|name| name.starts_with(prefix)).cloned().collect()
    }
}
