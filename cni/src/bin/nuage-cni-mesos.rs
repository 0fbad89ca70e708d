//! The CNI plugin for Mesos.

use std::process::ExitCode;

use nuage_cni::executable;
use nuage_cni::orchestrator::Orchestrator;

fn main() -> ExitCode {
    executable::run(Orchestrator::Mesos)
}
