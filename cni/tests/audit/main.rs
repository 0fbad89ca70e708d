//! Promises of the audit on a node in memory: the original's bugs and leaks one by one, and a model of the node under random
//! life, faults and restarts.
#![cfg(feature = "audit")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test")]
#![allow(unreachable_pub, reason = "files of one test share what they need")]

#[path = "../doubles/mod.rs"]
mod doubles;
mod leaks;
mod mesos;
mod model;
mod originals_bugs;
mod originals_leaks;
mod site;
