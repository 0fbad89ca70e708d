//! `harness merge`: the reports of a sweep's parts as one.

use std::path::PathBuf;

use super::{HOLDS, NOT_DETERMINISTIC, VIOLATED, say};
use crate::error::Error;
use crate::report::merge::merge;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Directories of reports, or their results.json; of a part that was killed what it had
    #[arg(required = true, value_name = "DIR")]
    parts: Vec<PathBuf>,
    /// Where the whole report goes
    #[arg(long, value_name = "DIR")]
    into: PathBuf,
}

pub(super) fn run(arguments: &Arguments) -> Result<u8, Error> {
    let results = merge(&arguments.parts, &arguments.into)?;
    for run in results.runs.iter().filter(|run| run.failed()) {
        say(&run.line());
        say(&format!("    again: {}", run.replay));
    }
    say(&results.summary.line());
    if results.not_begun > 0 {
        say(&format!("{} runs were not begun", results.not_begun));
    }
    Ok(if results.summary.not_deterministic > 0 {
        NOT_DETERMINISTIC
    } else if results.summary.failed > 0 {
        VIOLATED
    } else {
        HOLDS
    })
}
