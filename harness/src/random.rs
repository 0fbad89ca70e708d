//! The run's only source of randomness. One generator for everything: the order of draws is the order of events, and both
//! follow from the seed.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

/// A seeded generator that its clones share.
#[derive(Clone, Debug)]
pub struct Random(Arc<Mutex<ChaCha8Rng>>);

impl Random {
    /// A generator whose output is a function of `seed` alone.
    pub fn seeded(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(ChaCha8Rng::seed_from_u64(seed))))
    }

    /// 64 random bits.
    pub fn next(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).next_u64()
    }

    /// A number below `bound`; 0 for a bound of 0.
    pub fn below(&self, bound: u64) -> u64 {
        // The bias of a remainder does not matter here; that the draw is one draw does.
        self.next().checked_rem(bound).unwrap_or(0)
    }

    /// 64 hex digits, as a runtime names a sandbox.
    pub fn sandbox_id(&self) -> String {
        let [a, b, c, d] = [self.next(), self.next(), self.next(), self.next()];
        format!("{a:016x}{b:016x}{c:016x}{d:016x}")
    }

    /// An index below `length`.
    pub fn index(&self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).unwrap_or(0)
    }
}

/// A duration that is known, or one that the seed decides between two bounds, both included. Milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    low: Duration,
    high: Duration,
}

impl Span {
    /// Always this one.
    pub fn exactly(duration: Duration) -> Self {
        Self { low: duration, high: duration }
    }

    /// From `low` to `high`; `None` if they are the wrong way round.
    pub fn between(low: Duration, high: Duration) -> Option<Self> {
        (low <= high).then_some(Self { low, high })
    }

    /// The shortest and the longest that it can be.
    pub fn bounds(&self) -> (Duration, Duration) {
        (self.low, self.high)
    }

    /// One of them.
    pub fn draw(&self, random: &Random) -> Duration {
        let width = u64::try_from(self.high.saturating_sub(self.low).as_millis()).unwrap_or(u64::MAX);
        self.low + Duration::from_millis(random.below(width.saturating_add(1)))
    }
}
