//! Benchmarks, a file each. They measure and report; they never judge: a figure on a shared machine fails no test.
//! What is compared is measured in turn within one run, and medians and ratios are told.

pub mod audit;
pub mod cni;
pub mod dataplane;
mod figures;
pub mod ovsdb;
pub mod scale;
pub mod vsd;

pub use figures::{Figure, Figures, median, percentile};
