//! `no_leaks`: when the last load is over, nothing of a container is left anywhere: switches, links, the VSD.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use super::Expectation;
use crate::kubelet;
use crate::scenario::registry::Kind;
use crate::world::sim::World;

/// How often the end state is looked at while there is time.
const LOOK: Duration = Duration::from_secs(1);

pub(super) const KIND: Kind<dyn Expectation> = Kind {
    name: "no_leaks",
    about: "When the last load is over and GC has been called, nothing of a container is left: no rows, links or VSD objects.",
    read: |reader| {
        Ok(Arc::new(NoLeaks {
            within: reader.duration("within", "how long it may take", Some(Duration::from_secs(30)))?,
        }))
    },
};

#[derive(Debug)]
struct NoLeaks {
    within: Duration,
}

#[async_trait(?Send)]
impl Expectation for NoLeaks {
    async fn check(&self, world: &Arc<World>) -> Result<(), String> {
        let deadline = Instant::now() + self.within;
        // The one call that reaches what no later ADD or DEL would on a node that has become quiet.
        for node in 0..world.nodes.len() {
            kubelet::collect_garbage(world, node).await;
        }
        let left = |left| format!("no_leaks: left after {:?}: {left}", self.within);
        world.empty_by(deadline, LOOK).await.map_err(left)
    }
}
