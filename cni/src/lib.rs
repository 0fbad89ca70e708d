//! The Nuage CNI plugin as a library: the shipped binaries and the simulation run the code in here.

pub mod call;
pub mod config;
pub mod error;
pub mod host;
pub mod orchestrator;
pub mod protocol;
