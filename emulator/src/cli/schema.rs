//! `emulator schema`: the switch's schema, for a real ovsdb-server.

use std::io::{self, Write as _};

use crate::error::Error;
use crate::vrs::SCHEMA;

pub(super) fn run() -> Result<(), Error> {
    let written = io::stdout().lock().write_all(SCHEMA.as_bytes());
    written.map_err(|source| Error::File { path: "standard output".into(), source })
}
