//! What is kept of a run: everything that summaries, reports and comparisons need of it, without its trace. A line of
//! runs.jsonl and an element of results.json; docs/reference/results.md is its reference.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::histogram::Latency;
use crate::coverage::ByFault;
use crate::run::Report;
use crate::world::sim::difference::Difference;

/// Whether a run holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Verdict {
    /// It was made twice, and its traces differ.
    #[serde(rename = "NOT DETERMINISTIC")]
    NotDeterministic,
    /// An invariant or an expectation is violated.
    #[serde(rename = "FAILED")]
    Failed,
    /// Everything holds.
    #[serde(rename = "ok")]
    Ok,
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.pad(match self {
            Self::NotDeterministic => "NOT DETERMINISTIC",
            Self::Failed => "FAILED",
            Self::Ok => "ok",
        })
    }
}

/// A broken invariant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Violation {
    /// Its name.
    pub invariant: String,
    /// What was found.
    pub details: String,
    /// On which node.
    pub node: String,
    /// When, in virtual milliseconds.
    pub time_ms: u64,
    /// How many lines the trace had by then.
    pub events: usize,
    /// What the runtime knew and what the node had.
    pub difference: Vec<Difference>,
}

/// A run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The scenario's path without its ending.
    pub scenario: String,
    /// What it is about.
    pub title: String,
    /// The seed.
    pub seed: u64,
    /// `sim`, `host` or `containers`.
    pub world: String,
    /// Whether it holds.
    pub verdict: Verdict,
    /// How many pods were made.
    pub pods: usize,
    /// How many ADDs were called.
    pub adds: usize,
    /// How many DELs were called.
    pub dels: usize,
    /// How long it took in the world's time.
    pub simulated_seconds: f64,
    /// How long it really took.
    pub real_seconds: f64,
    /// What went wrong, in lines for people.
    pub complaints: Vec<String>,
    /// The first broken invariant.
    pub violation: Option<Violation>,
    /// Expectations that do not hold.
    pub failures: Vec<String>,
    /// The line that runs it again.
    pub replay: String,
    /// Faults that struck: operations, and how often.
    pub coverage: ByFault,
    /// How long calls took in the world's time, by command; those that were killed are left out.
    pub latency: BTreeMap<String, Latency>,
    /// How many calls were answered so, by command and code; 0 is success.
    pub answers: BTreeMap<String, BTreeMap<String, u64>>,
    /// What of its scenario was varied, if anything was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub varied: Option<Varied>,
    /// Its traces, below the report's directory and without their endings, if they were written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
    /// What others have added.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// One value of a number that several runs vary.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Varied {
    /// Which number, like `load[0].rate`.
    pub key: String,
    /// What stands behind it, like `/s`.
    pub unit: String,
    /// The number.
    pub value: f64,
}

/// Which run it is, whatever it found.
pub type Key<'a> = (&'a str, u64, &'a str);

impl Record {
    /// Of a run that really took so long.
    pub fn of(report: &Report, real: Duration, deterministic: bool) -> Self {
        let verdict = match (deterministic, report.passed()) {
            (false, _) => Verdict::NotDeterministic,
            (true, true) => Verdict::Ok,
            (true, false) => Verdict::Failed,
        };
        let violation = report.violation.as_ref().map(|violation| Violation {
            invariant: violation.invariant.to_owned(),
            details: violation.details.clone(),
            node: violation.node.clone(),
            time_ms: violation.time,
            events: violation.events,
            difference: violation.difference.clone(),
        });
        let latency = report.durations.iter();
        let mut answers: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
        for ((command, code), times) in &report.answers {
            answers.entry((*command).to_owned()).or_default().insert(code.to_string(), *times as u64);
        }
        Self {
            scenario: report.scenario.clone(),
            title: report.title.clone(),
            seed: report.seed,
            world: report.world.to_owned(),
            verdict,
            pods: report.pods,
            adds: report.adds,
            dels: report.dels,
            simulated_seconds: rounded(report.simulated),
            real_seconds: rounded(real),
            complaints: report.complaints(),
            violation,
            failures: report.failures.clone(),
            replay: report.replay(),
            coverage: report.coverage.of_struck(),
            latency: latency.map(|(command, all)| ((*command).to_owned(), Latency::of(all))).collect(),
            answers,
            varied: None,
            trace: None,
            more: Map::new(),
        }
    }

    /// Whether it does not hold.
    pub fn failed(&self) -> bool {
        self.verdict != Verdict::Ok
    }

    /// Which run it is.
    pub fn key(&self) -> Key<'_> {
        (&self.scenario, self.seed, &self.world)
    }

    /// For people: a line.
    pub fn line(&self) -> String {
        let Self { scenario, seed, pods, adds, dels, simulated_seconds, real_seconds, verdict, .. } = self;
        format!(
            "{scenario:45} seed {seed:<6} {pods:5} pods {adds:6} ADD {dels:6} DEL {simulated_seconds:8.1} s simulated in {real_seconds:6.2} s  {verdict}"
        )
    }

    /// The first thing that is wrong with it.
    pub fn reason(&self) -> String {
        match (&self.violation, self.failures.first()) {
            (Some(violation), _) => format!("{} violated: {}", violation.invariant, violation.details),
            (None, Some(failure)) => failure.clone(),
            (None, None) if self.failed() => "two runs of one seed have different traces".to_owned(),
            (None, None) => String::new(),
        }
    }
}

/// In seconds, to the microsecond.
fn rounded(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e6
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::run::run_reported;
    use crate::scenario::Scenario;

    /// A run of one pod, as it ended.
    pub(in crate::report) fn one(more: &str, seed: u64) -> (Report, Record) {
        let text = format!("title = \"t\"\nwhy = \"w\"\n[[load]]\nkind = \"pod\"\n{more}");
        let report = run_reported(&Scenario::parse("theme/mine.toml", &text).unwrap(), seed).unwrap();
        let record = Record::of(&report, Duration::from_millis(20), true);
        (report, record)
    }

    /// What makes a run of one pod fail.
    pub(in crate::report) const TOO_FAST: &str =
        "[[expect]]\nkind = \"latency\"\nop = \"ADD\"\np99_max = \"1ms\"\n";

    #[test]
    fn a_record_that_is_written_and_read_again_is_the_same_and_keeps_what_it_does_not_know() {
        let (_, mut record) = one(TOO_FAST, 3);
        record.more.insert("key".to_owned(), Value::from("abc"));
        let read: Record = serde_json::from_str(&serde_json::to_string(&record).unwrap()).unwrap();
        assert_eq!(read, record);
        assert_eq!((read.verdict, read.reason().contains("latency: p99")), (Verdict::Failed, true));
    }

    #[test]
    fn a_record_counts_what_the_run_counted() {
        let (report, record) = one("", 1);
        assert_eq!((record.adds, record.latency["ADD"].count), (1, 1));
        assert_eq!(record.answers["DEL"]["0"], report.dels as u64);
        assert!(record.line().ends_with("  ok") && record.reason().is_empty());
    }
}
