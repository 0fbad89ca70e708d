//! What a kubelet and a runtime do with a plugin, habits included: a failed ADD is followed by a DEL at once and a new
//! sandbox later, every sandbox gets a second DEL without a namespace.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nuage_cni::orchestrator::Orchestrator;
use nuage_cni::{Invocation, Outcome, invoke};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::invariant::DEL_IS_IDEMPOTENT;
use crate::world::sim::ledger::{Phase, Sandbox, Violation};
use crate::world::sim::{World, config_directory};

/// How often a sandbox is tried before the harness gives a pod up; a kubelet never does.
const ATTEMPTS: u32 = 12;
/// The pause before the next attempt; it doubles up to [`MAX_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const MAX_PAUSE: Duration = Duration::from_secs(30);
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

/// One call of the plugin, measured.
async fn call(
    world: &Arc<World>,
    node: usize,
    command: &'static str,
    variables: &[(&str, &str)],
    network: &Value,
) -> Outcome {
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
    // A process of its own: it ends by itself, whatever becomes of the runtime that has started it.
    let host = world.host(node);
    let process = tokio::task::spawn_local(async move { invoke(&host, invocation).await });
    let outcome = process.await.unwrap_or_else(|error| Outcome {
        stdout: Vec::new(),
        stderr: Some(format!("the plugin died: {error}")),
        exit_code: 101,
    });
    world.ledger().durations.entry(command).or_default().push(started.elapsed());
    outcome
}

async fn pod_call(
    world: &Arc<World>,
    pod: &Pod,
    command: &'static str,
    id: &str,
    netns: Option<&Path>,
) -> Outcome {
    let arguments = format!(
        "IgnoreUnknown=1;K8S_POD_NAMESPACE={};K8S_POD_NAME={};K8S_POD_INFRA_CONTAINER_ID={id};K8S_POD_UID={}",
        pod.namespace, pod.name, pod.uid
    );
    let netns = netns.map(|path| path.display().to_string()).unwrap_or_default();
    let variables =
        [("CNI_CONTAINERID", id), ("CNI_NETNS", &netns), ("CNI_IFNAME", "eth0"), ("CNI_ARGS", &arguments)];
    call(world, pod.node, command, &variables, &network(world, pod.node)).await
}

/// Brings a pod up: sandboxes until one is attached. Returns its id; `None` if the pod was given up.
pub async fn start(world: Arc<World>, pod: Pod) -> Option<String> {
    let mut pause = FIRST_PAUSE;
    for _ in 0..ATTEMPTS {
        if let Some(id) = attempt(Arc::clone(&world), pod.clone()).await {
            return Some(id);
        }
        sleep(pause).await;
        pause = (pause * 2).min(MAX_PAUSE);
    }
    world.ledger().given_up.push(pod.full_name());
    world.event(Some(pod.node), "given_up", json!({"pod": pod.full_name()}));
    None
}

async fn attempt(world: Arc<World>, pod: Pod) -> Option<String> {
    let _slot = world.nodes[pod.node].slots.acquire().await.ok()?;
    let id = world.random.sandbox_id();
    let netns = PathBuf::from(format!("/var/run/netns/cni-{}", &id[..12]));
    world.nodes[pod.node].kernel.add_namespace(&netns);
    let sandbox = Sandbox {
        node: pod.node,
        pod: pod.full_name(),
        netns: netns.clone(),
        phase: Phase::Adding,
        disturbed: !world.switch_is_up(pod.node),
        failed: false,
    };
    world.ledger().sandboxes.insert(id.clone(), sandbox);
    world.event(Some(pod.node), "add", json!({"pod": pod.full_name(), "sandbox": &id[..12]}));
    let outcome = pod_call(&world, &pod, "ADD", &id, Some(&netns)).await;
    let answer: Value = serde_json::from_slice(&outcome.stdout).unwrap_or_default();
    if outcome.exit_code == 0 {
        let port = answer["interfaces"][0]["name"].as_str().unwrap_or_default().to_owned();
        let address = answer["ips"][0]["address"].as_str().unwrap_or_default();
        let address = address.split('/').next().unwrap_or_default().to_owned();
        world.ledger().set(&id, Phase::Attached { port: port.clone(), address: address.clone() });
        world.event(
            Some(pod.node),
            "added",
            json!({"pod": pod.full_name(), "port": port, "address": address}),
        );
        let _ = world.kube.update("Pod", &pod.namespace, &pod.name, |object| {
            object["status"]["phase"] = json!("Running");
            object["status"]["podIP"] = json!(address);
        });
        return Some(id);
    }
    {
        let mut ledger = world.ledger();
        ledger.set(&id, Phase::Deleting);
        if let Some(sandbox) = ledger.sandboxes.get_mut(&id) {
            sandbox.failed = true;
        }
    }
    let error = json!({"pod": pod.full_name(), "code": answer["code"], "msg": answer["msg"], "details": answer["details"]});
    world.event(Some(pod.node), "add_failed", error);
    // A runtime cleans up after a failed ADD at once.
    detach(&world, &pod, &id, &netns).await;
    None
}

/// Takes a pod down.
pub async fn stop(world: Arc<World>, pod: Pod, id: String) {
    let Ok(_slot) = world.nodes[pod.node].slots.acquire().await else { return };
    let netns = world.ledger().sandboxes.get(&id).map(|sandbox| sandbox.netns.clone());
    let Some(netns) = netns else { return };
    world.ledger().set(&id, Phase::Deleting);
    world.event(Some(pod.node), "del", json!({"pod": pod.full_name(), "sandbox": &id[..12]}));
    detach(&world, &pod, &id, &netns).await;
}

/// DEL until it succeeds, then the namespace goes, then DEL again without it.
async fn detach(world: &Arc<World>, pod: &Pod, id: &str, netns: &Path) {
    if let Some(sandbox) = world.ledger().sandboxes.get_mut(id) {
        sandbox.failed = false;
    }
    let mut pause = FIRST_PAUSE;
    for _ in 0..ATTEMPTS {
        let outcome = pod_call(world, pod, "DEL", id, Some(netns)).await;
        if outcome.exit_code == 0 {
            break;
        }
        world.event(Some(pod.node), "del_failed", json!({"pod": pod.full_name(), "error": outcome.stderr}));
        sleep(pause).await;
        pause = (pause * 2).min(MAX_PAUSE);
    }
    let disturbed = {
        let mut ledger = world.ledger();
        ledger.set(id, Phase::Gone);
        ledger.sandboxes.get(id).is_some_and(|sandbox| sandbox.disturbed)
    };
    world.event(Some(pod.node), "deleted", json!({"pod": pod.full_name(), "sandbox": &id[..12]}));
    // Only now: what DEL had to take away must not go with the namespace.
    world.nodes[pod.node].kernel.remove_namespace(netns);
    let again = pod_call(world, pod, "DEL", id, None).await;
    if again.exit_code != 0 || !again.stdout.is_empty() {
        let details = format!("the second DEL of pod {}: {:?}", pod.full_name(), again.stderr);
        let mut ledger = world.ledger();
        let (time, node) = (world.now(), world.nodes[pod.node].name.clone());
        ledger.violation.get_or_insert(Violation { invariant: DEL_IS_IDEMPOTENT, details, time, node });
    }
    if !disturbed {
        world.ledger().sandboxes.remove(id);
    }
    world.event(Some(pod.node), "del_again", json!({"sandbox": &id[..12]}));
}

/// What a runtime does after it has restarted: tells the plugin which attachments are valid.
pub async fn collect_garbage(world: &Arc<World>, node: usize) {
    let valid: Vec<Value> = {
        let ledger = world.ledger();
        let attached = ledger.on(node).filter(|(_, sandbox)| matches!(sandbox.phase, Phase::Attached { .. }));
        attached.map(|(id, _)| json!({"containerID": id, "ifname": "eth0"})).collect()
    };
    let mut network = network(world, node);
    network["cniVersion"] = json!("1.1.0");
    network["cni.dev/valid-attachments"] = Value::Array(valid);
    let outcome = call(world, node, "GC", &[], &network).await;
    if outcome.exit_code == 0 && world.switch_is_up(node) {
        // Nothing can be owed any more.
        let mut ledger = world.ledger();
        ledger.sandboxes.retain(|_, sandbox| sandbox.node != node || sandbox.phase != Phase::Gone);
    }
    world.event(Some(node), "gc", json!({"exit": outcome.exit_code, "error": outcome.stderr}));
}
