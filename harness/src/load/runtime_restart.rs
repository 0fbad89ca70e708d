//! `runtime_restart`: a node's runtime is restarted. It has forgotten which calls were on their way, and tells the plugin which
//! attachments are valid.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::sleep;

use super::Load;
use super::pods::Pods;
use crate::error::Error;
use crate::kubelet;
use crate::random::{Amount, Span};
use crate::scenario::Reader;
use crate::scenario::registry::Kind;

pub(super) const KIND: Kind<dyn Load> = Kind {
    name: "runtime_restart",
    about: "A node's runtime is restarted: results of calls on their way are lost to it, and GC tells the plugin which \
            attachments are valid.",
    read: |reader| Ok(Arc::new(RuntimeRestart::read(reader)?)),
};

/// A runtime that is restarted.
#[derive(Clone, Debug)]
struct RuntimeRestart {
    node: Option<usize>,
    at: Span,
    times: Amount,
}

impl RuntimeRestart {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        Ok(Self {
            node: reader.node("node", "which node, each time")?,
            at: reader.span("at", "the time before each restart", Some(Duration::from_secs(10)))?,
            times: reader.amount("times", "how often", Some(1), 1..=1000)?,
        })
    }
}

#[async_trait(?Send)]
impl Load for RuntimeRestart {
    async fn run(&self, pods: &Pods) {
        let random = pods.random.clone();
        for _ in 0..self.times.draw(&random) {
            sleep(self.at.draw(&random)).await;
            let node = self.node.unwrap_or_else(|| random.index(pods.world.nodes.len()));
            kubelet::restart(&pods.world, node);
            kubelet::collect_garbage(&pods.world, node).await;
        }
    }
}
