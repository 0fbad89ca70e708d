//! `harness run`: scenarios, a line each and a summary.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::progress::Progress;
use super::shrink::{LimitArguments, smaller};
use super::{HOLDS, INTERRUPTED, NOT_DETERMINISTIC, VIOLATED, complain, note, say};
use crate::coverage::Coverage;
use crate::error::Error;
use crate::report::record::{Record, Varied, Verdict};
use crate::report::results::{Results, coverage};
use crate::report::{self, Directory, line};
use crate::run::interrupt::Interrupt;
use crate::run::pool::{Pool, UnderWay};
#[cfg(target_os = "linux")]
use crate::run::run_on_host;
use crate::run::sweep::{Maker, Shard};
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
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
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
    /// Go on with the report that is there: runs that it has already, of the same scenario, seed and executable, are not made again
    #[arg(long, requires = "report")]
    resume: bool,
    /// Make the first run of each scenario that fails as small as it can be and still fail: shrunk/SCENARIO.SEED.toml in the report
    #[arg(long, requires = "report")]
    shrink: bool,
    #[command(flatten)]
    shrink_limits: LimitArguments,
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

/// A run that is to be made.
struct Piece {
    planned: Arc<Planned>,
    seed: u64,
    /// What tells it from every other.
    identity: String,
}

/// Under this name a record says which run it is.
const IDENTITY: &str = "identity";
/// Under this name a record says where its smaller scenario is.
const SHRUNK: &str = "shrunk";

pub(super) fn run(arguments: &Arguments) -> Result<u8, Error> {
    let pieces = arguments.pieces(arguments.scenarios()?)?;
    let ground = Ground::new(arguments)?;
    let (mut directory, mut done) = arguments.begin(&pieces)?;
    let before = done.len();
    let interrupt = Interrupt::by_signals();
    let pool = Pool { jobs: arguments.jobs, interrupt: interrupt.clone(), under_way: ground.under_way() };
    if let Some(error) = make(arguments, &pool, &pieces, ground, directory.as_mut(), &mut done) {
        return Err(error);
    }
    if let Some(directory) = directory.as_ref().filter(|_| arguments.shrink && !interrupt.is_set()) {
        shrink_failures(arguments, &pool, &pieces, directory, &mut done);
    }
    let all = pieces.len();
    let (not_begun, interrupted) = (all - done.len(), interrupt.is_set());
    let results = Results { not_begun, interrupted, ..Results::of(done.into_values().collect()) };
    if let Some(directory) = &directory {
        directory.finish(&results)?;
    }
    match arguments.json {
        Some(Form::Object) => say(&results.to_text()),
        Some(Form::Lines) => {}
        None => {
            say(&results.summary.line());
            if before > 0 {
                say(&format!("{before} of {all} runs were made before"));
            }
            if not_begun > 0 {
                let why = match (interrupted, arguments.time_limit) {
                    (true, _) => "interrupted",
                    (false, Some(_)) => "the time was up",
                    (false, None) => "a run failed",
                };
                say(&format!("{why}: {not_begun} of {all} runs were not begun"));
            }
        }
    }
    let covered = !arguments.coverage || tell_coverage(&coverage(&results.runs), arguments.json.is_some());
    Ok(if interrupted {
        INTERRUPTED
    } else if results.summary.not_deterministic > 0 {
        NOT_DETERMINISTIC
    } else if !covered || results.summary.failed > 0 {
        VIOLATED
    } else {
        HOLDS
    })
}

/// Makes the runs that are not done yet, and tells of each. What keeps the rest from being made, if anything does.
fn make(
    arguments: &Arguments,
    pool: &Pool,
    pieces: &Arc<Vec<Piece>>,
    ground: Ground,
    mut directory: Option<&mut Directory>,
    done: &mut BTreeMap<usize, Record>,
) -> Option<Error> {
    let left: Vec<usize> = (0..pieces.len()).filter(|piece| !done.contains_key(piece)).collect();
    let progress = Arc::new(Progress::begin(left.len(), arguments.json.is_none()));
    let (limit, twice, watch) = (arguments.time_limit, arguments.check_determinism, Stopwatch::start());
    let count = left.len();
    let work = {
        let (pieces, progress, interrupt) =
            (Arc::clone(pieces), Arc::clone(&progress), pool.interrupt.clone());
        move |nth: usize| {
            let number = left[nth];
            let in_time = limit.is_none_or(|limit| watch.elapsed() < limit);
            let made = in_time.then(|| one(&pieces[number], twice, &ground));
            if let Some(Err(Error::Interrupted)) = &made {
                // It was told by the same signal, perhaps earlier.
                interrupt.set();
            }
            let failed =
                made.as_ref().is_some_and(|made| made.as_ref().is_ok_and(|made| made.record.failed()));
            progress.tick(failed);
            made.map(|made| (number, made))
        }
    };
    let mut wrong = None;
    pool.in_order(count, work, |result| {
        let Some((number, made)) = result else { return true };
        match made.and_then(|made| tell(made, arguments, directory.as_deref_mut(), &progress)) {
            Ok(record) => {
                let failed = record.failed();
                done.insert(number, record);
                !(failed && arguments.fail_fast)
            }
            Err(Error::Interrupted) => true,
            Err(error) => {
                wrong = Some(error);
                false
            }
        }
    });
    progress.end();
    wrong
}

/// Makes the first run of each scenario that fails smaller. What cannot be made smaller is told and no failure.
fn shrink_failures(
    arguments: &Arguments,
    pool: &Pool,
    pieces: &Arc<Vec<Piece>>,
    directory: &Directory,
    done: &mut BTreeMap<usize, Record>,
) {
    let mut first = BTreeMap::new();
    // A scenario that was varied is in no file.
    let fails = |record: &Record| record.verdict == Verdict::Failed && record.varied.is_none();
    for (number, record) in done.iter().filter(|(_, record)| fails(record)) {
        first.entry(record.scenario.clone()).or_insert(*number);
    }
    let numbers: Vec<usize> = first.into_values().collect();
    let (limits, shared, count) = (arguments.shrink_limits, Arc::clone(pieces), numbers.len());
    let work = move |nth: usize| {
        let Piece { planned, seed, .. } = &shared[numbers[nth]];
        (numbers[nth], smaller(planned.scenario.path.as_ref(), *seed, limits))
    };
    pool.in_order(count, work, |(number, shrunk)| {
        let Some(record) = done.get_mut(&number) else { return true };
        let (path, name) = directory.shrunk(record);
        match shrunk.and_then(|shrunk| report::write(&path, &shrunk.text(&path)).map(|()| shrunk)) {
            Ok(shrunk) => {
                note(&format!("{}: {}", path.display(), shrunk.summary()));
                record.more.insert(SHRUNK.to_owned(), name.into());
            }
            Err(error) => note(&error.to_string()),
        }
        true
    });
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
    fn pieces(&self, scenarios: Vec<Planned>) -> Result<Arc<Vec<Piece>>, Error> {
        let Self { world, bin_dir, image, check_determinism, .. } = self;
        let maker = Maker::this(&format!("{world:?} {bin_dir:?} {image} {check_determinism}"))?;
        let mut pieces = Vec::new();
        for planned in scenarios.into_iter().map(Arc::new) {
            let first = self.seed.unwrap_or(planned.scenario.seed);
            pieces.extend((0..self.seeds).map(|offset| {
                let (planned, seed) = (Arc::clone(&planned), first.wrapping_add(offset));
                let identity = maker.identity(&planned.scenario, seed);
                Piece { planned, seed, identity }
            }));
        }
        Ok(Arc::new(match self.shard {
            Some(shard) => shard.of(pieces),
            None => pieces,
        }))
    }

    /// Begins a report, or goes on with one; with the runs that it has already, by their numbers.
    fn begin(&self, pieces: &[Piece]) -> Result<(Option<Directory>, BTreeMap<usize, Record>), Error> {
        let Some(path) = &self.report else { return Ok((None, BTreeMap::new())) };
        let numbers: BTreeMap<&str, usize> =
            pieces.iter().enumerate().map(|(number, piece)| (piece.identity.as_str(), number)).collect();
        let number_of = |record: &Record| numbers.get(record.more.get(IDENTITY)?.as_str()?).copied();
        let (directory, kept) = Directory::go_on(path, |record| self.resume && number_of(record).is_some())?;
        let done = kept.into_iter().filter_map(|record| Some((number_of(&record)?, record))).collect();
        Ok((Some(directory), done))
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
            // Of what a simulation has found alone.
            if let Some(rest) = record.replay.strip_prefix("harness replay ").filter(|_| record.failed()) {
                say(&format!("    smaller: harness shrink {rest}"));
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

    /// What becomes of runs that are interrupted: real ones take away what they have made.
    fn under_way(&self) -> UnderWay {
        match self {
            Self::Simulation { .. } => UnderWay::Left,
            #[cfg(target_os = "linux")]
            Self::Machine(_) => UnderWay::Awaited,
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

fn one(piece: &Piece, twice: bool, ground: &Ground) -> Result<Made, Error> {
    let Piece { planned, seed, identity } = piece;
    let (Planned { scenario, varied }, seed) = (&**planned, *seed);
    let watch = Stopwatch::start();
    let report = ground.run(scenario, seed)?;
    let real = watch.elapsed();
    let apart = if twice { parted(&report.trace, &ground.run(scenario, seed)?.trace) } else { None };
    let mut record = Record::of(&report, real, apart.is_none());
    record.complaints.extend(apart);
    record.more.insert(IDENTITY.to_owned(), identity.as_str().into());
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
