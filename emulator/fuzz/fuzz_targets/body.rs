//! Any bytes as a body, at a path and with a method that the first two bytes choose: never a failure of the server, and
//! errors in their form.
#![no_main]

use axum::body::{Body, to_bytes};
use http::{Method, Request};
use libfuzzer_sys::fuzz_target;
use nuage_emulator::clock::Clock;
use nuage_emulator::entropy::Entropy;
use nuage_emulator::http::PeerCertificate;
use nuage_emulator::vsd::Vsd;
use serde_json::Value;
use tower::ServiceExt as _;

/// Below the operator's enterprise, which there always is.
const PATHS: [&str; 16] = [
    "enterprises", "enterprises/76046673-d0ea-4a67-b6af-2829952f0812", "domaintemplates", "users", "groups",
    "sharednetworkresources", "gateways", "l2domaintemplates", "permissions", "metadatas", "containers", "vms", "jobs",
    "me", "licenses", "systemconfigs",
];
const METHODS: [Method; 4] = [Method::POST, Method::PUT, Method::PATCH, Method::DELETE];

fuzz_target!(|input: &[u8]| {
    let [path, method, body @ ..] = input else { return };
    let path = PATHS[usize::from(*path) % PATHS.len()];
    let below = if *method & 4 == 0 { "" } else { "enterprises/76046673-d0ea-4a67-b6af-2829952f0812/" };
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let vsd = Vsd::new(Clock::System, Entropy::seeded(1));
        let request = Request::builder()
            .method(&METHODS[usize::from(*method) % METHODS.len()])
            .uri(format!("https://vsd/nuage/api/v6/{below}{path}"))
            .extension(PeerCertificate { common_name: "csproot".to_owned() })
            .body(Body::from(body.to_vec()))
            .expect("a request");
        let response = vsd.router().oneshot(request).await.expect("an answer");
        let status = response.status();
        let answer = to_bytes(response.into_body(), usize::MAX).await.expect("a body");
        assert!(!status.is_server_error(), "{status}");
        if !status.is_success() {
            let json: Value = serde_json::from_slice(&answer).expect("JSON");
            assert!(json["errors"][0]["descriptions"][0]["description"].is_string(), "{json}");
        }
    });
});
