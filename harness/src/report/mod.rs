//! What is left of an invocation for people, CI systems and scripts: a directory with a line a run, results.json, junit.xml,
//! traces and a page. Everything but the traces is made from [`record::Record`]s, so that reports can be merged and gone on with.

pub mod chrome;
pub mod compare;
pub mod histogram;
pub mod junit;
pub mod merge;
pub mod page;
pub mod record;
pub mod results;
pub mod sweep;
pub mod timeline;

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use sha1::{Digest as _, Sha1};

use crate::error::Error;
use crate::run::Report;
use record::Record;
use results::Results;
use timeline::Timeline;

/// One line a run, as soon as it has ended: what a report that was killed still has.
pub const RUNS: &str = "runs.jsonl";
/// All runs and what they are together.
pub const RESULTS: &str = "results.json";
/// What CI systems read.
pub const JUNIT: &str = "junit.xml";
/// What people read.
pub const PAGE: &str = "report.html";
/// What whoever adds to a report has locked.
const LOCK: &str = ".lock";
/// The folder of smaller scenarios that fail as runs did.
pub const SHRUNK: &str = "shrunk";
/// The folder of the traces.
pub const TRACES: &str = "traces";
/// The ending of a trace: a JSON line an event.
pub const TRACE: &str = "jsonl";
/// The ending of a trace for Perfetto.
pub const CHROME: &str = "trace.json";

/// A trace's name is at most as long, in bytes: a file system takes 255, and an ending follows.
const MAX_NAME: usize = 200;

/// A report's directory that runs are added to.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    runs: File,
    /// Held for as long as runs are added, where the file system has locks.
    _lock: File,
}

impl Directory {
    /// Begins a report: what an earlier one of this directory says is gone, its traces stay.
    ///
    /// # Errors
    /// [`Error::File`]
    pub fn begin(path: &Path) -> Result<Self, Error> {
        Self::go_on(path, |_| false).map(|(directory, _)| directory)
    }

    /// Goes on with a report, or begins one: what it has of runs that are `wanted` stays and is returned, the rest is gone.
    /// Whoever wrote it may have been killed in the middle of a line.
    ///
    /// # Errors
    /// [`Error::File`], or [`Error::Report`]: somebody else is adding to it.
    pub fn go_on(path: &Path, wanted: impl Fn(&Record) -> bool) -> Result<(Self, Vec<Record>), Error> {
        fs::create_dir_all(path).map_err(failed(path))?;
        let lock = lock(path)?;
        let file = path.join(RUNS);
        let kept: Vec<Record> = match fs::read(&file) {
            Ok(bytes) => {
                // What cannot be read is made again.
                let runs =
                    bytes.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok());
                runs.filter(wanted).collect()
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(failed(&file)(error)),
        };
        // Whole before anything is added to it, so that it can be gone on with at any time.
        let lines = kept.iter().fold(String::new(), |lines, record| lines + &line(record) + "\n");
        write(&file, &lines)?;
        for stale in [RESULTS, JUNIT, PAGE] {
            let stale = path.join(stale);
            match fs::remove_file(&stale) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(&stale)(error)),
                _ => {}
            }
        }
        let runs = OpenOptions::new().append(true).open(&file).map_err(failed(&file))?;
        Ok((Self { path: path.to_owned(), runs, _lock: lock }, kept))
    }

    /// Writes a run's traces down.
    ///
    /// # Errors
    /// [`Error::File`]
    pub fn write_traces(&self, record: &mut Record, report: &Report) -> Result<(), Error> {
        let name = format!("{TRACES}/{}.{}", file_name(&record.scenario), record.seed);
        let file = |ending: &str| self.path.join(format!("{name}.{ending}"));
        write(&file(TRACE), &format!("{}\n", report.trace.join("\n")))?;
        write(&file(CHROME), &chrome::document(&Timeline::of(report)))?;
        record.trace = Some(name);
        Ok(())
    }

    /// Where the smaller scenario of a run is written; the path is told from the report's directory.
    pub fn shrunk(&self, record: &Record) -> (PathBuf, String) {
        let name = format!("{SHRUNK}/{}.{}.toml", file_name(&record.scenario), record.seed);
        (self.path.join(&name), name)
    }

    /// Writes a run down: whoever is killed after this has it.
    ///
    /// # Errors
    /// [`Error::File`]
    pub fn add(&mut self, record: &Record) -> Result<(), Error> {
        let failed = failed(&self.path.join(RUNS));
        self.runs.write_all(format!("{}\n", line(record)).as_bytes()).map_err(failed)
    }

    /// Writes down what all runs are together.
    ///
    /// # Errors
    /// [`Error::File`]
    pub fn finish(&self, results: &Results) -> Result<(), Error> {
        finish(&self.path, results)
    }
}

/// Keeps others from adding to a report.
fn lock(path: &Path) -> Result<File, Error> {
    let file = path.join(LOCK);
    let lock = OpenOptions::new().create(true).append(true).open(&file).map_err(failed(&file))?;
    match lock.try_lock() {
        Err(TryLockError::WouldBlock) => {
            Err(Error::Report { path: path.to_owned(), why: "another harness is writing it".to_owned() })
        }
        // A file system without locks keeps nobody from anything.
        Err(TryLockError::Error(_)) | Ok(()) => Ok(lock),
    }
}

/// Writes down what runs are together whose traces are there already.
///
/// # Errors
/// [`Error::File`]
pub fn finish(directory: &Path, results: &Results) -> Result<(), Error> {
    write(&directory.join(JUNIT), &junit::document(results))?;
    write(&directory.join(PAGE), &page::document(directory, results))?;
    write(&directory.join(RESULTS), &format!("{}\n", results.to_text()))
}

/// A run in one line.
pub fn line(record: &Record) -> String {
    // Texts, numbers and lists of them: there is nothing that JSON could not say.
    serde_json::to_string(record).unwrap_or_default()
}

/// What a scenario's files are named: its path with `-` between its parts, and without what names of files should not have.
fn file_name(scenario: &str) -> String {
    let plain = |character: char| {
        character.is_ascii_alphanumeric() || matches!(character, '-' | '_' | '.' | '/' | '\\')
    };
    let name: String =
        scenario.chars().map(|character| if plain(character) { character } else { '_' }).collect();
    let name = name.replace(['/', '\\'], "-");
    if name.len() <= MAX_NAME && scenario.chars().all(plain) {
        return name;
    }
    // Two that became alike are told apart.
    let mut digest = format!("{:x}", Sha1::digest(scenario));
    digest.truncate(8);
    let end = name.len().saturating_sub(MAX_NAME - digest.len() - 1);
    format!("{}-{digest}", &name[end..])
}

/// Writes a file, whole or not at all.
pub(crate) fn write(path: &Path, text: &str) -> Result<(), Error> {
    let failed = failed(path);
    let unfinished = path.with_extension("unfinished");
    let written = path.parent().map_or(Ok(()), fs::create_dir_all);
    written
        .and_then(|()| fs::write(&unfinished, text))
        .and_then(|()| fs::rename(&unfinished, path))
        .map_err(failed)
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> Error + use<> {
    let path = path.to_owned();
    move |source| Error::File { path, source }
}

#[cfg(test)]
mod tests {
    use super::record::tests::one;
    use super::*;

    #[test]
    fn a_report_has_each_run_as_soon_as_it_is_added_and_nothing_of_an_earlier_one() {
        let directory = tempfile::tempdir().unwrap();
        let (report, mut record) = one("", 1);
        for _ in 0..2 {
            let mut written = Directory::begin(directory.path()).unwrap();
            assert!(!directory.path().join(RESULTS).exists());
            written.write_traces(&mut record, &report).unwrap();
            written.add(&record).unwrap();
            assert_eq!(Results::read(directory.path()).unwrap().runs, [record.clone()]);
            written.finish(&Results::of(vec![record.clone()])).unwrap();
        }
        let name = record.trace.unwrap();
        assert_eq!(name, "traces/theme-mine.1");
        let trace = fs::read_to_string(directory.path().join(format!("{name}.jsonl"))).unwrap();
        assert_eq!(trace.lines().collect::<Vec<_>>(), report.trace);
        let left = |entry: &fs::DirEntry| entry.path().extension().is_some_and(|end| end == "unfinished");
        assert!(!fs::read_dir(directory.path()).unwrap().map(Result::unwrap).any(|entry| left(&entry)));
    }

    #[test]
    fn a_report_that_is_gone_on_with_keeps_what_is_wanted_of_it_whole() {
        let directory = tempfile::tempdir().unwrap();
        let (_, record) = one("", 1);
        let mut written = Directory::begin(directory.path()).unwrap();
        let others = Directory::begin(directory.path());
        assert!(matches!(others, Err(Error::Report { .. })), "one at a time: {others:?}");
        for seed in 1..=3 {
            written.add(&Record { seed, ..record.clone() }).unwrap();
        }
        written.finish(&Results::of(vec![])).unwrap();
        drop(written);
        // Killed in the middle of a line, and of a character.
        let file = directory.path().join(RUNS);
        let mut torn = fs::read(&file).unwrap();
        torn.extend(b"{\"scenario\": \"\xc3");
        fs::write(&file, torn).unwrap();
        let (mut written, kept) = Directory::go_on(directory.path(), |record| record.seed != 2).unwrap();
        assert_eq!(kept.iter().map(|record| record.seed).collect::<Vec<_>>(), [1, 3]);
        assert!(!directory.path().join(RESULTS).exists(), "what it was is no result any more");
        written.add(&Record { seed: 4, ..record }).unwrap();
        let seeds = Results::read(directory.path()).unwrap().runs.into_iter().map(|run| run.seed);
        assert_eq!(seeds.collect::<Vec<_>>(), [1, 3, 4]);
    }

    #[test]
    fn names_of_files_are_plain_bounded_and_different() {
        assert_eq!(file_name("scenarios/everyday/one-pod"), "scenarios-everyday-one-pod");
        let names = ["a b", "a\tb", "a\u{202e}b", "../../etc/x\"<y>", &"ä/".repeat(300), &"x".repeat(300)];
        let files: std::collections::BTreeSet<String> = names.iter().map(|name| file_name(name)).collect();
        assert_eq!(files.len(), names.len());
        assert!(files.iter().all(|name| name.len() <= MAX_NAME && !name.contains('/') && name.is_ascii()));
    }
}
