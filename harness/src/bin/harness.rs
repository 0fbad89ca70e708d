//! The scenario harness.

use std::process::ExitCode;

fn main() -> ExitCode {
    nuage_harness::cli::run()
}
