//! When, how often and where a fault strikes, as every kind of it is told in a scenario.

use std::sync::Arc;
use std::time::Duration;

use nuage_emulator::faults::CERTAIN;
use tokio::time::sleep;

use crate::error::Error;
use crate::random::{Amount, Random, Share, Span, WHOLE};
use crate::scenario::Reader;
use crate::world::sim::World;

/// No scenario needs a fault more often.
const MAX_TIMES: u64 = 1_000_000;
/// As long as a run may take: until its loads are over.
const TO_THE_END: Duration = Duration::from_hours(24);

/// When a fault begins and how long it lasts. It never outlasts the loads: what must hold in the end is looked at in a
/// world that is whole again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Schedule {
    at: Span,
    length: Span,
}

impl Schedule {
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let at = reader.span("at", "when it begins", Some(Duration::ZERO))?;
        let length = reader.optional_span("for", "how long it lasts", "until the loads are over")?;
        Ok(Self { at, length: length.unwrap_or(Span::exactly(TO_THE_END)) })
    }

    /// Waits until it begins.
    pub(super) async fn begin(&self, random: &Random) {
        sleep(self.at.draw(random)).await;
    }

    /// Waits until it is over.
    pub(super) async fn end(&self, world: &World, random: &Random) {
        let length = self.length.draw(random);
        tokio::select! {
            biased;
            () = world.loads_over() => {}
            () = sleep(length) => {}
        }
    }
}

/// How often a fault strikes of the times that it could.
#[derive(Clone, Copy, Debug)]
pub(super) struct Often {
    chance: Share,
    times: Option<Amount>,
}

impl Often {
    /// Every time.
    pub(super) const ALWAYS: Self = Self { chance: Share::ALL, times: None };

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let chance = reader.share("chance", "how often it strikes of the times that it could")?;
        let about = "how often it strikes at most";
        let times = reader.optional_amount("times", about, "as often as its chance has it", 1..=MAX_TIMES)?;
        Ok(Self { chance, times })
    }

    /// What is left to the seed is drawn: the chance in [`CERTAIN`], and how often at most.
    pub(super) fn draw(&self, random: &Random) -> (u64, Option<u64>) {
        const { assert!(CERTAIN == WHOLE, "shares and chances are both in millionths") }
        (self.chance.draw(random), self.times.map(|times| times.number(random)))
    }
}

/// Which nodes a fault strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Nodes {
    /// One that the seed decides.
    One,
    /// Half of them, at least one.
    Half,
    /// All of them.
    All,
}

impl Nodes {
    pub(super) fn read(reader: &mut Reader<'_>, default: &'static str) -> Result<Self, Error> {
        let words = [("one", Self::One), ("half", Self::Half), ("all", Self::All)];
        reader.word(
            "nodes",
            "which nodes it strikes; one and half are the seed's to choose",
            Some(default),
            &words,
        )
    }

    /// Their indices. All of them draw nothing.
    pub(super) fn draw(self, count: usize, random: &Random) -> Vec<usize> {
        let first = |length: usize| {
            let begin = random.index(count);
            let mut nodes: Vec<usize> = (0..length).map(|offset| (begin + offset) % count.max(1)).collect();
            nodes.sort_unstable();
            nodes
        };
        match self {
            Self::One => first(1),
            Self::Half => first(count.div_ceil(2)),
            Self::All => (0..count).collect(),
        }
    }
}

/// The names of nodes, as faults are told them; all of them: whoever asks.
pub(super) fn names(world: &Arc<World>, nodes: &[usize]) -> Option<Vec<String>> {
    (nodes.len() < world.nodes.len())
        .then(|| nodes.iter().map(|node| world.nodes[*node].name.clone()).collect())
}
