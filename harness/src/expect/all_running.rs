//! `all_running`: every pod came up, however often its node had to try.

use std::sync::Arc;

use async_trait::async_trait;

use super::Expectation;
use crate::scenario::registry::Kind;
use crate::world::sim::World;

pub(super) const KIND: Kind<dyn Expectation> = Kind {
    name: "all_running",
    about: "Every pod came up that was not deleted before it could.",
    read: |_| Ok(Arc::new(AllRunning)),
};

#[derive(Debug)]
struct AllRunning;

#[async_trait(?Send)]
impl Expectation for AllRunning {
    async fn check(&self, world: &Arc<World>) -> Result<(), String> {
        let given_up = world.ledger().given_up.clone();
        if given_up.is_empty() {
            Ok(())
        } else {
            Err(format!("all_running: never came up: {}", given_up.join(", ")))
        }
    }
}
