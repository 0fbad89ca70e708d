//! `harness new`: a scenario to begin with, valid as it stands, with everything that can be said in its comments.

use std::io::Write as _;
use std::path::PathBuf;

use super::{HOLDS, INVALID, complain, say};
use crate::error::Error;
use crate::scenario::catalogue::{Entry, Sort, entries};
use crate::scenario::suggestion;
use crate::scenario::template::template;

/// What a scenario begins with that names nothing.
const USUAL: [&str; 4] = ["churn", "vrs.restart", "all_running", "no_leaks"];

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The file to write; it must not be there yet
    #[arg(value_name = "FILE")]
    path: PathBuf,
    /// Loads, faults and expectations that it is to have, as `harness explain` names them
    #[arg(value_name = "NAME", default_values_t = USUAL.map(str::to_owned))]
    names: Vec<String>,
}

pub(super) fn run(arguments: &Arguments) -> Result<u8, Error> {
    let entries = entries();
    let kinds = |entry: &&Entry| matches!(entry.sort, Sort::Load | Sort::Fault | Sort::Expectation);
    let mut tables = Vec::new();
    for name in &arguments.names {
        let Some(entry) = entries.iter().filter(kinds).find(|entry| entry.name == name) else {
            let hint = suggestion(name, entries.iter().filter(kinds).map(|entry| entry.name));
            complain(&format!("no load, fault or expectation is called \"{name}\"{hint}"));
            return Ok(INVALID);
        };
        tables.push(entry);
    }
    // Without a load it would be no scenario.
    if tables.iter().all(|entry| entry.sort != Sort::Load) {
        tables.extend(entries.iter().find(|entry| entry.name == USUAL[0]));
    }
    tables.sort_by_key(|entry| entry.sort);
    let of = |sort: Sort| entries.iter().find(|entry| entry.sort == sort);
    let (Some(head), Some(cluster)) = (of(Sort::Scenario), of(Sort::Cluster)) else { return Ok(INVALID) };
    let failed = |source| Error::File { path: arguments.path.clone(), source };
    let mut file = std::fs::File::create_new(&arguments.path).map_err(failed)?;
    file.write_all(template(head, cluster, &tables).as_bytes()).map_err(failed)?;
    say(&format!(
        "{}: harness check says whether it is valid, harness run runs it",
        arguments.path.display()
    ));
    Ok(HOLDS)
}
