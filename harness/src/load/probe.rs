//! `probe`: runtimes ask whether the plugin is ready and whether what it attached is still as it was.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{Instant, sleep};

use super::Load;
use super::pods::Pods;
use crate::error::Error;
use crate::kubelet;
use crate::random::Span;
use crate::scenario::Reader;
use crate::scenario::registry::Kind;

pub(super) const KIND: Kind<dyn Load> = Kind {
    name: "probe",
    about: "Every node's runtime calls STATUS, and CHECK for each sandbox that is up, again and again.",
    read: |reader| Ok(Arc::new(Probe::read(reader)?)),
};

/// Questions to the plugin.
#[derive(Clone, Debug)]
struct Probe {
    at: Span,
    duration: Span,
    every: Span,
}

impl Probe {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        Ok(Self {
            at: reader.span("at", "when it begins", Some(Duration::ZERO))?,
            duration: reader.span("duration", "how long it goes on", None)?,
            every: reader.span("every", "the time between two rounds", Some(Duration::from_secs(5)))?,
        })
    }
}

#[async_trait(?Send)]
impl Load for Probe {
    async fn run(&self, pods: &Pods) {
        let random = pods.random.clone();
        sleep(self.at.draw(&random)).await;
        let end = Instant::now() + self.duration.draw(&random);
        while Instant::now() < end {
            for node in 0..pods.world.nodes.len() {
                kubelet::ask_status(&pods.world, node).await;
                kubelet::check_all(&pods.world, node).await;
            }
            sleep(self.every.draw(&random)).await;
        }
    }
}
