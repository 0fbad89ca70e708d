//! `monitor.down`: the Nuage monitor refuses connections for a while.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::sleep;

use super::{Fault, hit, over};
use crate::error::Error;
use crate::random::Span;
use crate::scenario::Reader;
use crate::scenario::registry::Kind;
use crate::world::sim::World;

const NAME: &str = "monitor.down";

pub(super) const KIND: Kind<dyn Fault> = Kind {
    name: NAME,
    about: "The Nuage monitor refuses connections for a while.",
    read: |reader| Ok(Arc::new(MonitorDown::read(reader)?)),
};

/// The monitor does not answer.
#[derive(Clone, Debug)]
struct MonitorDown {
    at: Span,
    length: Span,
}

impl MonitorDown {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        Ok(Self { at: reader.span("at", None)?, length: reader.span("for", Some(Duration::from_secs(10)))? })
    }
}

#[async_trait(?Send)]
impl Fault for MonitorDown {
    async fn run(&self, world: &Arc<World>) {
        sleep(self.at.draw(&world.random)).await;
        world.set_monitor(false);
        hit(world, NAME, None);
        sleep(self.length.draw(&world.random)).await;
        world.set_monitor(true);
        over(world, NAME, None);
    }
}
