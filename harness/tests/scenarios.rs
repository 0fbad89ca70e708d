//! The shipped scenarios hold, and every run of a seed is the same, byte for byte.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test")]

use std::path::{Path, PathBuf};

use nuage_harness::run::run;
use nuage_harness::scenario::{Scenario, collect};

fn shipped() -> Vec<Scenario> {
    let directory: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios");
    collect(&[directory]).unwrap()
}

#[test]
fn every_shipped_scenario_holds_and_its_trace_is_the_same_twice() {
    let scenarios = shipped();
    assert!(scenarios.len() >= 4);
    for scenario in scenarios {
        let first = run(&scenario, scenario.seed).unwrap();
        assert!(first.passed(), "{}: {:?}", scenario.name, first.complaints());
        let second = run(&scenario, scenario.seed).unwrap();
        assert!(first.trace.join("\n") == second.trace.join("\n"), "{} differs from itself", scenario.name);
        assert!(first.trace.len() > 5);
    }
}

#[test]
fn another_seed_gives_another_trace_that_holds_too() {
    let scenarios = shipped();
    let rollout =
        scenarios.iter().find(|scenario| scenario.name.ends_with("monitor-down-during-drain")).unwrap();
    let (one, two) = (run(rollout, 2).unwrap(), run(rollout, 3).unwrap());
    assert_ne!(one.trace, two.trace);
    assert!(one.passed() && two.passed(), "{:?} {:?}", one.complaints(), two.complaints());
}
