//! `latency`: how long calls of the plugin took in virtual time, waits for the controller included.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::{COMMANDS, Expectation};
use crate::scenario::registry::Kind;
use crate::world::sim::World;

pub(super) const KIND: Kind<dyn Expectation> = Kind {
    name: "latency",
    about: "The 99th percentile of a command's duration in virtual time, over all calls that ended by themselves.",
    read: |reader| {
        let command = reader.word("op", "of which command", None, &COMMANDS)?;
        Ok(Arc::new(Latency {
            command,
            p99_max: reader.duration("p99_max", "the longest that it may be", None)?,
        }))
    },
};

#[derive(Debug)]
struct Latency {
    command: &'static str,
    p99_max: Duration,
}

#[async_trait(?Send)]
impl Expectation for Latency {
    async fn check(&self, world: &Arc<World>) -> Result<(), String> {
        let Self { command, p99_max } = self;
        match world.ledger().percentile(command, 99) {
            Some(found) if found <= *p99_max => Ok(()),
            Some(found) => Err(format!("latency: p99 of {command} is {found:?}, over {p99_max:?}")),
            None => Err(format!("latency: there was no {command}")),
        }
    }
}
