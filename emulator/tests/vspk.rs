//! Nuage's own Python client (vspk) against the emulated VSD. `VSPK_PYTHON` names an interpreter that has it; it is
//! installed by `pip install 'setuptools<81' vspk==20.10.15`.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "helpers of tests fail by panicking and say what is skipped"
)]

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use nuage_emulator::clock::Clock;
use nuage_emulator::entropy::Entropy;
use nuage_emulator::pki::Pki;
use nuage_emulator::up::{Component, Options, Ports, Reach, Site};
use nuage_emulator::vsd::Vsd;
use tokio::process::Command;

/// How long one script may take. The longest makes some fifteen thousand calls.
const PATIENCE: Duration = Duration::from_mins(10);
/// Where the scripts are.
const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vspk");
const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/vsd/model");

/// The interpreter, if it has the SDK; says so and gives `None` where it has not.
async fn python(test: &str) -> Option<String> {
    let python = std::env::var("VSPK_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let found = Command::new(&python).args(["-c", "import vspk.v6"]).output().await;
    if found.is_ok_and(|output| output.status.success()) {
        return Some(python);
    }
    eprintln!("SKIPPED {test}: python3 with vspk");
    None
}

/// Runs a script of this folder and returns what it printed.
async fn run(python: &str, script: &str, arguments: &[&str]) -> String {
    let run = Command::new(python).args(["-B", script]).args(arguments).kill_on_drop(true).output();
    let output = tokio::time::timeout(PATIENCE, run).await.unwrap().unwrap();
    let said = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    assert!(output.status.success(), "{}{}", said[0], said[1]);
    said[0].clone()
}

/// A VSD on a plain socket, and its URL.
async fn served() -> (String, tokio::task::JoinHandle<std::io::Result<()>>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let vsd = Vsd::new(Clock::System, Entropy::seeded(1));
    (url, tokio::spawn(async move { axum::serve(listener, vsd.router()).await }))
}

#[tokio::test]
async fn the_python_client_logs_in_and_creates_reads_lists_updates_assigns_and_deletes() {
    let test = "the_python_client_logs_in_and_creates_reads_lists_updates_assigns_and_deletes";
    let Some(python) = python(test).await else { return };
    let (url, server) = served().await;
    let said = run(&python, &format!("{SCRIPTS}/session.py"), &[&url]).await;
    server.abort();
    assert!(said.lines().count() > 20, "{said}");
}

/// Runs one script against a fresh VSD.
async fn script(test: &str, name: &str) {
    let Some(python) = python(test).await else { return };
    let (url, server) = served().await;
    run(&python, &format!("{SCRIPTS}/{name}.py"), &[&url]).await;
    server.abort();
}

#[tokio::test]
async fn users_groups_and_permissions_decide_for_the_sdk() {
    script("users_groups_and_permissions_decide_for_the_sdk", "people").await;
}

#[tokio::test]
async fn the_sdk_makes_changes_and_deletes_several_objects_at_once_and_pages_and_groups() {
    script("the_sdk_makes_changes_and_deletes_several_objects_at_once_and_pages_and_groups", "bulk").await;
}

#[tokio::test]
async fn the_workflows_of_a_site_and_the_monitors_call_list_run_by_the_sdk() {
    script("the_workflows_of_a_site_and_the_monitors_call_list_run_by_the_sdk", "workflows").await;
}

#[tokio::test]
async fn the_sdks_push_centre_is_told_every_change_once_and_in_order() {
    script("the_sdks_push_centre_is_told_every_change_once_and_in_order", "push").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sdk_logs_in_with_a_certificate() {
    let Some(python) = python("the_sdk_logs_in_with_a_certificate").await else { return };
    let directory = tempfile::tempdir().unwrap();
    let options = Options {
        directory: directory.path().join("site"),
        ports: Ports::Auto,
        bind: IpAddr::V4(Ipv4Addr::LOCALHOST),
        components: BTreeSet::from([Component::Vsd]),
        empty: false,
        nodes: 1,
        standby: false,
        persist: false,
        vrs_tcp: false,
        vrs_tls: false,
        reach: Reach::default(),
    };
    let site = Site::start(&options).await.unwrap();
    let endpoint = site.endpoints()["vsd_cert"].as_str().unwrap().to_owned();
    let url = endpoint.strip_suffix("/nuage/api").unwrap();
    let pki = Pki::open(&site.path().join("pki")).unwrap();
    let mut files = Vec::new();
    for (user, organization) in [("csproot", "csp"), ("csproot", "elsewhere")] {
        let identity = pki.client(user, organization).unwrap();
        for (kind, text) in [("pem", &identity.certificate), ("key", &identity.key)] {
            let path = directory.path().join(format!("{organization}.{kind}"));
            std::fs::write(&path, text).unwrap();
            files.push(path.display().to_string());
        }
    }
    let arguments: Vec<&str> = std::iter::once(url).chain(files.iter().map(String::as_str)).collect();
    run(&python, &format!("{SCRIPTS}/certificate.py"), &arguments).await;
    site.stop().await;
}

#[tokio::test]
async fn every_entity_of_the_sdk_is_served_as_the_coverage_says() {
    let Some(python) = python("every_entity_of_the_sdk_is_served_as_the_coverage_says").await else { return };
    let (url, server) = served().await;
    let model = format!("{MODEL}/model.json");
    let coverage = run(&python, &format!("{SCRIPTS}/every_entity.py"), &[&url, &model]).await;
    server.abort();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/COVERAGE.md");
    if std::env::var_os("NUAGE_UPDATE").is_some() {
        std::fs::write(path, &coverage).unwrap();
    }
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    assert!(kept == coverage, "emulator/COVERAGE.md is stale: run this test with NUAGE_UPDATE=1\n{coverage}");
}

#[tokio::test]
async fn the_model_file_is_what_its_generator_makes_of_the_sdk() {
    let Some(python) = python("the_model_file_is_what_its_generator_makes_of_the_sdk").await else { return };
    let made = run(&python, &format!("{MODEL}/generate.py"), &[]).await;
    let kept = std::fs::read_to_string(format!("{MODEL}/model.json")).unwrap();
    assert!(kept == made, "model.json is stale: emulator/src/vsd/model/generate.py > model.json");
}
