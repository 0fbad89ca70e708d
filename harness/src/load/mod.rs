//! What the cluster does. A kind of load is a file and a line in [`KINDS`].

mod audit;
mod churn;
mod crash_loop;
mod deployment;
mod drain;
mod greedy;
mod job;
mod namespaces;
mod original;
mod pod;
pub mod pods;
mod policies;
mod probe;
mod reboot;
mod runtime_restart;
mod scale_out;
pub mod spec;
mod stateful_set;
mod upgrade;

use async_trait::async_trait;

use crate::scenario::registry::Kind;
use pods::Pods;

/// What the keys are for that most loads have.
const NAMESPACE: &str = "the namespace of its pods";
const NAME: &str = "the beginning of the names of its pods";

/// A load of a scenario.
#[async_trait(?Send)]
pub trait Load: std::fmt::Debug + Send + Sync {
    /// Carries it out; ends when its last pod is gone.
    async fn run(&self, pods: &Pods);

    /// Why it cannot be carried out with real processes on a real kernel, if it cannot.
    fn needs_simulation(&self) -> Option<&'static str> {
        None
    }
}

/// Loads that make no pods, or that ask after each of those they made: none of them can be left out.
const WHOLE: [&str; 6] = ["reboot", "runtime_restart", "probe", "upgrade", "audit", "policies"];

/// What `only` says of a load of this kind, if it takes it.
pub(crate) fn only(kind: &str) -> Option<&'static str> {
    let about =
        "of the pods that it makes only these come about, counted from 1; all that it draws stays as it was";
    (!WHOLE.contains(&kind)).then_some(about)
}

/// All kinds of load.
pub const KINDS: &[Kind<dyn Load>] = &[
    pod::KIND,
    deployment::KIND,
    stateful_set::KIND,
    scale_out::KIND,
    job::KIND,
    namespaces::KIND,
    policies::KIND,
    churn::KIND,
    crash_loop::KIND,
    drain::KIND,
    reboot::KIND,
    runtime_restart::KIND,
    probe::KIND,
    original::KIND,
    upgrade::KIND,
    greedy::KIND,
    audit::KIND,
];
