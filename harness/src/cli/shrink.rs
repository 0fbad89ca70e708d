//! `harness shrink`: the smallest scenario that fails as this one does, as a file to keep.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::run::time_limit;
use super::{HOLDS, note, say};
use crate::error::Error;
use crate::run::run as run_scenario;
use crate::scenario::Scenario;
use crate::shrink::{Limits, Shrunk, shrink};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The seed that the failing run printed, instead of the scenario's own
    #[arg(long)]
    seed: Option<u64>,
    /// The file to write, which must not be there yet; standard output if left out
    #[arg(long, value_name = "FILE")]
    into: Option<PathBuf>,
    #[command(flatten)]
    limits: LimitArguments,
    /// The scenario
    #[arg(value_name = "FILE")]
    path: PathBuf,
}

/// How much may be tried.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(super) struct LimitArguments {
    /// How long it may take, like 90s or 5m; the smallest scenario by then is the result
    #[arg(long, value_name = "T", default_value = "1m", value_parser = time_limit)]
    shrink_limit: Duration,
    /// How many runs it may take
    #[arg(long, value_name = "N", default_value_t = Limits::default().runs)]
    shrink_runs: usize,
}

impl LimitArguments {
    fn limits(self) -> Limits {
        Limits { runs: self.shrink_runs, time: self.shrink_limit, ..Limits::default() }
    }
}

pub(super) fn run(arguments: &Arguments) -> Result<u8, Error> {
    let seed = match arguments.seed {
        Some(seed) => seed,
        None => Scenario::load(&arguments.path)?.seed,
    };
    let shrunk = smaller(&arguments.path, seed, arguments.limits)?;
    for step in &shrunk.steps {
        note(&format!("  {step}"));
    }
    note(&shrunk.summary());
    match &arguments.into {
        Some(path) => write_new(path, &shrunk)?,
        None => say(shrunk.text(Path::new("FILE")).trim_end()),
    }
    Ok(HOLDS)
}

/// The smallest scenario that fails as the one of a file.
pub(super) fn smaller(path: &Path, seed: u64, limits: LimitArguments) -> Result<Shrunk, Error> {
    // Bounded there.
    Scenario::load(path)?;
    let text = fs::read_to_string(path).map_err(|source| Error::File { path: path.to_owned(), source })?;
    shrink(&path.display().to_string(), &text, seed, limits.limits(), &run_scenario)
}

/// Writes it to a file that is not there yet.
pub(super) fn write_new(path: &Path, shrunk: &Shrunk) -> Result<(), Error> {
    let failed = |source| Error::File { path: path.to_owned(), source };
    let mut file = fs::File::create_new(path).map_err(failed)?;
    std::io::Write::write_all(&mut file, shrunk.text(path).as_bytes()).map_err(failed)
}
