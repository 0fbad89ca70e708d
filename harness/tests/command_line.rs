//! The harness as CI and a person meet it: exit codes, the line that replays, what an invalid scenario is told.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::path::{Path, PathBuf};
use std::process::Output;

use assert_cmd::Command;
use serde_json::Value;

fn harness(arguments: &[&str]) -> Output {
    Command::cargo_bin("harness").unwrap().args(arguments).output().unwrap()
}

fn scenario(directory: &Path, text: &str) -> PathBuf {
    let path = directory.join("mine.toml");
    std::fs::write(&path, format!("title = \"t\"\nwhy = \"w\"\n[[load]]\nkind = \"pod\"\n{text}")).unwrap();
    path
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_scenario_that_holds_is_a_line_and_exit_code_0() {
    let directory = tempfile::tempdir().unwrap();
    let path = scenario(directory.path(), "");
    let output = harness(&["run", "--check-determinism", path.to_str().unwrap()]);
    let out = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{out}");
    assert!(out.lines().next().unwrap().ends_with("ok") && out.contains("1 of 1 runs hold"), "{out}");
}

#[test]
fn a_broken_expectation_is_exit_code_1_and_the_line_that_replays_it() {
    let directory = tempfile::tempdir().unwrap();
    let path =
        scenario(directory.path(), "[[expect]]\nkind = \"latency\"\nop = \"ADD\"\np99_max = \"1ms\"\n");
    let path = path.to_str().unwrap();
    let output = harness(&["run", "--seed", "7", path]);
    let out = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{out}");
    let again = format!("harness replay --seed 7 {path}");
    assert!(out.contains("latency: p99 of ADD is") && out.contains(&again), "{out}");

    let replayed = harness(&["replay", "--seed", "7", path]);
    assert_eq!(replayed.status.code(), Some(1));
    assert!(text(&replayed.stdout).contains("\"event\":\"added\""));
}

#[test]
fn a_fault_that_never_happens_is_no_success() {
    let directory = tempfile::tempdir().unwrap();
    let path = scenario(directory.path(), "[[expect]]\nkind = \"fault_hit\"\nfault = \"vrs.restart\"\n");
    let output = harness(&["run", path.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).contains("never happened"));
}

#[test]
fn an_invalid_scenario_is_exit_code_2_with_its_place_and_the_nearest_key() {
    let directory = tempfile::tempdir().unwrap();
    let path = scenario(directory.path(), "hodl = \"1s\"\n");
    for verb in ["run", "check"] {
        let output = harness(&[verb, path.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(2));
        let expected = format!("{}:5:1: unknown key \"hodl\"; did you mean \"hold\"?", path.display());
        assert!(text(&output.stderr).contains(&expected), "{}", text(&output.stderr));
    }
    assert_eq!(harness(&["run", "/nowhere"]).status.code(), Some(2));
    assert_eq!(harness(&["frobnicate"]).status.code(), Some(2));
}

#[test]
fn check_tells_what_is_wrong_with_each_file_and_not_only_the_first() {
    let directory = tempfile::tempdir().unwrap();
    for (name, line) in [("a", "hodl = \"1s\""), ("b", ""), ("c", "count = \"9..3\"")] {
        std::fs::rename(scenario(directory.path(), line), directory.path().join(format!("{name}.toml")))
            .unwrap();
    }
    let output = harness(&["check", directory.path().to_str().unwrap()]);
    let err = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2));
    assert!(err.contains("a.toml:5:1: ") && err.contains("c.toml:5:9: ") && !err.contains("b.toml"), "{err}");
    assert!(text(&output.stdout).contains("1 of 3 scenarios are valid"));
}

#[test]
fn a_new_scenario_is_valid_runs_and_overwrites_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("mine.toml");
    let path = path.to_str().unwrap();
    assert_eq!(harness(&["new", path]).status.code(), Some(0));
    assert_eq!(harness(&["check", path]).status.code(), Some(0));
    let ran = harness(&["run", path]);
    assert_eq!(ran.status.code(), Some(0), "{}", text(&ran.stdout));
    let again = harness(&["new", path]);
    assert_eq!(again.status.code(), Some(2));
    assert!(text(&again.stderr).contains("mine.toml"));
    let other = directory.path().join("other.toml");
    let output = harness(&["new", other.to_str().unwrap(), "pod", "vrs.restrat"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("did you mean \"vrs.restart\"?") && !other.exists());
}

#[test]
fn whatever_the_schema_holds_is_explained_by_its_name() {
    let schema: Value = serde_json::from_slice(&harness(&["schema"]).stdout).unwrap();
    let explained: Value = serde_json::from_slice(&harness(&["explain", "--json"]).stdout).unwrap();
    let entries = explained["entries"].as_array().unwrap();
    let mut kinds = 0;
    for list in ["load", "fault", "expect"] {
        for kind in schema["properties"][list]["items"]["oneOf"].as_array().unwrap() {
            let name = &kind["properties"]["kind"]["const"];
            let entry = entries.iter().find(|entry| entry["name"] == *name).unwrap();
            let mut told: Vec<&str> =
                entry["keys"].as_array().unwrap().iter().filter_map(|key| key["name"].as_str()).collect();
            told.push("kind");
            told.sort_unstable();
            let held: Vec<&str> =
                kind["properties"].as_object().unwrap().keys().map(String::as_str).collect();
            assert_eq!(told, held, "{name}");
            kinds += 1;
        }
    }
    assert!(kinds > 60, "{kinds}");
    assert_eq!(harness(&["explain", "churn"]).status.code(), Some(0));
    assert!(text(&harness(&["explain", "chrun"]).stderr).contains("did you mean \"churn\"?"));
}

#[test]
fn the_parts_of_a_sweep_have_each_run_once() {
    let directory = tempfile::tempdir().unwrap();
    let path = scenario(directory.path(), "");
    let sweep = |shard: &str, index: &str| {
        let mut command = Command::cargo_bin("harness").unwrap();
        command.env("JOB_COMPLETION_INDEX", index).args(["run", "--seeds", "5", "--json", "--shard", shard]);
        command.arg(&path).output().unwrap()
    };
    let seeds = |shard: &str, index: &str| -> Vec<u64> {
        let printed: Value = serde_json::from_slice(&sweep(shard, index).stdout).unwrap();
        printed["runs"].as_array().unwrap().iter().filter_map(|run| run["seed"].as_u64()).collect()
    };
    assert_eq!((seeds("1/2", ""), seeds("2/2", "")), (vec![1, 3, 5], vec![2, 4]));
    assert_eq!(seeds("1/1", "").len(), 5);
    // A Kubernetes Job counts from nought.
    assert_eq!((seeds("job/2", "0"), seeds("job/2", "1")), (vec![1, 3, 5], vec![2, 4]));
    assert_eq!(sweep("job/2", "2").status.code(), Some(2), "more pods than parts");
    for wrong in ["0/2", "3/2", "2", "1/0", "x/y", "job/2"] {
        assert_eq!(
            harness(&["run", "--shard", wrong, path.to_str().unwrap()]).status.code(),
            Some(2),
            "{wrong}"
        );
    }
}

#[test]
fn a_sweep_whose_time_is_up_begins_no_run_and_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let path = scenario(directory.path(), "");
    let output = harness(&["run", "--seeds", "3", "--time-limit", "0s", path.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0));
    assert!(text(&output.stdout).contains("3 of 3 runs were not begun"), "{}", text(&output.stdout));
    let output = harness(&["run", "--time-limit", "soon", path.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn a_report_has_results_and_traces_that_scripts_can_read() {
    let directory = tempfile::tempdir().unwrap();
    let path = scenario(directory.path(), "");
    let report = directory.path().join("report");
    let output = harness(&[
        "run",
        "--seeds",
        "2",
        "--json",
        "--report",
        report.to_str().unwrap(),
        path.to_str().unwrap(),
    ]);
    let printed: Value = serde_json::from_slice(&output.stdout).unwrap();
    let written: Value =
        serde_json::from_slice(&std::fs::read(report.join("results.json")).unwrap()).unwrap();
    assert_eq!(printed["runs"].as_array().unwrap().len(), 2);
    assert_eq!(printed["runs"][0]["verdict"], written["runs"][0]["verdict"]);
    let traces: Vec<_> = std::fs::read_dir(report.join("traces")).unwrap().collect();
    assert_eq!(traces.len(), 4, "one for people and one for Perfetto, of each run");
}

#[test]
fn a_line_a_run_for_who_reads_while_they_run_and_none_of_the_traces_that_nobody_wants() {
    let directory = tempfile::tempdir().unwrap();
    let path = scenario(directory.path(), "");
    let report = directory.path().join("report");
    let output = harness(&[
        "run",
        "--seeds",
        "2",
        "--json=lines",
        "--traces",
        "failed",
        "--report",
        report.to_str().unwrap(),
        path.to_str().unwrap(),
    ]);
    let written = std::fs::read_to_string(report.join("runs.jsonl")).unwrap();
    assert_eq!(text(&output.stdout), written);
    let seeds: Vec<u64> = written
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["seed"].as_u64().unwrap())
        .collect();
    assert_eq!((seeds, report.join("traces").exists()), (vec![1, 2], false));
    assert!(output.stderr.is_empty(), "no bar where there is no terminal: {}", text(&output.stderr));
    assert_eq!(harness(&["run", "--traces", "failed", path.to_str().unwrap()]).status.code(), Some(2));
}

#[test]
fn what_fails_shrinks_to_a_file_that_is_valid_and_fails_and_what_holds_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let load = "count = 5\n[[load]]\nkind = \"job\"\n";
    let limit = "[[expect]]\nkind = \"latency\"\nop = \"ADD\"\np99_max = \"1ms\"\n";
    let path = scenario(directory.path(), &format!("{load}{limit}"));
    let small = directory.path().join("small.toml");
    let arguments = ["shrink", "--seed", "7", "--into", small.to_str().unwrap(), path.to_str().unwrap()];
    let output = harness(&arguments);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("latency: p99 of ADD is: "), "{}", text(&output.stderr));
    let written = std::fs::read_to_string(&small).unwrap();
    let head = format!("# Again: harness replay --seed 7 {}", small.display());
    assert!(written.contains(&head) && !written.contains("kind = \"job\""), "{written}");
    assert_eq!(harness(&["check", small.to_str().unwrap()]).status.code(), Some(0));
    assert_eq!(harness(&["run", small.to_str().unwrap()]).status.code(), Some(1));
    assert_eq!(harness(&arguments).status.code(), Some(2), "a file that is there stays");

    let holds = scenario(directory.path(), "");
    let refused = harness(&["shrink", holds.to_str().unwrap()]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused.stderr).contains("it holds"), "{}", text(&refused.stderr));
}
