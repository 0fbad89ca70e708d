//! How long to wait before the next try: doubling, bounded, and spread so that the nodes of a cluster do not come back all at
//! once. The spread comes from a name, not from chance, so that a run can be repeated.

use std::time::Duration;

use sha1::{Digest as _, Sha1};

/// Doubling this often reaches any bound.
const MAX_DOUBLINGS: u32 = 16;

/// The pauses of one peer.
#[derive(Clone, Debug)]
pub struct Backoff {
    seed: String,
    first: Duration,
    longest: Duration,
    failures: u32,
}

impl Backoff {
    /// Pauses from `first` to `longest`, spread by `seed`: the node's name and the peer's.
    pub fn new(seed: impl Into<String>, first: Duration, longest: Duration) -> Self {
        Self { seed: seed.into(), first, longest, failures: 0 }
    }

    /// The pause after one more failure: between half of it and all of it.
    pub fn pause(&mut self) -> Duration {
        let whole = self.first.saturating_mul(1 << self.failures.min(MAX_DOUBLINGS)).min(self.longest);
        self.failures = self.failures.saturating_add(1);
        spread(&format!("{}/{}", self.seed, self.failures), whole)
    }

    /// It has worked.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// How often it has failed since it last worked.
    pub fn failures(&self) -> u32 {
        self.failures
    }
}

/// Between half of a duration and all of it, always the same for the same seed.
pub(super) fn spread(seed: &str, whole: Duration) -> Duration {
    let digest = Sha1::digest(seed);
    let drawn = u32::from(u16::from_be_bytes([digest[0], digest[1]]));
    whole / 2 + (whole / 2).saturating_mul(drawn) / u32::from(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_their_bound_and_nodes_do_not_share_them() {
        let (first, longest) = (Duration::from_secs(1), Duration::from_secs(30));
        let mut backoff = Backoff::new("node-1", first, longest);
        let pauses: Vec<Duration> = (0..40).map(|_| backoff.pause()).collect();
        for (index, pause) in pauses.iter().enumerate() {
            let whole = first.saturating_mul(1 << index.min(16)).min(longest);
            assert!((whole / 2..=whole).contains(pause), "{index}: {pause:?}");
        }
        let mut other = Backoff::new("node-2", first, longest);
        assert_ne!(pauses, (0..40).map(|_| other.pause()).collect::<Vec<_>>());
        backoff.reset();
        assert_eq!(backoff.pause(), pauses[0]);
    }
}
