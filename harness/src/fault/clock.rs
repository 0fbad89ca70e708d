//! `node.clock_jump`: the wall clock is set forward or back. Nothing that the plugin does depends on the time of day; this
//! keeps it so, for it and for what it talks to.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::often::Schedule;
use super::{Fault, begin, over};
use crate::error::Error;
use crate::random::{Draws, Span};
use crate::scenario::Reader;
use crate::scenario::registry::Kind;
use crate::world::sim::World;

pub(super) const NAME: &str = "node.clock_jump";

pub(super) const KIND: Kind<dyn Fault> = Kind {
    name: NAME,
    about: "The wall clock jumps forward or back, and back to the right time when the fault is over.",
    read: |reader| Ok(Arc::new(ClockJump::read(reader)?)),
};

#[derive(Clone, Debug)]
struct ClockJump {
    schedule: Schedule,
    by: Span,
    back: bool,
}

impl ClockJump {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        Ok(Self {
            schedule: Schedule::read(reader)?,
            by: reader.span("by", "how far", Some(Duration::from_hours(1)))?,
            back: reader.word(
                "direction",
                "which way",
                Some("forward"),
                &[("forward", false), ("back", true)],
            )?,
        })
    }
}

#[async_trait(?Send)]
impl Fault for ClockJump {
    fn name(&self) -> &'static str {
        NAME
    }

    fn needs_simulation(&self) -> Option<&'static str> {
        Some("the machine's clock is everybody's")
    }

    async fn run(&self, world: &Arc<World>, draws: &Draws) -> u64 {
        self.schedule.begin(&draws.random).await;
        if world.loads_are_over() {
            return 0;
        }
        let by = i64::try_from(self.by.draw(&draws.random).as_millis()).unwrap_or(i64::MAX);
        let by = if self.back { -by } else { by };
        world.clock.jump(by);
        world.ledger().strike(NAME, "node");
        begin(world, NAME, None);
        self.schedule.end(world, &draws.random).await;
        world.clock.jump(-by);
        over(world, NAME, None);
        1
    }
}
