//! `drain`: a node takes no more pods, and all of its pods go; those of a deployment come up elsewhere.

use std::time::Duration;

use serde_json::json;
use tokio::time::sleep;

use super::pods::Pods;
use crate::error::Error;
use crate::random::Span;
use crate::scenario::Reader;

/// A node that is drained.
#[derive(Clone, Debug)]
pub struct Drain {
    node: Option<usize>,
    at: Span,
    closed: Span,
}

impl Drain {
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let number = reader.count("node", Some(0), 0..=5000)?;
        Ok(Self {
            // From 1, as the nodes are named; 0 lets the seed decide.
            node: number.checked_sub(1),
            at: reader.span("at", None)?,
            closed: reader.span("closed", Some(Duration::from_secs(30)))?,
        })
    }

    pub(super) async fn run(self, pods: Pods) {
        let random = pods.world.random.clone();
        sleep(self.at.draw(&random)).await;
        let nodes = pods.world.nodes.len();
        let node = self.node.unwrap_or_else(|| random.index(nodes)).min(nodes - 1);
        pods.cordon(node, true);
        pods.world.event(Some(node), "drain", json!({}));
        for evicted in pods.on(node) {
            pods.stop(&evicted.full_name);
            if evicted.replaced {
                pods.spawn(&evicted.namespace, &format!("{}-again", evicted.name), true);
            }
        }
        pods.until(|pods| pods.on(node).is_empty()).await;
        pods.world.event(Some(node), "drained", json!({}));
        sleep(self.closed.draw(&random)).await;
        pods.cordon(node, false);
    }
}
