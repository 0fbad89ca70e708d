//! A VSD, a switch and its controller in memory, and what a test does to them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use http::StatusCode;
use nuage_emulator::clock::Clock;
use nuage_emulator::entropy::Entropy;
use nuage_emulator::http::{HttpService, PeerCertificate, in_process};
use nuage_emulator::vrs::{DATABASE, Vrs, VrsOptions};
use nuage_emulator::vsc::{Connecting, Controller, Follower, Stream};
use nuage_emulator::vsd::{Site, Vsd, client};
use serde_json::{Value, json};

pub(crate) const URL: &str = "https://vsd/nuage/api/v6";

pub(crate) struct World {
    pub(crate) vsd: Vsd,
    pub(crate) vrs: Vrs,
    pub(crate) faults: Faults,
    pub(crate) _controller: tokio::task::JoinHandle<()>,
}

#[derive(Clone, Default)]
pub(crate) struct Faults {
    /// The VSD answers 503.
    pub(crate) unavailable: Arc<AtomicBool>,
    /// Milliseconds that the VSD takes for each answer.
    pub(crate) delay: Arc<AtomicU64>,
}

pub(crate) struct Pod<'a> {
    pub(crate) name: &'a str,
    pub(crate) subnet: &'a str,
    pub(crate) metadata: Value,
}

impl<'a> Pod<'a> {
    pub(crate) fn new(name: &'a str) -> Self {
        Self { name, subnet: "s", metadata: json!(["map", []]) }
    }
}

pub(crate) fn site(subnet: &str, address: &str) -> Site {
    Site {
        enterprise: "acme".to_owned(),
        domain: "cluster".to_owned(),
        zone: "shop".to_owned(),
        subnet: subnet.to_owned(),
        address: address.parse().unwrap(),
    }
}

pub(crate) fn vsd() -> Vsd {
    let clock = Clock::Virtual { epoch: 0, start: tokio::time::Instant::now() };
    let vsd = Vsd::new(clock, Entropy::seeded(1));
    vsd.bootstrap(&site("s", "10.1.0.0/24")).unwrap();
    vsd
}

pub(crate) fn peer(vsd: &Vsd, faults: &Faults) -> HttpService {
    let faults = faults.clone();
    let router =
        vsd.router().layer(from_fn(move |request: Request, next: Next| fail(faults.clone(), request, next)));
    in_process(router, Some(PeerCertificate { common_name: "csproot".to_owned() }))
}

pub(crate) async fn fail(faults: Faults, request: Request, next: Next) -> Response {
    tokio::time::sleep(Duration::from_millis(faults.delay.load(Ordering::Relaxed))).await;
    if !faults.unavailable.load(Ordering::Relaxed) {
        return next.run(request).await;
    }
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    response
}

pub(crate) fn run(controller: Controller, vrs: &Vrs) -> tokio::task::JoinHandle<()> {
    let vrs = vrs.clone();
    tokio::spawn(async move {
        let connect = move || -> Connecting {
            let stream = vrs.connect();
            Box::pin(async move {
                let stream = stream.ok_or(std::io::ErrorKind::ConnectionRefused)?;
                Ok(Box::new(stream) as Box<dyn Stream>)
            })
        };
        match controller.run(connect).await {}
    })
}

pub(crate) fn world() -> World {
    let (vsd, faults) = (vsd(), Faults::default());
    let options = VrsOptions { system_id: "node-1".to_owned(), ..VrsOptions::default() };
    let vrs = Vrs::new(Entropy::seeded(2), &options).unwrap();
    let follower = Follower::new(peer(&vsd, &faults), URL);
    let controller = run(Controller::new(peer(&vsd, &faults), URL).following(&follower), &vrs);
    tokio::spawn(async move { match follower.run().await {} });
    World { vsd, vrs, faults, _controller: controller }
}

impl World {
    pub(crate) fn transact(&self, operations: &[Value]) {
        for result in self.vrs.server().transact(DATABASE, operations) {
            assert!(result.get("error").is_none_or(Value::is_null), "{result}");
        }
    }

    pub(crate) fn insert_port(&self, pod: &Pod<'_>) {
        self.transact(&[json!({ "op": "insert", "table": "Nuage_Port_Table", "row": {
            "name": format!("nu{}", pod.name), "mac": "02:00:00:00:00:01", "bridge": "alubr0",
            "nuage_domain": "cluster", "nuage_zone": "shop", "nuage_network": pod.subnet,
            "nuage_network_type": "ipv4", "vm_domain": 4, "metadata": pod.metadata,
        } })]);
    }

    pub(crate) fn insert_entity(&self, pod: &Pod<'_>) {
        self.transact(&[json!({ "op": "insert", "table": "Nuage_VM_Table", "row": {
            "type": 4, "event": 2, "event_type": 0, "state": 1, "reason": 1, "domain": 4,
            "vm_uuid": format!("uuid-{}", pod.name), "vm_name": pod.name, "nuage_user": "admin",
            "nuage_enterprise": "acme", "ports": format!("nu{}", pod.name),
        } })]);
    }

    pub(crate) fn add(&self, pod: &Pod<'_>) {
        self.insert_port(pod);
        self.insert_entity(pod);
    }

    pub(crate) fn delete(&self, table: &str, column: &str, value: &str) {
        self.transact(&[json!({ "op": "delete", "table": table, "where": [[column, "==", value]] })]);
    }

    pub(crate) fn port(&self, name: &str) -> Value {
        let rows = self.vrs.server().rows(DATABASE, "Nuage_Port_Table");
        let row = rows.into_iter().find(|(_, row)| row["name"] == format!("nu{name}"));
        serde_json::to_value(row.unwrap_or_else(|| panic!("no port of {name}")).1).unwrap()
    }

    pub(crate) fn address(&self, name: &str) -> String {
        self.port(name)["ip_addr"].as_str().unwrap().to_owned()
    }

    pub(crate) fn containers(&self) -> Vec<String> {
        let containers = self.vsd.snapshot("container");
        let mut names: Vec<String> =
            containers.iter().map(|container| container["name"].as_str().unwrap().to_owned()).collect();
        names.sort();
        names
    }
}

/// Lets everything that is not waiting for a later time happen: virtual time moves only when all tasks wait.
pub(crate) async fn settled() {
    tokio::time::sleep(Duration::from_millis(100)).await;
}

/// What somebody else does in the VSD.
pub(crate) async fn operator(world: &World) -> client::Client {
    settled().await;
    client::Client::new(peer(&world.vsd, &Faults::default()), URL)
}

/// Long enough for the VSD to tell of a change, which it does in batches.
pub(crate) async fn told() {
    tokio::time::sleep(Duration::from_secs(1)).await;
}
