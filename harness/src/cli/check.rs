//! `harness check`: reads scenarios and runs nothing.

use std::path::PathBuf;

use super::{HOLDS, INVALID, complain, say};
use crate::error::Error;
use crate::scenario::{Scenario, files};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Files, or directories with *.toml
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
}

pub(super) fn run(arguments: &Arguments) -> Result<u8, Error> {
    let files = files(&arguments.paths)?;
    let wrong: Vec<Error> = files.iter().filter_map(|file| Scenario::load(file).err()).collect();
    for error in &wrong {
        complain(&error.to_string());
    }
    say(&format!("{} of {} scenarios are valid", files.len() - wrong.len(), files.len()));
    Ok(if wrong.is_empty() { HOLDS } else { INVALID })
}
