//! The shipped scenarios hold, and every run of a seed is the same, byte for byte.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test")]

use std::path::{Path, PathBuf};

use nuage_harness::run::run;
use nuage_harness::scenario::{Scenario, collect};

fn shipped() -> Vec<Scenario> {
    let directory: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios");
    collect(&[directory]).unwrap()
}

/// Small ones of each folder; `ci/test` runs all of them on the optimised build, five seeds, twice.
const SAMPLE: [&str; 10] = [
    "regressions/dels-on-a-full-disk",
    "regressions/faults-that-end-together",
    "everyday/one-pod",
    "everyday/stateful-set",
    "everyday/static-and-host-network-pods",
    "failures/crash-loop",
    "failures/del-overtakes-add",
    "failures/plugin-killed-everywhere-in-add",
    "upgrades/from-the-original",
    "abuse/asks-for-too-much",
];

#[test]
fn a_sample_of_the_shipped_scenarios_holds_and_each_trace_is_the_same_twice() {
    let scenarios = shipped();
    for name in SAMPLE {
        let scenario = scenarios.iter().find(|scenario| scenario.name.ends_with(name)).expect(name);
        let first = run(scenario, scenario.seed).unwrap();
        assert!(first.passed(), "{}: {:?}", scenario.name, first.complaints());
        let second = run(scenario, scenario.seed).unwrap();
        assert!(first.trace.join("\n") == second.trace.join("\n"), "{} differs from itself", scenario.name);
        assert!(first.trace.len() > 5);
    }
}

#[test]
fn every_shipped_scenario_can_fail_and_none_is_larger_than_a_laptop_carries() {
    let scenarios = shipped();
    assert!(scenarios.len() >= 40, "{}", scenarios.len());
    for folder in ["everyday", "failures", "upgrades", "abuse", "regressions"] {
        assert!(scenarios.iter().filter(|scenario| scenario.name.contains(folder)).count() >= 3, "{folder}");
    }
    for scenario in scenarios {
        assert!(scenario.expectations.len() >= 2, "{} expects next to nothing", scenario.name);
        assert!(
            scenario.expectations.iter().any(|expectation| {
                let text = format!("{expectation:?}");
                text.contains("NoLeaks") || text.contains("Audited")
            }),
            "{} does not look at what is left",
            scenario.name
        );
        let nodes = (0..20).map(|seed| scenario.cluster.draw(seed).nodes).max();
        assert!(nodes <= Some(200), "{}: {nodes:?}", scenario.name);
    }
}

#[test]
fn every_shipped_scenario_says_with_its_source_why_there_is_one() {
    for scenario in shipped() {
        let source = scenario.why.split_once(": ").map_or("", |(source, _)| source);
        let named = |c: char| c.is_ascii_digit();
        assert!(
            (5..60).contains(&source.len()) && source.contains(named),
            "{}: {:?} names neither an issue nor a program with its version or year",
            scenario.name,
            scenario.why
        );
    }
}

#[test]
fn every_regression_says_what_was_broken_and_which_change_mended_it() {
    let regressions = shipped().into_iter().filter(|scenario| scenario.name.contains("regressions"));
    for scenario in regressions {
        assert!(scenario.why.contains("mended in: "), "{}: {}", scenario.name, scenario.why);
    }
}

#[test]
fn the_schema_that_editors_use_is_the_one_that_the_harness_prints() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios/schema.json");
    let kept = std::fs::read_to_string(path).unwrap();
    let printed = format!("{:#}\n", nuage_harness::scenario::schema::schema());
    assert!(kept == printed, "make it anew: harness schema > scenarios/schema.json");
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
