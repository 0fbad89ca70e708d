//! The scenario harness: drives pod churn and faults through the real plugin against the emulators, in virtual time.

pub mod bench;
pub mod cli;
pub mod coverage;
pub mod error;
pub mod expect;
pub mod fault;
pub mod invariant;
pub mod kubelet;
pub mod load;
#[cfg(target_os = "linux")]
pub mod pod;
pub mod random;
pub mod report;
pub mod run;
pub mod scenario;
pub mod shrink;
pub mod stopwatch;
pub mod world;

/// The version of what is shipped: the one that `ci/package` has been given, else these sources'.
pub const VERSION: &str = match option_env!("NUAGE_VERSION") {
    Some(given) => given,
    None => env!("CARGO_PKG_VERSION"),
};
