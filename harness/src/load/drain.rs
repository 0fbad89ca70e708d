//! `drain`: a node takes no more pods, and all of its pods go; those of a deployment come up elsewhere.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::json;
use tokio::time::sleep;

use super::Load;
use super::pods::Pods;
use super::spec::Spec;
use crate::error::Error;
use crate::random::Span;
use crate::scenario::Reader;
use crate::scenario::registry::Kind;

pub(super) const KIND: Kind<dyn Load> = Kind {
    name: "drain",
    about: "A node takes no more pods and loses those it has; a deployment's come up elsewhere.",
    read: |reader| Ok(Arc::new(Drain::read(reader)?)),
};

/// A node that is drained.
#[derive(Clone, Debug)]
struct Drain {
    node: Option<usize>,
    at: Span,
    closed: Span,
}

impl Drain {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        Ok(Self {
            node: reader.node("node", "which node is drained")?,
            at: reader.span("at", "when it is drained", None)?,
            closed: reader.span(
                "closed",
                "how long it takes no pods, once it is empty",
                Some(Duration::from_secs(30)),
            )?,
        })
    }
}

#[async_trait(?Send)]
impl Load for Drain {
    async fn run(&self, pods: &Pods) {
        let random = pods.random.clone();
        sleep(self.at.draw(&random)).await;
        let node = self.node.unwrap_or_else(|| random.index(pods.world.nodes.len()));
        pods.cordon(node, true);
        pods.world.event(Some(node), "drain", json!({}));
        for evicted in pods.on(node) {
            pods.stop(&evicted.full_name);
            if evicted.spec.replaced {
                let name = format!("{}-again", evicted.spec.name);
                pods.make(&Spec { name, ..evicted.spec });
            }
        }
        pods.until(|pods| pods.on(node).is_empty()).await;
        pods.world.event(Some(node), "drained", json!({}));
        sleep(self.closed.draw(&random)).await;
        pods.cordon(node, false);
    }
}
