//! What is done to a node rather than to a pod: restarts and what follows them, questions of the runtime, upgrades.

use std::sync::Arc;

use nuage_cni::host::Files as _;
use serde_json::{Value, json};

use super::call::{INTERFACE, call, network};
use super::{Pod, Sandbox, habits};
use crate::world::sim::World;
use crate::world::sim::ledger::Phase;

/// No record of a journal is longer, in bytes.
const MAX_RECORD: u64 = 1 << 20;

/// A node's runtime is restarted.
pub fn restart(world: &Arc<World>, node: usize) {
    world.runtimes.restarted(node);
    world.event(Some(node), "runtime_restarted", json!({}));
}

/// What a runtime does after it has restarted: tells the plugin which attachments are valid.
pub async fn collect_garbage(world: &Arc<World>, node: usize) {
    let valid: Vec<Value> = {
        let ledger = world.ledger();
        let attached = ledger.on(node).filter(|(_, sandbox)| matches!(sandbox.phase, Phase::Attached { .. }));
        attached.map(|(id, _)| json!({"containerID": id, "ifname": INTERFACE})).collect()
    };
    let mut network = network(world, node);
    network["cniVersion"] = json!("1.1.0");
    network["cni.dev/valid-attachments"] = Value::Array(valid);
    let Some(outcome) = call(world, node, "GC", &[], &network).await else { return };
    if outcome.exit_code == 0 && world.switch_is_up(node) {
        // Nothing can be owed any more.
        for id in world.ledger().settle(node) {
            world.nodes[node].kernel.forget(&id);
        }
    }
    world.event(Some(node), "gc", json!({"exit": outcome.exit_code, "error": outcome.stderr}));
}

/// STATUS, as a kubelet asks for every few seconds.
pub async fn ask_status(world: &Arc<World>, node: usize) {
    let mut network = network(world, node);
    network["cniVersion"] = json!("1.1.0");
    let Some(outcome) = call(world, node, "STATUS", &[], &network).await else { return };
    let code = if outcome.exit_code == 0 { Value::Null } else { super::answer(&outcome)["code"].clone() };
    world.event(Some(node), "status", json!({"code": code}));
}

/// CHECK of every sandbox of a node that is up.
pub async fn check_all(world: &Arc<World>, node: usize) {
    let up: Vec<(Sandbox, String)> = {
        let ledger = world.ledger();
        let attached = ledger.on(node).filter(|(_, sandbox)| matches!(sandbox.phase, Phase::Attached { .. }));
        let one = |(id, sandbox): (&str, &crate::world::sim::ledger::Sandbox)| {
            (Sandbox { id: id.to_owned(), netns: sandbox.netns.clone() }, sandbox.pod.clone())
        };
        attached.map(one).collect()
    };
    for (sandbox, full_name) in up {
        let (namespace, name) = full_name.split_once('/').unwrap_or_default();
        let (namespace, name) = (namespace.to_owned(), name.to_owned());
        let pod = Pod { namespace, name, uid: String::new(), object_uid: String::new(), node };
        // It may be on its way down by now.
        if super::is_attached(world, &pod, &sandbox.id) {
            habits::check(world, &pod, &sandbox).await;
        }
    }
}

/// A node's network configuration gets another version.
pub fn configure(world: &Arc<World>, node: usize, version: &'static str) {
    world.runtimes.set_version(node, version);
    world.event(Some(node), "configured", json!({"version": version}));
}

/// A node's journal becomes what the first release would have written: format 1, without what later ones added.
pub fn age_journal(world: &Arc<World>, node: usize) {
    let (files, directory) =
        (&world.nodes[node].files, world.nodes[node].directory.join("state/attachments"));
    let mut aged = 0;
    for name in files.list(&directory).unwrap_or_default() {
        let path = directory.join(name);
        let Ok(Some(bytes)) = files.read(&path, MAX_RECORD) else { continue };
        let Ok(mut record) = serde_json::from_slice::<serde_json::Map<String, Value>>(&bytes) else {
            continue;
        };
        record.insert("format".to_owned(), json!(1));
        record.remove("written");
        record.remove("stranger");
        let _ = files.write(&path, &serde_json::to_vec(&record).unwrap_or_default());
        aged += 1;
    }
    world.event(Some(node), "journal_aged", json!({"records": aged}));
}
