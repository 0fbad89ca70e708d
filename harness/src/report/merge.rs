//! Reports of the parts of a sweep as one. A run that two parts have must have found the same.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::record::Record;
use super::results::Results;
use super::{CHROME, RUNS, TRACE, finish, line, write};
use crate::error::Error;

/// Writes what all these reports have into `into`, traces included, and tells what they are together.
///
/// # Errors
/// [`Error::File`]; [`Error::Report`]: one of them is none, or two contradict each other.
pub fn merge(parts: &[PathBuf], into: &Path) -> Result<Results, Error> {
    let mut runs: BTreeMap<(String, u64, String), (Record, &PathBuf)> = BTreeMap::new();
    let (mut not_begun, mut interrupted) = (0, false);
    for part in parts {
        let results = Results::read(part)?;
        not_begun += results.not_begun;
        interrupted |= results.interrupted;
        for run in results.runs {
            let key = (run.scenario.clone(), run.seed, run.world.clone());
            match runs.get(&key) {
                Some((known, other)) if !same(known, &run) => {
                    let (scenario, seed) = (&run.scenario, run.seed);
                    let why =
                        format!("{scenario} with seed {seed} ended otherwise than in {}", other.display());
                    return Err(Error::Report { path: part.clone(), why });
                }
                Some(_) => {}
                None => {
                    runs.insert(key, (run, part));
                }
            }
        }
    }
    let mut merged = Vec::new();
    for (mut run, part) in runs.into_values() {
        let copied = run.trace.as_deref().map(|trace| copy(part, into, trace)).transpose()?;
        if copied == Some(false) {
            run.trace = None;
        }
        merged.push(run);
    }
    let lines: String = merged.iter().map(|run| line(run) + "\n").collect();
    write(&into.join(RUNS), &lines)?;
    let results = Results { not_begun, interrupted, ..Results::of(merged) };
    finish(into, &results)?;
    Ok(results)
}

/// Whether two runs of one seed found the same.
fn same(one: &Record, other: &Record) -> bool {
    (one.verdict, one.adds, one.dels, &one.failures)
        == (other.verdict, other.adds, other.dels, &other.failures)
        && one.violation == other.violation
}

/// Copies a run's traces, if they are there.
fn copy(part: &Path, into: &Path, trace: &str) -> Result<bool, Error> {
    let folder = if part.is_dir() { part } else { part.parent().unwrap_or(part) };
    // What a file says may name any other.
    let inside = Path::new(trace).components().all(|part| matches!(part, std::path::Component::Normal(_)));
    let mut found = false;
    for ending in [TRACE, CHROME] {
        let name = format!("{trace}.{ending}");
        let (from, to) = (folder.join(&name), into.join(&name));
        if !inside || !from.is_file() {
            continue;
        }
        found = true;
        if from == to {
            continue;
        }
        let made = to.parent().map_or(Ok(()), fs::create_dir_all);
        made.and_then(|()| fs::copy(&from, &to)).map_err(|source| Error::File { path: to, source })?;
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::{TOO_FAST, one};
    use super::super::{Directory, JUNIT, PAGE, RESULTS};
    use super::*;

    /// A report of these runs.
    fn part(directory: &Path, runs: &[(&str, u64)]) {
        let mut written = Directory::begin(directory).unwrap();
        let mut records = Vec::new();
        for (more, seed) in runs {
            let (report, mut record) = one(more, *seed);
            written.write_traces(&mut record, &report).unwrap();
            written.add(&record).unwrap();
            records.push(record);
        }
        written.finish(&Results::of(records)).unwrap();
    }

    #[test]
    fn parts_that_are_merged_are_the_whole() {
        let directory = tempfile::tempdir().unwrap();
        let of = |name: &str| directory.path().join(name);
        part(&of("1"), &[("", 1), ("", 3)]);
        part(&of("2"), &[("", 2), ("", 1)]);
        fs::remove_file(of("2").join(RESULTS)).unwrap();
        part(&of("whole"), &[("", 1), ("", 2), ("", 3)]);
        let merged = merge(&[of("1"), of("2")], &of("merged")).unwrap();
        let whole = Results::read(&of("whole")).unwrap();
        assert_eq!(merged, whole);
        assert_eq!(Results::read(&of("merged")).unwrap(), whole);
        for name in [JUNIT, PAGE] {
            let read = |report: &str| fs::read_to_string(of(report).join(name)).unwrap();
            assert_eq!(read("merged"), read("whole"), "{name}");
        }
        assert_eq!(fs::read_dir(of("merged").join("traces")).unwrap().count(), 6);
    }

    #[test]
    fn parts_that_contradict_each_other_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let of = |name: &str| directory.path().join(name);
        part(&of("1"), &[("", 1)]);
        part(&of("2"), &[(TOO_FAST, 1)]);
        let told = merge(&[of("1"), of("2")], &of("merged")).unwrap_err().to_string();
        assert!(told.contains("theme/mine with seed 1 ended otherwise than in"), "{told}");
        assert!(!of("merged").exists());
    }

    #[test]
    fn a_trace_is_copied_from_the_reports_own_folder_alone() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("secret.jsonl"), "x").unwrap();
        let (part, into) = (directory.path().join("part"), directory.path().join("into/deep"));
        for trace in ["../secret", "/etc/passwd"] {
            assert!(!copy(&part, &into, trace).unwrap());
        }
        assert!(!into.exists());
    }
}
