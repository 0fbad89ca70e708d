//! `vrs.restart`: a node's switch goes away, all of its connections with it, and comes back with its rows.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::{hit, over};
use crate::error::Error;
use crate::random::Span;
use crate::scenario::Reader;
use crate::world::sim::World;

const NAME: &str = "vrs.restart";

/// A switch restarts.
#[derive(Clone, Debug)]
pub struct VrsRestart {
    at: Span,
    down: Span,
    all: bool,
}

impl VrsRestart {
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        Ok(Self {
            at: reader.span("at", None)?,
            down: reader.span("down", Some(Duration::from_secs(2)))?,
            all: reader.word("nodes", Some(false), &[("one", false), ("all", true)])?,
        })
    }

    pub(super) async fn run(self, world: Arc<World>) {
        sleep(self.at.draw(&world.random)).await;
        let one = world.random.index(world.nodes.len());
        let nodes: Vec<usize> = if self.all { (0..world.nodes.len()).collect() } else { vec![one] };
        for node in &nodes {
            world.set_switch(*node, false, false);
            hit(&world, NAME, Some(*node));
        }
        sleep(self.down.draw(&world.random)).await;
        for node in &nodes {
            world.set_switch(*node, true, false);
            over(&world, NAME, Some(*node));
        }
    }
}
