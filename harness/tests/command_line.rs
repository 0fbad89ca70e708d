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
    assert_eq!(traces.len(), 2);
}
