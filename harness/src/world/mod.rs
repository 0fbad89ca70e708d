//! Where a scenario runs. `sim` is one process and one thread on virtual time.

pub mod sim;
