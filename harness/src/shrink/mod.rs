//! Makes a scenario smaller for as long as it fails in the same way: what is left is what the failure needs. Delta debugging
//! over the scenario's tree, and over the single pods and strikes that its loads and faults draw. Each candidate is a run;
//! what holds, or fails in another way, is no candidate. The same scenario, seed and number of runs give the same result.

mod draft;
mod failure;
mod search;
mod steps;

use std::path::Path;
use std::time::Duration;

pub use failure::{Failure, failures};

use crate::error::Error;
use crate::run::Report;
use crate::scenario::Scenario;
use draft::{Draft, Table, Value};
use search::Search;

/// A complaint that is longer is cut where it is quoted: characters.
const QUOTED: usize = 300;
/// What a scenario looks at in the end, whatever it is about: put back once it is small, so that it can be kept.
const KEPT: [&str; 3] = ["all_running", "no_leaks", "audited"];

/// How a scenario is run.
pub type Run<'a> = &'a dyn Fn(&Scenario, u64) -> Result<Report, Error>;

/// How much may be tried.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How many runs.
    pub runs: usize,
    /// How long, in real time.
    pub time: Duration,
    /// How many seeds are tried for a scenario that holds with the one that failed.
    pub seeds: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { runs: 2000, time: Duration::from_mins(1), seeds: 4 }
    }
}

/// A scenario that is as small as it got.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// The path of the one that it was made of.
    pub of: String,
    /// The seed with which that one fails.
    pub of_seed: u64,
    /// Its text.
    pub scenario: String,
    /// The seed with which it fails.
    pub seed: u64,
    /// How both fail.
    pub failure: Failure,
    /// What is told of the smaller one.
    pub complaint: String,
    /// How many events there were until the failure.
    pub events_before: usize,
    /// How many there are.
    pub events: usize,
    /// How many runs it took.
    pub runs: usize,
    /// Whether a limit ended it.
    pub cut_short: bool,
    /// What was left out or made less, in the order in which it was.
    pub steps: Vec<String>,
}

impl Shrunk {
    /// In a line.
    pub fn summary(&self) -> String {
        let Self { failure, events_before, events, runs, cut_short, .. } = self;
        let cut = if *cut_short { "; the limit ended it" } else { "" };
        format!("{failure}: {events_before} events to {events} in {runs} runs{cut}")
    }

    /// The file that it becomes at `path`, with what it was made of and the line that runs it again.
    pub fn text(&self, path: &Path) -> String {
        let Self { of, of_seed, scenario, seed, complaint, .. } = self;
        format!(
            "# Made smaller by harness shrink, of {of} with seed {of_seed}: {}.\n# {complaint}\n\
             # Again: harness replay --seed {seed} {}\n{scenario}",
            self.summary(),
            path.display()
        )
    }
}

/// Makes the scenario of this text smaller, which fails with `seed`. `path` is for messages.
///
/// # Errors
/// [`Error::Scenario`]: it is none. [`Error::NothingToShrink`]: it holds, or what it lacks would be lacking even more.
/// Whatever `run` refuses at first.
pub fn shrink(path: &str, text: &str, seed: u64, limits: Limits, run: Run<'_>) -> Result<Shrunk, Error> {
    let scenario = Scenario::parse(path, text)?;
    let report = run(&scenario, seed)?;
    let refused = |why: &'static str| Error::NothingToShrink { path: path.to_owned(), seed, why };
    if report.passed() {
        return Err(refused("it holds"));
    }
    let target = failures(&report).into_iter().next();
    let target = target.ok_or_else(|| refused("it tells of what did not happen"))?;
    let whole = Draft::read(text).ok_or_else(|| refused("it cannot be read as a tree"))?;
    let mut search = Search::new(whole.clone().with_seed(seed), report, target, limits, run);
    let events_before = search.events();
    // Whatever is left out: what the others draw stays what it was.
    search.begin();
    search.exhaust();
    search.end();
    search.name(head(search.best(), &scenario, search.target(), seed));
    if let Failure::Invariant(_) = search.target() {
        // A run stops where an invariant breaks; once it holds, these are looked at.
        let kept =
            whole.expectations.iter().filter(|table| KEPT.contains(&table.entry.name)).cloned().collect();
        search.replace(Draft { expectations: kept, ..search.best().clone() });
    }
    let best = search.best();
    Ok(Shrunk {
        of: path.to_owned(),
        of_seed: seed,
        scenario: best.text(),
        seed: best.seed(),
        failure: search.target().clone(),
        complaint: quoted(search.report()),
        events_before,
        events: search.events(),
        runs: search.runs(),
        cut_short: search.is_cut_short(),
        steps: search.steps().to_vec(),
    })
}

/// A head that says where it comes from.
fn head(draft: &Draft, scenario: &Scenario, failure: &Failure, seed: u64) -> Table {
    let why = format!(
        "nuage-cni {}: {failure}, found by {} with seed {seed} ({})",
        crate::VERSION,
        scenario.name,
        scenario.why
    );
    let mut head = draft.head.clone();
    head.values.insert("why", Value::Text(why));
    head
}

/// The first complaint, in one line.
fn quoted(report: &Report) -> String {
    let complaint = report.complaints().into_iter().next().unwrap_or_default();
    complaint.chars().map(|c| if c.is_control() { ' ' } else { c }).take(QUOTED).collect()
}
