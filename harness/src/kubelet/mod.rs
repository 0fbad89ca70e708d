//! What a kubelet and a runtime do with a plugin, habits included: a failed ADD is followed by a DEL at once and a new
//! sandbox later, every sandbox gets a second DEL without a namespace, a call that takes too long is killed.

mod call;
mod habits;
mod maintenance;
mod runtimes;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nuage_cni::Outcome;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::sleep;

use crate::world::sim::World;
use crate::world::sim::ledger::Phase;
use call::pod_call;
pub use call::{NETWORK, VERSIONS};
pub use maintenance::{age_journal, ask_status, check_all, collect_garbage, configure, restart};
pub use runtimes::Runtimes;

/// How often a sandbox is tried before the harness gives a pod up; a kubelet never does.
const ATTEMPTS: u32 = 12;
/// The pause before the next attempt; it doubles up to [`MAX_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const MAX_PAUSE: Duration = Duration::from_secs(30);

/// A pod on its node.
#[derive(Clone, Debug)]
pub struct Pod {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its UID, as its kubelet knows it.
    pub uid: String,
    /// Its object's UID in the API; another one where the object is only a mirror.
    pub object_uid: String,
    /// Its node.
    pub node: usize,
}

impl Pod {
    /// `namespace/name`
    pub fn full_name(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }
}

/// What a pod is told to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Orders {
    /// Its containers have ended by themselves.
    pub finish: bool,
    /// It is deleted.
    pub delete: bool,
}

impl Orders {
    /// Whether it gets no sandbox any more.
    pub fn is_over(&self) -> bool {
        self.finish || self.delete
    }
}

/// A sandbox that a runtime has made.
#[derive(Clone, Debug)]
pub struct Sandbox {
    /// Its identifier.
    pub id: String,
    /// Its network namespace.
    pub netns: PathBuf,
}

impl Sandbox {
    /// The beginning of its identifier, for people.
    fn short(&self) -> &str {
        short(&self.id)
    }
}

fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}

/// Brings a pod up: sandboxes until one is attached. Returns its id; `None` if the pod was deleted before, or given up.
pub async fn start(world: &Arc<World>, pod: &Pod, orders: &mut watch::Receiver<Orders>) -> Option<String> {
    let mut pause = FIRST_PAUSE;
    for _ in 0..ATTEMPTS {
        if let Some(id) = attempt(world, pod, orders).await {
            return Some(id);
        }
        tokio::select! {
            biased;
            // A pod that is being deleted gets no new sandbox.
            _ = orders.wait_for(Orders::is_over) => return None,
            () = sleep(pause) => {}
        }
        pause = (pause * 2).min(MAX_PAUSE);
    }
    world.ledger().given_up.push(pod.full_name());
    world.event(Some(pod.node), "given_up", json!({"pod": pod.full_name()}));
    None
}

async fn attempt(world: &Arc<World>, pod: &Pod, orders: &watch::Receiver<Orders>) -> Option<String> {
    let _slot = world.nodes[pod.node].slots.acquire().await.ok()?;
    world.runtimes.powered(pod.node).await;
    if orders.borrow().is_over() {
        return None;
    }
    habits::delete_unknown(world, pod).await;
    let sandbox = open_sandbox(world, pod);
    let restarts = world.runtimes.restarts(pod.node);
    let outcome = habits::add(world, pod, &sandbox).await;
    // Whoever was restarted meanwhile has nobody to tell it.
    let outcome = outcome.filter(|_| world.runtimes.restarts(pod.node) == restarts);
    match outcome {
        Some(outcome) if outcome.exit_code == 0 => {
            let answer = answer(&outcome);
            let port = answer["interfaces"][0]["name"].as_str().unwrap_or_default().to_owned();
            let address = answer["ips"][0]["address"].as_str().unwrap_or_default();
            let address = address.split('/').next().unwrap_or_default().to_owned();
            world.runtimes.remember(pod.node, &sandbox.id, &answer);
            attached(world, pod, &sandbox, &port, &address);
            habits::after_add(world, pod, &sandbox).await;
            return Some(sandbox.id);
        }
        Some(outcome) => {
            let answer = answer(&outcome);
            world.ledger().fail(pod.node, &sandbox.id);
            let error = json!({"pod": pod.full_name(), "code": answer["code"], "msg": answer["msg"], "details": answer["details"]});
            world.event(Some(pod.node), "add_failed", error);
        }
        None => {}
    }
    // A runtime cleans up after a failed ADD at once.
    close_sandbox(world, pod, &sandbox).await;
    None
}

fn answer(outcome: &Outcome) -> Value {
    serde_json::from_slice(&outcome.stdout).unwrap_or_default()
}

/// Makes a sandbox with its namespace, whose ADD is about to begin.
pub fn open_sandbox(world: &Arc<World>, pod: &Pod) -> Sandbox {
    let id = world.random.sandbox_id();
    let netns = world.nodes[pod.node].kernel.namespace_of(&id);
    world.nodes[pod.node].kernel.add_namespace(&netns, &id);
    world.ledger().begin(pod.node, &id, pod.full_name(), netns.clone());
    world.event(Some(pod.node), "add", json!({"pod": pod.full_name(), "sandbox": short(&id)}));
    Sandbox { id, netns }
}

/// A sandbox is attached, by whomever.
pub fn attached(world: &Arc<World>, pod: &Pod, sandbox: &Sandbox, port: &str, address: &str) {
    let phase = Phase::Attached { port: port.to_owned(), address: address.to_owned() };
    world.ledger().set(pod.node, &sandbox.id, phase);
    report(world, pod, &json!({"phase": "Running", "podIP": address}));
    world.event(Some(pod.node), "added", json!({"pod": pod.full_name(), "port": port, "address": address}));
}

/// Writes a pod's status, unless its object is another pod's by now or gone.
pub fn report(world: &World, pod: &Pod, status: &Value) {
    let _ = world.kube.update("Pod", &pod.namespace, &pod.name, |object| {
        if object["metadata"]["uid"] == *pod.object_uid {
            object["status"] = status.clone();
        }
    });
}

/// Whether a sandbox is up, as far as its runtime knows.
pub fn is_attached(world: &World, pod: &Pod, id: &str) -> bool {
    let ledger = world.ledger();
    ledger.sandbox(pod.node, id).is_some_and(|sandbox| matches!(sandbox.phase, Phase::Attached { .. }))
}

/// What ran in a pod's sandboxes has died; their namespaces and all that is attached to them stay until they are taken down.
pub fn sandbox_died(world: &World, node: usize, full_name: &str) {
    let ids: Vec<String> = {
        let ledger = world.ledger();
        let up = ledger.on(node).filter(|(_, sandbox)| {
            sandbox.pod == full_name && matches!(sandbox.phase, Phase::Attached { .. })
        });
        up.map(|(id, _)| id.to_owned()).collect()
    };
    for id in ids {
        world.ledger().set(node, &id, Phase::Deleting);
        world.event(Some(node), "sandbox_died", json!({"pod": full_name, "sandbox": short(&id)}));
    }
}

/// Takes a pod's sandbox down.
pub async fn stop(world: &Arc<World>, pod: &Pod, id: &str) {
    let Ok(_slot) = world.nodes[pod.node].slots.acquire().await else { return };
    let netns = world.ledger().sandbox(pod.node, id).map(|sandbox| sandbox.netns.clone());
    let Some(netns) = netns else { return };
    let sandbox = Sandbox { id: id.to_owned(), netns };
    world.ledger().set(pod.node, id, Phase::Deleting);
    world.event(Some(pod.node), "del", json!({"pod": pod.full_name(), "sandbox": sandbox.short()}));
    close_sandbox(world, pod, &sandbox).await;
}

/// The object of a finished pod is deleted: its runtime removes what it still knows of its sandbox, and calls DEL once more.
pub async fn remove(world: &Arc<World>, pod: &Pod) {
    habits::delete_unknown_of(world, pod, &world.random.sandbox_id()).await;
}

/// DEL until it succeeds, then the namespace goes, then DEL again without it.
pub async fn close_sandbox(world: &Arc<World>, pod: &Pod, sandbox: &Sandbox) {
    let Sandbox { id, netns } = sandbox;
    world.ledger().set(pod.node, id, Phase::Deleting);
    if habits::forgets(world, pod) {
        world.ledger().abandon(pod.node, id);
        world.runtimes.forget(pod.node, id);
        world.nodes[pod.node].kernel.remove_namespace(netns);
        world.event(Some(pod.node), "forgotten", json!({"pod": pod.full_name(), "sandbox": sandbox.short()}));
        return;
    }
    let mut pause = FIRST_PAUSE;
    for _ in 0..ATTEMPTS {
        // After a reboot there is no namespace to name any more.
        let there = world.nodes[pod.node].kernel.has_namespace(netns);
        match pod_call(world, pod, "DEL", id, there.then_some(netns)).await {
            Some(outcome) if outcome.exit_code == 0 => break,
            Some(outcome) => {
                let error = json!({"pod": pod.full_name(), "error": outcome.stderr});
                world.event(Some(pod.node), "del_failed", error);
            }
            None => {}
        }
        sleep(pause).await;
        pause = (pause * 2).min(MAX_PAUSE);
    }
    world.ledger().set(pod.node, id, Phase::Gone);
    world.runtimes.forget(pod.node, id);
    world.event(Some(pod.node), "deleted", json!({"pod": pod.full_name(), "sandbox": sandbox.short()}));
    // Only now: what DEL had to take away must not go with the namespace.
    world.nodes[pod.node].kernel.remove_namespace(netns);
    for _ in 0..habits::further_dels(world, pod) {
        delete_again(world, pod, id, None).await;
    }
    world.event(Some(pod.node), "del_again", json!({"sandbox": sandbox.short()}));
    if world.ledger().forget(pod.node, id) {
        world.nodes[pod.node].kernel.forget(id);
    }
}

/// A DEL of what is gone already.
async fn delete_again(world: &Arc<World>, pod: &Pod, id: &str, netns: Option<&Path>) {
    if let Some(again) = pod_call(world, pod, "DEL", id, netns).await
        && (again.exit_code != 0 || !again.stdout.is_empty())
    {
        let details = format!("the second DEL of pod {}: {:?}", pod.full_name(), again.stderr);
        world.ledger().second_del_failed = Some(details);
    }
}
