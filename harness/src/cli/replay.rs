//! `harness replay`: one run again, with every event.

use std::path::PathBuf;

use super::{HOLDS, VIOLATED, say};
use crate::error::Error;
use crate::run::run as run_scenario;
use crate::scenario::Scenario;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The seed that the failing run printed
    #[arg(long)]
    seed: u64,
    /// The scenario
    #[arg(value_name = "FILE")]
    path: PathBuf,
}

pub(super) fn run(arguments: &Arguments) -> Result<u8, Error> {
    let report = run_scenario(&Scenario::load(&arguments.path)?, arguments.seed)?;
    report.trace.iter().for_each(|event| say(event));
    report.complaints().iter().for_each(|line| say(line));
    Ok(if report.passed() { HOLDS } else { VIOLATED })
}
