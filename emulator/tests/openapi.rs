//! Schemathesis sends what the VSD's own description of its API allows, and what it does not. `SCHEMATHESIS` names the
//! executable; it is installed by `pip install schemathesis`.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::time::Duration;

use nuage_emulator::clock::Clock;
use nuage_emulator::entropy::Entropy;
use nuage_emulator::vsd::Vsd;
use tokio::process::Command;

/// What one run may take beyond the time that it gives itself.
const PATIENCE: Duration = Duration::from_mins(5);
/// The operator's enterprise: there is always one, and nobody can delete it.
const ENTERPRISE: &str = "76046673-d0ea-4a67-b6af-2829952f0812";

async fn run(schemathesis: &str, url: &str, config: &str, arguments: &[&str]) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("schemathesis.toml");
    std::fs::write(&file, config).unwrap();
    let document = format!("{url}/nuage/api/openapi.json");
    let run = Command::new(schemathesis)
        .arg("--config-file")
        .arg(&file)
        .args(["run", &document, "--checks", "not_a_server_error", "--auth", "csproot:csproot"])
        .args(["--header", "X-Nuage-Organization: csp", "--suppress-health-check", "all", "--no-color"])
        .args(["--phases", "fuzzing", "--seed", "1", "--warnings", "off"])
        .args(arguments)
        .current_dir(directory.path())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(PATIENCE, run).await.unwrap().unwrap();
    let said = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    assert!(output.status.success(), "{}{}", said[0], said[1]);
    assert!(said[0].contains("passed"), "something was sent: {}", said[0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_description_allows_and_what_it_does_not_is_never_a_failure_of_the_server() {
    let Ok(schemathesis) = std::env::var("SCHEMATHESIS") else {
        eprintln!(
            "SKIPPED what_the_description_allows_and_what_it_does_not_is_never_a_failure_of_the_server: schemathesis"
        );
        return;
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let vsd = Vsd::new(Clock::System, Entropy::seeded(1));
    let server = tokio::spawn(async move { axum::serve(listener, vsd.router()).await });
    // Below an enterprise that there is, bodies get as far as to be stored.
    let below = format!("[parameters]\n\"path.id\" = \"{ENTERPRISE}\"\n");
    let paths = ["--include-path-regex", "^/enterprises", "--max-examples", "3", "--max-time", "30"];
    run(&schemathesis, &url, &below, &paths).await;
    // Every other path, as far as the time goes.
    let paths = ["--exclude-path-regex", "^/enterprises", "--max-examples", "1", "--max-time", "30"];
    run(&schemathesis, &url, "", &paths).await;
    server.abort();
}
