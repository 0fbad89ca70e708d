//! The run's only source of randomness. One generator for everything: the order of draws is the order of events, and both
//! follow from the seed.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nuage_emulator::faults::Picked;
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

    /// One of many generators of a seed that have nothing in common; stream 0 is that of [`Random::seeded`].
    pub fn stream(seed: u64, number: u64) -> Self {
        let mut generator = ChaCha8Rng::seed_from_u64(seed);
        generator.set_stream(number);
        Self(Arc::new(Mutex::new(generator)))
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

/// What one load or fault draws from, and which of what it draws comes about. It has a stream of its own, so that what it
/// draws is the same whatever else there is.
#[derive(Clone, Debug)]
pub struct Draws {
    /// Its stream of the seed.
    pub random: Random,
    /// Of a load: its pods; of a fault: its strikes.
    pub picked: Picked,
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

/// All of [`Share`]: millionths.
pub const WHOLE: u64 = 1_000_000;

/// A number that is known, or one that the seed decides between two bounds, both included. What is known draws nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Amount {
    low: u64,
    high: u64,
}

impl Amount {
    /// Always this one.
    pub fn exactly(number: u64) -> Self {
        Self { low: number, high: number }
    }

    /// From `low` to `high`; `None` if they are the wrong way round.
    pub fn between(low: u64, high: u64) -> Option<Self> {
        (low <= high).then_some(Self { low, high })
    }

    /// The least and the most that it can be.
    pub fn bounds(&self) -> (u64, u64) {
        (self.low, self.high)
    }

    /// One of them.
    pub fn number(&self, random: &Random) -> u64 {
        let width = self.high - self.low;
        if width == 0 { self.low } else { self.low + random.below(width.saturating_add(1)) }
    }

    /// One of them, to count things with.
    pub fn draw(&self, random: &Random) -> usize {
        usize::try_from(self.number(random)).unwrap_or(usize::MAX)
    }
}

/// A share in millionths that is known, or one that the seed decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share(Amount);

impl Share {
    /// All.
    pub const ALL: Self = Self(Amount { low: WHOLE, high: WHOLE });

    /// From `low` to `high` millionths; `None` if they are the wrong way round.
    pub fn between(low: u64, high: u64) -> Option<Self> {
        Amount::between(low, high).map(Self)
    }

    /// The least and the most that it can be, in millionths.
    pub fn bounds(&self) -> (u64, u64) {
        self.0.bounds()
    }

    /// One of them, in millionths.
    pub fn draw(&self, random: &Random) -> u64 {
        self.0.number(random)
    }

    /// So much of `all`, rounded up: a share of something is never nothing.
    pub fn of(&self, all: usize, random: &Random) -> usize {
        let share = (all as u64).saturating_mul(self.draw(random)).div_ceil(WHOLE);
        usize::try_from(share).unwrap_or(usize::MAX)
    }
}

/// So many in a period; how many may be the seed's to decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many.
    pub amount: Amount,
    /// In which time.
    pub period: Duration,
}

impl Rate {
    /// The pause between two events, at a rate that is drawn once.
    pub fn pause(&self, random: &Random) -> Duration {
        let number = u32::try_from(self.amount.number(random)).unwrap_or(u32::MAX);
        self.period.checked_div(number).unwrap_or(self.period)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_drawn_lies_between_the_bounds_and_both_come_up() {
        let (random, amount) = (Random::seeded(1), Amount::between(3, 5).unwrap());
        let drawn: std::collections::BTreeSet<usize> = (0..200).map(|_| amount.draw(&random)).collect();
        assert_eq!(drawn, [3, 4, 5].into());
    }

    #[test]
    fn streams_of_a_seed_differ_and_are_the_same_again() {
        let drawn = |stream: u64| [(); 4].map(|()| Random::stream(7, stream).next());
        assert_eq!(drawn(0)[0], Random::seeded(7).next());
        assert_eq!(drawn(3), drawn(3));
        assert_ne!(drawn(3), drawn(4));
    }

    #[test]
    fn what_is_known_draws_nothing() {
        let (random, twin) = (Random::seeded(1), Random::seeded(1));
        assert_eq!((Amount::exactly(7).draw(&random), Share::ALL.draw(&random)), (7, WHOLE));
        assert_eq!(random.next(), twin.next());
    }

    #[test]
    fn a_share_of_something_is_never_nothing_and_never_more_than_all() {
        let (random, share) = (Random::seeded(1), |low| Share::between(low, low).unwrap());
        assert_eq!(share(1).of(50, &random), 1);
        assert_eq!(share(200_000).of(50, &random), 10);
        assert_eq!((Share::ALL.of(50, &random), Share::ALL.of(0, &random)), (50, 0));
    }
}
