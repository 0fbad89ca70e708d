//! What a kubelet and a runtime do with a plugin, habits included: a failed ADD is followed by a DEL at once and a new
//! sandbox later, every sandbox gets a second DEL without a namespace, a call that takes too long is killed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nuage_cni::orchestrator::Orchestrator;
use nuage_cni::{Invocation, Outcome};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::world::sim::ledger::Phase;
use crate::world::sim::{World, config_directory};

/// How often a sandbox is tried before the harness gives a pod up; a kubelet never does.
const ATTEMPTS: u32 = 12;
/// The pause before the next attempt; it doubles up to [`MAX_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const MAX_PAUSE: Duration = Duration::from_secs(30);
/// How long a runtime waits for a call before it kills the plugin: the kubelet's `runtimeRequestTimeout` has this default.
const RUNTIME_LIMIT: Duration = Duration::from_mins(2);
/// The interface of every simulated pod.
const INTERFACE: &str = "eth0";
/// The name of the simulated network.
pub const NETWORK: &str = "nuage";

/// A pod on its node.
#[derive(Clone, Debug)]
pub struct Pod {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its UID, once the API server has given it one.
    pub uid: String,
    /// Its node.
    pub node: usize,
}

impl Pod {
    /// `namespace/name`
    pub fn full_name(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }
}

fn network(world: &World, node: usize) -> Value {
    let directory = config_directory(&world.nodes[node].name);
    json!({"cniVersion": "1.0.0", "name": NETWORK, "type": "nuage-cni-k8s", "configDir": directory})
}

/// One call of the plugin, measured. `None`: it took too long and was killed.
async fn call(
    world: &Arc<World>,
    node: usize,
    command: &'static str,
    variables: &[(&str, &str)],
    network: &Value,
) -> Option<Outcome> {
    let mut environment: BTreeMap<String, String> =
        variables.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    environment.insert("CNI_COMMAND".to_owned(), command.to_owned());
    environment.insert("CNI_PATH".to_owned(), "/opt/cni/bin".to_owned());
    let invocation = Invocation {
        orchestrator: Orchestrator::Kubernetes,
        environment,
        stdin: network.to_string().into_bytes(),
    };
    let started = Instant::now();
    let outcome = world.process(node, invocation, RUNTIME_LIMIT).await;
    let ended = outcome.is_some();
    let mut ledger = world.ledger();
    *ledger.calls.entry(command).or_default() += 1;
    if ended {
        ledger.durations.entry(command).or_default().push(started.elapsed());
    }
    drop(ledger);
    if !ended {
        world.event(Some(node), "killed", json!({"command": command}));
    }
    outcome
}

async fn pod_call(
    world: &Arc<World>,
    pod: &Pod,
    command: &'static str,
    id: &str,
    netns: Option<&Path>,
) -> Option<Outcome> {
    let arguments = format!(
        "IgnoreUnknown=1;K8S_POD_NAMESPACE={};K8S_POD_NAME={};K8S_POD_INFRA_CONTAINER_ID={id};K8S_POD_UID={}",
        pod.namespace, pod.name, pod.uid
    );
    let netns = netns.map(|path| path.display().to_string()).unwrap_or_default();
    let variables =
        [("CNI_CONTAINERID", id), ("CNI_NETNS", &netns), ("CNI_IFNAME", INTERFACE), ("CNI_ARGS", &arguments)];
    call(world, pod.node, command, &variables, &network(world, pod.node)).await
}

/// Brings a pod up: sandboxes until one is attached. Returns its id; `None` if the pod was deleted before, or given up.
pub async fn start(world: &Arc<World>, pod: &Pod, stopped: &mut watch::Receiver<bool>) -> Option<String> {
    let mut pause = FIRST_PAUSE;
    for _ in 0..ATTEMPTS {
        if let Some(id) = attempt(world, pod, stopped).await {
            return Some(id);
        }
        tokio::select! {
            biased;
            // A pod that is being deleted gets no new sandbox.
            _ = stopped.wait_for(|stopped| *stopped) => return None,
            () = sleep(pause) => {}
        }
        pause = (pause * 2).min(MAX_PAUSE);
    }
    world.ledger().given_up.push(pod.full_name());
    world.event(Some(pod.node), "given_up", json!({"pod": pod.full_name()}));
    None
}

async fn attempt(world: &Arc<World>, pod: &Pod, stopped: &watch::Receiver<bool>) -> Option<String> {
    let _slot = world.nodes[pod.node].slots.acquire().await.ok()?;
    if *stopped.borrow() {
        return None;
    }
    let id = world.random.sandbox_id();
    let netns = PathBuf::from(format!("/var/run/netns/cni-{}", &id[..12]));
    world.nodes[pod.node].kernel.add_namespace(&netns, &id);
    world.ledger().begin(pod.node, &id, pod.full_name(), netns.clone());
    world.event(Some(pod.node), "add", json!({"pod": pod.full_name(), "sandbox": &id[..12]}));
    let outcome = pod_call(world, pod, "ADD", &id, Some(&netns)).await;
    match outcome {
        Some(outcome) if outcome.exit_code == 0 => {
            attached(world, pod, &id, &outcome);
            return Some(id);
        }
        Some(outcome) => {
            let answer = answer(&outcome);
            world.ledger().fail(pod.node, &id);
            let error = json!({"pod": pod.full_name(), "code": answer["code"], "msg": answer["msg"], "details": answer["details"]});
            world.event(Some(pod.node), "add_failed", error);
        }
        None => {}
    }
    // A runtime cleans up after a failed ADD at once.
    detach(world, pod, &id, &netns).await;
    None
}

fn answer(outcome: &Outcome) -> Value {
    serde_json::from_slice(&outcome.stdout).unwrap_or_default()
}

fn attached(world: &Arc<World>, pod: &Pod, id: &str, outcome: &Outcome) {
    let answer = answer(outcome);
    let port = answer["interfaces"][0]["name"].as_str().unwrap_or_default().to_owned();
    let address = answer["ips"][0]["address"].as_str().unwrap_or_default();
    let address = address.split('/').next().unwrap_or_default().to_owned();
    world.ledger().set(pod.node, id, Phase::Attached { port: port.clone(), address: address.clone() });
    // It may have been deleted meanwhile.
    let _ = world.kube.update("Pod", &pod.namespace, &pod.name, |object| {
        object["status"]["phase"] = json!("Running");
        object["status"]["podIP"] = json!(address);
    });
    world.event(Some(pod.node), "added", json!({"pod": pod.full_name(), "port": port, "address": address}));
}

/// Takes a pod down.
pub async fn stop(world: &Arc<World>, pod: &Pod, id: &str) {
    let Ok(_slot) = world.nodes[pod.node].slots.acquire().await else { return };
    let netns = world.ledger().sandbox(pod.node, id).map(|sandbox| sandbox.netns.clone());
    let Some(netns) = netns else { return };
    world.ledger().set(pod.node, id, Phase::Deleting);
    world.event(Some(pod.node), "del", json!({"pod": pod.full_name(), "sandbox": &id[..12]}));
    detach(world, pod, id, &netns).await;
}

/// DEL until it succeeds, then the namespace goes, then DEL again without it.
async fn detach(world: &Arc<World>, pod: &Pod, id: &str, netns: &Path) {
    world.ledger().set(pod.node, id, Phase::Deleting);
    let mut pause = FIRST_PAUSE;
    for _ in 0..ATTEMPTS {
        match pod_call(world, pod, "DEL", id, Some(netns)).await {
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
    world.event(Some(pod.node), "deleted", json!({"pod": pod.full_name(), "sandbox": &id[..12]}));
    // Only now: what DEL had to take away must not go with the namespace.
    world.nodes[pod.node].kernel.remove_namespace(netns);
    if let Some(again) = pod_call(world, pod, "DEL", id, None).await
        && (again.exit_code != 0 || !again.stdout.is_empty())
    {
        let details = format!("the second DEL of pod {}: {:?}", pod.full_name(), again.stderr);
        world.ledger().second_del_failed = Some(details);
    }
    world.event(Some(pod.node), "del_again", json!({"sandbox": &id[..12]}));
    if world.ledger().forget(pod.node, id) {
        world.nodes[pod.node].kernel.forget(id);
    }
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
