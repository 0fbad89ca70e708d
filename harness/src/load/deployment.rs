//! `deployment`: replicas that are kept, and replaced by new ones in a rolling update.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::sleep;

use super::pods::Pods;
use super::{Load, NAME, NAMESPACE};
use crate::error::Error;
use crate::random::{Amount, Random, Span};
use crate::scenario::Reader;
use crate::scenario::registry::Kind;

pub(super) const KIND: Kind<dyn Load> = Kind {
    name: "deployment",
    about: "Replicas that are kept, and replaced by new ones in rolling updates.",
    read: |reader| Ok(Arc::new(Deployment::read(reader)?)),
};

/// A deployment.
#[derive(Clone, Debug)]
struct Deployment {
    namespace: String,
    name: String,
    replicas: Amount,
    updates: Amount,
    update_after: Span,
    max_surge: Amount,
    max_unavailable: Amount,
    hold: Span,
}

/// One that runs: what was left to the seed is known.
#[derive(Clone, Debug)]
struct Rollout {
    namespace: String,
    name: String,
    replicas: usize,
    max_surge: usize,
    max_unavailable: usize,
}

impl Deployment {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        Ok(Self {
            namespace: reader.name("namespace", NAMESPACE, "default")?,
            name: reader.name("name", NAME, "web")?,
            replicas: reader.amount("replicas", "how many pods are kept", None, 1..=150_000)?,
            updates: reader.amount("updates", "how many rolling updates there are", Some(0), 0..=100)?,
            update_after: reader.span(
                "update_after",
                "how long a revision stands before the next update",
                Some(Duration::from_secs(10)),
            )?,
            max_surge: reader.amount(
                "max_surge",
                "how many pods there may be beyond the replicas during an update",
                Some(1),
                1..=10_000,
            )?,
            max_unavailable: reader.amount(
                "max_unavailable",
                "how many of the replicas may be missing during an update",
                Some(0),
                0..=10_000,
            )?,
            hold: reader.span("hold", "how long the last revision stays", Some(Duration::from_secs(10)))?,
        })
    }

    fn begin(&self, random: &Random) -> Rollout {
        Rollout {
            namespace: self.namespace.clone(),
            name: self.name.clone(),
            replicas: self.replicas.draw(random),
            max_surge: self.max_surge.draw(random),
            max_unavailable: self.max_unavailable.draw(random),
        }
    }
}

impl Rollout {
    fn prefix(&self, revision: usize) -> String {
        format!("{}/{}-{revision}-", self.namespace, self.name)
    }

    async fn all_up(&self, pods: &Pods, revision: usize) {
        let prefix = self.prefix(revision);
        pods.until(|pods| {
            let names = pods.with_prefix(&prefix);
            names.len() >= self.replicas && names.iter().all(|name| pods.is_up(name) != Some(false))
        })
        .await;
    }

    /// As the deployment controller: never more than replicas + surge, never fewer up than replicas - unavailable.
    async fn roll(&self, pods: &Pods, revision: usize) {
        let (old, new) = (self.prefix(revision - 1), self.prefix(revision));
        let up = |pods: &Pods, prefix: &str| {
            let names = pods.with_prefix(prefix);
            names.iter().filter(|name| pods.is_up(name) == Some(true)).count()
        };
        let needed = self.replicas.saturating_sub(self.max_unavailable);
        let (mut made, mut stopping) = (0, BTreeSet::new());
        loop {
            while made < self.replicas
                && pods.with_prefix(&old).len() + pods.with_prefix(&new).len()
                    < self.replicas + self.max_surge
            {
                pods.spawn(&self.namespace, &format!("{}-{revision}-{made}", self.name), true);
                made += 1;
            }
            let staying: Vec<String> =
                pods.with_prefix(&old).into_iter().filter(|name| !stopping.contains(name)).collect();
            // Those that are not up are no loss and go first.
            let (healthy, others): (Vec<_>, Vec<_>) =
                staying.into_iter().partition(|name| pods.is_up(name) == Some(true));
            let spare = (healthy.len() + up(pods, &new)).saturating_sub(needed);
            for name in others.into_iter().chain(healthy.into_iter().take(spare)) {
                pods.stop(&name);
                stopping.insert(name);
            }
            if pods.with_prefix(&old).is_empty() && up(pods, &new) >= self.replicas {
                return;
            }
            let before = (pods.with_prefix(&old).len(), up(pods, &new), pods.with_prefix(&new).len());
            pods.until(|pods| {
                (pods.with_prefix(&old).len(), up(pods, &new), pods.with_prefix(&new).len()) != before
            })
            .await;
        }
    }
}

#[async_trait(?Send)]
impl Load for Deployment {
    async fn run(&self, pods: &Pods) {
        let random = pods.random.clone();
        let (rollout, updates) = (self.begin(&random), self.updates.draw(&random));
        for number in 0..rollout.replicas {
            pods.spawn(&self.namespace, &format!("{}-0-{number}", self.name), true);
        }
        rollout.all_up(pods, 0).await;
        for revision in 1..=updates {
            sleep(self.update_after.draw(&random)).await;
            rollout.roll(pods, revision).await;
        }
        sleep(self.hold.draw(&random)).await;
        // Replacements of evicted pods may still be on their way.
        rollout.all_up(pods, updates).await;
        pods.clear(&format!("{}/{}-", self.namespace, self.name)).await;
    }
}
