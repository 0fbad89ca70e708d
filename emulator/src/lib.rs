//! Emulators of what surrounds the plugin on a Nuage VSP node: VRS, VSD, VSC, monitor, Kubernetes API and Mesos
//! agent. They speak the real protocols, run in one process, and know nothing of the plugin.

pub mod cli;
pub mod clock;
mod dataplane;
pub mod entropy;
pub mod error;
pub mod faults;
pub mod http;
pub mod kube;
mod labels;
pub mod mesos;
pub mod monitor;
pub mod node;
pub mod ovsdb;
pub mod pki;
pub mod serve;
pub mod tally;
pub mod up;
pub mod vrs;
pub mod vsc;
pub mod vsd;

/// The version of what is shipped: the one that `ci/package` has been given, else these sources'.
pub const VERSION: &str = match option_env!("NUAGE_VERSION") {
    Some(given) => given,
    None => env!("CARGO_PKG_VERSION"),
};
