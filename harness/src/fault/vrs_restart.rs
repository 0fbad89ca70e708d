//! `vrs.restart`: a node's switch goes away, all of its connections with it, and comes back with the rows of its containers
//! or without them.

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

const NAME: &str = "vrs.restart";

pub(super) const KIND: Kind<dyn Fault> = Kind {
    name: NAME,
    about: "A node's switch goes away with all of its connections and comes back, with its rows or without them.",
    read: |reader| Ok(Arc::new(VrsRestart::read(reader)?)),
};

/// A switch restarts.
#[derive(Clone, Debug)]
struct VrsRestart {
    at: Span,
    down: Span,
    lose_rows: bool,
    all: bool,
}

impl VrsRestart {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        Ok(Self {
            at: reader.span("at", None)?,
            down: reader.span("down", Some(Duration::from_secs(2)))?,
            lose_rows: reader.flag("lose_rows", false)?,
            all: reader.word("nodes", Some("one"), &[("one", false), ("all", true)])?,
        })
    }
}

#[async_trait(?Send)]
impl Fault for VrsRestart {
    async fn run(&self, world: &Arc<World>) {
        sleep(self.at.draw(&world.random)).await;
        let one = world.random.index(world.nodes.len());
        let nodes: Vec<usize> = if self.all { (0..world.nodes.len()).collect() } else { vec![one] };
        for node in &nodes {
            world.stop_switch(*node);
            hit(world, NAME, Some(*node));
        }
        sleep(self.down.draw(&world.random)).await;
        for node in &nodes {
            world.start_switch(*node, self.lose_rows);
            over(world, NAME, Some(*node));
        }
    }
}
