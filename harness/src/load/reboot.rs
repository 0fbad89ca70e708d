//! `reboot`: a node goes down and comes up again under a new boot id. Its sandboxes are gone, its switch's rows kept or lost;
//! its pods get new sandboxes.

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
    name: "reboot",
    about: "A node goes down and comes up under a new boot id: what ran is killed, sandboxes, links and what lies in /run are \
            gone, rows of the switch are kept or lost, and every pod gets a new sandbox.",
    read: |reader| Ok(Arc::new(Reboot::read(reader)?)),
};

/// A node that reboots.
#[derive(Clone, Debug)]
struct Reboot {
    node: Option<usize>,
    at: Span,
    down: Span,
    times: Amount,
    lose_rows: bool,
}

impl Reboot {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        Ok(Self {
            node: reader.node("node", "which node")?,
            at: reader.span(
                "at",
                "when it goes down, the first time from the beginning, then from its return",
                None,
            )?,
            down: reader.span("down", "how long it is down", Some(Duration::from_secs(30)))?,
            times: reader.amount("times", "how often", Some(1), 1..=100)?,
            lose_rows: reader.flag(
                "lose_rows",
                "the switch comes back without the rows of containers",
                false,
            )?,
        })
    }
}

#[async_trait(?Send)]
impl Load for Reboot {
    fn needs_simulation(&self) -> Option<&'static str> {
        Some("the machine is not rebooted")
    }

    async fn run(&self, pods: &Pods) {
        let random = pods.random.clone();
        let node = self.node.unwrap_or_else(|| random.index(pods.world.nodes.len()));
        for _ in 0..self.times.draw(&random) {
            sleep(self.at.draw(&random)).await;
            pods.world.power_off(node);
            sleep(self.down.draw(&random)).await;
            pods.world.power_on(node, self.lose_rows);
            kubelet::collect_garbage(&pods.world, node).await;
            pods.look_again(node);
        }
    }
}
