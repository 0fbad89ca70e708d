//! A cluster in one process and one thread on virtual time: the plugin's real code and the emulators' real code, with the
//! kernel, the network and the clock simulated. A real socket or thread would not work here, on purpose.

pub mod kernel;
pub mod ledger;
pub mod seams;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ipnet::Ipv4Net;
use nuage_cni::host::{Files as _, Host, Links};
use nuage_emulator::clock::Clock;
use nuage_emulator::entropy::Entropy;
use nuage_emulator::http::{PeerCertificate, in_process};
use nuage_emulator::kube::Kube;
use nuage_emulator::monitor::{Monitor, MonitorOptions};
use nuage_emulator::node::{self, NodeFiles};
use nuage_emulator::pki::Identity;
use nuage_emulator::vrs::{DATABASE, Vrs, VrsOptions};
use nuage_emulator::vsc::{Connecting, Controller, Stream};
use nuage_emulator::vsd::{Site, Vsd};
use serde_json::{Value, json};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::error::Error;
use crate::invariant::{self, FOREIGN};
use crate::random::Random;
use crate::scenario::Cluster;
use kernel::Kernel;
use ledger::{Ledger, Violation};
use seams::{MemoryFiles, Service, SimulatedHttp, SimulatedSwitch};

/// When the simulated world begins: 2026-01-01T00:00:00Z, in milliseconds since 1970.
const EPOCH: u64 = 1_767_225_600_000;
const KUBE: &str = "kube.simulated:6443";
const MONITOR: &str = "monitor.simulated:9443";
const VSD_URL: &str = "https://vsd.simulated:7443/nuage/api/v6";
const POOL: Ipv4Net = Ipv4Net::new_assert(std::net::Ipv4Addr::new(10, 0, 0, 0), 8);
const SUBNET_PREFIX: u8 = 20;
/// The certificate of every simulated node. Nothing reads it: there is no TLS inside one process.
const PEM: &str = "-----BEGIN CERTIFICATE-----\nc2ltdWxhdGVk\n-----END CERTIFICATE-----\n";

/// A way to put something else in the place of a node's links: tests show with it that invariants bite.
pub type WrapLinks = fn(Kernel) -> Arc<dyn Links>;

/// One node.
pub struct Node {
    /// `node-1` and so on.
    pub name: String,
    /// Its switch.
    pub vrs: Vrs,
    /// Its kernel.
    pub kernel: Kernel,
    /// Its files.
    pub files: MemoryFiles,
    /// What its runtime works on at once.
    pub slots: Semaphore,
    links: Arc<dyn Links>,
}

impl std::fmt::Debug for Node {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.name)
    }
}

/// The simulated cluster.
#[derive(Debug)]
pub struct World {
    /// The nodes.
    pub nodes: Vec<Node>,
    /// The API server.
    pub kube: Kube,
    /// The VSD.
    pub vsd: Vsd,
    /// Whether the monitor answers.
    pub monitor_up: Arc<AtomicBool>,
    /// The run's randomness.
    pub random: Random,
    services: Arc<BTreeMap<String, Service>>,
    ledger: Mutex<Ledger>,
    started: Instant,
    stopped: watch::Sender<bool>,
    /// The controllers; they end with the world.
    controllers: Mutex<JoinSet<()>>,
}

impl World {
    /// Sets the cluster up. Needs a runtime with a paused clock.
    ///
    /// # Errors
    /// The emulators could not be set up.
    pub fn new(cluster: &Cluster, seed: u64, wrap: Option<WrapLinks>) -> Result<Arc<Self>, Error> {
        let random = Random::seeded(seed);
        let entropy = Entropy::seeded(random.next());
        let clock = Clock::starting_at(EPOCH);
        let site = |error: &dyn std::fmt::Display| Error::Site(error.to_string());
        let vsd = Vsd::new(clock, entropy.clone());
        let first = POOL.subnets(SUBNET_PREFIX).ok().and_then(|mut blocks| blocks.next()).unwrap_or(POOL);
        vsd.bootstrap(&Site {
            enterprise: node::ENTERPRISE.to_owned(),
            domain: node::DOMAIN.to_owned(),
            zone: node::ZONE.to_owned(),
            subnet: node::SUBNET.to_owned(),
            address: first,
        })
        .map_err(|error| site(&error))?;
        let kube = Kube::new(clock, entropy.clone());
        let internal =
            || in_process(vsd.router(), Some(PeerCertificate { common_name: "csproot".to_owned() }));
        let monitor = Monitor::new(MonitorOptions {
            vsd: internal(),
            vsd_url: VSD_URL.to_owned(),
            enterprise: node::ENTERPRISE.to_owned(),
            domain: node::DOMAIN.to_owned(),
            address_pool: POOL,
            subnet_prefix: SUBNET_PREFIX,
        });
        let monitor_up = Arc::new(AtomicBool::new(true));
        let services = BTreeMap::from([
            (KUBE.to_owned(), Service { router: kube.router(), up: Arc::new(AtomicBool::new(true)) }),
            (MONITOR.to_owned(), Service { router: monitor.router(), up: Arc::clone(&monitor_up) }),
        ]);
        let mut controllers = JoinSet::new();
        let mut nodes = Vec::new();
        for number in 1..=cluster.nodes {
            let name = format!("node-{number}");
            let vrs = Vrs::new(entropy.clone(), &VrsOptions { empty: false, system_id: name.clone() });
            let vrs = vrs.map_err(|error| site(&error))?;
            let token = format!("token-of-{name}");
            kube.add_token(&token);
            kube.create(json!({"kind": "Node", "metadata": {"name": name}})).map_err(|error| site(&error))?;
            let files = node_files(&name, token);
            invariant::foreign::plant(&vrs);
            let switch = vrs.clone();
            let controller = Controller::new(internal(), VSD_URL);
            controllers.spawn(async move {
                let connect = || -> Connecting {
                    let stream = switch.connect();
                    Box::pin(async move {
                        let stream = stream.ok_or(std::io::ErrorKind::ConnectionRefused)?;
                        Ok(Box::new(stream) as Box<dyn Stream>)
                    })
                };
                let _: std::convert::Infallible = controller.run(connect).await;
            });
            let kernel = Kernel::new(random.clone());
            let links =
                wrap.map_or_else(|| Arc::new(kernel.clone()) as Arc<dyn Links>, |wrap| wrap(kernel.clone()));
            nodes.push(Node { name, vrs, kernel, files, links, slots: Semaphore::new(cluster.parallel) });
        }
        Ok(Arc::new(Self {
            nodes,
            kube,
            vsd,
            monitor_up,
            random,
            services: Arc::new(services),
            ledger: Mutex::default(),
            started: Instant::now(),
            stopped: watch::Sender::new(false),
            controllers: Mutex::new(controllers),
        }))
    }

    /// The seams of one plugin process on a node.
    pub fn host(&self, node: usize) -> Host {
        let found = &self.nodes[node];
        Host {
            switch: Arc::new(SimulatedSwitch { vrs: found.vrs.clone(), random: self.random.clone() }),
            http: Arc::new(SimulatedHttp {
                services: Arc::clone(&self.services),
                node: found.name.clone(),
                random: self.random.clone(),
            }),
            links: Arc::clone(&found.links),
            files: Arc::new(found.files.clone()),
        }
    }

    /// What has happened, and what is known of every sandbox.
    pub fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Virtual milliseconds since the beginning.
    pub fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Writes an event down and checks every invariant that it can have broken.
    pub fn event(&self, node: Option<usize>, name: &str, details: Value) {
        let time = self.now();
        let mut line = json!({"t": time, "event": name});
        if let Some(node) = node {
            line["node"] = json!(self.nodes[node].name);
        }
        if let (Value::Object(line), Value::Object(details)) = (&mut line, details) {
            line.extend(details);
        }
        let mut ledger = self.ledger();
        ledger.trace.push(line.to_string());
        let Some(node) = node.filter(|_| ledger.violation.is_none()) else { return };
        if let Some((invariant, details)) = invariant::check(self, &ledger, node) {
            ledger.violation =
                Some(Violation { invariant, details, time, node: self.nodes[node].name.clone() });
            self.stopped.send_replace(true);
        }
    }

    /// Ends when the run is to stop: an invariant is violated.
    pub async fn stopped(&self) {
        let mut stopped = self.stopped.subscribe();
        // The sender lives as long as the world, so this ends only when it is true.
        let _ = stopped.wait_for(|stopped| *stopped).await;
    }

    /// These columns of a table on a node's switch. Looked at after every event, so nobody asks for more than it needs.
    pub fn rows(&self, node: usize, table: &str, columns: &[&str]) -> Vec<nuage_ovsdb::value::Row> {
        self.nodes[node].vrs.server().columns(DATABASE, table, columns)
    }

    /// Whether a node's switch can be reached.
    pub fn switch_is_up(&self, node: usize) -> bool {
        !self.ledger().switches_down.contains(&node)
    }

    /// Stops or starts a node's switch. Whoever works on a sandbox there meanwhile may leave a debt.
    pub fn set_switch(&self, node: usize, up: bool, lose_rows: bool) {
        let mut ledger = self.ledger();
        if up {
            self.nodes[node].vrs.start(lose_rows);
            ledger.switches_down.remove(&node);
        } else {
            self.nodes[node].vrs.stop();
            ledger.switches_down.insert(node);
            ledger.disturb(node);
        }
    }

    /// Lets the monitor answer, or not.
    pub fn set_monitor(&self, up: bool) {
        self.monitor_up.store(up, Ordering::Relaxed);
    }

    /// What is left of containers anywhere: rows, links, objects of the VSD.
    pub fn leftovers(&self) -> Vec<String> {
        let mut left = Vec::new();
        for (index, node) in self.nodes.iter().enumerate() {
            for table in ["Nuage_Port_Table", "Nuage_VM_Table"] {
                let rows = self.rows(index, table, &["name", "vm_name"]);
                let ours = rows.iter().filter(|row| !invariant::is_foreign(row)).count();
                if ours > 0 {
                    left.push(format!("{ours} rows in {table} on {}", node.name));
                }
            }
            let links = node.kernel.host_links().len();
            if links > 0 {
                left.push(format!("{links} links on {}", node.name));
            }
        }
        let objects = self.vsd.snapshot("container").iter().filter(|found| found["name"] != FOREIGN).count();
        if objects > 0 {
            left.push(format!("{objects} containers in the VSD"));
        }
        left
    }

    /// Ends the controllers.
    pub fn end(&self) {
        self.controllers.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
    }
}

/// Where a simulated node's files lie.
pub fn config_directory(node: &str) -> PathBuf {
    Path::new("/etc/nuage").join(node)
}

fn node_files(name: &str, token: String) -> MemoryFiles {
    let files = MemoryFiles::default();
    let directory = config_directory(name);
    let texts = node::files(&NodeFiles {
        directory: directory.clone(),
        vrs: "unix:/var/run/openvswitch/db.sock".to_owned(),
        monitor: Some(format!("https://{MONITOR}")),
        kube: format!("https://{KUBE}"),
        token,
        authority: PEM.to_owned(),
        client: Identity { certificate: PEM.to_owned(), key: PEM.to_owned() },
    });
    for (file, text) in texts {
        // Memory refuses nothing.
        let _ = files.write(&directory.join(file), text.as_bytes());
    }
    files
}
