//! The Nuage CNI plugin as a library: the shipped binaries and the simulation run the code in here.

pub mod host;
