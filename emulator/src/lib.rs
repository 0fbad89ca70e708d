//! Emulators of what surrounds the plugin on a Nuage VSP node: VRS, VSD, VSC, monitor and Kubernetes API. They
//! speak the real protocols, run in one process, and know nothing of the plugin.

pub mod clock;
pub mod entropy;
pub mod http;
pub mod monitor;
pub mod ovsdb;
pub mod vrs;
pub mod vsc;
pub mod vsd;
