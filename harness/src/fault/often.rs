//! When, how often and where a fault strikes, as every kind of it is told in a scenario.

use std::sync::Arc;
use std::time::Duration;

use nuage_emulator::faults::CERTAIN;
use tokio::time::sleep;

use crate::error::Error;
use crate::random::{Random, Span};
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
        let at = reader.span("at", Some(Duration::ZERO))?;
        Ok(Self { at, length: reader.span("for", Some(TO_THE_END))? })
    }

    /// Waits until it begins.
    pub(super) async fn begin(&self, world: &World) {
        sleep(self.at.draw(&world.random)).await;
    }

    /// Waits until it is over.
    pub(super) async fn end(&self, world: &World) {
        let length = self.length.draw(&world.random);
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
    /// In [`CERTAIN`].
    pub(super) chance: u64,
    /// At most.
    pub(super) times: Option<u64>,
}

impl Often {
    /// Every time.
    pub(super) const ALWAYS: Self = Self { chance: CERTAIN, times: None };

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let text = reader.text("chance", Some("100%"))?;
        let percent = text.strip_suffix('%').and_then(|number| number.parse::<f64>().ok());
        let percent = percent.filter(|percent| *percent > 0.0 && *percent <= 100.0);
        // A reader that only collects keys gives whatever it likes.
        let percent =
            percent.ok_or_else(|| reader.error("chance is like \"25%\", over 0 and at most 100"))?;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to a million")]
        let chance = (percent * 1e4).round() as u64;
        let times = reader.number("times", Some(0), 0..=MAX_TIMES)?;
        Ok(Self { chance: chance.max(1), times: (times > 0).then_some(times) })
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
    pub(super) fn read(reader: &mut Reader<'_>, default: &str) -> Result<Self, Error> {
        reader.word("nodes", Some(default), &[("one", Self::One), ("half", Self::Half), ("all", Self::All)])
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
