//! `crash_loop`: pods whose sandboxes die again and again. Each gets another sandbox on the same node, under the same UID.

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
    name: "crash_loop",
    about: "Pods whose sandboxes die again and again; each gets another one on the same node, under the same UID.",
    read: |reader| Ok(Arc::new(CrashLoop::read(reader)?)),
};

/// Pods that crash.
#[derive(Clone, Debug)]
struct CrashLoop {
    namespace: String,
    name: String,
    count: Amount,
    crashes: Amount,
    after: Span,
    hold: Span,
}

impl CrashLoop {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        Ok(Self {
            namespace: reader.name("namespace", NAMESPACE, "default")?,
            name: reader.name("name", NAME, "crashing")?,
            count: reader.amount("count", "how many pods there are", Some(1), 1..=10_000)?,
            crashes: reader.amount("crashes", "how often each of them crashes", Some(5), 1..=1000)?,
            after: reader.span("after", "how long a sandbox is up before it dies", seconds(5))?,
            hold: reader.span("hold", "how long a pod stays after its last crash", seconds(10))?,
        })
    }
}

#[async_trait(?Send)]
impl Load for CrashLoop {
    async fn run(&self, pods: &Pods) {
        let random = pods.random.clone();
        for number in 0..self.count.draw(&random) {
            let name = format!("{}-{number}", self.name);
            pods.spawn(&self.namespace, &name, false);
            let (pods, load, full_name) = (pods.clone(), self.clone(), format!("{}/{name}", self.namespace));
            tokio::task::spawn_local(async move {
                let random = pods.random.clone();
                for _ in 0..load.crashes.draw(&random) {
                    pods.until(|pods| pods.is_up(&full_name) != Some(false)).await;
                    sleep(load.after.draw(&random)).await;
                    pods.crash(&full_name);
                }
                pods.until(|pods| pods.is_up(&full_name) != Some(false)).await;
                sleep(load.hold.draw(&random)).await;
                pods.stop(&full_name);
            });
        }
        let prefix = format!("{}/{}-", self.namespace, self.name);
        pods.until(|pods| pods.with_prefix(&prefix).is_empty()).await;
    }
}
