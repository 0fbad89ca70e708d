//! Nuage's own Python client (vspk) against the emulated VSD. `VSPK_PYTHON` names an interpreter that has it; it is
//! installed by `pip install 'setuptools<81' vspk==20.10.15`.

use std::time::Duration;

use nuage_emulator::clock::Clock;
use nuage_emulator::entropy::Entropy;
use nuage_emulator::vsd::Vsd;
use tokio::process::Command;

/// How long the client may take; it makes some fifty calls.
const PATIENCE: Duration = Duration::from_mins(1);

#[tokio::test]
async fn the_python_client_logs_in_and_creates_reads_lists_updates_assigns_and_deletes() {
    let python = std::env::var("VSPK_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let found = Command::new(&python).args(["-c", "import vspk.v6"]).output().await;
    if !found.is_ok_and(|output| output.status.success()) {
        eprintln!(
            "SKIPPED the_python_client_logs_in_and_creates_reads_lists_updates_assigns_and_deletes: python3 with vspk"
        );
        return;
    }
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let vsd = Vsd::new(Clock::System, Entropy::seeded(1));
    let server = tokio::spawn(async move { axum::serve(listener, vsd.router()).await });
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vspk/session.py");
    let session = Command::new(&python).args(["-B", script, &url]).kill_on_drop(true).output();
    let output = tokio::time::timeout(PATIENCE, session).await.unwrap().unwrap();
    server.abort();
    let said = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    assert!(output.status.success(), "{}{}", said[0], said[1]);
    assert!(said[0].lines().count() > 20, "{}", said[0]);
}
