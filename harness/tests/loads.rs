//! Loads and the habits of runtimes do what their names say: seen in the events of a run.
#![allow(clippy::unwrap_used, reason = "a test")]

use nuage_harness::run::{Report, run};
use nuage_harness::scenario::Scenario;
use serde_json::Value;

const BEGIN: &str = "title = \"t\"\nwhy = \"w\"\n";
const END: &str = "[[expect]]\nkind = \"all_running\"\n[[expect]]\nkind = \"no_leaks\"\nwithin = \"60s\"\n";

/// A run that holds.
fn report(text: &str) -> Report {
    let scenario = Scenario::parse("x.toml", &format!("{BEGIN}{text}{END}")).unwrap();
    let report = run(&scenario, 1).unwrap();
    assert!(report.passed(), "{:#?}", report.complaints());
    report
}

/// Calls that show that a node works once faults have healed.
const ALIVE_ADDS: usize = 1;
const ALIVE_DELS: usize = 2;

/// The events of a name, but for those of the phase that shows that all gets on once faults have healed.
fn events(report: &Report, name: &str) -> Vec<Value> {
    let all = report.trace.iter().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let mut shown = true;
    let of_loads = all.filter(|event| {
        shown = (shown || event["event"] == "alive") && event["event"] != "healed";
        shown
    });
    of_loads.filter(|event| event["event"] == name).collect()
}

fn count(report: &Report, name: &str) -> usize {
    events(report, name).len()
}

fn time(event: &Value) -> u64 {
    event["t"].as_u64().unwrap()
}

#[test]
fn a_stateful_set_comes_up_in_its_order_and_uses_its_names_again() {
    let report = report("[[load]]\nkind = \"stateful_set\"\nreplicas = 3\nrestarts = 1\n");
    let pods: Vec<String> =
        events(&report, "added").iter().map(|event| event["pod"].as_str().unwrap().to_owned()).collect();
    let names = |ordinals: [usize; 3]| ordinals.map(|ordinal| format!("default/db-{ordinal}"));
    assert_eq!(pods, [names([0, 1, 2]), names([2, 1, 0])].concat());
}

#[test]
fn traffic_follows_the_policies_between_two_namespaces_while_pods_are_replaced() {
    let report = report("[[load]]\nkind = \"policies\"\npods = 2\nchanges = 4\nevery = \"5s\"\n");
    let open: Vec<bool> =
        events(&report, "policy").iter().map(|event| event["open"].as_bool().unwrap()).collect();
    assert_eq!(open, [true, false, true, false]);
    assert_eq!((count(&report, "added"), count(&report, "policy_refused")), (4 + 4 * 2, 0));
}

#[test]
fn traffic_that_does_not_follow_the_policies_fails_the_run() {
    // The jobs that carry policies out never end well.
    let text = "[[load]]\nkind = \"policies\"\npods = 1\nchanges = 1\n\
                [[fault]]\nkind = \"vsd.error\"\npath = \"/jobs\"\n";
    let scenario = Scenario::parse("x.toml", &format!("{BEGIN}{text}{END}")).unwrap();
    let complaints = format!("{:?}", run(&scenario, 1).unwrap().complaints());
    assert!(complaints.contains("traffic_follows_policies"), "{complaints}");
    assert!(complaints.contains("port 80"), "{complaints}");
}

#[test]
fn a_pod_that_is_deleted_by_force_meets_the_next_one_of_its_name() {
    let report = report(
        "[[load]]\nkind = \"stateful_set\"\nreplicas = 1\nrestarts = 1\nforce = true\n\
         [[fault]]\nkind = \"vrs.slow\"\ndelay = \"1s\"\n",
    );
    let (added, deleted) = (events(&report, "add"), events(&report, "deleted"));
    assert_eq!((added.len(), deleted.len()), (2, 2));
    assert!(time(&added[1]) < time(&deleted[0]), "the second ADD begins before the first pod is gone");
}

#[test]
fn a_finished_pod_has_no_sandbox_any_more_and_is_deleted_later() {
    let report = report(
        "[[load]]\nkind = \"job\"\ncompletions = 4\nparallelism = 2\nruntime = \"1s\"\nkeep = \"20s\"\n",
    );
    let (deleted, unknown) = (events(&report, "deleted"), events(&report, "del_unknown"));
    assert_eq!((deleted.len(), unknown.len()), (4, 4));
    assert!(time(&unknown[0]) > time(&deleted[0]) + 15_000);
    // Two at a time: the third begins when one of the first two has finished.
    assert!(time(&events(&report, "add")[2]) >= 1000);
}

#[test]
fn a_pod_that_crashes_gets_another_sandbox_on_its_node() {
    let report =
        report("[cluster]\nnodes = 3\n[[load]]\nkind = \"crash_loop\"\ncrashes = 4\nafter = \"1s..2s\"\n");
    let added = events(&report, "added");
    assert_eq!((added.len(), count(&report, "sandbox_died")), (5, 4));
    assert!(added.iter().all(|event| event["node"] == added[0]["node"]));
}

#[test]
fn replicas_jump_up_and_down() {
    let report = report("[[load]]\nkind = \"scale_out\"\nfrom = 2\nto = 9\nrounds = 2\nhold = \"2s\"\n");
    assert_eq!(count(&report, "added"), 2 + 7 + 7);
}

#[test]
fn bursts_come_at_once_and_a_percentage_of_those_that_stand_is_replaced() {
    let bursts = report(
        "[[load]]\nkind = \"churn\"\nrate = \"6/m\"\nburst = 4\nduration = \"20s\"\nlifetime = \"1s\"\n",
    );
    let added: Vec<u64> = events(&bursts, "add").iter().map(time).collect();
    assert_eq!(added, [[0; 4], [10_000; 4]].concat());
    let standing = report(
        "[[load]]\nkind = \"churn\"\nburst = 0\nstanding = 10\npercent = \"20%\"\nevery = \"10s\"\nduration = \"35s\"\n",
    );
    assert_eq!(count(&standing, "added"), 10 + 3 * 2);
}

#[test]
fn pods_on_the_network_of_their_node_call_no_plugin_and_static_ones_bring_their_own_uid() {
    let host = report("[[load]]\nkind = \"pod\"\ncount = 3\nsort = \"host_network\"\n");
    assert_eq!((host.pods, host.adds, host.dels), (3, 0, 0));
    let mirrored = report("[[load]]\nkind = \"pod\"\ncount = 3\nsort = \"static\"\n");
    assert_eq!((count(&mirrored, "added"), count(&mirrored, "add_failed")), (3, 0));
}

#[test]
fn a_reboot_kills_what_runs_and_gives_every_pod_a_new_sandbox() {
    for lose_rows in [false, true] {
        let report = report(&format!(
            "[cluster]\nnodes = 2\n[[load]]\nkind = \"deployment\"\nreplicas = 8\nhold = \"60s\"\n\
             [[load]]\nkind = \"churn\"\nrate = \"20/s\"\nduration = \"2s\"\n\
             [[load]]\nkind = \"reboot\"\nnode = 1\nat = \"1030ms\"\ndown = \"5s\"\nlose_rows = {lose_rows}\n"
        ));
        let off = time(&events(&report, "power_off")[0]);
        let on = time(&events(&report, "power_on")[0]);
        assert_eq!(on - off, 5000);
        let here = |event: &&Value| event["node"] == "node-1";
        let added = events(&report, "added");
        // Nothing comes up on it while it is down, and what ran there comes up again.
        assert!(added.iter().filter(here).all(|event| !(off..on).contains(&time(event))));
        let again = added.iter().filter(here).filter(|event| {
            time(event) >= on && event["pod"].as_str().is_some_and(|pod| pod.starts_with("default/web-0-"))
        });
        assert_eq!(again.count(), 4);
        assert!(count(&report, "killed") > 0, "calls were on their way");
    }
}

#[test]
fn a_runtime_that_is_restarted_takes_down_what_it_has_no_result_of() {
    let report = report(
        "[[load]]\nkind = \"churn\"\nrate = \"40/s\"\nduration = \"3s\"\nlifetime = \"2s\"\n\
         [[load]]\nkind = \"runtime_restart\"\nat = \"330ms\"\ntimes = 8\n",
    );
    assert_eq!(count(&report, "runtime_restarted"), 8);
    assert!(count(&report, "add") > count(&report, "added"), "some results were lost");
    assert_eq!(count(&report, "gc"), 8 + 1);
}

#[test]
fn what_the_original_attached_goes_without_a_trace_whatever_its_names() {
    for naming in ["prefixed", "numbered"] {
        let report = report(&format!("[[load]]\nkind = \"original\"\ncount = 3\nnaming = \"{naming}\"\n"));
        assert_eq!((report.adds, count(&report, "added"), count(&report, "deleted")), (0, 3, 3), "{naming}");
    }
}

#[test]
fn an_upgrade_reaches_one_node_after_the_other_and_disturbs_nobody() {
    let report = report(
        "[cluster]\nnodes = 2\n[[load]]\nkind = \"upgrade\"\nat = \"5s\"\npause = \"5s\"\nold_records = true\n\
         [[load]]\nkind = \"deployment\"\nreplicas = 6\nhold = \"20s\"\n[[load]]\nkind = \"probe\"\nduration = \"20s\"\n",
    );
    let configured: Vec<Value> =
        events(&report, "configured").iter().map(|event| event["version"].clone()).collect();
    assert_eq!(configured, ["0.4.0", "0.4.0", "1.1.0", "1.1.0"]);
    let aged: u64 =
        events(&report, "journal_aged").iter().filter_map(|event| event["records"].as_u64()).sum();
    assert_eq!(aged, 6);
    let checks = events(&report, "check");
    assert!(checks.len() > 12 && checks.iter().all(|check| check["error"].is_null()), "{checks:?}");
}

#[test]
fn who_asks_for_too_much_gets_nothing_and_leaves_nothing() {
    for wish in ["zone_alone", "long_value", "control_characters", "huge_object"] {
        let text = format!("{BEGIN}[[load]]\nkind = \"greedy\"\nasks_for = \"{wish}\"\n{END}");
        let report = run(&Scenario::parse("x.toml", &text).unwrap(), 1).unwrap();
        assert!(report.passed(), "{wish}: {:#?}", report.complaints());
        assert_eq!(count(&report, "added"), 0, "{wish}");
        assert!(count(&report, "add_failed") > 1, "{wish}");
    }
}

#[test]
fn each_habit_of_a_runtime_is_seen_and_none_leaves_anything() {
    let habit = |name: &str, more: &str| {
        report(&format!(
            "[[load]]\nkind = \"pod\"\ncount = 4\nhold = \"5s\"\n[[fault]]\nkind = \"kubelet.{name}\"\nfor = \"30s\"\n{more}"
        ))
    };
    let repeated = habit("add_repeated", "");
    let again = events(&repeated, "add_again");
    assert!(again.len() == 4 && again.iter().all(|event| event["code"] == 100), "{again:?}");
    let doubled = habit("add_doubled", "");
    assert_eq!((doubled.adds - ALIVE_ADDS, count(&doubled, "added")), (8, 4));
    let lost = habit("result_lost", "times = 4\n");
    assert_eq!((lost.adds - ALIVE_ADDS, count(&lost, "added"), count(&lost, "add_failed")), (8, 4, 0));
    let early = habit("del_during_add", "times = 4\nafter = \"5ms\"\n");
    assert_eq!((count(&early, "del_during_add"), count(&early, "added")), (4, 4));
    assert_eq!(habit("del_without_add", "").dels - ALIVE_DELS, 4 * 3);
    assert_eq!(habit("seven_dels", "").dels - ALIVE_DELS, 4 * 7);
    let bare = habit("no_infra_id", "");
    assert_eq!((count(&bare, "added"), bare.dels - ALIVE_DELS), (4, 4 * 2));
    let checked = habit("check_after_add", "");
    assert!(events(&checked, "check").iter().all(|check| check["error"].is_null()));
    assert_eq!(count(&checked, "check"), 4);
    let hasty = habit("timeout", "after = \"2ms\"\ntimes = 6\n");
    // Calls that were on their way together are counted when they end.
    assert!((6..=9).contains(&count(&hasty, "killed")), "{}", count(&hasty, "killed"));
}

#[test]
fn answers_are_counted_by_code_and_told_where_they_are_too_few_or_too_many() {
    let run_with = |bounds: &str| {
        let text = format!(
            "{BEGIN}[[load]]\nkind = \"pod\"\ncount = 2\n[[fault]]\nkind = \"kubelet.add_repeated\"\n\
             [[expect]]\nkind = \"answers\"\nop = \"ADD\"\ncode = 100\n{bounds}"
        );
        run(&Scenario::parse("x.toml", &text).unwrap(), 1).unwrap().failures
    };
    assert!(run_with("at_least = 2\nat_most = 2\n").is_empty());
    for bounds in ["at_least = 3\n", "at_least = 0\nat_most = 1\n"] {
        let told = run_with(bounds);
        assert!(told.len() == 1 && told[0].contains("2 ADD with code 100"), "{told:?}");
    }
}

#[test]
fn a_fault_is_asked_for_by_the_operation_that_it_struck() {
    let run_with = |operation: &str| {
        let text = format!(
            "{BEGIN}[[load]]\nkind = \"pod\"\n[[fault]]\nkind = \"vrs.slow\"\ndelay = \"1ms\"\n\
             [[expect]]\nkind = \"fault_hit\"\nfault = \"vrs.slow\"\nop = \"{operation}\"\n"
        );
        run(&Scenario::parse("x.toml", &text).unwrap(), 1).unwrap().failures
    };
    assert!(run_with("ADD").is_empty() && run_with("DEL").is_empty());
    assert!(run_with("CHECK")[0].contains("vrs.slow never happened to CHECK"));
}

#[test]
fn namespaces_come_with_their_pods_and_leave_nothing_in_the_vsd() {
    let report =
        report("[[load]]\nkind = \"namespaces\"\ncount = 5\npods = 2\nwithin = \"0s..3s\"\nhold = \"1s\"\n");
    assert_eq!(count(&report, "added"), 10);
    assert_eq!(count(&report, "namespace_gone"), 5);
}
