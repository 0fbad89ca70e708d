//! A cluster in one process and one thread on virtual time: the plugin's real code and the emulators' real code, with the
//! kernel, the network and the clock simulated. A real socket or thread would not work here, on purpose.

pub mod audit;
pub mod kernel;
pub mod ledger;
mod power;
pub mod process;
pub mod seams;
mod wire;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ipnet::Ipv4Net;
use nuage_cni::host::{Files as _, Host};
use nuage_cni::{Invocation, Outcome};
use nuage_emulator::clock::Clock;
use nuage_emulator::entropy::Entropy;
use nuage_emulator::faults::http::{Api, layered};
use nuage_emulator::faults::{Caller, Faults, SwitchFaults};
use nuage_emulator::kube::Kube;
use nuage_emulator::monitor::{Monitor, MonitorOptions};
use nuage_emulator::node::{self, NodeFiles};
use nuage_emulator::ovsdb::RowChange;
use nuage_emulator::pki::Identity;
use nuage_emulator::tally::Tally;
use nuage_emulator::vrs::{DATABASE, Vrs, VrsOptions};
use nuage_emulator::vsc::{Connecting, Controller, Stream};
use nuage_emulator::vsd::{Site, Vsd};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::coverage::Coverage;
use crate::error::Error;
use crate::fault;
use crate::invariant::rows::Mirror;
use crate::invariant::{self, Breach};
use crate::kubelet::Runtimes;
use crate::random::Random;
use crate::scenario::Cluster;
use kernel::Kernel;
use ledger::{Ledger, Violation};
use process::{Kill, Life};
use seams::{MemoryFiles, RecentLog, Service, SimulatedHttp, SimulatedSwitch, WallClock};
use wire::Wire;

/// When the simulated world begins: 2026-01-01T00:00:00Z, in milliseconds since 1970.
const EPOCH: u64 = 1_767_225_600_000;
const KUBE: &str = "kube.simulated:6443";
const MONITOR: &str = "monitor.simulated:9443";
const VSD: &str = "vsd.simulated:7443";
/// What controllers do, for faults that strike them.
const CONTROLLER: &str = "controller";
const POOL: Ipv4Net = Ipv4Net::new_assert(std::net::Ipv4Addr::new(10, 0, 0, 0), 8);
const SUBNET_PREFIX: u8 = 20;
/// The certificate of every simulated node. Nothing reads it: there is no TLS inside one process.
const PEM: &str = "-----BEGIN CERTIFICATE-----\nc2ltdWxhdGVk\n-----END CERTIFICATE-----\n";

/// A way to put something else in the place of a node's seams: tests show with it that invariants bite.
pub type Wrap = fn(&Node, Host) -> Host;

/// What a run does beyond its scenario; for tests.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tampering {
    /// Something else in the place of the seams.
    pub wrap: Option<Wrap>,
    /// The first call of this command is killed.
    pub kill: Option<(&'static str, Kill)>,
    /// After each event everything on its node is looked at, too, not only what the event touched.
    pub recheck: bool,
}

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
    /// What the calls on it said about themselves.
    pub log: RecentLog,
    /// What its runtime works on at once.
    pub slots: Semaphore,
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
    /// The faults of the emulators and of the plugin's seams.
    pub faults: Faults,
    /// What each node's runtime is and remembers.
    pub runtimes: Runtimes,
    /// The wall clock of everybody who reads one.
    pub clock: Clock,
    /// Whether the loads are over, and with them every fault.
    loads_over: Tally,
    services: Arc<BTreeMap<String, Service>>,
    wrap: Option<Wrap>,
    kill: Mutex<Option<(&'static str, Kill)>>,
    recheck: bool,
    ledger: Mutex<Ledger>,
    /// What the switches have.
    mirror: Arc<Mutex<Mirror>>,
    started: Instant,
    stopped: Tally,
    /// The controllers; they end with the world.
    controllers: Mutex<JoinSet<()>>,
}

impl World {
    /// Sets the cluster up. Needs a runtime with a paused clock.
    ///
    /// # Errors
    /// The emulators could not be set up.
    pub fn new(cluster: &Cluster, seed: u64, tampering: Tampering) -> Result<Arc<Self>, Error> {
        let random = Random::seeded(seed);
        let entropy = Entropy::seeded(random.next());
        let clock = Clock::starting_at(EPOCH);
        let vsd = vsd(clock.clone(), &entropy)?;
        let kube = Kube::new(clock.clone(), entropy.clone());
        let faults = Faults::new(entropy.clone());
        let service = |router, api, up: &Arc<AtomicBool>| Service {
            router: layered(router, api, &faults),
            api,
            up: Arc::clone(up),
        };
        let always = Arc::new(AtomicBool::new(true));
        let of_vsd = service(vsd.router(), Api::Vsd, &always);
        let internal = |caller| SimulatedHttp {
            services: Arc::new(BTreeMap::from([(VSD.to_owned(), of_vsd.clone())])),
            name: "csproot".to_owned(),
            caller,
            faults: faults.clone(),
            random: random.clone(),
        };
        let monitor_itself = Caller { node: None, operation: "monitor".into() };
        let monitor = Monitor::new(MonitorOptions {
            vsd: internal(monitor_itself).service(true),
            vsd_url: format!("https://{VSD}/nuage/api/v6"),
            enterprise: node::ENTERPRISE.to_owned(),
            domain: node::DOMAIN.to_owned(),
            address_pool: POOL,
            subnet_prefix: SUBNET_PREFIX,
        });
        let monitor_up = Arc::new(AtomicBool::new(true));
        let services = BTreeMap::from([
            (KUBE.to_owned(), service(kube.router(), Api::Kube, &always)),
            (MONITOR.to_owned(), service(monitor.router(), Api::Monitor, &monitor_up)),
        ]);
        let mut controllers = JoinSet::new();
        let mut nodes = Vec::new();
        let mirror = Arc::new(Mutex::new(Mirror::new(cluster.nodes)));
        for number in 1..=cluster.nodes {
            let node = Node::new(number, cluster.parallel, &kube, &entropy, &random)?;
            observe(&mirror, number - 1, &node.vrs);
            node.vrs.server().set_faults(SwitchFaults::new(faults.clone(), &node.name));
            let caller = Caller::new(&node.name, CONTROLLER);
            controllers.spawn(control(&node, &internal(caller), &faults, random.clone()));
            nodes.push(node);
        }
        let world = Arc::new(Self {
            nodes,
            kube,
            vsd,
            monitor_up,
            random,
            faults,
            runtimes: Runtimes::new(cluster.nodes),
            clock,
            loads_over: Tally::default(),
            services: Arc::new(services),
            wrap: tampering.wrap,
            kill: Mutex::new(tampering.kill),
            recheck: tampering.recheck,
            ledger: Mutex::default(),
            mirror,
            started: Instant::now(),
            stopped: Tally::default(),
            controllers: Mutex::new(controllers),
        });
        (0..world.nodes.len()).for_each(|node| world.begin_boot(node));
        Ok(world)
    }

    /// Carries out one call of the plugin on a node, as a process of its own; `None`: it was killed after `limit`.
    pub async fn process(&self, node: usize, call: Invocation, limit: Duration) -> Option<Outcome> {
        let command = call.environment.get("CNI_COMMAND").map_or("", String::as_str);
        let planned = {
            let mut planned = self.kill.lock().unwrap_or_else(PoisonError::into_inner);
            if planned.is_some_and(|(first, _)| first == command) { planned.take() } else { None }
        };
        let caller = Caller::new(&self.nodes[node].name, command);
        let struck = if planned.is_none() { fault::planned_kill(self, &caller) } else { None };
        let kill = planned.or(struck.map(|(_, kill)| ("", kill)));
        let kill = kill.map_or(Kill::After(limit), |(_, kill)| kill);
        let outcome =
            process::run(|life| self.seams(node, life, &caller), call, kill, self.runtimes.power_lost(node))
                .await;
        if outcome.is_none() {
            match (planned, struck) {
                (Some((command, _)), _) => self.ledger().strike(fault::KILLED, command),
                (None, Some((id, _))) => self.faults.count(id, &caller),
                (None, None) => {}
            }
        }
        outcome
    }

    /// The seams of a node for a process that nobody kills.
    pub fn host(&self, node: usize) -> Host {
        self.seams(node, &Life::endless(), &Caller::new(&self.nodes[node].name, ""))
    }

    /// The seams of one plugin process on a node.
    fn seams(&self, node: usize, life: &Life, caller: &Caller) -> Host {
        let node = &self.nodes[node];
        let random = self.random.clone();
        let host = Host {
            switch: Arc::new(SimulatedSwitch {
                vrs: node.vrs.clone(),
                operation: Arc::clone(&caller.operation),
                life: life.clone(),
                random: random.clone(),
            }),
            http: Arc::new(SimulatedHttp {
                services: Arc::clone(&self.services),
                name: node.name.clone(),
                caller: caller.clone(),
                faults: self.faults.clone(),
                random,
            }),
            links: Arc::new(node.kernel.clone()),
            files: Arc::new(node.files.clone()),
            clock: Arc::new(WallClock(self.clock.clone())),
            log: Arc::new(node.log.clone()),
        };
        let host = fault::seams::wrapped(host, &self.faults, &node.kernel, caller);
        self.wrap.map_or_else(|| host.clone(), |wrap| wrap(node, host.clone()))
    }

    /// What has happened, and what is known of every sandbox.
    pub fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn mirror(&self) -> MutexGuard<'_, Mirror> {
        self.mirror.lock().unwrap_or_else(PoisonError::into_inner)
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
        if node.is_some() && ledger.violation.is_some() {
            // What others do before they are stopped is no part of the run any more.
            return;
        }
        ledger.trace.push(line.to_string());
        let Some(node) = node else { return };
        let mut mirror = self.mirror();
        let breach = invariant::check(self, &mut ledger, &mut mirror, node);
        let breach = breach.or_else(|| self.recheck.then(|| self.look_again(&ledger, &mirror, node))?);
        drop(mirror);
        self.report(&mut ledger, node, breach);
    }

    /// Looks at everything of every node, however little has changed: what the looks at each event have missed, if anything.
    pub fn check_all(&self) {
        let mut ledger = self.ledger();
        for node in 0..self.nodes.len() {
            let breach = self.look_again(&ledger, &self.mirror(), node);
            self.report(&mut ledger, node, breach);
        }
    }

    fn look_again(&self, ledger: &Ledger, mirror: &Mirror, node: usize) -> Option<Breach> {
        let server = self.nodes[node].vrs.server();
        let wrong = mirror.difference(node, server).map(|details| ("mirror_is_true", details));
        wrong.or_else(|| invariant::check_all(self, ledger, mirror, node))
    }

    /// Writes down what does not hold, if it is the first, and lets the run stop.
    fn report(&self, ledger: &mut Ledger, node: usize, breach: Option<Breach>) {
        let (Some((invariant, details)), None) = (breach, &ledger.violation) else { return };
        let (node, events) = (self.nodes[node].name.clone(), ledger.trace.len());
        ledger.violation = Some(Violation { invariant, details, time: self.now(), node, events });
        self.stopped.set(1);
    }

    /// Ends when the run is to stop: an invariant is violated.
    pub async fn stopped(&self) {
        self.stopped.beyond_nought().await;
    }

    /// Whether a node's switch can be reached, and nothing keeps a call from delivering everything to it.
    pub fn switch_is_up(&self, node: usize) -> bool {
        !self.ledger().is_troubled(node)
    }

    /// Stops a node's switch.
    pub fn stop_switch(&self, node: usize) {
        self.nodes[node].vrs.stop();
        self.ledger().switch_stops(node);
    }

    /// Starts a node's switch again, with the rows of its containers or without them.
    pub fn start_switch(&self, node: usize, lose_rows: bool) {
        self.nodes[node].vrs.start(lose_rows);
        if lose_rows {
            // Others put theirs back themselves.
            invariant::foreign::plant(&self.nodes[node].vrs);
        }
        self.ledger().switch_starts(node, lose_rows);
    }

    /// The loads are over: whatever is wrong heals now.
    pub fn end_loads(&self) {
        self.loads_over.set(1);
    }

    /// Whether the loads are over.
    pub fn loads_are_over(&self) -> bool {
        self.loads_over.get() > 0
    }

    /// Waits until the loads are over.
    pub async fn loads_over(&self) {
        self.loads_over.beyond_nought().await;
    }

    /// Which fault has struck what, so far.
    pub fn coverage(&self) -> Coverage {
        let mut coverage = self.ledger().strikes.clone();
        for ((fault, operation), times) in self.faults.hits() {
            coverage.add(fault, &operation, times);
        }
        coverage
    }

    /// Lets the monitor answer, or not.
    pub fn set_monitor(&self, up: bool) {
        self.monitor_up.store(up, Ordering::Relaxed);
    }

    /// What is left of containers anywhere: rows, links, objects of the VSD.
    pub fn leftovers(&self) -> Vec<String> {
        let mirror = self.mirror();
        let mut left = Vec::new();
        for (index, node) in self.nodes.iter().enumerate() {
            let rows = mirror.rows(index);
            left.extend(rows.names().map(|name| format!("port {name} on the switch of {}", node.name)));
            left.extend(node.kernel.host_links().iter().map(|name| format!("link {name} on {}", node.name)));
            left.extend(rows.sandboxes().map(|id| format!("row in Nuage_VM_Table of {id} on {}", node.name)));
        }
        for entity in ["container", "containerinterface"] {
            left.extend(
                self.vsd
                    .snapshot(entity)
                    .iter()
                    .map(|object| format!("{entity} {} in the VSD", object["name"])),
            );
        }
        left
    }

    /// Ends the controllers.
    pub fn end(&self) {
        self.controllers.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
    }
}

impl Node {
    fn new(
        number: usize,
        parallel: usize,
        kube: &Kube,
        entropy: &Entropy,
        random: &Random,
    ) -> Result<Self, Error> {
        let name = format!("node-{number}");
        let vrs = Vrs::new(entropy.clone(), &VrsOptions { empty: false, system_id: name.clone() });
        let vrs = vrs.map_err(|error| Error::Site(error.to_string()))?;
        invariant::foreign::plant(&vrs);
        let token = format!("token-of-{name}");
        kube.add_token(&token);
        kube.create(json!({"kind": "Node", "metadata": {"name": name}}))
            .map_err(|error| Error::Site(error.to_string()))?;
        let (files, kernel) = (node_files(&name, token), Kernel::new(random.clone()));
        Ok(Self { name, vrs, kernel, files, log: RecentLog::default(), slots: Semaphore::new(parallel) })
    }
}

/// Keeps the mirror up with a switch.
fn observe(mirror: &Arc<Mutex<Mirror>>, node: usize, vrs: &Vrs) {
    let mirror = Arc::clone(mirror);
    let observer = move |change: &RowChange<'_>| {
        mirror.lock().unwrap_or_else(PoisonError::into_inner).apply(node, change);
    };
    vrs.server().observe(DATABASE, Box::new(observer));
}

/// A VSD with the site that node files name.
fn vsd(clock: Clock, entropy: &Entropy) -> Result<Vsd, Error> {
    let vsd = Vsd::new(clock, entropy.clone());
    let first = POOL.subnets(SUBNET_PREFIX).ok().and_then(|mut blocks| blocks.next()).unwrap_or(POOL);
    vsd.bootstrap(&Site {
        enterprise: node::ENTERPRISE.to_owned(),
        domain: node::DOMAIN.to_owned(),
        zone: node::ZONE.to_owned(),
        subnet: node::SUBNET.to_owned(),
        address: first,
    })
    .map_err(|error| Error::Site(error.to_string()))?;
    Ok(vsd)
}

/// The controller of one switch, for ever.
fn control(
    node: &Node,
    vsd: &SimulatedHttp,
    faults: &Faults,
    random: Random,
) -> impl Future<Output = ()> + Send + use<> {
    let controller = Controller::new(vsd.service(true), &format!("https://{VSD}/nuage/api/v6"))
        .with_faults(faults.clone(), &node.name);
    let vrs = node.vrs.clone();
    async move {
        let connect = || -> Connecting {
            let stream = vrs.connect_as(CONTROLLER).map(|stream| Wire::new(stream, None, random.clone()));
            Box::pin(async move {
                let stream = stream.ok_or(std::io::ErrorKind::ConnectionRefused)?;
                Ok(Box::new(stream) as Box<dyn Stream>)
            })
        };
        let _: std::convert::Infallible = controller.run(connect).await;
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
