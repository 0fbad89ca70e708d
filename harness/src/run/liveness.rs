//! The second phase of a run: everything that was wrong has healed, and now things have to get on. Whoever was given up gets
//! another chance, each node takes a pod and lets it go, and whatever was deleted goes, each within its own bound of virtual
//! time. The first phase, with its faults, asks for safety alone.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, timeout};

use crate::kubelet;
use crate::load::pods::Pods;
use crate::world::sim::World;

/// How long a pod may be pending in a world that is whole: a kubelet's longest pause and an ADD that waits for all that it
/// may wait for, twice over.
const PENDING: Duration = Duration::from_mins(5);
/// How long a deleted pod may take to go, and what it left to go after it.
const GOING: Duration = Duration::from_mins(2);
/// How often the end state is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// The namespace of the pods that show that their node works.
const NAMESPACE: &str = "liveness";

/// What does not get on, in words that begin with `liveness`. The trace tells where this phase begins and ends. `audited`: what is
/// left is the audit's business alone, and looked at later.
pub(super) async fn check(world: &Arc<World>, pods: &Pods, audited: bool) -> Vec<String> {
    world.event(None, "healed", json!({}));
    let mut failures = get_on(world, pods).await;
    if failures.is_empty() && !audited {
        failures.extend(nothing_is_left(world).await.err());
    }
    world.event(None, "alive", json!({"held": failures.is_empty()}));
    failures
}

async fn get_on(world: &Arc<World>, pods: &Pods) -> Vec<String> {
    let abandoned = world.ledger().given_up.clone();
    let before = abandoned.len();
    let mut names = Vec::new();
    for full_name in abandoned {
        let Some((namespace, name)) = full_name.split_once('/') else { continue };
        pods.spawn(namespace, name, false);
        names.push(full_name);
    }
    // The node with the fewest pods is next: each gets one.
    for number in names.len()..world.nodes.len().max(names.len() + 1) {
        let name = format!("node-works-{number}");
        pods.spawn(NAMESPACE, &name, false);
        names.push(format!("{NAMESPACE}/{name}"));
    }
    let up = |pods: &Pods| names.iter().all(|name| pods.is_up(name) != Some(false));
    let came = timeout(PENDING, pods.until(up)).await.is_ok();
    let abandoned = world.ledger().given_up.len() > before;
    if !came || abandoned {
        let pending: Vec<&String> = names.iter().filter(|name| pods.is_up(name) == Some(false)).collect();
        let lost = world.ledger().given_up.split_off(before);
        return vec![format!("liveness: pending {PENDING:?} after all had healed: {pending:?} {lost:?}")];
    }
    for name in &names {
        pods.stop(name);
    }
    let gone = |pods: &Pods| names.iter().all(|name| pods.is_up(name).is_none());
    if timeout(GOING, pods.until(gone)).await.is_err() {
        let here: Vec<&String> = names.iter().filter(|name| pods.is_up(name).is_some()).collect();
        return vec![format!("liveness: deleted and still there after {GOING:?}: {here:?}")];
    }
    Vec::new()
}

/// What a runtime that has restarted finds is nothing: debts are paid.
async fn nothing_is_left(world: &Arc<World>) -> Result<(), String> {
    let deadline = Instant::now() + GOING;
    for node in 0..world.nodes.len() {
        kubelet::collect_garbage(world, node).await;
    }
    let left = |left| format!("liveness: left {GOING:?} after all had healed: {left}");
    world.empty_by(deadline, LOOK).await.map_err(left)
}
