//! `harness bench`: measures, prints a table, and writes the same figures as JSON.

use std::fs;
use std::path::PathBuf;

use super::{HOLDS, say};
use crate::bench::{Figures, audit, cni, ovsdb, scale, vsd};
use crate::error::Error;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    what: What,
    /// Write the figures there as one JSON object
    #[arg(long, value_name = "FILE", global = true)]
    json: Option<PathBuf>,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// ADD, DEL, CHECK and VERSION of the plugin beside `bridge` with `host-local` (Linux, root)
    Cni,
    /// A pass of the audit at 110, 250, 1,000 and 5,000 attachments
    Audit,
    /// The OVSDB server beside the real one, each in a process of its own
    Ovsdb(ovsdb::Options),
    /// The VSD beside a bare axum route, and what objects, pollers and a disk cost it
    Vsd(vsd::Options),
    /// The simulator itself: how a cluster's size tells in time and memory
    Scale(scale::Options),
}

pub(super) fn run(arguments: &Arguments) -> Result<u8, Error> {
    let figures: Figures = match &arguments.what {
        What::Cni => cni::run()?,
        What::Audit => audit::run()?,
        What::Ovsdb(options) => ovsdb::run(options)?,
        What::Vsd(options) => vsd::run(options)?,
        What::Scale(options) => scale::run(options)?,
    };
    figures.lines().iter().for_each(|line| say(line));
    if let Some(file) = &arguments.json {
        let made = file.parent().map_or(Ok(()), fs::create_dir_all);
        let written = made.and_then(|()| fs::write(file, format!("{:#}\n", figures.to_json())));
        written.map_err(|source| Error::File { path: file.clone(), source })?;
    }
    Ok(HOLDS)
}
