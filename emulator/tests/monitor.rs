//! Promises of the Nuage monitor: its table of answers, and the places it makes in the VSD.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use axum::body::Body;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use http::{Method, StatusCode};
use http_body_util::BodyExt as _;
use nuage_emulator::clock::Clock;
use nuage_emulator::entropy::Entropy;
use nuage_emulator::http::{PeerCertificate, in_process};
use nuage_emulator::monitor::{Monitor, MonitorOptions};
use nuage_emulator::vsd::{Site, Vsd};
use serde_json::{Value, json};
use tower::ServiceExt as _;

#[derive(Clone, Default)]
struct Faults {
    /// The VSD never answers.
    silent: Arc<AtomicBool>,
    /// The VSD answers 503.
    unavailable: Arc<AtomicBool>,
    requests: Arc<AtomicUsize>,
}

struct World {
    vsd: Vsd,
    monitor: Monitor,
    faults: Faults,
}

fn world(pool: &str) -> World {
    let clock = Clock::Virtual { epoch: 0, start: tokio::time::Instant::now() };
    let vsd = Vsd::new(clock, Entropy::seeded(1));
    let site = Site {
        enterprise: "acme".to_owned(),
        domain: "cluster".to_owned(),
        zone: "infra".to_owned(),
        subnet: "infra-0".to_owned(),
        address: "10.0.1.0/24".parse().unwrap(),
    };
    vsd.bootstrap(&site).unwrap();
    let faults = Faults::default();
    let seen = faults.clone();
    let router =
        vsd.router().layer(from_fn(move |request: Request, next: Next| fail(seen.clone(), request, next)));
    let peer = PeerCertificate { common_name: "csproot".to_owned() };
    let monitor = Monitor::new(MonitorOptions {
        vsd: in_process(router, Some(peer)),
        vsd_url: "https://vsd/nuage/api/v6/".to_owned(),
        enterprise: "acme".to_owned(),
        domain: "cluster".to_owned(),
        address_pool: pool.parse().unwrap(),
        subnet_prefix: 24,
    });
    World { vsd, monitor, faults }
}

async fn fail(faults: Faults, request: Request, next: Next) -> Response {
    faults.requests.fetch_add(1, Ordering::Relaxed);
    if faults.silent.load(Ordering::Relaxed) {
        std::future::pending::<()>().await;
    }
    if faults.unavailable.load(Ordering::Relaxed) {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        return response;
    }
    next.run(request).await
}

impl World {
    async fn send(&self, method: Method, path: &str, body: &str) -> (StatusCode, String) {
        let mut request = Request::builder().method(method).uri(format!("https://monitor/{path}"));
        let peer = PeerCertificate { common_name: "node-1".to_owned() };
        request.extensions_mut().unwrap().insert(peer);
        let request = request.body(Body::from(body.to_owned())).unwrap();
        let response = self.monitor.router().oneshot(request).await.unwrap();
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    async fn post(&self, namespace: &str, body: &str) -> (u16, Value) {
        let (status, body) = self.send(Method::POST, &format!("namespaces/{namespace}/pods"), body).await;
        (status.as_u16(), serde_json::from_str(&body).unwrap())
    }

    fn subnets(&self) -> Vec<(String, String)> {
        let text = |subnet: &Value, attribute: &str| subnet[attribute].as_str().unwrap().to_owned();
        let subnets = self.vsd.snapshot("subnet");
        let mut subnets: Vec<_> =
            subnets.iter().map(|subnet| (text(subnet, "name"), text(subnet, "address"))).collect();
        subnets.sort();
        subnets
    }
}

fn placed(subnet: &str) -> (u16, Value) {
    (200, json!({ "subnetName": subnet, "policyGroups": null }))
}

fn refused(status: u16, error: &str) -> (u16, Value) {
    (status, json!({ "error": error }))
}

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
    let mut world = world("10.0.0.0/16");
    world.post("one", r#"{"podName":"p"}"#).await;
    let before = world.subnets();
    let router = world.vsd.router();
    world.monitor = Monitor::new(MonitorOptions {
        vsd: in_process(router, Some(PeerCertificate { common_name: "csproot".to_owned() })),
        vsd_url: "https://vsd/nuage/api/v6".to_owned(),
        enterprise: "acme".to_owned(),
        domain: "cluster".to_owned(),
        address_pool: "10.0.0.0/16".parse().unwrap(),
        subnet_prefix: 24,
    });
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
