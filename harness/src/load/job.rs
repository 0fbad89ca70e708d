//! `job`: pods that end by themselves, many of them at once. Their sandboxes go when they have ended, their objects later.

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
    name: "job",
    about: "Pods that end by themselves, many of them at once; a finished pod has no sandbox any more and keeps its object for \
            a while.",
    read: |reader| Ok(Arc::new(Job::read(reader)?)),
};

/// Pods that finish.
#[derive(Clone, Debug)]
struct Job {
    namespace: String,
    name: String,
    completions: Amount,
    parallelism: Amount,
    at: Span,
    runtime: Span,
    keep: Span,
}

impl Job {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        let keep = "how long a finished pod's object stays";
        Ok(Self {
            namespace: reader.name("namespace", NAMESPACE, "default")?,
            name: reader.name("name", NAME, "task")?,
            completions: reader.amount(
                "completions",
                "how many pods have to finish",
                Some(10),
                1..=150_000,
            )?,
            parallelism: reader.amount("parallelism", "how many run at once", Some(10), 1..=10_000)?,
            at: reader.span("at", "when it begins", Some(Duration::ZERO))?,
            runtime: reader.span("runtime", "how long each pod runs", seconds(3))?,
            keep: reader.span("keep", keep, seconds(10))?,
        })
    }

    /// One pod, from its beginning until its object is gone.
    fn begin(&self, pods: &Pods, number: usize) {
        let random = &pods.random;
        let (runtime, keep) = (self.runtime.draw(random), self.keep.draw(random));
        let name = format!("{}-{number}", self.name);
        pods.spawn(&self.namespace, &name, false);
        let (pods, full_name) = (pods.clone(), format!("{}/{name}", self.namespace));
        tokio::task::spawn_local(async move {
            pods.until(|pods| pods.is_up(&full_name) != Some(false)).await;
            sleep(runtime).await;
            pods.finish(&full_name);
            sleep(keep).await;
            pods.stop(&full_name);
        });
    }
}

#[async_trait(?Send)]
impl Load for Job {
    async fn run(&self, pods: &Pods) {
        let random = pods.random.clone();
        sleep(self.at.draw(&random)).await;
        let (completions, parallelism) = (self.completions.draw(&random), self.parallelism.draw(&random));
        let prefix = format!("{}/{}-", self.namespace, self.name);
        for number in 0..completions {
            pods.until(|pods| pods.running(&prefix) < parallelism).await;
            self.begin(pods, number);
        }
        pods.until(|pods| pods.with_prefix(&prefix).is_empty()).await;
    }
}
