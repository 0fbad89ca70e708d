//! `upgrade`: nodes are upgraded one after another while pods run: another version in the network configuration, and a journal
//! that an earlier release wrote.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::sleep;

use super::Load;
use super::pods::Pods;
use crate::error::Error;
use crate::kubelet::{self, VERSIONS};
use crate::random::Span;
use crate::scenario::Reader;
use crate::scenario::registry::Kind;

pub(super) const KIND: Kind<dyn Load> = Kind {
    name: "upgrade",
    about: "Nodes are upgraded one after another while pods run: the network configuration gets another version, and the \
            journal holds what an earlier release wrote.",
    read: |reader| Ok(Arc::new(Upgrade::read(reader)?)),
};

/// Nodes that are upgraded.
#[derive(Clone, Debug)]
struct Upgrade {
    at: Span,
    pause: Span,
    from: &'static str,
    to: &'static str,
    old_records: bool,
}

impl Upgrade {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let versions = VERSIONS.map(|version| (version, version));
        let records = "the journal is what the first release would have written by then";
        let pause = "the time between two nodes";
        Ok(Self {
            at: reader.span("at", "when the first node is upgraded", Some(Duration::from_secs(10)))?,
            pause: reader.span("pause", pause, Some(Duration::from_secs(5)))?,
            from: reader.word("from", "the version before", Some("0.4.0"), &versions)?,
            to: reader.word("to", "the version after", Some("1.1.0"), &versions)?,
            old_records: reader.flag("old_records", records, false)?,
        })
    }
}

#[async_trait(?Send)]
impl Load for Upgrade {
    fn needs_simulation(&self) -> Option<&'static str> {
        self.old_records.then_some("records of the first release are written into a simulated journal")
    }

    async fn run(&self, pods: &Pods) {
        let (world, random) = (&pods.world, pods.random.clone());
        for node in 0..world.nodes.len() {
            kubelet::configure(world, node, self.from);
        }
        sleep(self.at.draw(&random)).await;
        for node in 0..world.nodes.len() {
            if self.old_records {
                kubelet::age_journal(world, node);
            }
            kubelet::configure(world, node, self.to);
            kubelet::restart(world, node);
            kubelet::collect_garbage(world, node).await;
            sleep(self.pause.draw(&random)).await;
        }
    }
}
