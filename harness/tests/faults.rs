//! Faults do what their names say, and what they break is told from what the plugin breaks.
#![allow(clippy::unwrap_used, reason = "a test")]

use nuage_harness::run::{Report, run};
use nuage_harness::scenario::Scenario;

const BEGIN: &str = "title = \"t\"\nwhy = \"w\"\n";
const NO_LEAKS: &str = "[[expect]]\nkind = \"no_leaks\"\nwithin = \"60s\"\n";

fn report(text: &str, seed: u64) -> Report {
    let text = format!("{BEGIN}{text}");
    run(&Scenario::parse("x.toml", &text).unwrap(), seed).unwrap()
}

fn count(report: &Report, event: &str) -> usize {
    report.trace.iter().filter(|line| line.contains(&format!("\"event\":\"{event}\""))).count()
}

#[test]
fn pods_whose_rows_a_switch_has_lost_still_go_without_a_trace() {
    let churn = "[[load]]\nkind = \"churn\"\nrate = \"4/s\"\nduration = \"40s\"\nlifetime = \"5s..20s\"\n";
    let fault = "[[fault]]\nkind = \"vrs.restart\"\nat = \"10s..30s\"\nlose_rows = true\n";
    for seed in 1..=5 {
        let report = report(&format!("{churn}{fault}{NO_LEAKS}"), seed);
        assert!(report.passed(), "seed {seed}: {:#?}", report.complaints());
        assert_eq!(count(&report, "fault"), 1);
    }
}

#[test]
fn a_pod_that_is_deleted_while_the_monitor_is_down_is_not_tried_for_ever() {
    let pod = "[[load]]\nkind = \"churn\"\nrate = \"1/s\"\nduration = \"1s\"\nlifetime = \"5s\"\n";
    let fault = "[[fault]]\nkind = \"monitor.down\"\nat = \"0s\"\nfor = \"10m\"\n";
    let report = report(&format!("{pod}{fault}{NO_LEAKS}"), 1);
    assert!(report.passed(), "{:#?}", report.complaints());
    assert_eq!(count(&report, "added"), 0);
    assert!((2..6).contains(&count(&report, "add_failed")), "{}", report.trace.join("\n"));
}

#[test]
fn a_switch_that_stays_away_lets_every_del_succeed_and_is_clean_when_it_is_back() {
    let pods = "[[load]]\nkind = \"pod\"\ncount = 10\nhold = \"5s\"\n";
    let fault = "[[fault]]\nkind = \"vrs.restart\"\nat = \"3s\"\nfor = \"2m\"\n";
    let report = report(&format!("{pods}{fault}{NO_LEAKS}"), 1);
    assert!(report.passed(), "{:#?}", report.complaints());
    assert_eq!((count(&report, "deleted"), count(&report, "del_failed")), (10, 0));
}
