//! How a run fails, so that two failures can be compared: by the invariant, or by what an expectation complains of. Names and
//! figures are left out, since a smaller run has others.

use std::fmt;

use crate::run::Report;

/// One way in which a run fails.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Failure {
    /// An invariant is broken.
    Invariant(&'static str),
    /// An expectation does not hold, or the run does not get on: the words of the complaint up to its first name or figure.
    Complaint(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Invariant(name) => name,
            Self::Complaint(words) => words,
        })
    }
}

/// Every way in which a run failed that a smaller run can fail in, too.
pub fn failures(report: &Report) -> Vec<Failure> {
    if let Some(violation) = &report.violation {
        return vec![Failure::Invariant(violation.invariant)];
    }
    let complaints = report.failures.iter().filter(|complaint| !tells_of_too_little(complaint));
    complaints.map(|complaint| Failure::Complaint(words(complaint))).collect()
}

/// Whether it is too little that happened. The less a scenario does the more is missing, so that nothing would be left of it.
fn tells_of_too_little(complaint: &str) -> bool {
    let kind = complaint.split(':').next().unwrap_or_default();
    match kind {
        // How often, or where, the fault of an exhaustive run has struck; what broke is told beside it.
        "fault_hit" | "plugin.killed" => true,
        "answers" => !complaint.contains(", more than "),
        "latency" => complaint.contains("there was no"),
        _ => complaint.contains("never happened"),
    }
}

fn words(complaint: &str) -> String {
    let plain = |word: &&str| {
        !word.starts_with(|c: char| c.is_ascii_digit() || "\"'[{(".contains(c)) && !word.contains('/')
    };
    let words: Vec<&str> = complaint.split_whitespace().take_while(plain).collect();
    words.join(" ").trim_end_matches(':').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_complaint_is_known_by_its_words_and_not_by_its_names_and_figures() {
        for (complaint, expected) in [
            ("no_leaks: left after 30s: port nu1 on the switch of node-1", "no_leaks: left after"),
            ("latency: p99 of ADD is 12.5s, over 5s", "latency: p99 of ADD is"),
            ("all_running: never came up: jobs/job-17", "all_running: never came up"),
            ("liveness: pending 300s after all had healed: [\"a/b\"] []", "liveness: pending"),
            ("not over after 172800s", "not over after"),
            ("answers: 5 ADD with code 11, more than 3; there were 5 x 11", "answers"),
        ] {
            assert_eq!(words(complaint), expected);
            assert!(!tells_of_too_little(complaint), "{complaint}");
        }
    }

    #[test]
    fn what_is_missing_is_no_failure_that_a_smaller_run_shows() {
        for complaint in [
            "fault_hit: vrs.slow never happened to ADD",
            "vrs.restart: declared, and never happened",
            "answers: 0 ADD with code 11, not 1; there were 3 x 0",
            "latency: there was no ADD",
            "plugin.killed: ADD was killed at point 7",
        ] {
            assert!(tells_of_too_little(complaint), "{complaint}");
        }
    }
}
