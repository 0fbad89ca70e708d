//! `namespaces`: namespaces that come with their pods and go again, many of them at once.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::json;
use tokio::time::sleep;

use super::pods::Pods;
use super::{Load, NAME};
use crate::error::Error;
use crate::random::{Amount, Span};
use crate::scenario::Reader;
use crate::scenario::registry::Kind;

pub(super) const KIND: Kind<dyn Load> = Kind {
    name: "namespaces",
    about: "Namespaces that come with their pods and go again: each gets a zone and a subnet in the VSD, and leaves none.",
    read: |reader| Ok(Arc::new(Namespaces::read(reader)?)),
};

/// How often, and how long after each other, it is looked whether a namespace has left the VSD.
const LOOKS: u32 = 600;
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);

/// Namespaces that come and go.
#[derive(Clone, Debug)]
struct Namespaces {
    prefix: String,
    name: String,
    count: Amount,
    pods: Amount,
    within: Span,
    hold: Span,
}

impl Namespaces {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        Ok(Self {
            prefix: reader.name("prefix", "the beginning of the names of the namespaces", "team")?,
            name: reader.name("name", NAME, "web")?,
            count: reader.amount("count", "how many namespaces there are", None, 1..=10_000)?,
            pods: reader.amount("pods", "how many pods each of them has", Some(1), 0..=1_000)?,
            within: reader.span("within", "how long after the beginning each of them comes", seconds(0))?,
            hold: reader.span("hold", "how long each of them stays once its pods are up", seconds(10))?,
        })
    }

    /// One namespace, from its beginning until the VSD has nothing of it any more.
    async fn live(self, pods: Pods, number: usize) {
        let world = &pods.world;
        let (within, hold) = (self.within.draw(&pods.random), self.hold.draw(&pods.random));
        let count = self.pods.draw(&pods.random);
        let namespace = format!("{}-{number}", self.prefix);
        let begin = format!("{namespace}/{}-", self.name);
        sleep(within).await;
        // One without pods is there, too.
        let _ = world.kube.create(json!({"kind": "Namespace", "metadata": {"name": namespace}}));
        for nth in 0..count {
            pods.spawn(&namespace, &format!("{}-{nth}", self.name), false);
        }
        pods.until_up(&begin).await;
        sleep(hold).await;
        pods.clear(&begin).await;
        let _ = world.kube.delete("Namespace", "", &namespace);
        for _ in 0..LOOKS {
            if !world.vsd.snapshot("zone").iter().any(|zone| zone["name"] == namespace.as_str()) {
                world.event(None, "namespace_gone", json!({"namespace": namespace}));
                return;
            }
            sleep(BETWEEN_LOOKS).await;
        }
    }
}

#[async_trait(?Send)]
impl Load for Namespaces {
    async fn run(&self, pods: &Pods) {
        let count = self.count.draw(&pods.random);
        let live = |number| tokio::task::spawn_local(self.clone().live(pods.clone(), number));
        let all: Vec<_> = (0..count).map(live).collect();
        for one in all {
            // It does not panic; if it did, the run has failed already.
            let _ = one.await;
        }
    }
}
