//! `scale_out`: replicas that become many more at once, and few again.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::sleep;

use super::pods::Pods;
use super::{Load, NAME, NAMESPACE};
use crate::error::Error;
use crate::random::{Amount, Span};
use crate::scenario::Reader;
use crate::scenario::registry::Kind;

pub(super) const KIND: Kind<dyn Load> = Kind {
    name: "scale_out",
    about: "Replicas that become many more at once, and few again, as an autoscaler has it.",
    read: |reader| Ok(Arc::new(ScaleOut::read(reader)?)),
};

/// Replicas whose number jumps.
#[derive(Clone, Debug)]
struct ScaleOut {
    namespace: String,
    name: String,
    from: Amount,
    to: Amount,
    rounds: Amount,
    hold: Span,
}

impl ScaleOut {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let hold = "how long each number stands, once all are up";
        Ok(Self {
            namespace: reader.name("namespace", NAMESPACE, "default")?,
            name: reader.name("name", NAME, "scaled")?,
            from: reader.amount("from", "how many replicas there are at first", Some(1), 0..=150_000)?,
            to: reader.amount("to", "how many there are then", None, 1..=150_000)?,
            rounds: reader.amount("rounds", "how often it goes there and back", Some(1), 1..=100)?,
            hold: reader.span("hold", hold, Some(Duration::from_secs(10)))?,
        })
    }
}

#[async_trait(?Send)]
impl Load for ScaleOut {
    async fn run(&self, pods: &Pods) {
        let random = pods.random.clone();
        let prefix = format!("{}/{}-", self.namespace, self.name);
        let (few, many) = (self.from.draw(&random), self.to.draw(&random));
        let mut made = 0;
        let mut grow = |to: usize| {
            for _ in pods.with_prefix(&prefix).len()..to {
                pods.spawn(&self.namespace, &format!("{}-{made}", self.name), true);
                made += 1;
            }
        };
        grow(few);
        for _ in 0..self.rounds.draw(&random) {
            pods.until_up(&prefix).await;
            sleep(self.hold.draw(&random)).await;
            grow(many);
            pods.until_up(&prefix).await;
            sleep(self.hold.draw(&random)).await;
            let names = pods.with_prefix(&prefix);
            names.iter().skip(few).for_each(|name| pods.stop(name));
            pods.until(|pods| pods.with_prefix(&prefix).len() <= few).await;
        }
        pods.clear(&prefix).await;
    }
}
