//! One call of the shipped plugin, as a process of its own. It gets what a runtime gives it and nothing else, and dies with
//! this one's interest in it.

use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nuage_cni::orchestrator::Orchestrator;
use nuage_cni::{Invocation, Outcome};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use tokio::time::timeout;

use crate::world::sim::process::Kill;

/// How long a point at which a simulated process waits is on a real machine: an ADD has some twenty and takes some 80 ms.
const POINT: Duration = Duration::from_millis(4);
/// What a shell answers for a program that cannot be run.
const NOT_RUN: u8 = 127;

/// Carries out one call; `None`: it was killed.
pub(crate) async fn run(bin_dir: &Path, call: Invocation, kill: Kill) -> Option<Outcome> {
    let program = match call.orchestrator {
        Orchestrator::Kubernetes => "nuage-cni-k8s",
        Orchestrator::OpenShift => "nuage-cni-openshift",
        Orchestrator::Mesos => "nuage-cni-mesos",
    };
    let limit = match kill {
        Kill::After(limit) => limit,
        Kill::AtPoll(point) => POINT * u32::try_from(point).unwrap_or(u32::MAX),
    };
    let mut command = Command::new(bin_dir.join(program));
    command.env_clear().envs(&call.environment).current_dir("/").kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let conversation = async {
        let mut child = command.spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            // Who does not read it, because he does not need it, does no wrong.
            let _ = stdin.write_all(&call.stdin).await;
        }
        child.wait_with_output().await
    };
    Some(match timeout(limit, conversation).await.ok()? {
        Ok(output) => Outcome {
            stdout: output.stdout,
            stderr: Some(String::from_utf8_lossy(&output.stderr).trim().to_owned())
                .filter(|text| !text.is_empty()),
            exit_code: code(output.status),
        },
        Err(error) => Outcome { stdout: Vec::new(), stderr: Some(error.to_string()), exit_code: NOT_RUN },
    })
}

fn code(status: ExitStatus) -> u8 {
    status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(NOT_RUN)
}
