//! The installer of the plugin on a host.

use std::process::ExitCode;

#[cfg(target_os = "linux")]
fn main() -> ExitCode {
    nuage_cni::install::run()
}

#[cfg(not(target_os = "linux"))]
fn main() -> ExitCode {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr().lock(), "error: the plugin is installed on Linux");
    ExitCode::FAILURE
}
