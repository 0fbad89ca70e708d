//! `pod`: single pods that are held for a while and deleted.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::sleep;

use super::Load;
use super::pods::Pods;
use crate::error::Error;
use crate::random::Span;
use crate::scenario::Reader;
use crate::scenario::registry::Kind;

pub(super) const KIND: Kind<dyn Load> = Kind {
    name: "pod",
    about: "Single pods that are attached, held for a while and deleted.",
    read: |reader| Ok(Arc::new(PodLoad::read(reader)?)),
};

/// Single pods.
#[derive(Clone, Debug)]
struct PodLoad {
    namespace: String,
    name: String,
    count: usize,
    at: Span,
    hold: Span,
}

impl PodLoad {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        Ok(Self {
            namespace: reader.text("namespace", Some("default"))?,
            name: reader.text("name", Some("pod"))?,
            count: reader.count("count", Some(1), 1..=10_000)?,
            at: reader.span("at", Some(Duration::ZERO))?,
            hold: reader.span("hold", Some(Duration::from_secs(10)))?,
        })
    }
}

#[async_trait(?Send)]
impl Load for PodLoad {
    async fn run(&self, pods: &Pods) {
        let random = pods.world.random.clone();
        sleep(self.at.draw(&random)).await;
        for number in 0..self.count {
            pods.spawn(&self.namespace, &format!("{}-{number}", self.name), false);
        }
        let prefix = format!("{}/{}-", self.namespace, self.name);
        pods.until(|pods| pods.with_prefix(&prefix).iter().all(|name| pods.is_up(name) != Some(false))).await;
        sleep(self.hold.draw(&random)).await;
        pods.with_prefix(&prefix).iter().for_each(|name| pods.stop(name));
        pods.until(|pods| pods.with_prefix(&prefix).is_empty()).await;
    }
}
