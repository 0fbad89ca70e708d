//! The Nuage CNI plugin as a library: the shipped binaries and the simulation run the code in here.

#[macro_use]
mod mutants;

pub mod attach;
#[cfg(feature = "audit")]
pub mod audit;
pub mod call;
pub mod config;
pub mod error;
pub mod examine;
pub mod executable;
pub mod host;
#[cfg(target_os = "linux")]
pub mod install;
mod invoke;
pub mod journal;
pub mod link;
pub mod log;
pub mod loopback;
pub mod node;
pub mod orchestrator;
pub mod peers;
pub mod protocol;
pub mod vrs;

pub use error::Error;
pub use invoke::{Invocation, Outcome, invoke};

/// The version of what is shipped: the one that `ci/package` has been given, else these sources'.
pub const VERSION: &str = match option_env!("NUAGE_VERSION") {
    Some(given) => given,
    None => env!("CARGO_PKG_VERSION"),
};
