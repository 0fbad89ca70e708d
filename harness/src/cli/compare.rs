//! `harness compare`: two reports beside each other.

use std::path::PathBuf;

use super::{HOLDS, VIOLATED, say};
use crate::error::Error;
use crate::report::compare::{Comparison, Tolerance};
use crate::report::results::Results;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// A report's directory or its results.json: how it was
    #[arg(value_name = "A")]
    first: PathBuf,
    /// Another: how it is
    #[arg(value_name = "B")]
    second: PathBuf,
    /// A command's 99th percentile in a scenario may take as many times as long
    #[arg(long, value_name = "TIMES", default_value_t = 1.25, value_parser = times)]
    tolerance: f64,
    /// Print one JSON object instead of lines, for scripts
    #[arg(long)]
    json: bool,
}

/// What is shorter is no change, in milliseconds.
const LEAST_MS: f64 = 5.0;

fn times(text: &str) -> Result<f64, String> {
    let times: Option<f64> = text.parse().ok().filter(|times| (1.0..=1000.0).contains(times));
    times.ok_or_else(|| "a number from 1 to 1000 is expected".to_owned())
}

pub(super) fn run(arguments: &Arguments) -> Result<u8, Error> {
    let (first, second) = (Results::read(&arguments.first)?, Results::read(&arguments.second)?);
    let tolerance = Tolerance { times: arguments.tolerance, by_ms: LEAST_MS };
    let comparison = Comparison::of(&first, &second, tolerance);
    if arguments.json {
        // Texts and numbers: there is nothing that JSON could not say.
        say(&serde_json::to_string_pretty(&comparison).unwrap_or_default());
    } else {
        comparison.lines().iter().for_each(|line| say(line));
    }
    Ok(if comparison.worse { VIOLATED } else { HOLDS })
}
