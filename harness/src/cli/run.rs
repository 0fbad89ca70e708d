//! `harness run`: scenarios, a line each and a summary.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use super::{HOLDS, NOT_DETERMINISTIC, VIOLATED, complain, say};
use crate::coverage::Coverage;
use crate::error::Error;
use crate::run::{Report, run as run_scenario};
use crate::scenario::{Scenario, collect};
use crate::stopwatch::Stopwatch;

/// No sweep is longer; a longer one is split.
const MAX_SEEDS: u64 = 1_000_000;

/// A world to run in.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum World {
    Sim,
}

#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(super) struct Arguments {
    /// Files, or directories with *.toml
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Where they run: sim is one process on virtual time
    #[arg(long, value_enum, default_value = "sim")]
    world: World,
    /// The first seed, instead of each scenario's own
    #[arg(long)]
    seed: Option<u64>,
    /// How many seeds in a row
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=MAX_SEEDS))]
    seeds: u64,
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

/// A report and how long it really took.
struct Timed {
    /// Without its trace, once that was told or written: a long sweep would fill the memory with it.
    report: Report,
    /// What went wrong, in lines for people.
    complaints: Vec<String>,
    real: Duration,
    deterministic: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<u8, Error> {
    let World::Sim = arguments.world;
    let scenarios = collect(&arguments.paths)?;
    let mut done = Vec::new();
    'all: for scenario in &scenarios {
        let first = arguments.seed.unwrap_or(scenario.seed);
        for seed in (0..arguments.seeds).map(|offset| first.wrapping_add(offset)) {
            let mut timed = one(scenario, seed, arguments.check_determinism)?;
            let failed = !timed.report.passed() || !timed.deterministic;
            if !arguments.json {
                say(&line(&timed));
                timed.complaints.iter().for_each(|line| say(&format!("    {line}")));
                if failed {
                    say(&format!("    again: {}", timed.report.replay()));
                }
            }
            if let Some(directory) = &arguments.report {
                write_trace(directory, &timed.report)?;
            }
            timed.report.trace = Vec::new();
            done.push(timed);
            if failed && arguments.fail_fast {
                break 'all;
            }
        }
    }
    let results = results(&done);
    if let Some(directory) = &arguments.report {
        write(&directory.join("results.json"), &format!("{results:#}\n"))?;
    }
    say(&if arguments.json { format!("{results:#}") } else { summary(&done) });
    let covered = !arguments.coverage || tell_coverage(&coverage(&done), arguments.json);
    Ok(if done.iter().any(|timed| !timed.deterministic) {
        NOT_DETERMINISTIC
    } else if !covered || done.iter().any(|timed| !timed.report.passed()) {
        VIOLATED
    } else {
        HOLDS
    })
}

fn one(scenario: &Scenario, seed: u64, twice: bool) -> Result<Timed, Error> {
    let watch = Stopwatch::start();
    let report = run_scenario(scenario, seed)?;
    let real = watch.elapsed();
    let deterministic = !twice || run_scenario(scenario, seed)?.trace == report.trace;
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
