//! Where scenarios are carried out.

#[cfg(target_os = "linux")]
pub mod host;
pub mod kernel;
pub mod sim;
