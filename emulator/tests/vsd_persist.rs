//! `emulator up --persist`: no change of the VSD that was acknowledged is lost when the process is killed, and what was
//! there is there again.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

#[path = "support/emulator.rs"]
mod emulator;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use emulator::Emulator;
use nuage_emulator::clock::Clock;
use nuage_emulator::entropy::Entropy;
use nuage_emulator::http::{TlsIdentity, remote};
use nuage_emulator::pki::Pki;
use nuage_emulator::vsd::Vsd;
use nuage_emulator::vsd::client::{self, Client};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

/// One that keeps what it has.
fn start(site: &Path) -> Emulator {
    Emulator::start(site, &["--only", "vsd", "--persist"])
}

fn client(directory: &Path) -> Client {
    let endpoints: Value =
        serde_json::from_slice(&std::fs::read(directory.join("endpoints.json")).unwrap()).unwrap();
    let pki = Pki::open(&directory.join("pki")).unwrap();
    let issued = pki.client("csproot", "csp").unwrap();
    let identity = TlsIdentity {
        authorities: pki.authority.clone().into_bytes(),
        client: Some((issued.certificate.into_bytes(), issued.key.into_bytes())),
    };
    Client::new(remote(&identity).unwrap(), &format!("{}/v6", endpoints["vsd_cert"].as_str().unwrap()))
}

/// What clients were told: IDs of what is there, and of what is not any more.
#[derive(Default)]
struct Told {
    there: BTreeSet<String>,
    gone: BTreeSet<String>,
}

impl Told {
    fn count(&self) -> usize {
        self.there.len() + self.gone.len()
    }
}

/// Creates and deletes until the server is gone.
async fn work(client: Client, name: String, told: Arc<Mutex<Told>>) {
    for number in 0_u32.. {
        let object = json!({ "name": format!("{name}-{number}") });
        let Ok(created) = client.create("enterprises", &object).await else { return };
        let id = client::id(&created).unwrap().to_owned();
        told.lock().unwrap().there.insert(id.clone());
        if number % 3 == 0 {
            // Until there is an answer, it may be there or not.
            told.lock().unwrap().there.remove(&id);
            if !client.delete(&format!("enterprises/{id}")).await.is_ok_and(|was_there| was_there) {
                return;
            }
            told.lock().unwrap().gone.insert(id);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_acknowledged_change_is_lost_when_it_is_killed_under_load() {
    let directory = tempfile::tempdir().unwrap();
    let site = directory.path().join("site");
    let told = Arc::new(Mutex::new(Told::default()));
    let mut before = None;
    for round in 0..4 {
        let mut emulator = start(&site);
        let client = client(&site);
        let there = client.list("enterprises", None).await.unwrap();
        let ids: BTreeSet<String> =
            there.iter().map(|object| client::id(object).unwrap().to_owned()).collect();
        {
            let told = told.lock().unwrap();
            assert!(told.there.is_subset(&ids), "round {round}: lost {:?}", told.there.difference(&ids));
            assert!(told.gone.is_disjoint(&ids), "round {round}: what was deleted is back");
        }
        // Whole: an enterprise with its groups.
        for object in there.iter().take(20) {
            let path = format!("enterprises/{}/groups", client::id(object).unwrap());
            assert_eq!(client.list(&path, None).await.unwrap().len(), 3);
        }
        // The site that it started with is the same, not another one of that name.
        let subnets = client.list("subnets", None).await.unwrap();
        assert_eq!(before.get_or_insert_with(|| subnets.clone()), &subnets);

        let workers: Vec<_> = (0..4)
            .map(|worker| tokio::spawn(work(client.clone(), format!("{round}-{worker}"), Arc::clone(&told))))
            .collect();
        // In the middle of something, wherever that is.
        let enough = told.lock().unwrap().count() + 25 + 7 * round;
        while told.lock().unwrap().count() < enough && !workers.iter().any(JoinHandle::is_finished) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(emulator.signal("-KILL"), None);
        for worker in workers {
            worker.await.unwrap();
        }
    }
    assert!(told.lock().unwrap().count() >= 100, "there was load");

    let mut emulator = start(&site);
    let count = client(&site).list("enterprises", None).await.unwrap().len();
    assert_eq!(emulator.signal("-TERM"), Some(0));
    let mut emulator = start(&site);
    assert_eq!(client(&site).list("enterprises", None).await.unwrap().len(), count, "an orderly end");
    assert_eq!(emulator.signal("-TERM"), Some(0));
}

#[test]
fn a_state_that_is_none_is_told_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let site = directory.path().join("site");
    assert_eq!(start(&site).signal("-TERM"), Some(0));
    let state = site.join("state/vsd.redb");
    let nonsense = vec![7; 5000];
    std::fs::write(&state, &nonsense).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_emulator"))
        .arg("up")
        .arg("--dir")
        .arg(&site)
        .args(["--only", "vsd", "--persist"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1));
    assert!(text.contains("vsd.redb") && text.contains("hint: remove it to begin anew"), "{text}");
    assert_eq!(std::fs::read(&state).unwrap(), nonsense);
}

#[tokio::test]
async fn api_keys_begin_anew_and_identifiers_are_never_given_twice() {
    let directory = tempfile::tempdir().unwrap();
    let open = || Vsd::open(Clock::System, Entropy::seeded(1), &directory.path().join("vsd.redb")).unwrap();
    let customers = |vsd: &Vsd| -> BTreeSet<u64> {
        vsd.snapshot("enterprise").iter().filter_map(|object| object["customerID"].as_u64()).collect()
    };
    let site = |name: &str| nuage_emulator::vsd::Site {
        enterprise: name.to_owned(),
        domain: "d".to_owned(),
        zone: "z".to_owned(),
        subnet: "s".to_owned(),
        address: "10.0.0.0/24".parse().unwrap(),
    };
    let vsd = open();
    vsd.bootstrap(&site("one")).unwrap();
    let first = customers(&vsd);
    drop(vsd);
    let vsd = open();
    assert_eq!(customers(&vsd), first);
    vsd.bootstrap(&site("one")).unwrap();
    assert_eq!(customers(&vsd), first, "it is there");
}
