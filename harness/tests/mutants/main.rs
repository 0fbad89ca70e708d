//! The harness sees the bugs that it was made for: each known bug of the original that a run can meet is put back into the
//! plugin (its feature `mutants`), and a scenario of the library has to catch it, which holds without it. What no run can meet says
//! why, and what holds it instead. `scenarios/TRACK_RECORD.md` is the table of all that, and of the bugs that this project found in itself.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test")]

mod bugs;
mod found;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bugs::{BUGS, Bug, ELSEWHERE, MONITOR};
use found::{check_test, found};
use nuage_cni::host::{Clock, Host};
use nuage_harness::run::pool::Pool;
use nuage_harness::run::{Report, run_with};
use nuage_harness::scenario::{Scenario, collect};
use nuage_harness::world::sim::Tampering;

/// A clock that says which bug there is.
struct Mutated {
    clock: Arc<dyn Clock>,
    bug: &'static str,
}

impl Clock for Mutated {
    fn now(&self) -> Duration {
        self.clock.now()
    }
    fn mutant(&self) -> Option<&'static str> {
        Some(self.bug)
    }
}

/// The seams of a process that has the bug.
fn with(host: Host, bug: &'static str) -> Host {
    Host { clock: Arc::new(Mutated { clock: Arc::clone(&host.clock), bug }), ..host }
}

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn library() -> BTreeMap<String, Scenario> {
    let scenarios = collect(&[top().join("scenarios")]).unwrap();
    let name = |scenario: &Scenario| scenario.name.rsplit_once("scenarios/").unwrap().1.to_owned();
    scenarios.into_iter().map(|scenario| (name(&scenario), scenario)).collect()
}

/// What a run was stopped by: an invariant, or the expectations that do not hold.
fn fired(report: &Report) -> BTreeSet<String> {
    let kind = |failure: &String| failure.split([':', ' ']).next().unwrap_or_default().to_owned();
    let violated = report.violation.iter().map(|violation| violation.invariant.to_owned());
    violated.chain(report.failures.iter().map(kind)).collect()
}

/// All runs, each on the scenario's own seed: what fired with each bug, and how each scenario ends without one.
fn runs(
    library: &BTreeMap<String, Scenario>,
) -> (Vec<BTreeSet<String>>, BTreeMap<&'static str, Vec<String>>) {
    let used: BTreeSet<&'static str> =
        BUGS.iter().map(|bug| bug.scenario).chain(MONITOR.iter().map(|bug| bug.scenario)).collect();
    let used: Vec<&'static str> = used.into_iter().collect();
    let (scenarios, names) = (library.clone(), used.clone());
    let one = move |piece: usize| {
        let (name, wrap) = match BUGS.get(piece) {
            Some(bug) => (bug.scenario, Some(bug.wrap)),
            None => (names[piece - BUGS.len()], None),
        };
        let scenario = scenarios.get(name).unwrap_or_else(|| panic!("no scenario {name}"));
        run_with(scenario, scenario.seed, Tampering { wrap, ..Tampering::default() }).unwrap()
    };
    let jobs = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let (mut caught, mut healthy) = (Vec::new(), BTreeMap::new());
    Pool::of(jobs).in_order(BUGS.len() + used.len(), one, |report| {
        match used.get(caught.len().saturating_sub(BUGS.len()) + healthy.len()) {
            Some(name) if caught.len() == BUGS.len() => drop(healthy.insert(*name, report.complaints())),
            _ => caught.push(fired(&report)),
        }
        true
    });
    (caught, healthy)
}

#[test]
fn every_bug_of_the_original_is_caught_by_its_scenario_which_holds_without_it() {
    let library = library();
    let (caught, healthy) = runs(&library);
    let path = top().join("scenarios/TRACK_RECORD.md");
    let table = table(&library, &caught);
    if std::env::var_os("NUAGE_WRITE").is_some() {
        std::fs::write(&path, &table).unwrap();
    }
    for (scenario, complaints) in &healthy {
        assert!(complaints.is_empty(), "{scenario} without any bug: {complaints:?}");
    }
    let missed = BUGS.iter().zip(&caught).filter(|(_, fired)| fired.is_empty());
    let missed: Vec<&str> = missed.map(|(bug, _)| bug.name).collect();
    assert!(missed.is_empty(), "no scenario has caught {missed:?}");
    for bug in MONITOR {
        let declared = library[bug.scenario].faults.iter().any(|fault| fault.name() == bug.fault);
        assert!(declared, "{} has no {}", bug.scenario, bug.fault);
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == table, "write it anew: NUAGE_WRITE=1 cargo test -p nuage-harness --test mutants");
}

#[test]
fn every_known_bug_of_plugin_and_audit_is_caught_or_says_what_holds_it_instead() {
    let mut known: Vec<&str> = BUGS.iter().map(|bug| bug.name).collect();
    known.extend(MONITOR.iter().map(|bug| bug.name));
    known.extend(ELSEWHERE.iter().map(|bug| bug.name));
    let told = |letter: char, last: u32| {
        let all = (1..=last).map(move |number| format!("{letter}{number}"));
        all.filter(|name| !known.contains(&name.as_str())).collect::<Vec<String>>()
    };
    let untold = [told('B', 22), told('A', 14), told('M', 15)].concat();
    assert!(untold.is_empty(), "nothing is said of {untold:?}");
    let mut once = BTreeSet::new();
    for name in known.iter().filter(|name| !name.starts_with('M')) {
        assert!(once.insert(name), "{name} stands twice");
    }
    for bug in ELSEWHERE {
        assert!(!bug.why.is_empty(), "{} says no reason", bug.name);
        bug.held_by.iter().for_each(|test| check_test(&top(), bug.name, test));
    }
}

#[test]
fn every_bug_that_was_found_has_its_regression_test() {
    let found = found();
    assert!(found.len() >= 20, "{}", found.len());
    for bug in found {
        assert!(!bug.bug.is_empty() && !bug.finder.is_empty(), "{bug:?}");
        check_test(&top(), &bug.bug, &bug.test);
    }
}

#[test]
fn what_is_built_with_the_bugs_is_known_by_their_mark() {
    // By it the packager's tests know that nothing shipped has them.
    let source = std::fs::read_to_string(top().join("cni/src/mutants.rs")).unwrap();
    let mark = source.split_once("MARK: &str = \"").and_then(|(_, rest)| rest.split_once('"')).unwrap().0;
    let this = std::fs::read(std::env::current_exe().unwrap()).unwrap();
    assert!(this.windows(mark.len()).any(|window| window == mark.as_bytes()));
}

/// The page.
fn table(library: &BTreeMap<String, Scenario>, caught: &[BTreeSet<String>]) -> String {
    let mut text = String::from(
        "# Track record\n\n\
         Generated by `harness/tests/mutants` (write it anew: `NUAGE_WRITE=1 cargo test -p nuage-harness --test mutants`), which\n\
         fails where a line of it is not so.\n\n\
         ## Bugs of the original, put back\n\n\
         What the plugin of 2020 and its audit did wrong. Each is put back into ours, one at a time, and a scenario of the library\n\
         catches it; without it the same scenario and seed hold.\n\n\
         | | bug | scenario | seed | what fired |\n|---|---|---|---|---|\n",
    );
    for (Bug { name, about, scenario, .. }, fired) in BUGS.iter().zip(caught) {
        let fired: Vec<String> = fired.iter().map(|what| format!("`{what}`")).collect();
        let seed = library[*scenario].seed;
        writeln!(text, "| {name} | {about} | `{scenario}` | {seed} | {} |", fired.join(", ")).unwrap();
    }
    text.push_str(
        "\n## Bugs of the original monitor, which the emulated one can have\n\n\
         They are faults by name: the plugin has to live with a monitor that has them.\n\n\
         | | bug | fault | scenario that holds with it |\n|---|---|---|---|\n",
    );
    for bug in MONITOR {
        writeln!(text, "| {} | {} | `{}` | `{}` |", bug.name, bug.about, bug.fault, bug.scenario).unwrap();
    }
    text.push_str(
        "\n## Bugs of the original that no run of the library can meet\n\n\
         | | bug | why | what holds it instead |\n|---|---|---|---|\n",
    );
    for bug in ELSEWHERE {
        let tests: Vec<String> = bug.held_by.iter().map(|test| format!("`{test}`")).collect();
        let held = if tests.is_empty() { "-".to_owned() } else { tests.join("<br>") };
        writeln!(text, "| {} | {} | {} | {held} |", bug.name, bug.about, bug.why).unwrap();
    }
    text.push_str(
        "\n## Bugs of this project\n\n\
         Found so far, by what found them, each with the test that keeps it away.\n\n\
         | bug | found by | regression test |\n|---|---|---|\n",
    );
    for bug in found() {
        writeln!(text, "| {} | {} | `{}` |", bug.bug, bug.finder, bug.test).unwrap();
    }
    text
}
