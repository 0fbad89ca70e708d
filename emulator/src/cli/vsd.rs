//! `emulator vsd`: what a VSD holds, from a text and to a text.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::access::Access;
use super::say;
use crate::error::Error;
use crate::http::remote;
use crate::vsd::client::Client;
use crate::vsd::topology;

const API: &str = "v6";
/// The largest file that is read, in bytes.
const LARGEST_FILE: u64 = 64 * 1024 * 1024;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// Make the objects that a TOML file describes, where they are missing or different
    Import {
        /// The file
        #[arg(value_name = "FILE")]
        file: PathBuf,
        #[command(flatten)]
        access: Access,
    },
    /// Print the objects as a TOML file that import reads; without what runs, and without users
    Export {
        #[command(flatten)]
        access: Access,
    },
}

pub(super) async fn run(verb: Verb) -> Result<(), Error> {
    match verb {
        Verb::Import { file, access } => {
            let text = read(&file)?;
            let outcome = topology::import(&client(&access)?, &text).await;
            let outcome = outcome.map_err(|error| Error::Topology { path: file, source: Box::new(error) })?;
            let topology::Outcome { created, updated, unchanged } = outcome;
            say(&format!("{created} created, {updated} updated, {unchanged} unchanged"));
        }
        Verb::Export { access } => {
            let text = topology::export(&client(&access)?).await;
            let text = text.map_err(|error| Error::Client(error.to_string()))?;
            let written = io::stdout().lock().write_all(text.as_bytes());
            written.map_err(|source| Error::File { path: "standard output".into(), source })?;
        }
    }
    Ok(())
}

fn read(path: &Path) -> Result<String, Error> {
    let length = std::fs::metadata(path).map_err(Error::file(path))?.len();
    if length > LARGEST_FILE {
        return Err(Error::Usage(format!("{} has more than {LARGEST_FILE} bytes", path.display())));
    }
    std::fs::read_to_string(path).map_err(Error::file(path))
}

fn client(access: &Access) -> Result<Client, Error> {
    let (url, identity) = access.open()?;
    let http = remote(&identity).map_err(|error| Error::Client(error.to_string()))?;
    Ok(Client::new(http, &format!("{}/{API}", url.trim_end_matches('/'))))
}
