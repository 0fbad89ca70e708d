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

use std::fs::{self, File, OpenOptions};
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
}

impl Directory {
    /// Begins a report: what an earlier one of this directory says is gone, its traces stay.
    ///
    /// # Errors
    /// [`Error::File`]
    pub fn begin(path: &Path) -> Result<Self, Error> {
        fs::create_dir_all(path).map_err(failed(path))?;
        for stale in [RUNS, RESULTS, JUNIT, PAGE] {
            let stale = path.join(stale);
            match fs::remove_file(&stale) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(&stale)(error)),
                _ => {}
            }
        }
        Self::go_on(path)
    }

    /// Goes on with a report that was begun.
    ///
    /// # Errors
    /// [`Error::File`]
    pub fn go_on(path: &Path) -> Result<Self, Error> {
        let file = path.join(RUNS);
        let runs = OpenOptions::new().create(true).append(true).open(&file).map_err(failed(&file))?;
        Ok(Self { path: path.to_owned(), runs })
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
    fn names_of_files_are_plain_bounded_and_different() {
        assert_eq!(file_name("scenarios/everyday/one-pod"), "scenarios-everyday-one-pod");
        let names = ["a b", "a\tb", "a\u{202e}b", "../../etc/x\"<y>", &"ä/".repeat(300), &"x".repeat(300)];
        let files: std::collections::BTreeSet<String> = names.iter().map(|name| file_name(name)).collect();
        assert_eq!(files.len(), names.len());
        assert!(files.iter().all(|name| name.len() <= MAX_NAME && !name.contains('/') && name.is_ascii()));
    }
}
