//! Promises of the Nuage monitor: its table of answers, and the places it makes in the VSD.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

mod base;
mod growth;
mod policies;
mod world;

use std::sync::atomic::Ordering;

use axum::body::Body;
use axum::extract::Request;
use http::{Method, StatusCode};
use nuage_emulator::faults::Setting;
use tower::ServiceExt as _;
use world::{placed, refused, world};

#[tokio::test(start_paused = true)]
async fn each_row_of_the_table_is_answered() {
    let world = world("10.0.0.0/16");
    for (body, expected) in [
        ("", refused(400, "Podname missing from the JSON data")),
        ("{}", refused(400, "Podname missing from the JSON data")),
        (r#"{"podName":""}"#, refused(400, "Invalid pod name")),
        (r#"{"podName":7}"#, refused(400, "Invalid pod name")),
        (r#"{"podName":"p","desiredZone":"z","action":"delete"}"#, placed("")),
        (r#"{"podName":"p","action":"delete"}"#, placed("")),
        (r#"{"podName":"p","desiredZone":""}"#, refused(400, "Invalid zone name")),
        (r#"{"podName":"p","desiredZone":[]}"#, refused(400, "Invalid zone name")),
        (r#"{"podName":"p","desiredZone":"z"}"#, refused(400, "Invalid request: Subnet absent")),
        (r#"{"podName":"p","desiredZone":"z","desiredSubnet":""}"#, refused(400, "Invalid subnet name")),
        (r#"{"podName":"p","desiredZone":"z","desiredSubnet":"s"}"#, placed("s")),
        (r#"{"podName":"p"}"#, placed("shop-0")),
        (r#"{"podName":"p","action":"anything"}"#, placed("shop-0")),
        (
            r#"{"podName":"p","desiredZone":"shop","desiredSubnet":"s"}"#,
            refused(400, "Invalid zone parameter: Zone controlled by Nuage Monitor"),
        ),
    ] {
        assert_eq!(world.post("shop", body).await, expected, "{body}");
    }
    for body in ["{", "[]", "null", "\u{0}"] {
        assert_eq!(world.post("shop", body).await.0, 400, "{body}");
    }
    for namespace in ["Shop", "-a", "a_b", &"a".repeat(64)] {
        assert_eq!(world.post(namespace, r#"{"podName":"p"}"#).await, refused(400, "Invalid namespace"));
    }
}

#[tokio::test(start_paused = true)]
async fn get_is_404_delete_is_200_without_effect_and_other_paths_and_methods_are_refused() {
    let world = world("10.0.0.0/16");
    let status = async |method: Method, path: &str| world.send(method, path, "").await.0;
    assert_eq!(status(Method::GET, "namespaces/shop/pods/p").await, StatusCode::NOT_FOUND);
    assert_eq!(status(Method::GET, "namespaces/shop/pods").await, StatusCode::NOT_FOUND);
    assert_eq!(
        world.send(Method::DELETE, "namespaces/shop/pods/p", "").await,
        (StatusCode::OK, String::new())
    );
    assert_eq!(status(Method::PUT, "namespaces/shop/pods/p").await, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(status(Method::POST, "elsewhere").await, StatusCode::NOT_FOUND);
    assert_eq!(world.subnets().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_request_without_a_client_certificate_is_refused() {
    let world = world("10.0.0.0/16");
    let request =
        Request::post("https://monitor/namespaces/shop/pods").body(Body::from(r#"{"podName":"p"}"#));
    let response = world.monitor.router().oneshot(request.unwrap()).await.unwrap();
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    assert_eq!(world.faults.requests.load(Ordering::Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn a_namespace_gets_a_zone_and_the_lowest_free_block_on_first_sight_and_no_call_later() {
    let world = world("10.0.0.0/16");
    for namespace in ["one", "two", "one"] {
        assert_eq!(world.post(namespace, r#"{"podName":"p"}"#).await, placed(&format!("{namespace}-0")));
    }
    let pair = |name: &str, address: &str| (name.to_owned(), address.to_owned());
    let expected = [pair("infra-0", "10.0.1.0"), pair("one-0", "10.0.0.0"), pair("two-0", "10.0.2.0")];
    assert_eq!(world.subnets(), expected);
    let requests = world.faults.requests.load(Ordering::Relaxed);
    world.post("two", r#"{"podName":"q"}"#).await;
    assert_eq!(world.faults.requests.load(Ordering::Relaxed), requests);
}

#[tokio::test(start_paused = true)]
async fn concurrent_first_sights_make_one_zone_each_and_no_block_twice() {
    let world = world("10.0.0.0/16");
    let names = ["a", "b", "a", "c", "b", "a"];
    let calls = names.map(|namespace| world.post(namespace, r#"{"podName":"p"}"#));
    let answers = futures_util::future::join_all(calls).await;
    assert!(names.iter().zip(answers).all(|(name, answer)| answer == placed(&format!("{name}-0"))));
    let mut addresses: Vec<String> = world.subnets().into_iter().map(|(_, address)| address).collect();
    addresses.sort();
    assert_eq!(addresses, ["10.0.0.0", "10.0.1.0", "10.0.2.0", "10.0.3.0"]);
    assert_eq!(world.vsd.snapshot("zone").len(), 4);
    // Enterprise and domain, zone looked for and made, subnet looked for and made: once for each namespace. The
    // present subnets: once.
    assert_eq!(world.faults.requests.load(Ordering::Relaxed), 3 * 6 + 1);
}

#[tokio::test(start_paused = true)]
async fn a_restarted_monitor_finds_what_the_one_before_made() {
    let world = world("10.0.0.0/16");
    world.post("one", r#"{"podName":"p"}"#).await;
    let before = world.subnets();
    world.named.on("monitor.restart", Setting { times: Some(1), ..Setting::default() }).unwrap();
    assert_eq!(world.post("one", r#"{"podName":"p"}"#).await, placed("one-0"));
    assert_eq!(world.subnets(), before);
}

#[tokio::test(start_paused = true)]
async fn a_vsd_that_fails_or_is_silent_gives_500_within_a_deadline_and_the_next_call_succeeds() {
    let world = world("10.0.0.0/16");
    world.faults.unavailable.store(true, Ordering::Relaxed);
    let (status, body) = world.post("shop", r#"{"podName":"p"}"#).await;
    assert_eq!(status, 500);
    assert!(body["error"].as_str().unwrap().contains("503"));
    world.faults.unavailable.store(false, Ordering::Relaxed);
    world.faults.silent.store(true, Ordering::Relaxed);
    let start = tokio::time::Instant::now();
    assert_eq!(world.post("shop", r#"{"podName":"p"}"#).await.0, 500);
    assert!(start.elapsed() <= std::time::Duration::from_secs(10));
    world.faults.silent.store(false, Ordering::Relaxed);
    assert_eq!(world.post("shop", r#"{"podName":"p"}"#).await, placed("shop-0"));
    assert_eq!(world.subnets().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_is_used_up_is_said() {
    let world = world("10.0.0.0/23");
    assert_eq!(world.post("one", r#"{"podName":"p"}"#).await, placed("one-0"));
    let (status, body) = world.post("two", r#"{"podName":"p"}"#).await;
    assert_eq!((status, body), refused(500, "the VSD has no free address block"));
}
