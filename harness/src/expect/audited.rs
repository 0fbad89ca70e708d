//! `audited`: when the last load is over nobody calls GC, and the audit alone takes away what is left.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use super::Expectation;
use crate::scenario::registry::Kind;
use crate::world::sim::World;

/// How often the end state is looked at while there is time.
const LOOK: Duration = Duration::from_secs(10);

pub(super) const KIND: Kind<dyn Expectation> = Kind {
    name: "audited",
    about: "When the last load is over, nothing of a container is left before long, though nobody calls GC: the audit is the \
            only one to clean up.",
    read: |reader| {
        Ok(Arc::new(Audited {
            within: reader.duration("within", "how long it may take", Some(Duration::from_mins(15)))?,
        }))
    },
};

#[derive(Debug)]
struct Audited {
    within: Duration,
}

#[async_trait(?Send)]
impl Expectation for Audited {
    async fn check(&self, world: &Arc<World>) -> Result<(), String> {
        let deadline = Instant::now() + self.within;
        let left = |left| format!("audited: left after {:?}: {left}", self.within);
        world.empty_by(deadline, LOOK).await.map_err(left)
    }

    fn is_the_audits(&self) -> bool {
        true
    }
}
