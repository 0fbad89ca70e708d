//! What came of a number that runs varied: a curve of ADD's latency, a point a value. Where it bends is what a sweep is for.

use serde::Serialize;

use super::histogram::Latency;
use super::record::{Record, Varied};

/// What a curve tells of.
const VERB: &str = "ADD";

/// A curve.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Sweep {
    /// What was varied.
    pub key: String,
    /// Its unit.
    pub unit: String,
    /// Of which command.
    pub verb: &'static str,
    /// By the number, from low to high.
    pub points: Vec<Point>,
}

/// All runs with one value.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Point {
    /// The number.
    pub x: f64,
    /// How many calls.
    pub count: u64,
    /// Half within, in milliseconds; none where there was no call.
    pub p50_ms: Option<f64>,
    /// 99 of 100 within.
    pub p99_ms: Option<f64>,
    /// How many runs do not hold.
    pub failed: usize,
}

/// The curves of these runs, one a key.
pub fn sweeps(runs: &[Record]) -> Vec<Sweep> {
    let mut varied: Vec<(&Varied, &Record)> =
        runs.iter().filter_map(|run| Some((run.varied.as_ref()?, run))).collect();
    let place = |varied: &Varied| (varied.key.clone(), varied.unit.clone());
    varied.sort_by(|(one, _), (other, _)| {
        place(one).cmp(&place(other)).then(one.value.total_cmp(&other.value))
    });
    let mut sweeps: Vec<Sweep> = Vec::new();
    for same in varied.chunk_by(|(one, _), (other, _)| one == other) {
        let Some((Varied { key, unit, value }, _)) = same.first() else { continue };
        let latencies: Vec<&Latency> = same.iter().filter_map(|(_, run)| run.latency.get(VERB)).collect();
        let merged = Latency::merged(latencies.into_iter());
        let some = |value: f64| (merged.count > 0).then_some(value);
        let point = Point {
            x: *value,
            count: merged.count,
            p50_ms: some(merged.p50_ms),
            p99_ms: some(merged.p99_ms),
            failed: same.iter().filter(|(_, run)| run.failed()).count(),
        };
        match sweeps.last_mut().filter(|sweep| (&sweep.key, &sweep.unit) == (key, unit)) {
            Some(sweep) => sweep.points.push(point),
            None => {
                sweeps.push(Sweep { key: key.clone(), unit: unit.clone(), verb: VERB, points: vec![point] });
            }
        }
    }
    sweeps
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::{TOO_FAST, one};
    use super::*;

    #[test]
    fn a_curve_has_a_point_a_value_in_order_and_tells_what_failed() {
        let mut runs = Vec::new();
        for (value, more, seed) in [(10.0, TOO_FAST, 1), (2.0, "", 1), (10.0, "", 2), (5.0, "", 1)] {
            let mut run = one(more, seed).1;
            run.varied = Some(Varied { key: "load[0].count".to_owned(), unit: String::new(), value });
            runs.push(run);
        }
        runs.push(one("", 9).1);
        let sweeps = sweeps(&runs);
        assert_eq!(sweeps.len(), 1);
        let points: Vec<(f64, u64, usize)> =
            sweeps[0].points.iter().map(|point| (point.x, point.count, point.failed)).collect();
        assert_eq!(points, [(2.0, 1, 0), (5.0, 1, 0), (10.0, 2, 1)]);
    }
}
