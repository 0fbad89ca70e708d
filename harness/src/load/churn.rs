//! `churn`: pods that come at a rate and go after a while.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{Instant, sleep, sleep_until};

use super::Load;
use super::pods::Pods;
use crate::error::Error;
use crate::random::Span;
use crate::scenario::Reader;
use crate::scenario::registry::Kind;

pub(super) const KIND: Kind<dyn Load> = Kind {
    name: "churn",
    about: "Pods that come at a rate and go after a while.",
    read: |reader| Ok(Arc::new(Churn::read(reader)?)),
};

/// Pods that come and go.
#[derive(Clone, Debug)]
struct Churn {
    namespace: String,
    name: String,
    pause: Duration,
    duration: Duration,
    lifetime: Span,
}

impl Churn {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        Ok(Self {
            namespace: reader.text("namespace", Some("default"))?,
            name: reader.text("name", Some("job"))?,
            pause: reader.pause_of_rate("rate")?,
            duration: reader.duration("duration", None)?,
            lifetime: reader.span("lifetime", Some(Duration::from_secs(10)))?,
        })
    }
}

#[async_trait(?Send)]
impl Load for Churn {
    async fn run(&self, pods: &Pods) {
        let random = pods.world.random.clone();
        let end = Instant::now() + self.duration;
        let mut number = 0;
        while Instant::now() < end {
            let name = format!("{}-{number}", self.name);
            pods.spawn(&self.namespace, &name, false);
            let (pods, full_name, lifetime) =
                (pods.clone(), format!("{}/{name}", self.namespace), self.lifetime.draw(&random));
            tokio::task::spawn_local(async move {
                sleep(lifetime).await;
                pods.stop(&full_name);
            });
            number += 1;
            sleep(self.pause).await;
        }
        sleep_until(end).await;
        let prefix = format!("{}/{}-", self.namespace, self.name);
        pods.until(|pods| pods.with_prefix(&prefix).is_empty()).await;
    }
}
