//! `harness run`: scenarios, a line each and a summary.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use super::progress::Progress;
use super::{HOLDS, NOT_DETERMINISTIC, VIOLATED, complain, say};
use crate::coverage::Coverage;
use crate::error::Error;
use crate::report::record::{Record, Varied};
use crate::report::results::{Results, coverage};
use crate::report::{Directory, line};
use crate::run::pool::in_order;
#[cfg(target_os = "linux")]
use crate::run::run_on_host;
use crate::run::{Report, run as run_scenario, run_reported};
use crate::scenario::vary::{Step, Vary};
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
    Containers,
}

/// Of which runs traces are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Traces {
    All,
    Failed,
}

/// What scripts read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Form {
    Object,
    Lines,
}

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Files, or directories with *.toml
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Where they run: sim is one process on virtual time; host is this machine, real executables and namespaces (Linux, root);
    /// containers is the same with nodes of the shipped image in a Docker engine
    #[arg(long, value_enum, default_value = "sim")]
    world: World,
    /// Where the executables for --world host are, if not beside this one
    #[arg(long, value_name = "DIR")]
    bin_dir: Option<PathBuf>,
    /// The nodes' image for --world containers
    #[arg(long, value_name = "NAME", default_value_t = format!("nuage/cni:{}", crate::VERSION))]
    image: String,
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
    /// Write a report there: report.html, results.json, junit.xml, runs.jsonl, traces/SCENARIO.SEED.jsonl and .trace.json
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
    /// Run each scenario with each of these values of one of its numbers, like `load[0].rate=1/s..50/s:10` (ten of them) or
    /// cluster.nodes=3; the report's page has a curve of ADD's latency
    #[arg(long, value_name = "KEY=RANGE")]
    vary: Option<Vary>,
    /// Of which runs a report has traces
    #[arg(long, value_enum, default_value = "all", requires = "report")]
    traces: Traces,
    /// For scripts: one JSON object at the end, or =lines: one for each run as soon as it has ended
    #[arg(long, value_name = "FORM", value_enum, num_args = 0..=1, require_equals = true, default_missing_value = "object")]
    json: Option<Form>,
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

/// A scenario that is to be run, and which value it was given for what is varied.
struct Planned {
    scenario: Scenario,
    varied: Option<(Varied, String)>,
}

/// A run, and what is kept of it.
struct Made {
    /// It goes as soon as it is told and written: a long sweep would fill the memory with traces.
    report: Report,
    record: Record,
}

pub(super) fn run(arguments: &Arguments) -> Result<u8, Error> {
    let scenarios = arguments.scenarios()?;
    let runs = arguments.runs(&scenarios);
    let mut directory = arguments.report.as_deref().map(Directory::begin).transpose()?;
    let (mut done, mut wrong, mut not_begun) = (Vec::new(), None, 0);
    let (world, watch) = (Ground::new(arguments)?, Stopwatch::start());
    let progress = Progress::begin(runs.len(), arguments.json.is_none());
    let work = |piece: usize| {
        let in_time = arguments.time_limit.is_none_or(|limit| watch.elapsed() < limit);
        let made = in_time.then(|| one(runs[piece].0, runs[piece].1, arguments.check_determinism, &world));
        let failed = made.as_ref().is_some_and(|made| made.as_ref().is_ok_and(|made| made.record.failed()));
        progress.tick(failed);
        made
    };
    in_order(runs.len(), arguments.jobs, work, |result| {
        let Some(result) = result else {
            not_begun += 1;
            return true;
        };
        match result.and_then(|made| tell(made, arguments, directory.as_mut(), &progress)) {
            Ok(record) => {
                let failed = record.failed();
                done.push(record);
                !(failed && arguments.fail_fast)
            }
            Err(error) => {
                wrong = Some(error);
                false
            }
        }
    });
    progress.end();
    if let Some(error) = wrong {
        return Err(error);
    }
    let results = Results { not_begun, ..Results::of(done) };
    if let Some(directory) = &directory {
        directory.finish(&results)?;
    }
    match arguments.json {
        Some(Form::Object) => say(&results.to_text()),
        Some(Form::Lines) => {}
        None => {
            say(&results.summary.line());
            if not_begun > 0 {
                say(&format!("the time was up: {not_begun} of {} runs were not begun", runs.len()));
            }
        }
    }
    let covered = !arguments.coverage || tell_coverage(&coverage(&results.runs), arguments.json.is_some());
    Ok(if results.summary.not_deterministic > 0 {
        NOT_DETERMINISTIC
    } else if !covered || results.summary.failed > 0 {
        VIOLATED
    } else {
        HOLDS
    })
}

impl Arguments {
    /// The scenarios, varied if that is asked for.
    fn scenarios(&self) -> Result<Vec<Planned>, Error> {
        let scenarios = collect(&self.paths)?;
        let Some(vary) = &self.vary else {
            return Ok(scenarios.into_iter().map(|scenario| Planned { scenario, varied: None }).collect());
        };
        let planned = vary.scenarios(&scenarios)?.into_iter().map(|(scenario, value)| {
            let Step { number, text } = value;
            let varied = Varied { key: vary.key.clone(), unit: vary.unit.clone(), value: number };
            Planned { scenario, varied: Some((varied, text)) }
        });
        Ok(planned.collect())
    }

    /// Every run that is asked for of this machine.
    fn runs<'a>(&self, scenarios: &'a [Planned]) -> Vec<(&'a Planned, u64)> {
        let mut runs = Vec::new();
        for planned in scenarios {
            let first = self.seed.unwrap_or(planned.scenario.seed);
            runs.extend((0..self.seeds).map(|offset| (planned, first.wrapping_add(offset))));
        }
        match self.shard {
            Some(Shard { part, of }) => runs.into_iter().skip(part).step_by(of).collect(),
            None => runs,
        }
    }
}

/// Prints and writes what is to be known of a run at once.
fn tell(
    made: Made,
    arguments: &Arguments,
    directory: Option<&mut Directory>,
    progress: &Progress,
) -> Result<Record, Error> {
    let Made { report, mut record } = made;
    if let Some(directory) = directory {
        if arguments.traces == Traces::All || record.failed() {
            directory.write_traces(&mut record, &report)?;
        }
        directory.add(&record)?;
    }
    progress.aside(|| match arguments.json {
        Some(Form::Lines) => say(&line(&record)),
        Some(Form::Object) => {}
        None => {
            say(&record.line());
            record.complaints.iter().for_each(|line| say(&format!("    {line}")));
            if record.failed() {
                say(&format!("    again: {}", record.replay));
            }
        }
    });
    Ok(record)
}

/// What runs are made on.
enum Ground {
    Simulation {
        reported: bool,
    },
    #[cfg(target_os = "linux")]
    Machine(HostOptions),
}

impl Ground {
    fn new(arguments: &Arguments) -> Result<Self, Error> {
        let reported = arguments.report.is_some();
        match arguments.world {
            World::Sim => Ok(Self::Simulation { reported }),
            World::Host | World::Containers if arguments.check_determinism => Err(Error::Lacking(
                "--check-determinism needs --world sim: nothing real is alike twice".to_owned(),
            )),
            #[cfg(target_os = "linux")]
            World::Host => {
                let options = HostOptions::new(arguments.bin_dir.as_deref())?;
                Ok(Self::Machine(HostOptions { reported, ..options }))
            }
            #[cfg(target_os = "linux")]
            World::Containers => {
                let options = HostOptions::of_image(&arguments.image)?;
                Ok(Self::Machine(HostOptions { reported, ..options }))
            }
            #[cfg(not(target_os = "linux"))]
            World::Host | World::Containers => {
                Err(Error::Lacking("--world host and containers need Linux".to_owned()))
            }
        }
    }

    fn run(&self, scenario: &Scenario, seed: u64) -> Result<Report, Error> {
        match self {
            Self::Simulation { reported: true } => run_reported(scenario, seed),
            Self::Simulation { reported: false } => run_scenario(scenario, seed),
            #[cfg(target_os = "linux")]
            Self::Machine(options) => run_on_host(scenario, seed, options),
        }
    }
}

fn one(planned: &Planned, seed: u64, twice: bool, ground: &Ground) -> Result<Made, Error> {
    let Planned { scenario, varied } = planned;
    let watch = Stopwatch::start();
    let report = ground.run(scenario, seed)?;
    let real = watch.elapsed();
    let apart = if twice { parted(&report.trace, &ground.run(scenario, seed)?.trace) } else { None };
    let mut record = Record::of(&report, real, apart.is_none());
    record.complaints.extend(apart);
    if let Some((varied, text)) = varied {
        let (world, path) = (&record.world, &scenario.path);
        record.replay =
            format!("harness run --world {world} --seed {seed} --vary '{}={text}' {path}", varied.key);
        record.varied = Some(varied.clone());
    }
    Ok(Made { report, record })
}

/// Where two traces of one seed part, if they do.
fn parted(one: &[String], other: &[String]) -> Option<String> {
    let length = one.len().max(other.len());
    let at = (0..length).find(|at| one.get(*at) != other.get(*at))?;
    let event = |trace: &[String]| trace.get(at).map_or("nothing", String::as_str).to_owned();
    Some(format!(
        "not deterministic: event {} is {}, and the second time {}",
        at + 1,
        event(one),
        event(other)
    ))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_two_traces_part_is_told_and_the_same_ones_do_not() {
        let trace = |events: &[&str]| events.iter().map(|event| (*event).to_owned()).collect::<Vec<_>>();
        assert_eq!(parted(&trace(&["a", "b"]), &trace(&["a", "b"])), None);
        let told = parted(&trace(&["a", "b"]), &trace(&["a", "c", "d"])).unwrap();
        assert!(told.contains("event 2 is b, and the second time c"), "{told}");
        assert!(parted(&trace(&["a"]), &trace(&["a", "d"])).unwrap().contains("event 2 is nothing"));
    }
}
