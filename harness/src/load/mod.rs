//! What the cluster does. A kind of load is a file and a line in [`KINDS`].

mod churn;
mod deployment;
mod drain;
mod pod;
pub mod pods;

use async_trait::async_trait;

use crate::scenario::registry::Kind;
use pods::Pods;

/// A load of a scenario.
#[async_trait(?Send)]
pub trait Load: std::fmt::Debug + Send + Sync {
    /// Carries it out; ends when its last pod is gone.
    async fn run(&self, pods: &Pods);
}

/// All kinds of load.
pub const KINDS: &[Kind<dyn Load>] = &[pod::KIND, deployment::KIND, churn::KIND, drain::KIND];
