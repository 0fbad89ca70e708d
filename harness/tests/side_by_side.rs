//! Worlds share nothing: what runs beside a run, on another thread, changes nothing in it.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::num::NonZeroUsize;
use std::path::Path;

use nuage_harness::run::pool::Pool;
use nuage_harness::run::run;
use nuage_harness::scenario::{Scenario, collect};

fn scenarios() -> Vec<Scenario> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios");
    let names = ["one-pod", "vrs-restart-during-churn", "api-server-in-trouble", "controller-answers-wrong"];
    let mut all = collect(&[directory]).unwrap();
    all.retain(|scenario| names.iter().any(|name| scenario.name.ends_with(name)));
    assert_eq!(all.len(), names.len());
    all
}

#[test]
fn worlds_side_by_side_have_the_traces_that_they_have_alone() {
    let scenarios = scenarios();
    let alone: Vec<_> = scenarios.iter().map(|scenario| run(scenario, 3).unwrap().trace).collect();
    // Each of them twice, all of them at once.
    let twice = scenarios.len() * 2;
    let mut beside = Vec::new();
    let shared = scenarios.clone();
    Pool::of(NonZeroUsize::new(twice).unwrap()).in_order(
        twice,
        move |piece| run(&shared[piece % shared.len()], 3).unwrap().trace,
        |trace| {
            beside.push(trace);
            true
        },
    );
    assert_eq!(beside.len(), twice);
    for (number, trace) in beside.iter().enumerate() {
        let same = *trace == alone[number % scenarios.len()];
        assert!(same, "{} differs beside others", scenarios[number % scenarios.len()].name);
    }
}
