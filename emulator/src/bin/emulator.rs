//! Emulators of a Nuage VSP site.

use std::process::ExitCode;

fn main() -> ExitCode {
    nuage_emulator::cli::run()
}
