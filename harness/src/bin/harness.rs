//! The scenario harness.

use std::process::ExitCode;

/// A simulated pod is thousands of small allocations, and a static C library's own allocator is slow at them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    nuage_harness::cli::run()
}
