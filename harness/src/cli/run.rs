//! `harness run`: scenarios, a line each and a summary.

use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use serde_json::{Value, json};

use super::{HOLDS, NOT_DETERMINISTIC, VIOLATED, complain, say};
use crate::coverage::Coverage;
use crate::error::Error;
use crate::run::pool::in_order;
#[cfg(target_os = "linux")]
use crate::run::run_on_host;
use crate::run::{Report, run as run_scenario};
use crate::scenario::{Scenario, collect, duration};
use crate::stopwatch::Stopwatch;
#[cfg(target_os = "linux")]
use crate::world::host::HostOptions;

/// No sweep is longer; a longer one is split.
const MAX_SEEDS: u64 = 1_000_000;

/// A world to run in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum World {
    Sim,
    Host,
}

#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(super) struct Arguments {
    /// Files, or directories with *.toml
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Where they run: sim is one process on virtual time; host is this machine, real executables and namespaces (Linux, root)
    #[arg(long, value_enum, default_value = "sim")]
    world: World,
    /// Where the executables for --world host are, if not beside this one
    #[arg(long, value_name = "DIR")]
    bin_dir: Option<PathBuf>,
    /// The first seed, instead of each scenario's own
    #[arg(long)]
    seed: Option<u64>,
    /// How many seeds in a row
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=MAX_SEEDS))]
    seeds: u64,
    /// How many run at once, each on a thread of its own; what a run does is the same
    #[arg(long, value_name = "N", default_value_t = NonZeroUsize::MIN)]
    jobs: NonZeroUsize,
    /// Make only the I-th of N parts of the runs, to spread a sweep over machines; job/N in a Kubernetes Indexed Job, whose
    /// variable `JOB_COMPLETION_INDEX` has the number (from 0)
    #[arg(long, value_name = "I/N")]
    shard: Option<Shard>,
    /// Begin no run after this time, like 90s or 5m; what was not begun is told and is no failure
    #[arg(long, value_name = "T", value_parser = time_limit)]
    time_limit: Option<Duration>,
    /// Stop at the first failure
    #[arg(long)]
    fail_fast: bool,
    /// Run each twice and compare the traces byte for byte
    #[arg(long)]
    check_determinism: bool,
    /// Print which fault struck which operation, and fail if one that can strike never did
    #[arg(long)]
    coverage: bool,
    /// Write results.json and traces/SCENARIO.SEED.jsonl there
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
    /// Print one JSON object instead of lines, for scripts
    #[arg(long)]
    json: bool,
}

/// One of several parts of a sweep: each run is in exactly one of them.
#[derive(Clone, Copy, Debug)]
struct Shard {
    /// From nought.
    part: usize,
    of: usize,
}

/// The pod's number in an Indexed Job, from nought.
const JOB_INDEX: &str = "JOB_COMPLETION_INDEX";

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (part, of) = text.split_once('/').unwrap_or_default();
        let part: Option<usize> = if part == "job" {
            let index = std::env::var(JOB_INDEX).map_err(|_| format!("{JOB_INDEX} is not set"))?;
            index.parse().ok()
        } else {
            part.parse().ok().and_then(|part: usize| part.checked_sub(1))
        };
        match part.zip(of.parse().ok()) {
            Some((part, of)) if part < of => Ok(Self { part, of }),
            _ => Err("a part like 1/4, from 1/4 to 4/4, is expected".to_owned()),
        }
    }
}

pub(super) fn time_limit(text: &str) -> Result<Duration, String> {
    duration(text).ok_or_else(|| "a duration like 90s or 5m, at most 24h, is expected".to_owned())
}

/// A report and how long it really took.
struct Timed {
    /// Without its trace, once that was told or written: a long sweep would fill the memory with it.
    report: Report,
    /// What went wrong, in lines for people.
    complaints: Vec<String>,
    real: Duration,
    deterministic: bool,
}

impl Timed {
    fn failed(&self) -> bool {
        !self.report.passed() || !self.deterministic
    }
}

pub(super) fn run(arguments: &Arguments) -> Result<u8, Error> {
    let scenarios = collect(&arguments.paths)?;
    let mut runs = Vec::new();
    for scenario in &scenarios {
        let first = arguments.seed.unwrap_or(scenario.seed);
        runs.extend((0..arguments.seeds).map(|offset| (scenario, first.wrapping_add(offset))));
    }
    if let Some(Shard { part, of }) = arguments.shard {
        runs = runs.into_iter().skip(part).step_by(of).collect();
    }
    let (mut done, mut wrong, mut not_begun) = (Vec::new(), None, 0);
    let (world, watch) = (Ground::new(arguments)?, Stopwatch::start());
    let work = |piece: usize| {
        let in_time = arguments.time_limit.is_none_or(|limit| watch.elapsed() < limit);
        let (scenario, seed) = runs[piece];
        in_time.then(|| one(scenario, seed, arguments.check_determinism, &world))
    };
    in_order(runs.len(), arguments.jobs, work, |result| {
        let Some(result) = result else {
            not_begun += 1;
            return true;
        };
        match result.and_then(|timed| tell(timed, arguments)) {
            Ok(timed) => {
                let failed = timed.failed();
                done.push(timed);
                !(failed && arguments.fail_fast)
            }
            Err(error) => {
                wrong = Some(error);
                false
            }
        }
    });
    if let Some(error) = wrong {
        return Err(error);
    }
    let mut results = results(&done);
    results["not_begun"] = json!(not_begun);
    if let Some(directory) = &arguments.report {
        write(&directory.join("results.json"), &format!("{results:#}\n"))?;
    }
    say(&if arguments.json { format!("{results:#}") } else { summary(&done) });
    if not_begun > 0 && !arguments.json {
        say(&format!("the time was up: {not_begun} of {} runs were not begun", runs.len()));
    }
    let covered = !arguments.coverage || tell_coverage(&coverage(&done), arguments.json);
    Ok(if done.iter().any(|timed| !timed.deterministic) {
        NOT_DETERMINISTIC
    } else if !covered || done.iter().any(|timed| !timed.report.passed()) {
        VIOLATED
    } else {
        HOLDS
    })
}

/// Prints and writes what is to be known of a run at once.
fn tell(mut timed: Timed, arguments: &Arguments) -> Result<Timed, Error> {
    if !arguments.json {
        say(&line(&timed));
        timed.complaints.iter().for_each(|line| say(&format!("    {line}")));
        if timed.failed() {
            say(&format!("    again: {}", timed.report.replay()));
        }
    }
    if let Some(directory) = &arguments.report {
        write_trace(directory, &timed.report)?;
    }
    timed.report.trace = Vec::new();
    Ok(timed)
}

/// What runs are made on.
enum Ground {
    Simulation,
    #[cfg(target_os = "linux")]
    Machine(HostOptions),
}

impl Ground {
    fn new(arguments: &Arguments) -> Result<Self, Error> {
        match arguments.world {
            World::Sim => Ok(Self::Simulation),
            World::Host if arguments.check_determinism => Err(Error::Lacking(
                "--check-determinism needs --world sim: nothing real is alike twice".to_owned(),
            )),
            #[cfg(target_os = "linux")]
            World::Host => HostOptions::new(arguments.bin_dir.as_deref()).map(Self::Machine),
            #[cfg(not(target_os = "linux"))]
            World::Host => Err(Error::Lacking("--world host needs Linux".to_owned())),
        }
    }

    fn run(&self, scenario: &Scenario, seed: u64) -> Result<Report, Error> {
        match self {
            Self::Simulation => run_scenario(scenario, seed),
            #[cfg(target_os = "linux")]
            Self::Machine(options) => run_on_host(scenario, seed, options),
        }
    }
}

fn one(scenario: &Scenario, seed: u64, twice: bool, ground: &Ground) -> Result<Timed, Error> {
    let watch = Stopwatch::start();
    let report = ground.run(scenario, seed)?;
    let real = watch.elapsed();
    let deterministic = !twice || ground.run(scenario, seed)?.trace == report.trace;
    let complaints = report.complaints();
    Ok(Timed { report, complaints, real, deterministic })
}

fn verdict(timed: &Timed) -> &'static str {
    match (timed.deterministic, timed.report.passed()) {
        (false, _) => "NOT DETERMINISTIC",
        (true, true) => "ok",
        (true, false) => "FAILED",
    }
}

fn line(timed: &Timed) -> String {
    let Report { scenario, seed, pods, adds, dels, simulated, .. } = &timed.report;
    format!(
        "{scenario:45} seed {seed:<6} {pods:5} pods {adds:6} ADD {dels:6} DEL {:8.1} s simulated in {:6.2} s  {}",
        simulated.as_secs_f64(),
        timed.real.as_secs_f64(),
        verdict(timed)
    )
}

fn summary(done: &[Timed]) -> String {
    let held = done.iter().filter(|timed| timed.deterministic && timed.report.passed()).count();
    let simulated: Duration = done.iter().map(|timed| timed.report.simulated).sum();
    let real: Duration = done.iter().map(|timed| timed.real).sum();
    let ratio = simulated.as_secs_f64() / real.as_secs_f64().max(0.001);
    format!(
        "{held} of {} runs hold; {:.0} s simulated in {:.2} s, {ratio:.0} times faster",
        done.len(),
        simulated.as_secs_f64(),
        real.as_secs_f64()
    )
}

fn results(done: &[Timed]) -> Value {
    let runs: Vec<Value> = done
        .iter()
        .map(|timed| {
            let report = &timed.report;
            json!({
                "scenario": report.scenario, "seed": report.seed, "verdict": verdict(timed), "pods": report.pods,
                "adds": report.adds, "dels": report.dels, "simulated_seconds": report.simulated.as_secs_f64(),
                "real_seconds": timed.real.as_secs_f64(), "complaints": timed.complaints, "replay": report.replay()
            })
        })
        .collect();
    json!({ "runs": runs, "coverage": coverage(done).to_json() })
}

fn coverage(done: &[Timed]) -> Coverage {
    let mut coverage = Coverage::default();
    for timed in done {
        coverage.merge(&timed.report.coverage);
    }
    coverage
}

/// Prints the matrix; false: a fault was never met that can be, or one was that was thought out of reach.
fn tell_coverage(coverage: &Coverage, json: bool) -> bool {
    if !json {
        say(&coverage.table().join("\n"));
    }
    let (missing, reached) = (coverage.missing(), coverage.reached_after_all());
    if !missing.is_empty() {
        complain(&format!("never struck: {}", missing.join(", ")));
    }
    if !reached.is_empty() {
        complain(&format!(
            "struck, so no longer out of reach (harness/src/coverage.rs): {}",
            reached.join(", ")
        ));
    }
    missing.is_empty() && reached.is_empty()
}

pub(super) fn write(path: &Path, text: &str) -> Result<(), Error> {
    let failed = |source| Error::File { path: path.to_owned(), source };
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(failed)?;
    }
    fs::write(path, text).map_err(failed)
}

fn write_trace(directory: &Path, report: &Report) -> Result<(), Error> {
    let name = report.scenario.replace(['/', '\\'], "-");
    let path = directory.join("traces").join(format!("{name}.{}.jsonl", report.seed));
    write(&path, &format!("{}\n", report.trace.join("\n")))
}
