//! The loopback plugin that runtimes call beside a network's own.

use std::process::ExitCode;

use nuage_cni::loopback;

fn main() -> ExitCode {
    loopback::run()
}
