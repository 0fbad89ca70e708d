//! `monitor.down`: the Nuage monitor refuses connections for a while.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::{hit, over};
use crate::error::Error;
use crate::random::Span;
use crate::scenario::Reader;
use crate::world::sim::World;

const NAME: &str = "monitor.down";

/// The monitor does not answer.
#[derive(Clone, Debug)]
pub struct MonitorDown {
    at: Span,
    down: Span,
}

impl MonitorDown {
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        Ok(Self { at: reader.span("at", None)?, down: reader.span("down", Some(Duration::from_secs(10)))? })
    }

    pub(super) async fn run(self, world: Arc<World>) {
        sleep(self.at.draw(&world.random)).await;
        world.set_monitor(false);
        hit(&world, NAME, None);
        sleep(self.down.draw(&world.random)).await;
        world.set_monitor(true);
        over(&world, NAME, None);
    }
}
