//! Packet filters by nftables' own command, a transaction at a time. Never reads what is there: the caller knows what he set.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::thread;

use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::{Namespace, failed};
use crate::error::Error;

/// Whether a command can be run.
pub(in crate::dataplane) fn is_there(command: &str, version: &str) -> bool {
    let run = Command::new(command).arg(version).stdout(Stdio::null()).stderr(Stdio::null()).status();
    run.is_ok_and(|status| status.success())
}

/// Carries out commands inside a namespace: all of them, or none.
///
/// # Errors
/// What nftables says.
pub(in crate::dataplane) async fn filter(namespace: &Namespace, commands: Vec<Value>) -> Result<(), Error> {
    if commands.is_empty() {
        return Ok(());
    }
    let text = json!({ "nftables": commands }).to_string();
    let (done, result) = oneshot::channel();
    let inside = namespace.clone();
    let work = move || {
        let ended = inside.within(|| run(&text)).and_then(std::convert::identity);
        // Nobody may wait any more.
        let _ = done.send(ended);
    };
    thread::Builder::new()
        .name("nft".to_owned())
        .spawn(work)
        .map_err(|error| failed("running nft")(&error))?;
    result.await.map_err(|error| failed("running nft")(&error))?
}

/// The namespace of the thread that starts a process is the process's.
fn run(text: &str) -> Result<(), Error> {
    let trouble = |error: std::io::Error| failed("running nft -j -f -")(&error);
    let mut command = Command::new("nft");
    command.args(["-j", "-f", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(trouble)?;
    let written = child.stdin.take().map(|mut stdin| stdin.write_all(text.as_bytes()));
    let output = child.wait_with_output().map_err(trouble)?;
    if output.status.success() {
        return written.unwrap_or(Ok(())).map_err(trouble);
    }
    tracing::debug!(text, "what nft refused");
    Err(failed("nft -j -f -")(&String::from_utf8_lossy(&output.stderr).trim()))
}
