//! `harness check`: reads scenarios and runs nothing.

use std::path::PathBuf;

use super::{HOLDS, say};
use crate::error::Error;
use crate::scenario::collect;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Files, or directories with *.toml
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
}

pub(super) fn run(arguments: &Arguments) -> Result<u8, Error> {
    let scenarios = collect(&arguments.paths)?;
    say(&format!("{} scenarios are valid", scenarios.len()));
    Ok(HOLDS)
}
