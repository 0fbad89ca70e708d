//! results.json: the runs of one invocation, or of several merged. Reads what it writes, and the runs of an invocation that was
//! killed before it could write it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::histogram::Latency;
use super::record::{Record, Verdict};
use super::{RESULTS, RUNS};
use crate::coverage::{ByFault, Coverage};
use crate::error::Error;

/// What a document of this form says it is. It changes when a reader of it would have to.
pub const SCHEMA: &str = "nuage-harness/results/1";

/// All runs, and what they are together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// [`SCHEMA`].
    pub schema: String,
    /// The version of the executable.
    pub version: String,
    /// The runs together.
    pub summary: Summary,
    /// Each run, in the order of the scenarios and seeds.
    pub runs: Vec<Record>,
    /// Every fault that there is: operations that it struck, and how often.
    pub coverage: ByFault,
    /// How many runs were not begun or not ended: the time was up, a run failed, or somebody interrupted it.
    #[serde(default)]
    pub not_begun: usize,
    /// Whether somebody ended it.
    #[serde(default)]
    pub interrupted: bool,
}

/// Several runs together.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// How many.
    pub runs: usize,
    /// How many of them hold.
    pub held: usize,
    /// How many do not.
    pub failed: usize,
    /// How many of those are not deterministic.
    pub not_deterministic: usize,
    /// In virtual time.
    pub simulated_seconds: f64,
    /// In real time, one after the other.
    pub real_seconds: f64,
    /// How long calls took, by command.
    pub latency: BTreeMap<String, Latency>,
}

impl Results {
    /// Of these runs.
    pub fn of(runs: Vec<Record>) -> Self {
        let summary = Summary::of(&runs);
        let coverage = coverage(&runs).of_all();
        Self {
            schema: SCHEMA.to_owned(),
            version: crate::VERSION.to_owned(),
            summary,
            runs,
            coverage,
            not_begun: 0,
            interrupted: false,
        }
    }

    /// Reads a results.json, that of a report's directory, or the runs of a report that was never finished.
    ///
    /// # Errors
    /// [`Error::File`], or [`Error::Report`]: it is none.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let path = found(path);
        let text = fs::read_to_string(&path).map_err(|source| Error::File { path: path.clone(), source })?;
        let none = |why: String| Error::Report { path: path.clone(), why };
        if path.extension().is_some_and(|end| end == "jsonl") {
            return Ok(Self::of(runs(&text).map_err(none)?));
        }
        let read: Self = serde_json::from_str(&text).map_err(|error| none(error.to_string()))?;
        if read.schema != SCHEMA {
            return Err(none(format!("its schema is {:?}, not {SCHEMA:?}", read.schema)));
        }
        Ok(read)
    }

    /// For scripts, and the file.
    pub fn to_text(&self) -> String {
        // Texts, numbers and lists of them: there is nothing that JSON could not say.
        serde_json::to_string_pretty(self).unwrap_or_default()
    }
}

/// The runs that are written down in lines. The last one may be cut: whoever wrote it was killed.
///
/// # Errors
/// Which line is none, and why.
pub fn runs(text: &str) -> Result<Vec<Record>, String> {
    let mut found = Vec::new();
    for (number, line) in text.split_inclusive('\n').enumerate() {
        match serde_json::from_str(line) {
            Ok(record) => found.push(record),
            Err(_) if !line.ends_with('\n') => {}
            Err(error) => return Err(format!("line {}: {error}", number + 1)),
        }
    }
    Ok(found)
}

fn found(path: &Path) -> PathBuf {
    if !path.is_dir() {
        return path.to_owned();
    }
    let whole = path.join(RESULTS);
    let begun = path.join(RUNS);
    if !whole.exists() && begun.exists() { begun } else { whole }
}

/// What all of them met.
pub fn coverage(runs: &[Record]) -> Coverage {
    let mut coverage = Coverage::default();
    for run in runs {
        coverage.add_written(&run.coverage);
    }
    coverage
}

impl Summary {
    fn of(runs: &[Record]) -> Self {
        let count = |verdict: Verdict| runs.iter().filter(|run| run.verdict == verdict).count();
        let commands: std::collections::BTreeSet<&String> =
            runs.iter().flat_map(|run| run.latency.keys()).collect();
        let merged = |command: &String| {
            Latency::merged(
                runs.iter().filter_map(|run| run.latency.get(command)).collect::<Vec<_>>().into_iter(),
            )
        };
        Self {
            runs: runs.len(),
            held: count(Verdict::Ok),
            failed: runs.len() - count(Verdict::Ok),
            not_deterministic: count(Verdict::NotDeterministic),
            simulated_seconds: runs.iter().map(|run| run.simulated_seconds).sum(),
            real_seconds: runs.iter().map(|run| run.real_seconds).sum(),
            latency: commands.into_iter().map(|command| (command.clone(), merged(command))).collect(),
        }
    }

    /// For people: a line.
    pub fn line(&self) -> String {
        let Self { runs, held, simulated_seconds, real_seconds, .. } = self;
        let ratio = simulated_seconds / real_seconds.max(0.001);
        format!(
            "{held} of {runs} runs hold; {simulated_seconds:.0} s simulated in {real_seconds:.2} s, {ratio:.0} times faster"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::{TOO_FAST, one};
    use super::*;

    #[test]
    fn results_that_are_written_and_read_again_are_the_same() {
        let directory = tempfile::tempdir().unwrap();
        let results = Results::of(vec![one("", 1).1, one(TOO_FAST, 2).1]);
        assert_eq!((results.summary.runs, results.summary.held, results.summary.failed), (2, 1, 1));
        fs::write(directory.path().join(RESULTS), results.to_text()).unwrap();
        assert_eq!(Results::read(directory.path()).unwrap(), results);
        assert_eq!(Results::read(&directory.path().join(RESULTS)).unwrap(), results);
    }

    #[test]
    fn a_run_that_was_killed_while_it_wrote_its_last_line_lacks_that_line_only() {
        let directory = tempfile::tempdir().unwrap();
        let line = serde_json::to_string(&one("", 1).1).unwrap();
        fs::write(directory.path().join(RUNS), format!("{line}\n{line}\n{}", &line[..line.len() / 2]))
            .unwrap();
        assert_eq!(Results::read(directory.path()).unwrap().runs.len(), 2);
        fs::write(directory.path().join(RUNS), format!("{}\n{line}\n", &line[..line.len() / 2])).unwrap();
        assert!(Results::read(directory.path()).unwrap_err().to_string().contains("runs.jsonl: line 1: "));
    }

    #[test]
    fn what_is_no_results_file_is_told_so() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.json");
        fs::write(&path, "{\"schema\": 3}").unwrap();
        assert!(Results::read(&path).unwrap_err().to_string().contains("x.json: "));
        let other = Results { schema: "nuage-harness/results/9".to_owned(), ..Results::of(vec![]) };
        fs::write(&path, other.to_text()).unwrap();
        assert!(Results::read(&path).unwrap_err().to_string().contains("results/9"));
        assert!(matches!(Results::read(&directory.path().join("nowhere")), Err(Error::File { .. })));
    }
}
