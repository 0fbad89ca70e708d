//! Durations in buckets that can be merged: each is a sixteenth as wide as where it begins, so what is told from buckets is at
//! most a sixteenth too much. Percentiles of one run are exact.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Buckets for each doubling, as a power of two.
const FINENESS: u32 = 4;
const PARTS: u64 = 1 << FINENESS;

/// How long calls took.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// How many calls.
    pub count: u64,
    /// The arithmetic mean, in milliseconds, as are the following.
    pub mean_ms: f64,
    /// Half of them took no longer.
    pub p50_ms: f64,
    /// Nine of ten took no longer.
    pub p90_ms: f64,
    /// 99 of a hundred took no longer.
    pub p99_ms: f64,
    /// The longest.
    pub max_ms: f64,
    /// Where a bucket begins, in microseconds, and how many calls are in it.
    pub buckets: Vec<(u64, u64)>,
}

impl Latency {
    /// Of these durations, in any order.
    pub fn of(durations: &[Duration]) -> Self {
        let mut sorted: Vec<u64> = durations.iter().map(|duration| micros(*duration)).collect();
        sorted.sort_unstable();
        let count = sorted.len() as u64;
        let at = |percent: u64| {
            let rank = (count * percent).div_ceil(100).max(1);
            usize::try_from(rank - 1).ok().and_then(|rank| sorted.get(rank)).copied().unwrap_or_default()
        };
        let mut buckets: BTreeMap<u64, u64> = BTreeMap::new();
        for duration in &sorted {
            *buckets.entry(beginning(*duration)).or_default() += 1;
        }
        Self {
            count,
            mean_ms: milliseconds(sorted.iter().sum::<u64>()) / exact(count.max(1)),
            p50_ms: milliseconds(at(50)),
            p90_ms: milliseconds(at(90)),
            p99_ms: milliseconds(at(99)),
            max_ms: milliseconds(at(100)),
            buckets: buckets.into_iter().collect(),
        }
    }

    /// Of several runs together: percentiles are the ends of their buckets.
    pub fn merged<'a>(all: impl Iterator<Item = &'a Self> + Clone) -> Self {
        let mut buckets: BTreeMap<u64, u64> = BTreeMap::new();
        for (begin, count) in all.clone().flat_map(|latency| &latency.buckets) {
            *buckets.entry(*begin).or_default() += count;
        }
        let count: u64 = buckets.values().sum();
        let max_ms = all.clone().map(|latency| latency.max_ms).fold(0.0, f64::max);
        let total: f64 = all.map(|latency| latency.mean_ms * exact(latency.count)).sum();
        let at = |percent: u64| {
            let rank = (count * percent).div_ceil(100).max(1);
            let mut below = 0;
            let bucket = buckets.iter().find(|(_, count)| {
                below += **count;
                below >= rank
            });
            bucket.map_or(0.0, |(begin, _)| milliseconds(end(*begin)).min(max_ms))
        };
        Self {
            count,
            mean_ms: total / exact(count.max(1)),
            p50_ms: at(50),
            p90_ms: at(90),
            p99_ms: at(99),
            max_ms,
            buckets: buckets.into_iter().collect(),
        }
    }
}

/// Where the bucket of a duration begins.
fn beginning(micros: u64) -> u64 {
    let shift = width(micros);
    micros >> shift << shift
}

/// Where a bucket that begins there ends.
fn end(beginning: u64) -> u64 {
    beginning + (1 << width(beginning)) - 1
}

/// The width of the bucket, as a power of two.
fn width(micros: u64) -> u32 {
    micros.max(PARTS).ilog2() - FINENESS
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX >> 1)
}

fn milliseconds(micros: u64) -> f64 {
    exact(micros) / 1000.0
}

#[expect(clippy::cast_precision_loss, reason = "what is counted and measured here is far below 2^52")]
fn exact(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn percentiles_of_one_run_are_durations_that_were_measured() {
        let calls: Vec<Duration> = (1..=200).rev().map(Duration::from_millis).collect();
        let latency = Latency::of(&calls);
        assert_eq!(
            (latency.count, latency.p50_ms, latency.p99_ms, latency.max_ms),
            (200, 100.0, 198.0, 200.0)
        );
        assert!((latency.mean_ms - 100.5).abs() < 1e-9);
        assert_eq!(Latency::of(&[]), Latency { buckets: vec![], ..Latency::default() });
    }

    proptest! {
        #[test]
        fn a_bucket_holds_its_durations_and_is_at_most_a_sixteenth_wide(micros in 0_u64..u64::MAX / 2) {
            let begin = beginning(micros);
            prop_assert!(begin <= micros && micros <= end(begin));
            prop_assert!(end(begin) - begin <= begin / PARTS);
            prop_assert_eq!(beginning(end(begin)), begin);
        }

        #[test]
        fn runs_that_are_merged_are_one_run_as_far_as_buckets_can_tell(
            one in prop::collection::vec(0_u64..10_000_000, 0..60),
            other in prop::collection::vec(0_u64..10_000_000, 1..60),
        ) {
            let of = |micros: &[u64]| Latency::of(&micros.iter().map(|one| Duration::from_micros(*one)).collect::<Vec<_>>());
            let merged = Latency::merged([of(&one), of(&other)].iter());
            let whole = of(&[one, other].concat());
            prop_assert_eq!((merged.count, &merged.buckets), (whole.count, &whole.buckets));
            prop_assert!((merged.mean_ms - whole.mean_ms).abs() < 1e-6 * whole.mean_ms.max(1.0));
            prop_assert!((merged.max_ms - whole.max_ms).abs() < 1e-9);
            for (told, true_one) in [(merged.p50_ms, whole.p50_ms), (merged.p99_ms, whole.p99_ms)] {
                prop_assert!(told >= true_one - 1e-9 && told <= true_one * (17.0 / 16.0) + 1e-9);
            }
        }
    }
}
