//! Where scenarios are carried out.

pub mod activity;
#[cfg(target_os = "linux")]
pub mod host;
pub mod kernel;
pub mod sim;
