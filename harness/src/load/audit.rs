//! `audit`: the audit's daemon runs on every node, the real code on virtual time, and is held to what it promises: nothing is left
//! behind for longer than the grace period and two intervals, no living pod is without its rows for longer than two, and what it
//! remembers does not grow with the time that it runs.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use nuage_cni::audit::Auditor;
use nuage_cni::audit::kubernetes::{ApiServer, WatchedPods};
use nuage_cni::audit::run::{Signal, run};
use nuage_cni::audit::state::Shared;
use nuage_cni::config::{NodeConfig, load_node, load_vsp};
use nuage_cni::orchestrator::Orchestrator;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::Load;
use super::pods::Pods;
use crate::error::Error;
use crate::scenario::Reader;
use crate::scenario::registry::Kind;
use crate::world::sim::audit::Ages;
use crate::world::sim::{World, config_directory};

/// How often the world is looked at.
const LOOK: Duration = Duration::from_secs(10);
/// What a pass and its way to the switch may take.
const SLACK: Duration = Duration::from_mins(1);

pub(super) const KIND: Kind<dyn Load> = Kind {
    name: "audit",
    about: "The audit's daemon runs on every node. Whatever is left behind has to be gone after its grace period and two \
            intervals in which it could work, and rows that were lost have to be back after two.",
    read: |reader| Ok(Arc::new(Audit::read(reader)?)),
};

/// The daemon on every node.
#[derive(Clone, Debug)]
struct Audit {
    interval: Duration,
    grace: Duration,
    restart: Duration,
}

impl Audit {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let restart = "how often the daemon is killed and begun anew; 0s: never";
        Ok(Self {
            interval: reader.duration("interval", "monitorinterval", Some(Duration::from_mins(1)))?,
            grace: reader.duration("grace", "staleentrytimeout", Some(Duration::from_mins(10)))?,
            restart: reader.duration("restart", restart, Some(Duration::ZERO))?,
        })
    }

    /// The daemon on one node, for ever: killed with its node's power, begun anew with it.
    async fn live(self, world: Arc<World>, node: usize) {
        let shared = Shared::new(self.interval);
        let (sender, mut signals) = mpsc::channel(1);
        tokio::task::spawn_local(self.clone().look(Arc::clone(&world), node, shared.clone(), sender));
        loop {
            world.runtimes.powered(node).await;
            let Some((auditor, name)) = self.begin(&world, node) else { return };
            let lifetime = async {
                if self.restart.is_zero() { std::future::pending().await } else { sleep(self.restart).await }
            };
            tokio::select! {
                biased;
                () = world.runtimes.power_lost(node) => {}
                () = lifetime => world.event(None, "audit_killed", json!({"node": name})),
                _ = run(auditor, &name, &shared, &mut signals, false) => {}
            }
        }
    }

    fn begin(&self, world: &World, node: usize) -> Option<(Auditor, String)> {
        let host = world.audit_seams(node);
        let name = world.nodes[node].name.clone();
        let directory = config_directory(&name);
        let config = load_node(&*host.files, Some(&directory)).ok()?;
        let config = NodeConfig { audit_interval: self.interval, stale_timeout: self.grace, ..config };
        let orchestrator = Orchestrator::Kubernetes;
        let vsp = load_vsp(&*host.files, orchestrator, Some(&directory)).ok()?;
        let pods = WatchedPods::start(ApiServer::new(host.clone(), vsp), Some(name.clone()));
        Some((Auditor::new(host, orchestrator, config, Some(directory), Arc::new(pods)), name))
    }

    /// Holds the daemon of one node to its promises, and is the person who confirms what the trip wire holds.
    async fn look(self, world: Arc<World>, node: usize, shared: Shared, signals: mpsc::Sender<Signal>) {
        let (mut leaks, mut losses) = (Ages::default(), Ages::default());
        loop {
            sleep(LOOK).await;
            let working = shared.is_ready().is_ok() && world.switch_is_up(node);
            if shared.is_held() {
                let _ = signals.try_send(Signal::Confirm);
            }
            let late = |oldest: Option<(String, Duration)>, limit: Duration| {
                oldest
                    .filter(|(_, age)| *age > limit)
                    .map(|(what, age)| format!("{what} for {} s", age.as_secs()))
            };
            let leak = leaks.look(world.left_behind(node), LOOK, working);
            if let Some(details) = late(leak, self.grace + 2 * self.interval + SLACK) {
                return world.violate(node, "leaks_are_removed", details);
            }
            let lost = losses.look(world.without_rows(node), LOOK, working);
            if let Some(details) = late(lost, 2 * self.interval + SLACK) {
                return world.violate(node, "lost_rows_come_back", details);
            }
            if let Some(details) = remembers_too_much(&shared.to_json()) {
                return world.violate(node, "memory_is_flat", details);
            }
            world.forget_clean(node);
        }
    }
}

/// More of a kind than there are attachments: then it would grow for ever.
fn remembers_too_much(status: &Value) -> Option<String> {
    let report = &status["last_pass"]["report"];
    let counts = |of: &Value| -> Vec<u64> {
        of.as_object().into_iter().flat_map(|members| members.values()).filter_map(Value::as_u64).collect()
    };
    let attachments: u64 = counts(&report["attachments"]).iter().sum();
    let too_much = counts(&report["remembered"]).into_iter().any(|count| count > attachments);
    too_much.then(|| format!("{} of {attachments} attachments", report["remembered"]))
}

#[async_trait(?Send)]
impl Load for Audit {
    async fn run(&self, pods: &Pods) {
        // They outlive the loads and end with the world.
        for node in 0..pods.world.nodes.len() {
            tokio::task::spawn_local(self.clone().live(Arc::clone(&pods.world), node));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_remembers_more_than_there_is_remembers_too_much() {
        let status = |sightings: u64| {
            json!({"last_pass": {"report": {
                "attachments": {"keep": 2, "candidate": 1}, "remembered": {"sightings": sightings, "debts": 0}
            }}})
        };
        assert_eq!(remembers_too_much(&status(3)), None);
        assert!(remembers_too_much(&status(4)).is_some());
        assert_eq!(remembers_too_much(&json!({"last_pass": null})), None, "no pass has ended yet");
    }
}
