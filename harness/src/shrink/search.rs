//! The search: the smallest scenario so far, what is tried next, and how much may still be tried. Decides what is smaller;
//! where to look is the steps'.

use std::collections::BTreeSet;

use super::draft::{Draft, Table, Unit, Value, Weight};
use super::{Failure, Limits, Run, failures, steps};
use crate::run::Report;
use crate::scenario::Scenario;
use crate::stopwatch::Stopwatch;

/// A search that still finds something after so many rounds goes in circles.
const MOST_ROUNDS: usize = 20;

pub(super) struct Search<'a> {
    run: Run<'a>,
    limits: Limits,
    watch: Stopwatch,
    runs: usize,
    cut_short: bool,
    /// How many seeds a candidate is tried with.
    seeds: u64,
    target: Failure,
    best: Draft,
    report: Report,
    /// What was tried, so that no round does what another has done.
    tried: BTreeSet<String>,
    steps: Vec<String>,
}

/// How many events a run has until it fails.
fn events_of(report: &Report) -> usize {
    report.violation.as_ref().map_or(report.trace.len(), |violation| violation.events)
}

impl<'a> Search<'a> {
    /// Begins with a scenario that fails, and its report.
    pub(super) fn new(whole: Draft, report: Report, target: Failure, limits: Limits, run: Run<'a>) -> Self {
        Self {
            run,
            limits,
            watch: Stopwatch::start(),
            runs: 1,
            cut_short: false,
            seeds: 1,
            target,
            best: whole,
            report,
            tried: BTreeSet::new(),
            steps: Vec::new(),
        }
    }

    /// Numbers the streams of loads and faults, which changes nothing until one of them is left out.
    pub(super) fn begin(&mut self) {
        let loads = self.best.loads.len();
        for (place, table) in self.best.parts_mut().enumerate() {
            let stream = if place < loads { place } else { place - loads } as u64 + 1;
            table.values.entry("stream").or_insert(Value::Range(stream, stream, Unit::One));
        }
        self.tried.insert(self.best.text());
    }

    /// Round after round, until nothing more can be left out: with the seed that failed, and then with others.
    pub(super) fn exhaust(&mut self) {
        for _ in 0..MOST_ROUNDS {
            let before = self.steps.len();
            steps::round(self);
            if self.is_cut_short() {
                return;
            }
            let found = self.steps.len() > before;
            match (found, self.seeds) {
                (false, 1) if self.limits.seeds > 1 => {
                    // What was tried with one seed has not been with the others.
                    self.seeds = self.limits.seeds;
                }
                (false, _) => return,
                (true, _) => self.seeds = 1,
            }
        }
    }

    /// Tries a candidate: whether it fails in the same way and is smaller. If so it is the smallest so far.
    pub(super) fn attempt(&mut self, candidate: &Draft, step: impl FnOnce() -> String) -> bool {
        let first = self.best.seed();
        for offset in 0..self.seeds {
            let seed = first.wrapping_add(offset) & i64::MAX.cast_unsigned();
            let candidate = candidate.clone().with_seed(seed);
            if let Some(report) = self.fails(&candidate, seed)
                && self.is_smaller(&candidate, &report)
            {
                self.steps.push(step());
                (self.best, self.report) = (candidate, report);
                return true;
            }
        }
        false
    }

    /// Takes a scenario that is easier to read, if it fails in the same way and as early. No limit keeps it from being tried:
    /// there are few of these.
    pub(super) fn replace(&mut self, draft: Draft) {
        if let Some(report) = self.fails_once(&draft, draft.seed())
            && events_of(&report) <= self.events()
        {
            (self.best, self.report) = (draft, report);
        }
    }

    /// Takes away the numbers of streams that change nothing.
    pub(super) fn end(&mut self) {
        for place in 0..self.best.parts_mut().count() {
            let mut draft = self.best.clone();
            let removed = draft.parts_mut().nth(place).and_then(|table| table.values.remove("stream"));
            if removed.is_some() {
                self.replace(draft);
            }
        }
    }

    /// Runs a candidate, if there is still time for it; its report if it fails as it has to.
    fn fails(&mut self, candidate: &Draft, seed: u64) -> Option<Report> {
        if self.runs >= self.limits.runs || self.watch.elapsed() >= self.limits.time {
            self.cut_short = true;
            return None;
        }
        self.fails_once(candidate, seed)
    }

    fn fails_once(&mut self, candidate: &Draft, seed: u64) -> Option<Report> {
        let text = candidate.text();
        // Left out too much: no load, or a node that is not there any more.
        let scenario = Scenario::parse("candidate", &text).ok()?;
        if !self.tried.insert(text) {
            return None;
        }
        self.runs += 1;
        let report = (self.run)(&scenario, seed).ok()?;
        failures(&report).contains(&self.target).then_some(report)
    }

    fn is_smaller(&self, candidate: &Draft, report: &Report) -> bool {
        let size =
            |draft: &Draft, report: &Report| -> (usize, Weight) { (events_of(report), draft.weight()) };
        size(candidate, report) < size(&self.best, &self.report)
    }

    /// Gives the smallest so far another head, which no run looks at.
    pub(super) fn name(&mut self, head: Table) {
        self.best.head = head;
    }

    /// The smallest so far.
    pub(super) fn best(&self) -> &Draft {
        &self.best
    }

    /// Its report.
    pub(super) fn report(&self) -> &Report {
        &self.report
    }

    /// How many events it has until it fails.
    pub(super) fn events(&self) -> usize {
        events_of(&self.report)
    }

    /// What has to break.
    pub(super) fn target(&self) -> &Failure {
        &self.target
    }

    /// How many runs were made.
    pub(super) fn runs(&self) -> usize {
        self.runs
    }

    /// Whether there was more to be tried.
    pub(super) fn is_cut_short(&self) -> bool {
        self.cut_short
    }

    /// What was found.
    pub(super) fn steps(&self) -> &[String] {
        &self.steps
    }
}
