//! A plugin that is killed at any point leaves nothing that the runtime's next calls do not take away.
#![allow(clippy::unwrap_used, reason = "a test")]

use nuage_harness::run::run_with;
use nuage_harness::scenario::Scenario;
use nuage_harness::world::sim::Tampering;
use nuage_harness::world::sim::process::Kill;

/// No call is polled more often; if one is, the tests below would not end.
const MOST_POLLS: u64 = 10_000;

/// Kills the first call of `command` at its first, second, ... poll until it ends by itself; how many points there were.
fn kill_everywhere(command: &'static str) -> u64 {
    let text = "title = \"t\"\nwhy = \"w\"\n[[load]]\nkind = \"pod\"\nhold = \"2s\"\n\
                [[expect]]\nkind = \"all_running\"\n[[expect]]\nkind = \"no_leaks\"\nwithin = \"20s\"\n";
    let scenario = Scenario::parse("kill.toml", text).unwrap();
    for poll in 0..MOST_POLLS {
        let tampering = Tampering { kill: Some((command, Kill::AtPoll(poll))), ..Tampering::default() };
        let report = run_with(&scenario, 1, tampering).unwrap();
        assert!(report.passed(), "{command} killed at poll {poll}: {:#?}", report.complaints());
        if !report.trace.iter().any(|event| event.contains("\"event\":\"killed\"")) {
            return poll;
        }
    }
    MOST_POLLS
}

#[test]
fn an_add_that_is_killed_at_any_point_leaves_nothing_after_the_next_del() {
    let points = kill_everywhere("ADD");
    assert!((10..MOST_POLLS).contains(&points), "{points} points");
}

#[test]
fn a_del_that_is_killed_at_any_point_is_made_good_by_the_next() {
    let points = kill_everywhere("DEL");
    assert!((5..MOST_POLLS).contains(&points), "{points} points");
}

#[test]
fn a_gc_that_is_killed_at_any_point_harms_nobody() {
    assert!(kill_everywhere("GC") < MOST_POLLS);
}
