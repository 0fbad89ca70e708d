//! Two reports beside each other: what broke, what got well, what became slower, which coverage was lost. Runs are the same if
//! scenario, seed and world are. Real time is told and never counts: another machine has another.

use std::collections::BTreeMap;

use serde::Serialize;

use super::record::{Key, Record, Verdict};
use super::results::Results;

/// What one side has and the other has not, or has otherwise.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Comparison {
    /// Runs that held and do not hold any more, and new ones that do not.
    pub broke: Vec<Change>,
    /// Runs that hold again.
    pub fixed: Vec<Change>,
    /// Runs that fail for another reason.
    pub otherwise: Vec<Change>,
    /// Runs that only the second has and that hold.
    pub new: usize,
    /// Runs that only the first has.
    pub gone: Vec<String>,
    /// Percentiles of a command over all runs that both have.
    pub latency: BTreeMap<String, Ratio>,
    /// Scenarios with a command that takes longer than is tolerated.
    pub slower: Vec<Slower>,
    /// Faults and operations that the first one met and the second did not.
    pub lost: Vec<String>,
    /// And the other way round.
    pub gained: Vec<String>,
    /// How many runs both have.
    pub both: usize,
    /// How much real time those took, in seconds, first and second.
    pub real_seconds: (f64, f64),
    /// Whether the second is worse than the first.
    pub worse: bool,
}

/// A run whose end is another.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    /// Which.
    pub run: String,
    /// How it ended.
    pub verdict: Verdict,
    /// What is or was wrong.
    pub reason: String,
    /// The line that runs it again.
    pub replay: String,
}

/// How long calls took, first and second, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Ratio {
    /// Half within.
    pub p50_ms: (f64, f64),
    /// 99 of 100 within.
    pub p99_ms: (f64, f64),
}

/// A command of a scenario that takes longer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Slower {
    /// Of which scenario.
    pub scenario: String,
    /// Which command.
    pub command: String,
    /// 99 of 100 within, first and second, in milliseconds.
    pub p99_ms: (f64, f64),
}

/// What is no change: a run's latencies are the seed's, so only code changes them, and a little is not worth a word.
#[derive(Clone, Copy, Debug)]
pub struct Tolerance {
    /// As many times as long.
    pub times: f64,
    /// And by more than so many milliseconds.
    pub by_ms: f64,
}

impl Comparison {
    /// Of a report and a later one.
    pub fn of(first: &Results, second: &Results, tolerance: Tolerance) -> Self {
        let before = by_key(first);
        let after = by_key(second);
        let mut found = Self::default();
        for (key, run) in &after {
            found.run(before.get(key).copied(), run);
        }
        found.gone =
            before.iter().filter(|(key, _)| !after.contains_key(*key)).map(|(_, run)| name(run)).collect();
        let pairs: Vec<(&Record, &Record)> =
            before.iter().filter_map(|(key, run)| Some((*run, *after.get(key)?))).collect();
        found.both = pairs.len();
        found.real_seconds = pairs.iter().fold((0.0, 0.0), |(one, other), (first, second)| {
            (one + first.real_seconds, other + second.real_seconds)
        });
        found.latencies(&pairs, tolerance);
        found.lost = missing(first, second);
        found.gained = missing(second, first);
        found.worse = !(found.broke.is_empty()
            && found.gone.is_empty()
            && found.slower.is_empty()
            && found.lost.is_empty());
        found
    }

    fn run(&mut self, before: Option<&Record>, after: &Record) {
        let change = |run: &Record| Change {
            run: name(run),
            verdict: after.verdict,
            reason: run.reason(),
            replay: after.replay.clone(),
        };
        match (before.map(Record::failed), after.failed()) {
            (None | Some(false), true) => self.broke.push(change(after)),
            (Some(true), false) => self.fixed.extend(before.map(change)),
            (Some(true), true) if before.is_some_and(|before| before.reason() != after.reason()) => {
                self.otherwise.push(change(after));
            }
            (None, false) => self.new += 1,
            _ => {}
        }
    }

    fn latencies(&mut self, pairs: &[(&Record, &Record)], tolerance: Tolerance) {
        let whole = |side: fn(&(&Record, &Record)) -> Record| {
            Results::of(pairs.iter().map(side).collect()).summary.latency
        };
        let (before, after) = (whole(|pair| pair.0.clone()), whole(|pair| pair.1.clone()));
        for (command, one) in &before {
            if let Some(other) = after.get(command) {
                let ratio = Ratio { p50_ms: (one.p50_ms, other.p50_ms), p99_ms: (one.p99_ms, other.p99_ms) };
                self.latency.insert(command.clone(), ratio);
            }
        }
        let mut scenarios: BTreeMap<&str, Vec<(&Record, &Record)>> = BTreeMap::new();
        for pair in pairs {
            scenarios.entry(&pair.0.scenario).or_default().push(*pair);
        }
        for (scenario, pairs) in scenarios {
            let before = Results::of(pairs.iter().map(|pair| pair.0.clone()).collect()).summary.latency;
            let after = Results::of(pairs.iter().map(|pair| pair.1.clone()).collect()).summary.latency;
            for (command, one) in before {
                let Some(other) = after.get(&command) else { continue };
                let p99_ms = (one.p99_ms, other.p99_ms);
                if p99_ms.1 > p99_ms.0 * tolerance.times && p99_ms.1 - p99_ms.0 > tolerance.by_ms {
                    self.slower.push(Slower { scenario: scenario.to_owned(), command, p99_ms });
                }
            }
        }
    }

    /// For people.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for (word, changes) in
            [("broke", &self.broke), ("otherwise", &self.otherwise), ("fixed", &self.fixed)]
        {
            for change in changes {
                lines.push(format!("{word:9}  {}: {}", change.run, change.reason));
                if word != "fixed" {
                    lines.push(format!("{:9}  again: {}", "", change.replay));
                }
            }
        }
        lines.extend(self.gone.iter().map(|run| format!("gone       {run}")));
        lines.extend(self.lost.iter().map(|what| format!("lost       {what} is struck no more")));
        lines.extend(self.gained.iter().map(|what| format!("gained     {what} is struck now")));
        for Slower { scenario, command, p99_ms: (one, other) } in &self.slower {
            lines.push(format!("slower     p99 of {command} in {scenario}: {}", ratio(*one, *other)));
        }
        for (command, Ratio { p50_ms, p99_ms }) in &self.latency {
            let (half, most) = (ratio(p50_ms.0, p50_ms.1), ratio(p99_ms.0, p99_ms.1));
            lines.push(format!("latency    {command:6} p50 {half}, p99 {most}"));
        }
        let (one, other) = self.real_seconds;
        lines.push(format!("real time  {one:.2} s, {other:.2} s (does not count)"));
        lines.push(format!(
            "{} runs in both, {} new; {} broke, {} fixed: {}",
            self.both,
            self.new,
            self.broke.len(),
            self.fixed.len(),
            if self.worse { "worse" } else { "not worse" }
        ));
        lines
    }
}

fn by_key(results: &Results) -> BTreeMap<Key<'_>, &Record> {
    results.runs.iter().map(|run| (run.key(), run)).collect()
}

fn name(run: &Record) -> String {
    format!("{} seed {}", run.scenario, run.seed)
}

fn ratio(one: f64, other: f64) -> String {
    let times = if one > 0.0 { format!(" ({:.2} times)", other / one) } else { String::new() };
    format!("{one:.1} ms, {other:.1} ms{times}")
}

/// What the one met and the other did not.
fn missing(one: &Results, other: &Results) -> Vec<String> {
    let struck = |results: &Results, fault: &str, operation: &str| {
        results.coverage.get(fault).and_then(|of| of.get(operation)).is_some_and(|times| *times > 0)
    };
    let mut missing = Vec::new();
    for (fault, operations) in &one.coverage {
        for (operation, times) in operations {
            if *times > 0 && !struck(other, fault, operation) {
                missing.push(if operation.is_empty() {
                    fault.clone()
                } else {
                    format!("{fault} at {operation}")
                });
            }
        }
    }
    missing
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::{TOO_FAST, one};
    use super::*;

    const TOLERANCE: Tolerance = Tolerance { times: 1.25, by_ms: 5.0 };

    fn compared(first: &[&Record], second: &[&Record]) -> Comparison {
        let results = |runs: &[&Record]| Results::of(runs.iter().map(|run| (*run).clone()).collect());
        Comparison::of(&results(first), &results(second), TOLERANCE)
    }

    #[test]
    fn a_report_is_not_worse_than_itself() {
        let (held, failed) = (one("", 1).1, one(TOO_FAST, 2).1);
        let same = compared(&[&held, &failed], &[&held, &failed]);
        assert!(!same.worse && same.broke.is_empty() && same.both == 2, "{same:?}");
        assert!(same.lines().last().unwrap().ends_with("not worse"));
    }

    #[test]
    fn what_broke_is_told_with_its_reason_and_the_same_the_other_way_round_is_fixed() {
        let (good, bad) = (one("", 1).1, one(TOO_FAST, 1).1);
        let worse = compared(&[&good], &[&bad]);
        assert!(worse.worse && worse.broke[0].reason.contains("p99 of ADD"), "{worse:?}");
        assert!(worse.lines().iter().any(|line| line.starts_with("broke      theme/mine seed 1: latency")));
        let better = compared(&[&bad], &[&good]);
        assert!(!better.worse && better.fixed.len() == 1 && better.broke.is_empty(), "{better:?}");
        assert!(compared(&[], &[&bad]).worse && !compared(&[], &[&good]).worse);
    }

    #[test]
    fn runs_that_are_gone_and_coverage_that_is_lost_are_worse() {
        let (one, mut other) = (one("", 1).1, one("", 2).1);
        let gone = compared(&[&one, &other], &[&one]);
        assert_eq!((gone.worse, gone.gone), (true, vec!["theme/mine seed 2".to_owned()]));
        other.coverage.entry("vrs.slow".to_owned()).or_default().insert("GC".to_owned(), 2);
        let before = other.clone();
        other.coverage.clear();
        let lost = compared(&[&one, &before], &[&one, &other]);
        assert_eq!((lost.worse, lost.lost), (true, vec!["vrs.slow at GC".to_owned()]));
    }

    #[test]
    fn a_scenario_that_takes_longer_than_is_tolerated_is_worse_and_one_that_takes_a_little_longer_is_not() {
        let run = one("", 1).1;
        let with_adds = |times: f64| {
            let mut slow = run.clone();
            let latency = slow.latency.get_mut("ADD").unwrap();
            latency.max_ms *= times;
            let longest = std::time::Duration::from_secs_f64(latency.max_ms / 1000.0).as_micros();
            latency.buckets = vec![(u64::try_from(longest).unwrap(), 1)];
            compared(&[&run], &[&slow])
        };
        assert!(!with_adds(1.05).worse);
        let slower = with_adds(2.0);
        assert_eq!((slower.worse, slower.slower.len()), (true, 1));
        assert!(slower.lines().iter().any(|line| line.starts_with("slower     p99 of ADD in theme/mine: ")));
    }
}
