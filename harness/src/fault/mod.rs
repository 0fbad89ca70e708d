//! What goes wrong. A kind of fault is a definition and a line in [`KINDS`]. Those of the emulators strike where a component
//! asks for them; those around the plugin are wrappers of its seams, so that the code under test has no hooks for them.

mod clock;
mod definitions;
mod kill;
mod often;
pub(crate) mod seams;
mod striking;

use std::sync::Arc;

use async_trait::async_trait;
use nuage_emulator::faults::{Definition, Effect};
use serde_json::json;

pub(crate) use kill::planned as planned_kill;
pub use kill::{Exhaustive, NAME as KILLED, exhausted};

use crate::random::Draws;
use crate::scenario::registry::Kind;
use crate::world::sim::World;
use definitions::struck;

/// A fault of a scenario.
#[async_trait(?Send)]
pub trait Fault: std::fmt::Debug + Send + Sync {
    /// The name of its kind.
    fn name(&self) -> &'static str;

    /// Carries it out; ends when it is over, and tells how often it struck. What is left to the seed is drawn from `draws`.
    async fn run(&self, world: &Arc<World>, draws: &Draws) -> u64;

    /// What a run that tries every point in turn has to try.
    fn exhaustive(&self) -> Option<Exhaustive> {
        None
    }

    /// Why it cannot strike real processes on a real kernel, if it cannot.
    fn needs_simulation(&self) -> Option<&'static str> {
        None
    }
}

/// What `only` says of a fault of this kind, if it takes it: what is a state comes about once.
pub(crate) fn only(kind: &str) -> Option<&'static str> {
    let about = "of the strikes that its chance has drawn only these come about, counted from 1";
    let is_state = |known: &Definition| known.effect == Effect::SwitchState;
    (kind != clock::NAME && !definitions::all().any(|known| known.name == kind && is_state(known)))
        .then_some(about)
}

/// A runtime that gives a call up.
pub(crate) const TIMEOUT: &str = definitions::definition("kubelet.timeout").name;

/// All kinds of fault.
pub const KINDS: &[Kind<dyn Fault>] = &[
    struck!("vrs.disconnect"),
    struck!("vrs.restart"),
    struck!("vrs.slow"),
    struck!("vrs.partial_reply"),
    struck!("vrs.cut_reply"),
    struck!("vrs.operation_error"),
    struck!("vrs.reply_first"),
    struck!("vrs.update_first"),
    struck!("vrs.controller_lost"),
    struck!("vsc.slow"),
    struck!("vsc.never"),
    struck!("vsc.late"),
    struck!("vsc.wrong_address"),
    struck!("vsc.zero_first"),
    struck!("vsc.withdraw"),
    struck!("vsd.down"),
    struck!("vsd.wrong_certificate"),
    struck!("vsd.unauthorized"),
    struck!("vsd.conflict"),
    struck!("vsd.throttled"),
    struck!("vsd.error"),
    struck!("vsd.unavailable"),
    struck!("vsd.slow"),
    struck!("vsd.truncated"),
    struck!("monitor.down"),
    struck!("monitor.wrong_certificate"),
    struck!("monitor.unauthorized"),
    struck!("monitor.conflict"),
    struck!("monitor.throttled"),
    struck!("monitor.error"),
    struck!("monitor.unavailable"),
    struck!("monitor.slow"),
    struck!("monitor.truncated"),
    struck!("monitor.restart"),
    struck!("monitor.no_server"),
    struck!("monitor.one_loop"),
    struck!("monitor.counts_names"),
    struck!("monitor.dot_when_full"),
    struck!("monitor.forgets_pool"),
    struck!("kube.down"),
    struck!("kube.wrong_certificate"),
    struck!("kube.unauthorized"),
    struck!("kube.forbidden"),
    struck!("kube.conflict"),
    struck!("kube.throttled"),
    struck!("kube.error"),
    struck!("kube.unavailable"),
    struck!("kube.slow"),
    struck!("kube.truncated"),
    struck!("kube.token_expired"),
    struck!("kube.gone"),
    struck!("kube.stale_list"),
    struck!("kube.empty_list"),
    struck!("kube.watch_gap"),
    struck!("mesos.down"),
    struck!("mesos.wrong_certificate"),
    struck!("mesos.unauthorized"),
    struck!("mesos.error"),
    struck!("mesos.unavailable"),
    struck!("mesos.slow"),
    struck!("mesos.truncated"),
    struck!("mesos.empty_list"),
    struck!("mesos.partial_list"),
    struck!("node.netns_gone"),
    struck!("node.disk_full"),
    struck!("kubelet.add_repeated"),
    struck!("kubelet.add_doubled"),
    struck!("kubelet.result_lost"),
    struck!("kubelet.timeout"),
    struck!("kubelet.del_during_add"),
    struck!("kubelet.del_without_add"),
    struck!("kubelet.forgets"),
    struck!("kubelet.seven_dels"),
    struck!("kubelet.no_infra_id"),
    struck!("kubelet.check_after_add"),
    clock::KIND,
    kill::KIND,
];

/// Writes down that a fault begins.
fn begin(world: &World, name: &'static str, node: Option<usize>) {
    world.event(node, "fault", json!({"fault": name}));
}

/// Writes down that a fault is over.
fn over(world: &World, name: &str, node: Option<usize>) {
    world.event(node, "fault_over", json!({"fault": name}));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_that_is_defined_can_be_declared_in_a_scenario() {
        let kinds: Vec<&str> = KINDS.iter().map(|kind| kind.name).collect();
        let mut defined: Vec<&str> = definitions::all().map(|defined| defined.name).collect();
        defined.extend([clock::NAME]);
        for name in &defined {
            assert_eq!(kinds.iter().filter(|kind| kind == &name).count(), 1, "{name}");
        }
        assert_eq!(kinds.len(), defined.len());
    }
}
