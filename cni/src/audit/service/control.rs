//! control.sock: one line of JSON in, one out. For `nuage-audit status`, and for whoever confirms what the trip wire holds.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::bind_at;
use crate::audit::run::Signal;
use crate::audit::state::Shared;
use crate::error::Error;

const NAME: &str = "control.sock";
/// A request is a word or two.
const MAX_REQUEST_BYTES: u64 = 4 << 10;
/// An answer holds the last pass: a line an action.
const MAX_ANSWER_BYTES: u64 = 4 << 20;
/// Whoever takes longer is no program of ours.
const PATIENCE: Duration = Duration::from_secs(2);

pub(super) fn bind(run_dir: &Path) -> Result<UnixListener, Error> {
    bind_at(&run_dir.join(NAME), |path| UnixListener::bind(path))
}

pub(super) async fn serve(listener: UnixListener, shared: Shared, signals: mpsc::Sender<Signal>) {
    // One after another: each is bounded in time, and they are few.
    while let Ok((stream, _)) = listener.accept().await {
        let _ = timeout(PATIENCE, answer(stream, &shared, &signals)).await;
    }
}

async fn answer(stream: UnixStream, shared: &Shared, signals: &mpsc::Sender<Signal>) -> std::io::Result<()> {
    let own = rustix::process::geteuid().as_raw();
    if !stream.peer_cred().is_ok_and(|peer| peer.uid() == 0 || peer.uid() == own) {
        return Ok(());
    }
    let (reader, mut writer) = stream.into_split();
    let mut line = String::new();
    BufReader::new(reader.take(MAX_REQUEST_BYTES)).read_line(&mut line).await?;
    let request: Value = serde_json::from_str(&line).unwrap_or_default();
    let answer = match request["verb"].as_str() {
        Some("status") => shared.to_json(),
        Some("confirm") => json!({"confirmed": signals.try_send(Signal::Confirm).is_ok()}),
        _ => json!({"error": "verb must be status or confirm"}),
    };
    writer.write_all(format!("{answer}\n").as_bytes()).await
}

/// Asks the daemon of this node; `None` where there is none, or it does not answer.
pub async fn ask(run_dir: &Path, verb: &str) -> Option<Value> {
    let exchange = async {
        let stream = UnixStream::connect(run_dir.join(NAME)).await.ok()?;
        let (reader, mut writer) = stream.into_split();
        writer.write_all(format!("{}\n", json!({"verb": verb})).as_bytes()).await.ok()?;
        let mut line = String::new();
        BufReader::new(reader.take(MAX_ANSWER_BYTES)).read_line(&mut line).await.ok()?;
        serde_json::from_str(&line).ok()
    };
    timeout(PATIENCE, exchange).await.ok()?
}
