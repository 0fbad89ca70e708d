//! `harness bench scale`: a cluster of many nodes comes up, lives through churn and goes away again, on one thread. Tells how
//! fast that is, what memory it takes, and what an event costs in it over what one costs in a cluster of a tenth the size.
//! What an event costs is time of the processor where the system tells that: others use the machine, too.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::sleep;

use super::{Figure, Figures};
use crate::error::Error;
use crate::load::Load;
use crate::load::pods::Pods;
use crate::run::simulate;
use crate::scenario::Scenario;
use crate::scenario::part::Part;
use crate::stopwatch::Stopwatch;
use crate::world::sim::{Tampering, World};

/// A namespace has one subnet of 4,096 addresses; the churn needs some of them, too.
const PODS_PER_NAMESPACE: usize = 2500;
/// How much smaller the cluster is that the growth is measured against.
const TENTH: usize = 10;
/// How often it is looked whether every pod is up, in virtual time.
const LOOK: Duration = Duration::from_millis(100);
/// A cluster that is not up by then, in virtual time, never will be.
const PATIENCE: Duration = Duration::from_hours(1);
/// How long a pod of the churn lives.
const LIFETIME: &str = "5s..20s";
/// How the names of the pods begin that are up all the time.
const STANDING: &str = "scale-";

/// What is measured.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// How many nodes
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = within::<1, 5000>)]
    nodes: usize,
    /// How many pods each node has all the time
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = within::<1, 250>)]
    pods_per_node: usize,
    /// How many pods come (and go a while later) in a second
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = within::<1, 1000>)]
    churn: usize,
    /// How long they do, in minutes of virtual time
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = within::<1, 600>)]
    minutes: usize,
    /// The audit's daemon runs on every node
    #[arg(long)]
    audit: bool,
    /// Where the run's randomness begins
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn within<const LOW: usize, const HIGH: usize>(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| (LOW..=HIGH).contains(number));
    number.ok_or_else(|| format!("must be from {LOW} to {HIGH}"))
}

/// One part of a run.
#[derive(Clone, Copy, Debug)]
struct Phase {
    real: Duration,
    /// Of the processor.
    busy: Duration,
    simulated: Duration,
    events: usize,
}

impl Phase {
    fn per_event(&self) -> f64 {
        micros(self.busy) / count(self.events.max(1))
    }
}

/// One run.
#[derive(Clone, Copy, Debug)]
struct Run {
    setup: Duration,
    /// How many bytes a pod takes that is up, its part of its node and of the services included, where the system tells.
    bytes: Option<f64>,
    up: Phase,
    churn: Phase,
    down: Phase,
}

/// Measures.
///
/// # Errors
/// The cluster did not come up, an invariant was violated, or something was left in the end: then figures would mean nothing.
pub fn run(options: &Options) -> Result<Figures, Error> {
    let small = Options { nodes: options.nodes.div_ceil(TENTH), ..options.clone() };
    let before = once(&small)?;
    let run = once(options)?;
    let mut figures = Figures::new("scale", "a tenth of the nodes");
    let all = run.setup + run.up.real + run.churn.real + run.down.real;
    let compared = |what: &str, value: f64, other: f64, unit| Figure::new(what, value, unit).against(other);
    figures.push(compared("nodes", count(options.nodes), count(small.nodes), ""));
    let pods = |options: &Options| count(options.nodes * options.pods_per_node);
    figures.push(compared("pods that are up all the time", pods(options), pods(&small), ""));
    figures.push(compared("setting the nodes up", seconds(run.setup), seconds(before.setup), "s"));
    for (what, here, there) in
        [("up", run.up, before.up), ("churn", run.churn, before.churn), ("down", run.down, before.down)]
    {
        let named = |figure: &str| format!("{what}: {figure}");
        figures.push(compared(&named("real time"), seconds(here.real), seconds(there.real), "s"));
        figures.push(compared(
            &named("simulated time"),
            seconds(here.simulated),
            seconds(there.simulated),
            "s",
        ));
        figures.push(compared(&named("events"), count(here.events), count(there.events), ""));
        figures.push(compared(&named("processor time an event"), here.per_event(), there.per_event(), "us"));
    }
    if let (Some(here), Some(there)) = (run.bytes, before.bytes) {
        figures.push(compared("memory a pod that is up", here / 1024.0, there / 1024.0, "KiB"));
    }
    let busy = run.up.busy + run.churn.busy + run.down.busy;
    let simulated = run.up.simulated + run.churn.simulated + run.down.simulated;
    let events = run.up.events + run.churn.events + run.down.events;
    figures.push(Figure::new("real time in all", seconds(all), "s"));
    figures.push(Figure::new("processor time in all", seconds(busy), "s"));
    figures.push(Figure::new("events in a second of the processor", count(events) / seconds(busy), "1/s"));
    figures.push(Figure::new("simulated over processor time", seconds(simulated) / seconds(busy), ""));
    if let Some(peak) = memory("VmHWM:") {
        figures.push(Figure::new("peak memory (VmHWM)", peak, "MiB"));
    }
    Ok(figures)
}

fn once(options: &Options) -> Result<Run, Error> {
    let churn = churn(options)?;
    simulate(async {
        let (watch, resident) = (Stopwatch::start(), memory("VmRSS:"));
        let world = World::new(&churn.cluster.draw(options.seed), options.seed, Tampering::default())?;
        let setup = watch.elapsed();
        let pods = Pods::new(Arc::clone(&world));
        let all = options.nodes * options.pods_per_node;
        // What runs beside it, from the beginning to the end.
        let mut beside = start(&churn.loads[1..], &pods);
        while beside.join_next().await.is_some() {}
        let up = measured(&world, async {
            come(&pods, all);
            until_attached(&world, all).await
        });
        let up = up.await?;
        let grown = resident.zip(memory("VmRSS:")).map(|(before, after)| (after - before) * 1024.0 * 1024.0);
        let bytes = grown.map(|grown| grown / count(all));
        let churn = measured(&world, async {
            let mut coming = start(&churn.loads[..1], &pods);
            while coming.join_next().await.is_some() {}
            Ok(())
        });
        let churn = churn.await?;
        let down = measured(&world, async {
            pods.with_prefix(STANDING).iter().for_each(|name| pods.stop(name));
            until_gone(&pods).await;
            Ok(())
        });
        let down = down.await?;
        world.check_all();
        let left = world.leftovers();
        world.end();
        match left.first() {
            Some(first) => Err(Error::Site(format!("{} things were left, one of them: {first}", left.len()))),
            None => Ok(Run { setup, bytes, up, churn, down }),
        }
    })?
}

/// The churn, and behind it what runs beside everything.
fn churn(options: &Options) -> Result<Scenario, Error> {
    let audit = if options.audit { "[[load]]\nkind = \"audit\"\n" } else { "" };
    let text = format!(
        "title = \"scale\"\nwhy = \"the figures of the simulator\"\n[cluster]\nnodes = {}\n\
         [[load]]\nkind = \"churn\"\nnamespace = \"churn\"\nrate = \"{}/s\"\nduration = \"{}m\"\nlifetime = \"{LIFETIME}\"\n{audit}",
        options.nodes, options.churn, options.minutes
    );
    Scenario::parse("scale", &text)
}

/// Makes the pods that are up all the time. No load of a scenario: what those wait for would be looked at with each pod.
fn come(pods: &Pods, all: usize) {
    for number in 0..all {
        let namespace = format!("{STANDING}{}", number / PODS_PER_NAMESPACE);
        pods.spawn(&namespace, &format!("web-{number}"), true);
    }
}

async fn until_gone(pods: &Pods) {
    while pods.world.ledger().attached() > 0 || !pods.with_prefix(STANDING).is_empty() {
        sleep(LOOK).await;
    }
}

fn start(loads: &[Part<dyn Load>], pods: &Pods) -> JoinSet<()> {
    let mut set = JoinSet::new();
    for load in loads {
        let (load, pods) = (load.clone(), pods.clone());
        set.spawn_local(async move { load.run(&pods).await });
    }
    set
}

async fn until_attached(world: &Arc<World>, all: usize) -> Result<(), Error> {
    let mut waited = Duration::ZERO;
    while world.ledger().attached() < all {
        if waited >= PATIENCE {
            let attached = world.ledger().attached();
            return Err(Error::Site(format!("{attached} of {all} pods were up after {PATIENCE:?}")));
        }
        sleep(LOOK).await;
        waited += LOOK;
    }
    Ok(())
}

async fn measured(world: &Arc<World>, work: impl Future<Output = Result<(), Error>>) -> Result<Phase, Error> {
    let (watch, began, events) = (Stopwatch::start(), world.now(), world.ledger().trace.len());
    let busy = processor_time();
    work.await?;
    let real = watch.elapsed();
    let busy = busy.zip(processor_time()).map_or(real, |(before, after)| after.saturating_sub(before));
    let ledger = world.ledger();
    if let Some(violation) = &ledger.violation {
        return Err(Error::Site(format!("{} violated: {}", violation.invariant, violation.details)));
    }
    let simulated = Duration::from_millis(world.now() - began);
    Ok(Phase { real, busy, simulated, events: ledger.trace.len() - events })
}

fn seconds(duration: Duration) -> f64 {
    duration.as_secs_f64()
}

fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
fn count(number: usize) -> f64 {
    number as f64
}

/// The time that the processor has spent on this thread, where the system tells.
fn processor_time() -> Option<Duration> {
    let times = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    Some(Duration::from_nanos(times.split_whitespace().next()?.parse().ok()?))
}

/// Memory of this process in MiB, where the system tells: the most that it ever had (`VmHWM:`), what it has (`VmRSS:`).
fn memory(key: &str) -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(key))?;
    let kibibytes: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes / 1024.0)
}
