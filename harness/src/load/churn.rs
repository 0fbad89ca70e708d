//! `churn`: pods that come at a rate, one by one or in bursts, and go after a while; and pods that stand, a percentage of
//! which is replaced again and again.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{Instant, sleep, sleep_until};

use super::pods::Pods;
use super::{Load, NAME, NAMESPACE};
use crate::error::Error;
use crate::random::{Amount, Random, Rate, Share, Span};
use crate::scenario::Reader;
use crate::scenario::registry::Kind;

pub(super) const KIND: Kind<dyn Load> = Kind {
    name: "churn",
    about: "Pods that come at a rate, one by one or in bursts, and go after a while; and pods that stand, of which a \
            percentage is replaced again and again.",
    read: |reader| Ok(Arc::new(Churn::read(reader)?)),
};

/// Pods that come and go.
#[derive(Clone, Debug)]
struct Churn {
    namespace: String,
    name: String,
    rate: Rate,
    burst: Amount,
    duration: Span,
    lifetime: Span,
    standing: Amount,
    percent: Option<Share>,
    every: Span,
}

impl Churn {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        Ok(Self {
            namespace: reader.name("namespace", NAMESPACE, "default")?,
            name: reader.name("name", NAME, "job")?,
            rate: reader.rate("rate", "how often pods come")?,
            burst: reader.amount("burst", "how many come at once each time", Some(1), 0..=10_000)?,
            duration: reader.span("duration", "how long it goes on", None)?,
            lifetime: reader.span("lifetime", "how long each pod that came is meant to stay", seconds(10))?,
            standing: reader.amount(
                "standing",
                "how many pods stand from the beginning to the end",
                Some(0),
                0..=150_000,
            )?,
            percent: reader.optional_share(
                "percent",
                "how many of those that stand are replaced each time",
                "none are replaced",
            )?,
            every: reader.span("every", "the time between two replacements", seconds(10))?,
        })
    }

    /// Lets pods come until `end`.
    async fn arrivals(&self, pods: &Pods, random: &Random, end: Instant) {
        let (pause, mut number) = (self.rate.pause(random), 0);
        while Instant::now() < end {
            for _ in 0..self.burst.draw(random) {
                let name = format!("{}-{number}", self.name);
                pods.spawn(&self.namespace, &name, false);
                let (pods, full_name, lifetime) =
                    (pods.clone(), format!("{}/{name}", self.namespace), self.lifetime.draw(random));
                tokio::task::spawn_local(async move {
                    sleep(lifetime).await;
                    pods.stop(&full_name);
                });
                number += 1;
            }
            sleep(pause).await;
        }
    }

    /// Keeps pods standing until `end`, and replaces some of them from time to time.
    async fn replacements(&self, pods: &Pods, random: &Random, end: Instant) {
        let mut names: Vec<String> =
            (0..self.standing.draw(random)).map(|slot| format!("{}-stands-{slot}-0", self.name)).collect();
        for name in &names {
            pods.spawn(&self.namespace, name, false);
        }
        let Some(percent) = self.percent.filter(|_| !names.is_empty()) else { return };
        for generation in 1.. {
            sleep_until(end.min(Instant::now() + self.every.draw(random))).await;
            if Instant::now() >= end {
                return;
            }
            let first = random.index(names.len());
            for offset in 0..percent.of(names.len(), random) {
                let slot = (first + offset) % names.len();
                pods.stop(&format!("{}/{}", self.namespace, names[slot]));
                names[slot] = format!("{}-stands-{slot}-{generation}", self.name);
                pods.spawn(&self.namespace, &names[slot], false);
            }
        }
    }
}

#[async_trait(?Send)]
impl Load for Churn {
    async fn run(&self, pods: &Pods) {
        let random = pods.random.clone();
        let end = Instant::now() + self.duration.draw(&random);
        tokio::join!(
            biased;
            self.arrivals(pods, &random, end),
            self.replacements(pods, &random, end),
        );
        sleep_until(end).await;
        let standing = format!("{}/{}-stands-", self.namespace, self.name);
        pods.clear(&standing).await;
        let all = format!("{}/{}-", self.namespace, self.name);
        pods.until(|pods| pods.with_prefix(&all).is_empty()).await;
    }
}
