//! Shrinking: a failure that is planted in a long run comes down to a few events, and whatever comes out fails as what went in.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use nuage_cni::host::{Host, Log, LogFile};
use nuage_emulator::vrs::DATABASE;
use nuage_harness::error::Error;
use nuage_harness::run::{Report, run, run_with};
use nuage_harness::scenario::Scenario;
use nuage_harness::shrink::{Limits, Shrunk, failures, shrink};
use nuage_harness::world::sim::{Node, Tampering};
use proptest::prelude::*;

/// A run of more than five hundred events, in which most has nothing to do with the failure.
const LONG: &str = r#"
title = "A long run"
why = "nuage-cni 2026: a planted failure"
seed = 3

[cluster]
nodes = "3..5"

[[load]]
kind = "deployment"
namespace = "web"
replicas = "8..12"
updates = 1

[[load]]
kind = "churn"
namespace = "jobs"
rate = "3/s"
duration = "40s"
lifetime = "5s..20s"

[[load]]
kind = "drain"
at = "20s"

[[fault]]
kind = "vrs.restart"
at = "10s..30s"
for = "1s..4s"

[[fault]]
kind = "vrs.slow"
chance = "5%"
delay = "10ms..1s"

[[expect]]
kind = "all_running"

[[expect]]
kind = "no_leaks"
"#;

/// A log that tells a secret.
struct Gossip {
    log: Arc<dyn Log>,
    secret: String,
}

impl Log for Gossip {
    fn write(&self, file: &LogFile, line: &str) {
        self.log.write(file, &format!("{line} token={}", self.secret));
    }
    fn report(&self, socket: &Path, datagram: &[u8]) {
        self.log.report(socket, datagram);
    }
}

fn gossip(node: &Node, host: Host) -> Host {
    let log = Gossip { log: Arc::clone(&host.log), secret: node.secrets[0].clone() };
    Host { log: Arc::new(log), ..host }
}

/// Secrets are told while the switch is away.
fn gossip_without_switch(node: &Node, host: Host) -> Host {
    if node.vrs.connect().is_some() { host } else { gossip(node, host) }
}

/// Secrets are told while the switch knows of this pod.
fn gossip_with_job_100(node: &Node, host: Host) -> Host {
    let rows = node.vrs.server().rows(DATABASE, "Nuage_VM_Table");
    if rows.iter().any(|(_, row)| row["vm_name"] == "job-100") { gossip(node, host) } else { host }
}

fn planted(wrap: fn(&Node, Host) -> Host) -> impl Fn(&Scenario, u64) -> Result<Report, Error> {
    move |scenario, seed| run_with(scenario, seed, Tampering { wrap: Some(wrap), ..Tampering::default() })
}

fn again(shrunk: &Shrunk, run: impl Fn(&Scenario, u64) -> Result<Report, Error>) -> Report {
    let text = shrunk.text(Path::new("small.toml"));
    let scenario = Scenario::parse("small.toml", &text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    assert_eq!(scenario.seed, shrunk.seed, "the file has the seed");
    run(&scenario, scenario.seed).unwrap()
}

/// Shrinks what is planted, and runs the file again that comes out.
fn shrunk(wrap: fn(&Node, Host) -> Host, limits: Limits) -> Shrunk {
    let run = planted(wrap);
    let shrunk = shrink("long.toml", LONG, 3, limits, &run).unwrap();
    let report = again(&shrunk, &run);
    let told = format!("{}\n{}", shrunk.steps.join("\n"), shrunk.text(Path::new("small.toml")));
    assert!(failures(&report).contains(&shrunk.failure), "{:?}\n{told}", report.complaints());
    assert!(shrunk.events <= 10, "{told}");
    shrunk
}

/// Runs, not time: a machine that is busy finds the same.
const LIMITS: Limits = Limits { runs: 400, time: Duration::from_mins(30), seeds: 4 };

#[test]
fn one_pod_that_brings_a_run_of_five_hundred_events_down_is_left_with_ten_at_most() {
    let shrunk = shrunk(gossip_with_job_100, LIMITS);
    assert!(shrunk.events_before >= 500, "{}", shrunk.summary());
    assert!(shrunk.scenario.contains("kind = \"no_leaks\""), "it looks at what is left: {}", shrunk.scenario);
}

#[test]
fn a_fault_and_the_pod_that_it_takes_to_fail_are_left_with_ten_events_at_most() {
    let shrunk = shrunk(gossip_without_switch, LIMITS);
    assert!(shrunk.scenario.contains("vrs.restart") && !shrunk.scenario.contains("vrs.slow"));
}

/// A small scenario with these tables beside one pod.
fn small(tables: &str) -> String {
    format!("title = \"t\"\nwhy = \"w\"\n[[load]]\nkind = \"pod\"\n{tables}")
}

fn refusal(text: &str) -> String {
    match shrink("x.toml", text, 1, Limits::default(), &run) {
        Err(error @ Error::NothingToShrink { .. }) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_holds_and_what_only_lacks_something_is_refused() {
    assert_eq!(refusal(&small("")), "x.toml with seed 1: it holds, so there is nothing to make smaller");
    let lacks = small("[[expect]]\nkind = \"answers\"\nop = \"CHECK\"\n");
    assert!(refusal(&lacks).contains("it tells of what did not happen"));
}

/// A report that fails, of as many events, without a run.
fn failing(like: &Report, events: usize) -> Report {
    let mut report = like.clone();
    report.trace = vec![String::from("{}"); events];
    report.failures = vec![String::from("no_leaks: left after 30s: all of it")];
    report
}

/// Loads and faults that a scenario can be put together from.
const LOADS: [&str; 6] = [
    "kind = \"pod\"\ncount = \"3..40\"\n",
    "kind = \"churn\"\nrate = \"5..50/s\"\nduration = \"90s\"\npercent = \"5%\"\n",
    "kind = \"deployment\"\nreplicas = 30\nupdates = 2\n",
    "kind = \"drain\"\nat = \"10s..20s\"\nnode = 2\n",
    "kind = \"reboot\"\nat = \"20s\"\nlose_rows = true\n",
    "kind = \"job\"\n",
];
const FAULTS: [&str; 5] = [
    "kind = \"vrs.restart\"\nat = \"3s..9s\"\nlose_rows = true\n",
    "kind = \"vrs.slow\"\nchance = \"5%\"\ndelay = \"1s..4s\"\n",
    "kind = \"vsc.never\"\nonly = [3, 5, 8]\n",
    "kind = \"plugin.killed\"\ntimes = 9\n",
    "kind = \"node.clock_jump\"\n",
];

fn kind(table: &str) -> &str {
    table.split('"').nth(1).unwrap()
}

/// How many loads and faults of which kinds a scenario has.
fn kinds(text: &str) -> Vec<String> {
    let kinds = text.lines().filter_map(|line| line.strip_prefix("kind = "));
    kinds.map(|kind| kind.trim_matches('"').to_owned()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    /// What fails is decided by the kinds that are there, so that it is known what has to be left.
    #[test]
    fn whatever_is_put_together_comes_down_to_what_fails_and_still_fails(
        loads in prop::collection::vec(0..LOADS.len(), 1..6),
        faults in prop::collection::vec(0..FAULTS.len(), 0..5),
        load in any::<prop::sample::Index>(),
        fault in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let held = run(&Scenario::parse("x.toml", &small("")).unwrap(), 1).unwrap();
        let mut text = String::from("title = \"t\"\nwhy = \"w\"\n[cluster]\nnodes = \"2..9\"\n");
        let loads_text: Vec<String> = loads.iter().map(|index| ["[[load]]\n", LOADS[*index]].concat()).collect();
        let faults_text: Vec<String> = faults.iter().map(|index| ["[[fault]]\n", FAULTS[*index]].concat()).collect();
        text += &(loads_text.concat() + &faults_text.concat());
        text += "[[expect]]\nkind = \"no_leaks\"\n[[expect]]\nkind = \"all_running\"\n";
        let load = kind(LOADS[*load.get(&loads)]);
        let fault = fault.filter(|_| !faults.is_empty()).map(|fault| kind(FAULTS[*fault.get(&faults)]));
        let needed = |scenario: &Scenario| {
            let is_needed = |known: String| known.to_lowercase().starts_with(load);
            scenario.loads.iter().any(|known| is_needed(format!("{known:?}")))
                && fault.is_none_or(|fault| scenario.faults.iter().any(|known| known.name() == fault))
        };
        let model = |scenario: &Scenario, _: u64| {
            let events = 10 * scenario.loads.len() + scenario.faults.len() + scenario.cluster.draw(1).nodes;
            Ok(if needed(scenario) { failing(&held, events) } else { held.clone() })
        };
        let shrunk = shrink("x.toml", &text, 1, LIMITS, &model).unwrap();
        let file = shrunk.text(Path::new("small.toml"));
        let scenario = Scenario::parse("small.toml", &file).unwrap_or_else(|error| panic!("{error}\n{file}"));
        prop_assert!(needed(&scenario) && !shrunk.cut_short, "{}", file);
        let left: Vec<String> = [load].into_iter().chain(fault).map(str::to_owned).collect();
        prop_assert_eq!(kinds(&file), left);
        prop_assert!(!file.contains("..") && !file.contains("nodes = 9"), "{}", file);
        // The same once more is the same.
        prop_assert_eq!(shrink("x.toml", &text, 1, LIMITS, &model).unwrap().scenario, shrunk.scenario);
    }
}

#[test]
fn a_search_that_is_ended_by_its_limit_has_the_smallest_so_far() {
    let held = run(&Scenario::parse("x.toml", &small("")).unwrap(), 1).unwrap();
    let text = small(&"[[load]]\nkind = \"job\"\n".repeat(30));
    let model = |scenario: &Scenario, _: u64| Ok(failing(&held, scenario.loads.len()));
    let limited = |runs: usize| shrink("x.toml", &text, 1, Limits { runs, ..LIMITS }, &model).unwrap();
    let (few, many) = (limited(2), limited(200));
    assert!(few.cut_short && few.summary().ends_with("the limit ended it"));
    assert!(
        !many.cut_short && many.events == 1 && few.events > 1 && few.events < 31,
        "{} {}",
        few.events,
        many.events
    );
}
