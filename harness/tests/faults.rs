//! Faults do what their names say, and what they break is told from what the plugin breaks.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::io;
use std::path::Path;
use std::sync::Arc;

use nuage_cni::host::{Files, Host, LockGuard};
use nuage_harness::run::{Report, run, run_with};
use nuage_harness::scenario::Scenario;
use nuage_harness::world::sim::{Tampering, Wrap};

const BEGIN: &str = "title = \"t\"\nwhy = \"w\"\n";
const NO_LEAKS: &str = "[[expect]]\nkind = \"no_leaks\"\nwithin = \"60s\"\n";

fn report(text: &str, seed: u64) -> Report {
    let text = format!("{BEGIN}{text}");
    run(&Scenario::parse("x.toml", &text).unwrap(), seed).unwrap()
}

/// How often there is an event of this name while faults can strike: not in the phase that shows that all gets on.
fn count(report: &Report, event: &str) -> usize {
    let is = |line: &str, event: &str| line.contains(&format!("\"event\":\"{event}\""));
    let mut striking = true;
    let mut found = 0;
    for line in &report.trace {
        striking = (striking || is(line, "begin") || is(line, "alive")) && !is(line, "healed");
        found += usize::from(striking && is(line, event));
    }
    found
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

fn faulty(load: &str, fault: &str) -> String {
    format!("{load}[[fault]]\n{fault}\n[[expect]]\nkind = \"all_running\"\n{NO_LEAKS}")
}

const ONE_POD: &str = "[[load]]\nkind = \"pod\"\nhold = \"5s\"\n";

#[test]
fn a_fault_that_is_declared_and_never_strikes_fails_its_scenario() {
    for fault in [
        // After the loads are over.
        "kind = \"vrs.slow\"\nat = \"1h\"",
        "kind = \"vrs.restart\"\nat = \"1h\"",
        "kind = \"node.clock_jump\"\nat = \"1h\"",
        // Never asked for: nothing lists pods but the audit.
        "kind = \"kube.empty_list\"\npath = \"/pods\"",
        // No such call.
        "kind = \"plugin.killed\"\nop = \"STATUS\"",
        "kind = \"plugin.killed\"\nmode = \"exhaustive\"\nop = \"STATUS\"",
    ] {
        let report = report(&faulty(ONE_POD, fault), 1);
        assert_eq!(report.failures.len(), 1, "{fault}: {:?}", report.complaints());
        assert!(
            report.failures[0].contains("never happened")
                || report.failures[0].contains("no STATUS was killed"),
            "{:?}",
            report.failures
        );
    }
}

#[test]
fn a_plugin_is_killed_at_each_point_of_its_call_in_turn() {
    for (command, least) in [("ADD", 10), ("DEL", 5), ("GC", 1)] {
        let fault = format!("kind = \"plugin.killed\"\nmode = \"exhaustive\"\nop = \"{command}\"");
        let report = report(&faulty(ONE_POD, &fault), 1);
        assert!(report.passed(), "{:#?}", report.complaints());
        // A GC is called only once all has healed.
        let killed = report.trace.iter().filter(|event| event.contains("\"event\":\"killed\"")).count();
        assert!(killed >= least, "{command}: {killed}");
        // One run a point, and one in which the call ended by itself.
        assert_eq!(
            (count(&report, "begin"), report.coverage.get("plugin.killed", command)),
            (killed + 1, killed as u64)
        );
    }
}

#[test]
fn a_namespace_that_goes_away_fails_the_add_whenever_it_goes_and_leaves_nothing() {
    for when in ["before", "create", "configure"] {
        let report =
            report(&faulty(ONE_POD, &format!("kind = \"node.netns_gone\"\ntimes = 1\nwhen = \"{when}\"")), 1);
        assert!(report.passed(), "{when}: {:#?}", report.complaints());
        assert_eq!(
            (count(&report, "add_failed"), report.coverage.get("node.netns_gone", "ADD")),
            (1, 1),
            "{when}"
        );
    }
}

#[test]
fn on_a_full_disk_pods_cannot_come_but_they_can_go() {
    let pods = "[[load]]\nkind = \"pod\"\ncount = 3\nhold = \"5s\"\n";
    // From before the DELs until after them.
    let report = report(&faulty(pods, "kind = \"node.disk_full\"\nat = \"0s\"\nfor = \"3s\""), 1);
    assert!(report.passed(), "{:#?}", report.complaints());
    assert!(count(&report, "add_failed") >= 3 && count(&report, "del_failed") == 0);
    assert!(
        report.trace.iter().any(|event| event.contains("add_failed") && event.contains("os error 28")),
        "{:#?}",
        report.trace
    );
}

#[test]
fn what_a_controller_takes_back_or_answers_wrong_is_no_address() {
    for (fault, failed) in [
        ("kind = \"vsc.wrong_address\"\ntimes = 1", 1),
        ("kind = \"vsc.wrong_address\"\ntimes = 1\naddress = \"::1\"", 1),
        ("kind = \"vsc.zero_first\"\npause = \"10s\"", 0),
        ("kind = \"vsc.withdraw\"\ntimes = 1\npause = \"1ms\"", 0),
        ("kind = \"vsc.late\"\ntimes = 1", 1),
        ("kind = \"vsc.never\"\nfor = \"70s\"", 1),
    ] {
        let report = report(&faulty(ONE_POD, fault), 1);
        assert!(report.passed(), "{fault}: {:#?}", report.complaints());
        assert_eq!(count(&report, "add_failed"), failed, "{fault}: {:#?}", report.trace);
    }
}

#[test]
fn whoever_waits_for_the_same_thing_is_woken_in_the_same_order_each_time() {
    let churn = "[cluster]\nnodes = 2\n[[load]]\nkind = \"churn\"\nrate = \"4/s\"\nduration = \"10s\"\nlifetime = \"2s..5s\"\n";
    let fault = |kind: &str| format!("[[fault]]\nkind = \"{kind}\"\nchance = \"1%\"\n");
    let all: String =
        ["vrs.slow", "vrs.partial_reply", "vsc.slow", "kube.slow", "vsd.slow"].map(fault).concat();
    // Connections of both switches end at once, and every fault when the loads are over.
    let restart = "[[fault]]\nkind = \"vrs.restart\"\nat = \"5s\"\nfor = \"1s\"\nnodes = \"all\"\n";
    let text = format!("{churn}{all}{restart}");
    let first = report(&text, 1);
    for _ in 0..8 {
        let again = report(&text, 1);
        assert!(first.trace == again.trace, "it differs from itself");
    }
}

#[test]
fn a_pod_that_was_given_up_comes_up_once_all_has_healed() {
    // The monitor is away for longer than the kubelet's patience.
    let pod = "[[load]]\nkind = \"pod\"\nhold = \"1s\"\n[[fault]]\nkind = \"monitor.down\"\nat = \"0s\"\n";
    let report = report(&format!("{pod}{NO_LEAKS}"), 1);
    assert!(report.passed(), "{:#?}", report.complaints());
    assert_eq!((count(&report, "added"), count(&report, "given_up")), (0, 1));
    let healed = report.trace.iter().position(|event| event.contains("\"healed\"")).unwrap();
    let again = |event: &&String| event.contains("\"added\"") && event.contains("default/pod-0");
    assert_eq!(report.trace[healed..].iter().filter(again).count(), 1);
}

/// A lock that nobody gives back once a namespace has gone away.
struct Wedged(Arc<dyn Files>);

const WEDGE: &str = "/wedged";

impl Files for Wedged {
    fn read(&self, path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>> {
        self.0.read(path, limit)
    }
    fn write(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        self.0.write(path, content)
    }
    fn remove(&self, path: &Path) -> io::Result<bool> {
        // A DEL, so the fault has struck by now.
        self.0.write(Path::new(WEDGE), b"")?;
        self.0.remove(path)
    }
    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        self.0.list(directory)
    }
    fn try_lock(&self, path: &Path) -> io::Result<Option<Box<dyn LockGuard>>> {
        if self.0.read(Path::new(WEDGE), 1)?.is_some() { Ok(None) } else { self.0.try_lock(path) }
    }
}

#[test]
fn a_node_that_a_fault_has_wedged_for_good_is_no_liveness() {
    // Nothing is expected: only that all gets on, as always.
    let text = "[[load]]\nkind = \"pod\"\nhold = \"1s\"\n[[fault]]\nkind = \"node.netns_gone\"\ntimes = 1\n";
    let scenario = Scenario::parse("x.toml", &format!("{BEGIN}{text}")).unwrap();
    let wrap: Wrap = |_, host| Host { files: Arc::new(Wedged(Arc::clone(&host.files))), ..host };
    let healthy = run_with(&scenario, 1, Tampering::default()).unwrap();
    assert!(healthy.passed(), "{:#?}", healthy.complaints());
    let tampering =
        Tampering { wrap: Some(wrap), only: Some("foreign_rows_untouched"), ..Tampering::default() };
    let wedged = run_with(&scenario, 1, tampering).unwrap();
    assert!(
        wedged.failures.iter().any(|failure| failure.starts_with("liveness: pending")),
        "{:#?}",
        wedged.failures
    );
}

#[test]
fn where_the_audit_is_the_only_one_to_clean_up_nobody_calls_gc() {
    let pods = "[[load]]\nkind = \"pod\"\ncount = 4\nhold = \"5s\"\n[[fault]]\nkind = \"kubelet.forgets\"\nfor = \"30s\"\n";
    let audited = report(
        &format!(
            "{pods}[[load]]\nkind = \"audit\"\ninterval = \"30s\"\ngrace = \"60s\"\n[[expect]]\nkind = \"audited\"\n"
        ),
        1,
    );
    assert!(audited.passed(), "{:#?}", audited.complaints());
    let collections =
        |report: &Report| report.trace.iter().filter(|line| line.contains("\"event\":\"gc\"")).count();
    assert_eq!(collections(&audited), 0);
    let alone = report(&format!("{pods}[[expect]]\nkind = \"audited\"\nwithin = \"5m\"\n"), 1);
    assert!(
        alone.failures.iter().any(|failure| failure.starts_with("audited: left")),
        "{:?}",
        alone.failures
    );
    assert!(collections(&report(&format!("{pods}{NO_LEAKS}"), 1)) > 0);
}
