//! What kubelets and runtimes do beside what a plugin's author has in mind. Each is a fault by name, so that a scenario says
//! how often it happens, and the coverage matrix whether it did.

use std::sync::Arc;

use nuage_cni::Outcome;
use nuage_emulator::faults::{Caller, Values};
use serde_json::json;
use tokio::time::sleep;

use super::call::{network, pod_call, pod_call_with};
use super::{Pod, Sandbox, delete_again, short};
use crate::world::sim::World;
use crate::world::sim::ledger::Phase;

/// How many DELs without a namespace follow the one with it: one, and with the habit of calling seven in all, six.
const FURTHER: usize = 1;
const OFTEN: usize = 6;

fn ask(world: &World, pod: &Pod, habit: &str, command: &str) -> Option<Values> {
    world.faults.ask(habit, &Caller::new(&world.nodes[pod.node].name, command))
}

/// DEL of a sandbox that no ADD was ever called for, before a pod gets its own.
pub(super) async fn delete_unknown(world: &Arc<World>, pod: &Pod) {
    if ask(world, pod, "kubelet.del_without_add", "DEL").is_some() {
        delete_unknown_of(world, pod, &world.random.sandbox_id()).await;
    }
}

/// DEL of a sandbox that nobody knows.
pub(super) async fn delete_unknown_of(world: &Arc<World>, pod: &Pod, id: &str) {
    delete_again(world, pod, id, None).await;
    world.event(Some(pod.node), "del_unknown", json!({"sandbox": short(id)}));
}

/// ADD, as often and as disturbed as it happens to be. `None`: nobody knows what it answered.
pub(super) async fn add(world: &Arc<World>, pod: &Pod, sandbox: &Sandbox) -> Option<Outcome> {
    let once = || pod_call(world, pod, "ADD", &sandbox.id, Some(&sandbox.netns));
    if ask(world, pod, "kubelet.add_doubled", "ADD").is_some() {
        let (first, second) = tokio::join!(biased; once(), once());
        let both = [first, second].into_iter().flatten();
        // One of them has to be refused; which one is up to them.
        return both.min_by_key(|outcome| outcome.exit_code);
    }
    if let Some(values) = ask(world, pod, "kubelet.del_during_add", "DEL") {
        let during = async {
            sleep(values.duration("after")).await;
            world.ledger().set(pod.node, &sandbox.id, Phase::Deleting);
            let _ = pod_call(world, pod, "DEL", &sandbox.id, Some(&sandbox.netns)).await;
            world.event(Some(pod.node), "del_during_add", json!({"sandbox": sandbox.short()}));
        };
        let _ = tokio::join!(biased; once(), during);
        return None;
    }
    let outcome = once().await?;
    let lost = outcome.exit_code == 0 && ask(world, pod, "kubelet.result_lost", "ADD").is_some();
    (!lost).then_some(outcome)
}

/// What follows an ADD that succeeded.
pub(super) async fn after_add(world: &Arc<World>, pod: &Pod, sandbox: &Sandbox) {
    if ask(world, pod, "kubelet.check_after_add", "CHECK").is_some() {
        check(world, pod, sandbox).await;
    }
    if ask(world, pod, "kubelet.add_repeated", "ADD").is_some() {
        let again = pod_call(world, pod, "ADD", &sandbox.id, Some(&sandbox.netns)).await;
        let code = again.map(|outcome| super::answer(&outcome)["code"].clone());
        world.event(Some(pod.node), "add_again", json!({"sandbox": sandbox.short(), "code": code}));
    }
}

/// CHECK of a sandbox with the result of its ADD.
pub(super) async fn check(world: &Arc<World>, pod: &Pod, sandbox: &Sandbox) {
    let Some(result) = world.runtimes.result(pod.node, &sandbox.id) else { return };
    let mut network = network(world, pod.node);
    // A result says of which version it is, and a runtime asks in that one.
    network["cniVersion"] = result["cniVersion"].clone();
    network["prevResult"] = result;
    let netns = Some(sandbox.netns.as_path());
    let checked = pod_call_with(world, pod, "CHECK", &sandbox.id, netns, &network).await;
    let error = checked
        .filter(|outcome| outcome.exit_code != 0)
        .map(|outcome| super::answer(&outcome)["msg"].clone());
    world.event(Some(pod.node), "check", json!({"sandbox": sandbox.short(), "error": error}));
}

/// Whether the runtime forgets a sandbox that it has to take down.
pub(super) fn forgets(world: &World, pod: &Pod) -> bool {
    ask(world, pod, "kubelet.forgets", "DEL").is_some()
}

/// Whether the runtime names the sandbox by its identifier alone.
pub(super) fn leaves_infra_id_out(world: &World, pod: &Pod, command: &str) -> bool {
    ask(world, pod, "kubelet.no_infra_id", command).is_some()
}

/// How many DELs without a namespace follow.
pub(super) fn further_dels(world: &World, pod: &Pod) -> usize {
    if ask(world, pod, "kubelet.seven_dels", "DEL").is_some() { OFTEN } else { FURTHER }
}
