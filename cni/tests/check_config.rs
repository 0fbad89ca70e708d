//! What `--check-config` sees before a pod does: certificates that have run out, keys that do not belong to them, a switch
//! that is away. In the time of a node in memory, which begins with 2026.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test")]

mod doubles;

use std::path::Path;

use doubles::Node;
use doubles::process::Process;
use doubles::switch::Presence;
use nuage_cni::examine::{Examination, examine};
use nuage_cni::orchestrator::Orchestrator;
use rcgen::{CertificateParams, KeyPair, date_time_ymd};

/// A certificate that is valid between two days, and its key.
fn certificate(from: (i32, u8, u8), to: (i32, u8, u8)) -> (String, String) {
    let mut parameters = CertificateParams::new(vec!["monitor".to_owned()]).unwrap();
    parameters.not_before = date_time_ymd(from.0, from.1, from.2);
    parameters.not_after = date_time_ymd(to.0, to.1, to.2);
    let key = KeyPair::generate().unwrap();
    (parameters.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

async fn examined(from: (i32, u8, u8), to: (i32, u8, u8), presence: Presence) -> Examination {
    let node = Node::new();
    node.switch.set_presence(presence);
    let (certificate, key) = certificate(from, to);
    node.write("/config/c.pem", &certificate);
    node.write("/config/k.pem", &key);
    let vsp = "vsdUser: u\nnuageMonRestServer: https://monitor:9443\nnuageMonClientCert: c.pem\n\
        nuageMonClientKey: k.pem\nnuageMonServerCA: c.pem\n";
    node.write("/config/vsp-k8s.yaml", vsp);
    examine(&node.host(&Process::sound()), Orchestrator::Kubernetes, Some(Path::new("/config"))).await
}

#[tokio::test(start_paused = true)]
async fn a_node_where_all_is_well_is_valid_and_says_what_it_would_use() {
    let found = examined((2025, 1, 1), (2030, 1, 1), Presence::Up).await;
    assert!(found.is_valid() && found.warnings.is_empty(), "{found:?}");
    assert_eq!(found.uses["nuageMonRestServer"], "https://monitor:9443");
    assert_eq!(found.uses["apiServer"], "https://api:6443");
    assert_eq!(found.uses["apiCredentials"], "a token");
    assert_eq!(found.uses["podMaySet"], r#"["subnet","zone","user","policy-group"]"#);
    assert!(!format!("{found:?}").contains("PRIVATE KEY"));
}

#[tokio::test(start_paused = true)]
async fn certificates_that_do_not_count_are_errors_and_those_that_run_out_are_warnings() {
    for (from, to, text) in
        [((2025, 1, 1), (2025, 12, 31), "has expired"), ((2026, 2, 1), (2030, 1, 1), "is not valid yet")]
    {
        let found = examined(from, to, Presence::Up).await;
        assert!(!found.is_valid());
        for whose in ["authority of the monitor", "own certificate for the monitor"] {
            let wanted = format!("{whose} {text}");
            assert!(found.errors.iter().any(|error| error.contains(&wanted)), "{wanted}: {found:?}");
        }
    }
    let found = examined((2025, 1, 1), (2026, 1, 20), Presence::Up).await;
    assert!(
        found.is_valid() && found.warnings.iter().any(|text| text.contains("within 30 days")),
        "{found:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_switch_that_is_away_is_a_warning() {
    let found = examined((2025, 1, 1), (2030, 1, 1), Presence::Away).await;
    assert!(found.is_valid(), "{found:?}");
    assert!(found.warnings[0].contains("the VRS at unix:/vrs cannot be reached now"), "{found:?}");
}
