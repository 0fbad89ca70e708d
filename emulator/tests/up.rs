//! `emulator up` as a process: what it writes, what answers, how it ends, what it refuses.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test")]

#[path = "support/emulator.rs"]
mod emulator;

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use bytes::Bytes;
use emulator::Emulator;
use nuage_emulator::http::{TlsIdentity, remote};
use nuage_emulator::pki::Pki;
use nuage_ovsdb::client::{Client, Limits};
use serde_json::{Value, json};
use tokio::net::UnixStream;
use tower::ServiceExt as _;

fn up(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_emulator"))
        .arg("up")
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn endpoints(directory: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(directory.join("endpoints.json")).unwrap()).unwrap()
}

async fn get(identity: &TlsIdentity, url: &str, headers: &[(&str, &str)]) -> Result<u16, String> {
    let mut request = http::Request::builder().uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = remote(identity).unwrap().oneshot(request.body(Bytes::new()).unwrap()).await;
    response.map(|response| response.status().as_u16()).map_err(|error| error.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_endpoint_answers_whom_it_should_and_nobody_else() {
    let directory = tempfile::tempdir().unwrap();
    let site = directory.path().join("site");
    let mut emulator = Emulator::start(&site, &[]);
    let endpoints = endpoints(&site);
    let endpoint = |name: &str| endpoints[name].as_str().unwrap().to_owned();

    let socket = endpoint("vrs").strip_prefix("unix:").unwrap().to_owned();
    let client = Client::spawn(UnixStream::connect(&socket).await.unwrap(), Limits::default());
    let databases = client.call("list_dbs", json!([]), Duration::from_secs(10)).await.unwrap();
    assert!(databases.as_array().unwrap().contains(&json!("Open_vSwitch")));

    let pki = Pki::open(&site.join("pki")).unwrap();
    let nobody = TlsIdentity { authorities: pki.authority.clone().into_bytes(), client: None };
    let issued = pki.client("csproot", "csp").unwrap();
    let known = TlsIdentity {
        client: Some((issued.certificate.into_bytes(), issued.key.into_bytes())),
        ..nobody.clone()
    };
    let organisation = ("X-Nuage-Organization", "csp");
    let me = format!("{}/v6/me", endpoint("vsd"));
    // csproot:csproot
    assert_eq!(
        get(&nobody, &me, &[organisation, ("Authorization", "XREST Y3Nwcm9vdDpjc3Byb290")]).await,
        Ok(200)
    );
    assert_eq!(
        get(&nobody, &me, &[organisation, ("Authorization", "XREST Y3Nwcm9vdDpub3Blbm9wZQ==")]).await,
        Ok(401)
    );
    let enterprises = format!("{}/v6/enterprises", endpoint("vsd_cert"));
    assert_eq!(get(&known, &enterprises, &[]).await, Ok(200));
    get(&nobody, &enterprises, &[]).await.expect_err("no connection without a certificate");
    get(&nobody, &endpoint("monitor"), &[]).await.expect_err("no connection without a certificate");
    assert_eq!(get(&nobody, &format!("{}/api/v1/pods", endpoint("kube")), &[]).await, Ok(401));
    let stranger = tempfile::tempdir().unwrap();
    let authority = Pki::open(stranger.path()).unwrap().authority.into_bytes();
    get(&TlsIdentity { authorities: authority, client: None }, &me, &[])
        .await
        .expect_err("another authority");

    assert_eq!(emulator.signal("-TERM"), Some(0));
    assert!(!Path::new(&socket).exists(), "the socket is gone");
}

#[test]
fn the_directory_and_its_secrets_are_its_owners_and_the_authority_is_used_again() {
    let directory = tempfile::tempdir().unwrap();
    let site = directory.path().join("site");
    let mut emulator = Emulator::start(&site, &["--nodes", "2"]);
    assert_eq!(mode(&site), 0o700);
    for file in ["pki/ca.key", "admin.kubeconfig", "endpoints.json", "nodes/node-2/nuage.kubeconfig"] {
        assert_eq!(mode(&site.join(file)), 0o600, "{file}");
    }
    let nodes = endpoints(&site)["nodes"].as_array().unwrap().len();
    assert_eq!(nodes, 2);
    for file in ["nuage-cni.yaml", "vsp-k8s.yaml", "vsp-openshift.yaml", "10-nuage.conflist"] {
        assert!(site.join("nodes/node-1").join(file).is_file(), "{file}");
    }
    let authority = std::fs::read(site.join("pki/ca.pem")).unwrap();
    assert_eq!(emulator.signal("-INT"), Some(0));
    let mut again = Emulator::start(&site, &[]);
    assert_eq!(std::fs::read(site.join("pki/ca.pem")).unwrap(), authority);
    assert_eq!(again.signal("-TERM"), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn beyond_this_machine_it_has_its_own_password_and_a_certificate_of_its_name_by_an_authority_that_clients_know()
 {
    let directory = tempfile::tempdir().unwrap();
    let place = |name: &str| directory.path().join(name);
    let authority = Pki::open(&place("authority")).unwrap().authority.into_bytes();
    std::fs::write(place("password"), "a long one\nnot this\n").unwrap();
    let arguments = [
        "--bind=0.0.0.0",
        "--only=vsd",
        "--name=localhost",
        "--name=vsd.example",
        &format!("--password-file={}", place("password").display()),
        &format!("--authority={}", place("authority").display()),
    ];
    let _emulator = Emulator::start(&place("site"), &arguments);
    let vsd = endpoints(&place("site"))["vsd"].as_str().unwrap().to_owned();
    assert!(vsd.starts_with("https://localhost:"), "{vsd}");
    assert_eq!(std::fs::read(place("site/pki/ca.pem")).unwrap(), authority);
    let client = TlsIdentity { authorities: authority, client: None };
    let organisation = ("X-Nuage-Organization", "csp");
    let me = format!("{vsd}/v6/me");
    for (login, status) in [("Y3Nwcm9vdDphIGxvbmcgb25l", 200), ("Y3Nwcm9vdDpjc3Byb290", 401)] {
        let header = format!("XREST {login}");
        assert_eq!(get(&client, &me, &[organisation, ("Authorization", &header)]).await, Ok(status));
    }
}

#[test]
fn what_cannot_run_is_told_with_a_hint_and_leaves_what_runs_alone() {
    let directory = tempfile::tempdir().unwrap();
    let site = directory.path().join("site");
    let _emulator = Emulator::start(&site, &["--only", "vrs"]);
    let refused = |arguments: &[&str], code: i32, words: &str| {
        let output = up(arguments);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{text}");
        assert!(text.contains(words), "{text}");
    };
    let other = directory.path().join("other");
    let (site, other) = (site.to_str().unwrap(), other.to_str().unwrap());
    refused(&["--dir", site], 1, "hint: give another --dir");
    refused(&["--dir", other, "--only", "vsc"], 2, "vsc needs vsd");
    refused(&["--dir", other, "--bind", "0.0.0.0"], 1, "default password");
    refused(&["--dir", other, "--password-file", "/dev/null"], 2, "a first line of 1 to");
    refused(&["--dir", other, "--authority", "/nowhere"], 1, "/nowhere/ca.key");
    refused(&["--dir", other, "--nodes", "0"], 2, "--nodes must be");
    refused(&["--dir", other, "--frob"], 2, "--frob");
    refused(&["--dir", "/proc/nowhere"], 1, "/proc/nowhere");
}

#[test]
fn a_controller_that_reaches_nothing_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_emulator"))
        .args(["vsc", "--vrs", "unix:/nowhere.sock", "--dir"])
        .arg(directory.path())
        .output()
        .unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("endpoints.json"));
}
