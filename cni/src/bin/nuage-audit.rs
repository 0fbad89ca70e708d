//! The audit daemon.

use std::process::ExitCode;

use nuage_cni::audit::cli;

fn main() -> ExitCode {
    cli::run()
}
