//! `harness list`: what there is.

use std::path::PathBuf;

use serde_json::json;

use super::{HOLDS, say};
use crate::error::Error;
use crate::invariant::ALL;
use crate::scenario::collect;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Files, or directories with *.toml
    #[arg(default_value = "scenarios", value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// One JSON object, for scripts
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<u8, Error> {
    let scenarios = collect(&arguments.paths)?;
    if arguments.json {
        let list: Vec<_> = scenarios
            .iter()
            .map(|scenario| json!({"path": scenario.path, "title": scenario.title, "why": scenario.why, "seed": scenario.seed}))
            .collect();
        let names: Vec<&str> = ALL.iter().map(|invariant| invariant.name).collect();
        say(&format!("{:#}", json!({"scenarios": list, "invariants": names})));
        return Ok(HOLDS);
    }
    for scenario in &scenarios {
        say(&format!("{}\n  {}\n  why: {}", scenario.path, scenario.title, scenario.why));
    }
    say("\nInvariants, checked after every event:");
    for invariant in ALL {
        say(&format!("  {:31} {}", invariant.name, invariant.meaning));
    }
    Ok(HOLDS)
}
