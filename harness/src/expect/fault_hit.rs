//! `fault_hit`: a fault really happened. A scenario whose fault never fired proves nothing.

use std::sync::Arc;

use async_trait::async_trait;

use super::Expectation;
use crate::fault;
use crate::scenario::registry::Kind;
use crate::world::sim::World;

pub(super) const KIND: Kind<dyn Expectation> = Kind {
    name: "fault_hit",
    about: "A fault of this kind happened at least once: a scenario whose fault never fired proves nothing. \
            (A fault that is declared and never happens fails its scenario in any case.)",
    read: |reader| {
        let words: Vec<_> = fault::KINDS.iter().map(|kind| (kind.name, kind.name)).collect();
        Ok(Arc::new(FaultHit { fault: reader.word("fault", None, &words)? }))
    },
};

#[derive(Debug)]
struct FaultHit {
    fault: &'static str,
}

#[async_trait(?Send)]
impl Expectation for FaultHit {
    async fn check(&self, world: &Arc<World>) -> Result<(), String> {
        if world.coverage().of(self.fault) > 0 {
            Ok(())
        } else {
            Err(format!("fault_hit: {} never happened", self.fault))
        }
    }
}
