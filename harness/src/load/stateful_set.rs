//! `stateful_set`: pods with names of their own, brought up in their order and replaced under the same names.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::sleep;

use super::pods::Pods;
use super::{Load, NAME, NAMESPACE};
use crate::error::Error;
use crate::random::{Amount, Span};
use crate::scenario::Reader;
use crate::scenario::registry::Kind;

pub(super) const KIND: Kind<dyn Load> = Kind {
    name: "stateful_set",
    about: "Pods that come up in their order and are replaced, last first, by others of the same names.",
    read: |reader| Ok(Arc::new(StatefulSet::read(reader)?)),
};

/// A set of pods whose names are used again.
#[derive(Clone, Debug)]
struct StatefulSet {
    namespace: String,
    name: String,
    replicas: Amount,
    restarts: Amount,
    restart_after: Span,
    force: bool,
    hold: Span,
}

impl StatefulSet {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        let after = "how long the set stands before it is replaced";
        let force = "delete by force: a name is used again while its node still takes the old pod down";
        Ok(Self {
            namespace: reader.name("namespace", NAMESPACE, "default")?,
            name: reader.name("name", NAME, "db")?,
            replicas: reader.amount("replicas", "how many pods there are", Some(3), 1..=10_000)?,
            restarts: reader.amount("restarts", "how often all of them are replaced", Some(1), 0..=100)?,
            restart_after: reader.span("restart_after", after, seconds(10))?,
            force: reader.flag("force", force, false)?,
            hold: reader.span("hold", "how long the last ones stay", seconds(10))?,
        })
    }

    async fn bring_up(&self, pods: &Pods, ordinal: usize) {
        let name = format!("{}-{ordinal}", self.name);
        pods.spawn(&self.namespace, &name, false);
        let full_name = format!("{}/{name}", self.namespace);
        pods.until(|pods| pods.is_up(&full_name) != Some(false)).await;
    }

    async fn replace(&self, pods: &Pods, ordinal: usize) {
        let full_name = format!("{}/{}-{ordinal}", self.namespace, self.name);
        if self.force {
            pods.abandon(&full_name);
        } else {
            pods.stop(&full_name);
            pods.until(|pods| pods.is_up(&full_name).is_none()).await;
        }
        self.bring_up(pods, ordinal).await;
    }
}

#[async_trait(?Send)]
impl Load for StatefulSet {
    async fn run(&self, pods: &Pods) {
        let random = pods.random.clone();
        let (replicas, restarts) = (self.replicas.draw(&random), self.restarts.draw(&random));
        for ordinal in 0..replicas {
            self.bring_up(pods, ordinal).await;
        }
        for _ in 0..restarts {
            sleep(self.restart_after.draw(&random)).await;
            for ordinal in (0..replicas).rev() {
                self.replace(pods, ordinal).await;
            }
        }
        sleep(self.hold.draw(&random)).await;
        let prefix = format!("{}/{}-", self.namespace, self.name);
        pods.clear(&prefix).await;
        pods.until_forgotten(&prefix).await;
    }
}
