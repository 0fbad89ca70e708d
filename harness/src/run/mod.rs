//! One run of a scenario: sets the world up, lets loads and faults go (safety), heals what is wrong and sees that all gets on
//! (liveness), checks what is expected. The same scenario and seed give the same report, trace included.

#[cfg(target_os = "linux")]
mod host;
pub mod interrupt;
mod liveness;
pub mod pool;
pub mod sweep;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use nuage_emulator::faults::Picked;
use serde_json::json;
use tokio::task::{JoinSet, LocalSet};
use tokio::time::timeout;

use crate::coverage::Coverage;
use crate::error::Error;
use crate::fault;
use crate::load::pods::Pods;
use crate::scenario::Scenario;
use crate::scenario::part::Side;
use crate::world::activity::Activities;
use crate::world::sim::ledger::Violation;
use crate::world::sim::{Tampering, World};

#[cfg(target_os = "linux")]
pub use host::run_on_host;

/// A run that takes longer in virtual time hangs.
const VIRTUAL_LIMIT: Duration = Duration::from_hours(48);
/// How many events before a violation are shown.
const SHOWN_EVENTS: usize = 8;

/// As the command line calls the simulated world.
pub const SIMULATION: &str = "sim";

/// What a run found.
#[derive(Clone, Debug)]
pub struct Report {
    /// The scenario's name.
    pub scenario: String,
    /// What it is about, in one line.
    pub title: String,
    /// Its path, for the line that replays it.
    pub path: String,
    /// The seed.
    pub seed: u64,
    /// How many pods were made.
    pub pods: usize,
    /// How many ADDs were called.
    pub adds: usize,
    /// How many DELs were called.
    pub dels: usize,
    /// How long it took in virtual time; in a real world, in real time.
    pub simulated: Duration,
    /// In which world, as the command line calls it.
    pub world: &'static str,
    /// The broken invariant, if one is.
    pub violation: Option<Violation>,
    /// All invariants that were ever broken, of a run that goes on in spite of them.
    pub broken: BTreeSet<&'static str>,
    /// Expectations that do not hold.
    pub failures: Vec<String>,
    /// Which fault struck what.
    pub coverage: Coverage,
    /// What each load and fault has drawn.
    pub drawn: Drawn,
    /// One JSON line an event.
    pub trace: Vec<String>,
    /// How long calls took in virtual time, by command: those that were not killed.
    pub durations: BTreeMap<&'static str, Vec<Duration>>,
    /// How many calls were answered so, by command and code; 0 is success.
    pub answers: BTreeMap<(&'static str, u64), usize>,
    /// What happened where, of a run that is reported.
    pub activities: Activities,
}

/// How much each load and each fault of a scenario has drawn, in their order.
#[derive(Clone, Debug, Default)]
pub struct Drawn {
    /// Pods that were to be made.
    pub loads: Vec<Picked>,
    /// Strikes by chance.
    pub faults: Vec<Picked>,
}

impl Report {
    /// Whether everything held.
    pub fn passed(&self) -> bool {
        self.violation.is_none() && self.failures.is_empty()
    }

    /// This run and the one after it, of the same scenario, as one.
    #[must_use]
    pub fn followed_by(mut self, mut next: Self) -> Self {
        let offset = u64::try_from(self.simulated.as_micros()).unwrap_or(u64::MAX);
        self.activities.append(next.activities, offset);
        for (command, durations) in next.durations {
            self.durations.entry(command).or_default().extend(durations);
        }
        for (answer, times) in next.answers {
            *self.answers.entry(answer).or_default() += times;
        }
        self.pods += next.pods;
        self.adds += next.adds;
        self.dels += next.dels;
        self.simulated += next.simulated;
        if let Some(violation) = &mut next.violation {
            violation.events += self.trace.len();
        }
        self.violation = self.violation.or(next.violation);
        self.failures.append(&mut next.failures);
        self.trace.append(&mut next.trace);
        self.coverage.merge(&next.coverage);
        self
    }

    /// The line that runs it again.
    pub fn replay(&self) -> String {
        let verb = match self.world {
            SIMULATION => "replay".to_owned(),
            world => format!("run --world {world}"),
        };
        format!("harness {verb} --seed {} {}", self.seed, self.path)
    }

    /// What went wrong, in lines for people.
    pub fn complaints(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if let Some(violation) = &self.violation {
            let Violation { invariant, details, time, node, events, .. } = violation;
            lines.push(format!("{invariant} violated on {node} at {time} ms: {details}"));
            let first = events.saturating_sub(SHOWN_EVENTS);
            lines.extend(self.trace[first..*events].iter().map(|event| format!("  {event}")));
        }
        lines.extend(self.failures.iter().cloned());
        lines
    }
}

/// Runs a scenario in the simulated world.
///
/// # Errors
/// The world could not be set up; what the run finds is in the report.
pub fn run(scenario: &Scenario, seed: u64) -> Result<Report, Error> {
    exhausted_with(scenario, seed, Tampering::default())
}

/// The same run, which also keeps what happened where.
///
/// # Errors
/// As [`run`].
pub fn run_reported(scenario: &Scenario, seed: u64) -> Result<Report, Error> {
    exhausted_with(scenario, seed, Tampering { activity: true, ..Tampering::default() })
}

fn exhausted_with(scenario: &Scenario, seed: u64, tampering: Tampering) -> Result<Report, Error> {
    let run_once = |scenario: &Scenario, seed, killing: Tampering| {
        run_with(scenario, seed, Tampering { kill: killing.kill, ..tampering })
    };
    fault::exhausted(scenario, seed, run_once).unwrap_or_else(|| run_with(scenario, seed, tampering))
}

/// As [`run`], with something broken on purpose.
///
/// # Errors
/// As [`run`].
pub fn run_with(scenario: &Scenario, seed: u64, tampering: Tampering) -> Result<Report, Error> {
    simulate(async {
        let world = World::new(&scenario.cluster.draw(seed), seed, tampering)?;
        let failures = carry_out(scenario, seed, &world, VIRTUAL_LIMIT).await;
        Ok(conclude(scenario, seed, &world, failures))
    })?
}

/// Looks at everything once more, and writes down what was found.
fn conclude(scenario: &Scenario, seed: u64, world: &World, failures: Vec<String>) -> Report {
    world.check_all();
    world.end();
    let (coverage, activities) = (world.coverage(), world.activity.take());
    let mut ledger = world.ledger();
    let count = |command: &str| ledger.calls.get(command).copied().unwrap_or(0);
    Report {
        scenario: scenario.name.clone(),
        title: scenario.title.clone(),
        path: scenario.path.clone(),
        seed,
        pods: ledger.pods,
        adds: count("ADD"),
        dels: count("DEL"),
        simulated: Duration::from_millis(world.now()),
        world: world.name(),
        failures,
        violation: ledger.violation.take(),
        broken: std::mem::take(&mut ledger.broken),
        coverage,
        drawn: std::mem::take(&mut ledger.drawn),
        trace: std::mem::take(&mut ledger.trace),
        durations: std::mem::take(&mut ledger.durations),
        answers: std::mem::take(&mut ledger.answers),
        activities,
    }
}

/// Runs something on virtual time, on this thread alone.
///
/// # Errors
/// There is no runtime to be had.
pub(crate) fn simulate<T>(future: impl Future<Output = T>) -> Result<T, Error> {
    // The time driver alone: a real socket panics here, which is what keeps one out.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.map_err(|error| Error::Site(error.to_string()))?;
    // Everything stays on this thread, so nothing of a run has to be able to leave it.
    Ok(LocalSet::new().block_on(&runtime, future))
}

async fn carry_out(scenario: &Scenario, seed: u64, world: &Arc<World>, limit: Duration) -> Vec<String> {
    world.event(None, "begin", json!({"scenario": scenario.title, "seed": seed}));
    let pods = Pods::new(Arc::clone(world));
    let mut loads = JoinSet::new();
    let mut picked = Drawn::default();
    for (place, load) in scenario.loads.iter().cloned().enumerate() {
        let draws = load.draws(seed, Side::Load, place);
        picked.loads.push(draws.picked.clone());
        let pods = pods.drawing(draws);
        loads.spawn_local(async move { load.run(&pods).await });
    }
    let mut faults = JoinSet::new();
    for (place, fault) in scenario.faults.iter().cloned().enumerate() {
        let draws = fault.draws(seed, Side::Fault, place);
        picked.faults.push(draws.picked.clone());
        let world = Arc::clone(world);
        faults.spawn_local(async move { (place, fault.name(), fault.run(&world, &draws).await) });
    }
    world.ledger().drawn = picked;
    let everything = async {
        while loads.join_next().await.is_some() {}
        world.end_loads();
        let mut failures = Vec::new();
        while let Some(ended) = faults.join_next().await {
            // A scenario whose fault never struck proves nothing.
            if let Ok((place, name, 0)) = ended {
                let which = place + 1;
                failures.push(format!("{name} (fault {which}): declared, and never happened"));
            }
        }
        if !scenario.faults.is_empty() {
            let audited = scenario.expectations.iter().any(|expectation| expectation.is_the_audits());
            failures.extend(liveness::check(world, &pods, audited).await);
        }
        for expectation in &scenario.expectations {
            failures.extend(expectation.check(world).await.err());
        }
        failures
    };
    let failures = tokio::select! {
        biased;
        () = world.stopped() => Vec::new(),
        result = timeout(limit, everything) => {
            result.unwrap_or_else(|_| vec![format!("not over after {limit:?}")])
        }
    };
    world.event(None, "end", json!({}));
    failures
}
