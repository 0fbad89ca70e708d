//! Any filter header: a list or 400, and twice the same.
#![no_main]

use axum::body::Body;
use http::{HeaderValue, Request};
use libfuzzer_sys::fuzz_target;
use nuage_emulator::clock::Clock;
use nuage_emulator::entropy::Entropy;
use nuage_emulator::http::PeerCertificate;
use nuage_emulator::vsd::Vsd;
use tower::ServiceExt as _;

fuzz_target!(|input: &[u8]| {
    let Ok(filter) = HeaderValue::from_bytes(input) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let vsd = Vsd::new(Clock::System, Entropy::seeded(1));
        let list = || {
            let request = Request::builder()
                .uri("https://vsd/nuage/api/v6/enterpriseprofiles")
                .header("x-nuage-filter", filter.clone())
                .extension(PeerCertificate { common_name: "csproot".to_owned() })
                .body(Body::empty());
            vsd.router().oneshot(request.expect("a request"))
        };
        let (first, second) = (list().await.expect("an answer"), list().await.expect("an answer"));
        assert!([200, 400].contains(&first.status().as_u16()), "{}", first.status());
        assert_eq!((first.status(), first.headers()), (second.status(), second.headers()));
    });
});
