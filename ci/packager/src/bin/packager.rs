//! Writes what is shipped. `ci/package` calls it.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use nuage_packager::{Error, Order, Version, make};

/// Write RPMs, debs, image archives, a manual, checksums and a bill of materials from static executables
#[derive(Debug, Parser)]
#[command(disable_version_flag = true)]
struct Arguments {
    /// The version; a leading v counts for image archives only
    version: String,
    /// Folder of the static executables
    #[arg(long, value_name = "DIR")]
    executables: PathBuf,
    /// Output of `cargo metadata --format-version 1`
    #[arg(long, value_name = "FILE")]
    metadata: PathBuf,
    /// Folder of the scenario library
    #[arg(long, value_name = "DIR", default_value = "scenarios")]
    scenarios: PathBuf,
    /// Cargo.lock
    #[arg(long, value_name = "FILE", default_value = "Cargo.lock")]
    lock: PathBuf,
    /// The time that every file carries, in seconds since 1970
    #[arg(long, value_name = "SECONDS", env = "SOURCE_DATE_EPOCH")]
    epoch: u32,
    /// Where the results go
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<(), Error> {
    let Arguments { version, executables, metadata, scenarios, lock, epoch, out } = arguments;
    let version = Version::parse(&version)?;
    let order = Order { version, executables, metadata, scenarios, lock, epoch, out };
    let mut output = io::stdout().lock();
    for name in make(&order)? {
        let _ = writeln!(output, "{}", order.out.join(name).display());
    }
    Ok(())
}
