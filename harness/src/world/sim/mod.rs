//! A cluster in one process and one thread on virtual time: the plugin's real code and the emulators' real code, with the
//! kernel, the network and the clock simulated. A real socket or thread would not work here, on purpose.

pub mod audit;
mod calls;
pub mod difference;
pub mod files;
pub mod kernel;
pub mod ledger;
mod power;
pub mod process;
pub mod seams;
mod site;
mod wire;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nuage_cni::Outcome;
use nuage_cni::host::{Host, Log};
use nuage_emulator::clock::Clock;
use nuage_emulator::faults::{Caller, Faults};
use nuage_emulator::kube::Kube;
use nuage_emulator::tally::Tally;
use nuage_emulator::vrs::Vrs;
use nuage_emulator::vsd::Vsd;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::coverage::Coverage;
use crate::fault;
use crate::invariant::rows::Mirror;
use crate::invariant::{self, Breach};
use crate::kubelet::Runtimes;
use crate::random::Random;
use crate::world::activity::{Activity, Place, ToldLog};
#[cfg(target_os = "linux")]
use crate::world::host;
use crate::world::kernel::Kernel;
use files::MemoryFiles;
use kernel::SimulatedKernel;
use ledger::{Ledger, Violation};
use process::{Kill, Life};
use seams::{Attempts, RecentLog, Service, SimulatedHttp, SimulatedSwitch, WallClock};
pub use site::config_directory;
pub(in crate::world) use site::observe;

/// What a report is told of a switch.
pub(crate) const SWITCH_STOPS: &str = "switch stops";
pub(crate) const SWITCH_STARTS: &str = "switch starts";

/// A way to put something else in the place of a node's seams: tests show with it that invariants bite.
pub type Wrap = fn(&Node, Host) -> Host;
/// A way to answer something else than the plugin did, so much later: given the command and what it answered.
pub type Retort = fn(&str, Outcome) -> (Outcome, Duration);

/// What a run does beyond its scenario; for tests.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tampering {
    /// Something else in the place of the seams.
    pub wrap: Option<Wrap>,
    /// The first call of this command is killed.
    pub kill: Option<(&'static str, Kill)>,
    /// After each event everything on its node is looked at, too, not only what the event touched.
    pub recheck: bool,
    /// Something else in the place of the answers.
    pub retort: Option<Retort>,
    /// The one invariant that is looked at.
    pub only: Option<&'static str>,
    /// The run goes on when an invariant is broken: the report tells all that ever were.
    pub goes_on: bool,
    /// What happens where is kept, for a report.
    pub activity: bool,
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
    /// What must never be told.
    pub secrets: Vec<String>,
    /// Where its configuration is.
    pub directory: PathBuf,
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
    retort: Option<Retort>,
    /// The one invariant that is looked at; all of them otherwise.
    pub(crate) only: Option<&'static str>,
    kill: Mutex<Option<(&'static str, Kill)>>,
    recheck: bool,
    goes_on: bool,
    ledger: Mutex<Ledger>,
    /// What the switches have.
    mirror: Arc<Mutex<Mirror>>,
    started: Instant,
    stopped: Tally,
    /// The controllers and the monitor; they end with the world.
    controllers: Mutex<JoinSet<()>>,
    /// What happens where, if anybody wants to know.
    pub(crate) activity: Activity,
    /// Where real processes run, if they do.
    #[cfg(target_os = "linux")]
    ground: Option<host::Ground>,
}

/// What a world is put together from.
pub(in crate::world) struct Parts {
    pub(in crate::world) nodes: Vec<Node>,
    pub(in crate::world) kube: Kube,
    pub(in crate::world) vsd: Vsd,
    pub(in crate::world) monitor_up: Arc<AtomicBool>,
    pub(in crate::world) random: Random,
    pub(in crate::world) faults: Faults,
    pub(in crate::world) clock: Clock,
    pub(in crate::world) services: BTreeMap<String, Service>,
    pub(in crate::world) mirror: Arc<Mutex<Mirror>>,
    pub(in crate::world) controllers: JoinSet<()>,
    pub(in crate::world) activity: Activity,
    #[cfg(target_os = "linux")]
    pub(in crate::world) ground: Option<host::Ground>,
}

impl World {
    /// Puts it together.
    pub(in crate::world) fn of(parts: Parts, tampering: Tampering) -> Arc<Self> {
        Arc::new(Self {
            runtimes: Runtimes::new(parts.nodes.len()),
            nodes: parts.nodes,
            kube: parts.kube,
            vsd: parts.vsd,
            monitor_up: parts.monitor_up,
            random: parts.random,
            faults: parts.faults,
            clock: parts.clock,
            loads_over: Tally::default(),
            services: Arc::new(parts.services),
            wrap: tampering.wrap,
            retort: tampering.retort,
            only: tampering.only,
            kill: Mutex::new(tampering.kill),
            recheck: tampering.recheck,
            goes_on: tampering.goes_on,
            ledger: Mutex::default(),
            mirror: parts.mirror,
            started: Instant::now(),
            stopped: Tally::default(),
            controllers: Mutex::new(parts.controllers),
            activity: parts.activity,
            #[cfg(target_os = "linux")]
            ground: parts.ground,
        })
    }

    /// Whether everything is real, time included.
    pub(crate) fn is_real(&self) -> bool {
        self.name() != crate::run::SIMULATION
    }

    /// As the command line calls it.
    #[cfg_attr(not(target_os = "linux"), expect(clippy::unused_self, reason = "there is one world only"))]
    pub(crate) fn name(&self) -> &'static str {
        #[cfg(target_os = "linux")]
        if let Some(ground) = &self.ground {
            return ground.world;
        }
        crate::run::SIMULATION
    }

    /// The seams of a node for a process that nobody kills.
    pub fn host(&self, node: usize) -> Host {
        self.endless(node, "")
    }

    /// The seams of a process that nobody kills, as its faults know it.
    fn endless(&self, node: usize, operation: &str) -> Host {
        let caller = Caller::new(&self.nodes[node].name, operation);
        self.seams(node, &Life::endless(), &caller, &Attempts::default())
    }

    /// The seams of one plugin process on a node.
    fn seams(&self, node: usize, life: &Life, caller: &Caller, attempts: &Attempts) -> Host {
        let node = &self.nodes[node];
        let random = self.random.clone();
        let kernel = match &node.kernel {
            Kernel::Simulated(kernel) => kernel.clone(),
            // Never asked for: who calls real processes gives them no seams.
            #[cfg(target_os = "linux")]
            Kernel::Real(_) => SimulatedKernel::new(random.clone()),
        };
        let links = Arc::new(kernel.clone());
        let host = Host {
            switch: Arc::new(SimulatedSwitch {
                vrs: node.vrs.clone(),
                operation: Arc::clone(&caller.operation),
                life: life.clone(),
                random: random.clone(),
                attempts: attempts.clone(),
            }),
            http: Arc::new(SimulatedHttp {
                services: Arc::clone(&self.services),
                name: node.name.clone(),
                caller: caller.clone(),
                faults: self.faults.clone(),
                random,
                attempts: attempts.clone(),
                activity: self.activity.clone(),
            }),
            links,
            files: Arc::new(node.files.clone()),
            clock: Arc::new(WallClock(self.clock.clone())),
            log: self.log_of(node, caller),
        };
        let host = fault::seams::wrapped(host, &self.faults, &kernel, caller);
        self.wrap.map_or_else(|| host.clone(), |wrap| wrap(node, host.clone()))
    }

    fn log_of(&self, node: &Node, caller: &Caller) -> Arc<dyn Log> {
        let log: Arc<dyn Log> = Arc::new(node.log.clone());
        if !self.activity.is_kept() || &*caller.operation != audit::OPERATION {
            return log;
        }
        Arc::new(ToldLog { log, activity: self.activity.clone(), node: node.name.clone() })
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
        ledger.unrest += u64::from(name == "fault");
        if node.is_some() && ledger.violation.is_some() {
            // What others do before they are stopped is no part of the run any more.
            return;
        }
        ledger.trace.push(line.to_string());
        let Some(node) = node else { return };
        let mut mirror = self.mirror();
        let mut breaches = invariant::check(self, &mut ledger, &mut mirror, node);
        if breaches.is_empty() && self.recheck {
            breaches = self.look_again(&ledger, &mirror, node);
        }
        drop(mirror);
        self.report(&mut ledger, node, breaches);
    }

    /// Looks at everything of every node, however little has changed: what the looks at each event have missed, if anything.
    pub fn check_all(&self) {
        let mut ledger = self.ledger();
        for node in 0..self.nodes.len() {
            let breaches = self.look_again(&ledger, &self.mirror(), node);
            self.report(&mut ledger, node, breaches);
        }
    }

    fn look_again(&self, ledger: &Ledger, mirror: &Mirror, node: usize) -> Vec<Breach> {
        let server = self.nodes[node].vrs.server();
        // A real switch commits on a thread of its own, and then waits for the mirror.
        let difference = if self.is_real() { None } else { mirror.difference(node, server) };
        match difference {
            Some(details) => vec![("mirror_is_true", details)],
            None => invariant::check_all(self, ledger, mirror, node),
        }
    }

    /// Writes down what does not hold, if it is the first, and lets the run stop.
    fn report(&self, ledger: &mut Ledger, node: usize, breaches: Vec<Breach>) {
        if self.goes_on {
            ledger.broken.extend(breaches.iter().map(|(invariant, _)| *invariant));
            return;
        }
        let (Some((invariant, details)), None) = (breaches.into_iter().next(), &ledger.violation) else {
            return;
        };
        let difference = self.difference(ledger, &self.mirror(), node, &details);
        let (node, events) = (self.nodes[node].name.clone(), ledger.trace.len());
        ledger.violation = Some(Violation { invariant, details, time: self.now(), node, events, difference });
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
        self.activity.happened(Place::Vrs, &self.nodes[node].name, SWITCH_STOPS, "");
        self.ledger().switch_stops(node);
    }

    /// Starts a node's switch again, with the rows of its containers or without them.
    pub fn start_switch(&self, node: usize, lose_rows: bool) {
        self.nodes[node].vrs.start(lose_rows);
        self.activity.happened(Place::Vrs, &self.nodes[node].name, SWITCH_STARTS, "");
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

    /// Waits until nothing of containers is left; what still is when the time is up, looked at every `look`.
    ///
    /// # Errors
    /// The leftovers, in one line.
    pub async fn empty_by(&self, deadline: Instant, look: Duration) -> Result<(), String> {
        loop {
            let left = self.leftovers();
            if left.is_empty() {
                return Ok(());
            }
            if Instant::now() + look > deadline {
                return Err(left.join(", "));
            }
            sleep(look).await;
        }
    }

    /// Ends the controllers.
    pub fn end(&self) {
        self.controllers.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
    }
}

impl Node {
    /// The files of the journal that tell of a sandbox.
    pub(crate) fn records_of(&self, sandbox: &str) -> Vec<PathBuf> {
        let state = self.directory.join("state");
        match &self.kernel {
            Kernel::Simulated(_) => self.files.mentioning(&state, sandbox),
            #[cfg(target_os = "linux")]
            Kernel::Real(_) => host::mentioning(&state, sandbox),
        }
    }
}
