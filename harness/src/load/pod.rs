//! `pod`: single pods that are held for a while and deleted.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::sleep;

use super::pods::Pods;
use super::spec::{Sort, Spec};
use super::{Load, NAME, NAMESPACE};
use crate::error::Error;
use crate::random::{Amount, Span};
use crate::scenario::Reader;
use crate::scenario::registry::Kind;

pub(super) const KIND: Kind<dyn Load> = Kind {
    name: "pod",
    about: "Single pods that are attached, held for a while and deleted.",
    read: |reader| Ok(Arc::new(PodLoad::read(reader)?)),
};

const SORTS: [(&str, Sort); 3] =
    [("plain", Sort::Plain), ("static", Sort::Static), ("host_network", Sort::HostNetwork)];

/// Single pods.
#[derive(Clone, Debug)]
struct PodLoad {
    namespace: String,
    name: String,
    count: Amount,
    sort: Sort,
    at: Span,
    hold: Span,
}

impl PodLoad {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let sort =
            "plain; static: of a kubelet's own, with a mirror; host_network: no plugin is called for it";
        Ok(Self {
            namespace: reader.name("namespace", NAMESPACE, "default")?,
            name: reader.name("name", NAME, "pod")?,
            count: reader.amount("count", "how many pods", Some(1), 1..=10_000)?,
            sort: reader.word("sort", sort, Some("plain"), &SORTS)?,
            at: reader.span("at", "when they are made", Some(Duration::ZERO))?,
            hold: reader.span(
                "hold",
                "how long they stay, once all are up",
                Some(Duration::from_secs(10)),
            )?,
        })
    }
}

#[async_trait(?Send)]
impl Load for PodLoad {
    async fn run(&self, pods: &Pods) {
        let random = pods.random.clone();
        sleep(self.at.draw(&random)).await;
        for number in 0..self.count.draw(&random) {
            let spec = Spec::new(&self.namespace, &format!("{}-{number}", self.name));
            pods.make(&Spec { sort: self.sort, ..spec });
        }
        let prefix = format!("{}/{}-", self.namespace, self.name);
        pods.until_up(&prefix).await;
        sleep(self.hold.draw(&random)).await;
        pods.clear(&prefix).await;
    }
}
