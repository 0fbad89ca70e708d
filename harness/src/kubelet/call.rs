//! One call of the plugin, as a runtime makes it: environment, network configuration, a limit of time, and what came of it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use nuage_cni::orchestrator::Orchestrator;
use nuage_cni::{Invocation, Outcome};
use nuage_emulator::faults::{Caller, Values};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{Pod, answer, habits};
use crate::fault::TIMEOUT;
use crate::world::sim::World;

/// How long a runtime waits for a call before it kills the plugin: the kubelet's `runtimeRequestTimeout` has this default.
const RUNTIME_LIMIT: Duration = Duration::from_mins(2);
/// The interface of every simulated pod.
pub(super) const INTERFACE: &str = "eth0";
/// The name of the simulated network.
pub const NETWORK: &str = "nuage";
/// The versions that a network configuration can have.
pub const VERSIONS: [&str; 4] = ["0.3.1", "0.4.0", "1.0.0", "1.1.0"];

/// The network configuration of a node.
pub(super) fn network(world: &World, node: usize) -> Value {
    let directory = &world.nodes[node].directory;
    json!({
        "cniVersion": world.runtimes.version(node), "name": NETWORK, "type": "nuage-cni-k8s", "configDir": directory
    })
}

/// One call of the plugin, measured. `None`: it took too long and was killed.
pub(super) async fn call(
    world: &Arc<World>,
    node: usize,
    command: &'static str,
    variables: &[(&str, &str)],
    network: &Value,
) -> Option<Outcome> {
    world.runtimes.powered(node).await;
    let mut environment: BTreeMap<String, String> =
        variables.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    environment.insert("CNI_COMMAND".to_owned(), command.to_owned());
    environment.insert("CNI_PATH".to_owned(), "/opt/cni/bin".to_owned());
    let invocation = Invocation {
        orchestrator: Orchestrator::Kubernetes,
        environment,
        stdin: network.to_string().into_bytes(),
    };
    let caller = Caller::new(&world.nodes[node].name, command);
    let concerns = |values: &Values| ["any", command].contains(&values.text("op"));
    let hasty = world.faults.draw(TIMEOUT, &caller, concerns);
    let limit =
        hasty.as_ref().map_or(RUNTIME_LIMIT, |(_, values)| values.duration("after").min(RUNTIME_LIMIT));
    let started = Instant::now();
    let outcome = world.process(node, invocation, limit).await;
    let took = started.elapsed();
    let mut ledger = world.ledger();
    *ledger.calls.entry(command).or_default() += 1;
    if let Some(outcome) = &outcome {
        ledger.durations.entry(command).or_default().push(took);
        let code = if outcome.exit_code == 0 { 0 } else { answer(outcome)["code"].as_u64().unwrap_or(999) };
        *ledger.answers.entry((command, code)).or_default() += 1;
    }
    drop(ledger);
    if outcome.is_none() {
        if let Some((id, _)) = hasty.filter(|_| took >= limit) {
            world.faults.count(id, &caller);
        }
        world.event(Some(node), "killed", json!({"command": command}));
    }
    outcome
}

/// One call for a pod's sandbox.
pub(super) async fn pod_call(
    world: &Arc<World>,
    pod: &Pod,
    command: &'static str,
    id: &str,
    netns: Option<&Path>,
) -> Option<Outcome> {
    pod_call_with(world, pod, command, id, netns, &network(world, pod.node)).await
}

/// As [`pod_call`], with this configuration.
pub(super) async fn pod_call_with(
    world: &Arc<World>,
    pod: &Pod,
    command: &'static str,
    id: &str,
    netns: Option<&Path>,
    network: &Value,
) -> Option<Outcome> {
    let infra = if habits::leaves_infra_id_out(world, pod, command) {
        String::new()
    } else {
        format!("K8S_POD_INFRA_CONTAINER_ID={id};")
    };
    let arguments = format!(
        "IgnoreUnknown=1;K8S_POD_NAMESPACE={};K8S_POD_NAME={};{infra}K8S_POD_UID={}",
        pod.namespace, pod.name, pod.uid
    );
    let netns = netns.map(|path| path.display().to_string()).unwrap_or_default();
    let variables =
        [("CNI_CONTAINERID", id), ("CNI_NETNS", &netns), ("CNI_IFNAME", INTERFACE), ("CNI_ARGS", &arguments)];
    call(world, pod.node, command, &variables, network).await
}
