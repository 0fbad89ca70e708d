//! A VSD with a site, an API server and a monitor between them, and what their users do.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use http::{Method, StatusCode};
use http_body_util::BodyExt as _;
use nuage_emulator::clock::Clock;
use nuage_emulator::entropy::Entropy;
use nuage_emulator::faults::{Faults as NamedFaults, Setting};
use nuage_emulator::http::{PeerCertificate, in_process};
use nuage_emulator::kube::Kube;
use nuage_emulator::monitor::{Monitor, MonitorOptions};
use nuage_emulator::vsd::client::Client;
use nuage_emulator::vsd::{Site, Vsd};
use serde_json::{Value, json};
use tower::ServiceExt as _;

#[derive(Clone, Default)]
pub(crate) struct Faults {
    /// The VSD never answers.
    pub(crate) silent: Arc<AtomicBool>,
    /// The VSD answers 503.
    pub(crate) unavailable: Arc<AtomicBool>,
    pub(crate) requests: Arc<AtomicUsize>,
}

pub(crate) struct World {
    pub(crate) vsd: Vsd,
    pub(crate) kube: Kube,
    pub(crate) monitor: Monitor,
    pub(crate) faults: Faults,
    pub(crate) named: NamedFaults,
}

/// A monitor that gives each namespace one subnet and knows no cluster.
pub(crate) fn world(pool: &str) -> World {
    cluster(pool, 24, false)
}

/// A monitor that follows a cluster and makes subnets as they are needed, each with room for 13 pods.
pub(crate) fn growing(pool: &str) -> World {
    cluster(pool, 28, true)
}

fn cluster(pool: &str, subnet_prefix: u8, follows: bool) -> World {
    let clock = Clock::Virtual { epoch: 0, start: tokio::time::Instant::now() };
    let vsd = Vsd::new(clock.clone(), Entropy::seeded(1));
    let kube = Kube::new(clock, Entropy::seeded(2));
    let named = NamedFaults::new(Entropy::seeded(3));
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
    let peer = Some(PeerCertificate { common_name: "csproot".to_owned() });
    let monitor = Monitor::new(MonitorOptions {
        vsd: in_process(router, peer.clone()),
        vsd_url: "https://vsd/nuage/api/v6/".to_owned(),
        enterprise: "acme".to_owned(),
        domain: "cluster".to_owned(),
        address_pool: pool.parse().unwrap(),
        subnet_prefix,
        autoscale: follows,
        kube: follows.then(|| (in_process(kube.router(), peer), "https://kube/".to_owned())),
        faults: Some(named.clone()),
    });
    World { vsd, kube, monitor, faults, named }
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
    pub(crate) async fn send(&self, method: Method, path: &str, body: &str) -> (StatusCode, String) {
        let mut request = Request::builder().method(method).uri(format!("https://monitor/{path}"));
        let peer = PeerCertificate { common_name: "node-1".to_owned() };
        request.extensions_mut().unwrap().insert(peer);
        let request = request.body(Body::from(body.to_owned())).unwrap();
        let response = self.monitor.router().oneshot(request).await.unwrap();
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    pub(crate) async fn post(&self, namespace: &str, body: &str) -> (u16, Value) {
        let (status, body) = self.send(Method::POST, &format!("namespaces/{namespace}/pods"), body).await;
        (status.as_u16(), serde_json::from_str(&body).unwrap())
    }

    /// Where a pod of a namespace is placed.
    pub(crate) async fn place(&self, namespace: &str, pod: &str) -> String {
        let (status, answer) = self.post(namespace, &json!({ "podName": pod }).to_string()).await;
        assert_eq!(status, 200, "{answer}");
        answer["subnetName"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn leave(&self, namespace: &str, pod: &str) {
        let body = json!({ "podName": pod, "action": "delete" }).to_string();
        assert_eq!(self.post(namespace, &body).await, placed(""));
        tokio::time::sleep(Duration::from_secs(1)).await;
    }

    pub(crate) fn names(&self, namespace: &str) -> Vec<String> {
        let of = |name: &str| name.starts_with(&format!("{namespace}-"));
        self.subnets().into_iter().map(|(name, _)| name).filter(|name| of(name)).collect()
    }

    pub(crate) fn has_zone(&self, name: &str) -> bool {
        self.vsd.snapshot("zone").iter().any(|zone| zone["name"] == name)
    }

    /// A container as the controller makes it in the VSD; gives its ID.
    pub(crate) async fn attach(&self, subnet: &str, pod: &str) -> String {
        let subnets = self.vsd.snapshot("subnet");
        let subnet = subnets.iter().find(|known| known["name"] == subnet).unwrap();
        let interface = json!({ "MAC": "02:00:00:00:00:01", "attachedNetworkID": subnet["ID"] });
        let uuid = format!("{pod} in {}", subnet["name"]);
        let container =
            json!({ "name": pod, "UUID": uuid, "orchestrationID": uuid, "interfaces": [interface] });
        let made = self.client().create("containers", &container).await.unwrap();
        made["ID"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn detach(&self, container: &str) {
        assert!(self.client().delete(&format!("containers/{container}")).await.unwrap());
    }

    pub(crate) fn client(&self) -> Client {
        let peer = PeerCertificate { common_name: "csproot".to_owned() };
        Client::new(in_process(self.vsd.router(), Some(peer)), "https://vsd/nuage/api/v6")
    }

    pub(crate) fn pod(&self, namespace: &str, name: &str) {
        let pod = json!({ "kind": "Pod", "metadata": { "name": name, "namespace": namespace } });
        self.kube.create(pod).unwrap();
    }

    pub(crate) fn namespace(&self, name: &str) {
        self.kube.create(json!({ "kind": "Namespace", "metadata": { "name": name } })).unwrap();
    }

    pub(crate) fn on(&self, fault: &str) -> u64 {
        self.named.on(fault, Setting::default()).unwrap()
    }

    pub(crate) fn subnets(&self) -> Vec<(String, String)> {
        let text = |subnet: &Value, attribute: &str| subnet[attribute].as_str().unwrap().to_owned();
        let subnets = self.vsd.snapshot("subnet");
        let mut subnets: Vec<_> =
            subnets.iter().map(|subnet| (text(subnet, "name"), text(subnet, "address"))).collect();
        subnets.sort();
        subnets
    }
}

pub(crate) fn placed(subnet: &str) -> (u16, Value) {
    (200, json!({ "subnetName": subnet, "policyGroups": null }))
}

pub(crate) fn refused(status: u16, error: &str) -> (u16, Value) {
    (status, json!({ "error": error }))
}
