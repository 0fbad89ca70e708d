//! `run`: what the container on each node does. Installs, waits until the switch answers, lets the runtime begin, keeps the files as
//! they should be, and has the audit running beside it, which it hands a TERM on to and waits for.

use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

use rustix::process::{Pid, Signal};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};

use super::apply::Installation;
use super::settings::Settings;
use super::tell;
use crate::error::Error;
use crate::node;

/// How often the switch is asked whether it is there.
const SWITCH_INTERVAL: Duration = Duration::from_secs(1);
/// How long the audit may take for its last pass; kubelet's grace is 30 s.
const GRACE: Duration = Duration::from_secs(20);
const AUDIT: &str = "nuage-audit";

fn failed(operation: &str) -> impl FnOnce(std::io::Error) -> Error {
    let operation = operation.to_owned();
    move |error| Error::Io { operation, details: error.to_string() }
}

/// Installs and stays until TERM or INT, or until the audit ends by itself, which is an error.
///
/// `interval` is how often the files are looked at.
pub(super) async fn keep(settings: &Settings, interval: Duration) -> Result<(), Error> {
    let mut terminate = signal(SignalKind::terminate()).map_err(failed("listening for TERM"))?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed("listening for INT"))?;
    let mut installation = Installation::begin(settings)?;
    installation.prepare()?;
    tell(&mut installation.told);
    tell(&mut installation.remarks);
    let endpoint = settings.switch(installation.tree())?.vrs_endpoint;
    let ended = async {
        tokio::select! {
            biased;
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    tokio::pin!(ended);
    tokio::select! {
        biased;
        () = &mut ended => return Ok(()),
        () = switch(&endpoint) => {}
    }
    installation.activate()?;
    tell(&mut installation.told);
    tell(&mut installation.remarks);
    drop(installation);
    let mut audit = start_audit(settings)?;
    loop {
        tokio::select! {
            biased;
            () = &mut ended => return stop(audit).await,
            status = exit_of(&mut audit) => {
                let details = status.map_or_else(|error| error.to_string(), |status| status.to_string());
                return Err(Error::Io { operation: format!("{AUDIT} ended"), details });
            }
            () = tokio::time::sleep(interval) => heal(settings),
        }
    }
}

/// Puts back what has vanished or was changed. What fails now is tried again.
fn heal(settings: &Settings) {
    let healed = Installation::begin(settings).and_then(|mut installation| {
        let done = installation.prepare().and_then(|()| installation.activate());
        tell(&mut installation.told);
        done
    });
    if let Err(error) = healed {
        tell(&mut vec![format!("error: {error}: {}", error.details())]);
    }
}

/// Returns once the switch takes connections: a pod that is started earlier would only fail.
async fn switch(endpoint: &str) {
    let host = node::host();
    let mut told = false;
    while let Err(error) = host.switch.connect(endpoint).await {
        if !std::mem::replace(&mut told, true) {
            tell(&mut vec![format!("waiting for the switch at {endpoint}: {error}")]);
        }
        tokio::time::sleep(SWITCH_INTERVAL).await;
    }
}

/// The audit, where it ships.
fn start_audit(settings: &Settings) -> Result<Option<Child>, Error> {
    let audit = settings.source()?.join(AUDIT);
    if !Path::new(&audit).is_file() {
        tell(&mut vec![format!("no audit: {} is not there", audit.display())]);
        return Ok(None);
    }
    let orchestrator = settings.orchestrator.orchestrator().name();
    let child = Command::new(&audit).args(["run", "--orchestrator", orchestrator]).kill_on_drop(true).spawn();
    child.map(Some).map_err(failed("starting the audit"))
}

async fn exit_of(audit: &mut Option<Child>) -> std::io::Result<ExitStatus> {
    match audit {
        Some(audit) => audit.wait().await,
        None => std::future::pending().await,
    }
}

/// Lets the audit come to its end. The files stay: the pods that are there need them, and others go on starting.
async fn stop(audit: Option<Child>) -> Result<(), Error> {
    let Some(mut audit) = audit else { return Ok(()) };
    if let Some(pid) = audit.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw) {
        // One that has ended meanwhile needs no signal.
        let _ = rustix::process::kill_process(pid, Signal::TERM);
    }
    if let Ok(ended) = tokio::time::timeout(GRACE, audit.wait()).await {
        return ended.map(drop).map_err(failed("waiting for the audit"));
    }
    audit.kill().await.map_err(failed("ending the audit"))
}
