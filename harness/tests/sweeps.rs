//! Sweeps: one that was killed goes on where it was, one that is interrupted ends at once with what it has found, and what fails
//! is made smaller on the way.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

/// A scenario of one pod.
const QUICK: &str = "title = \"t\"\nwhy = \"w\"\n[[load]]\nkind = \"pod\"\n";
/// One that takes longer than anybody waits.
const ENDLESS: &str = "title = \"t\"\nwhy = \"w\"\n[cluster]\nnodes = 50\n[[load]]\nkind = \"churn\"\nrate = \"200/s\"\nduration = \"24h\"\n";

fn harness(arguments: &[&str]) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin("harness"));
    command.args(arguments).stdin(Stdio::null());
    command
}

fn done(arguments: &[&str]) -> (Option<i32>, String) {
    let Output { status, stdout, .. } = harness(arguments).output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap())
}

/// A process that is ended, by its id, with the test.
struct Begun(Child);

impl Begun {
    fn new(arguments: &[&str]) -> Self {
        Self(harness(arguments).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap())
    }

    /// Returns once it has told of so many runs.
    fn after(&mut self, runs: usize) {
        let lines = BufReader::new(self.0.stdout.as_mut().unwrap()).lines().map_while(Result::ok);
        let told = lines.filter(|line| line.ends_with("ok")).take(runs).count();
        assert_eq!(told, runs, "it ended before");
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([name, &self.0.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn written(directory: &Path, name: &str, text: &str) -> PathBuf {
    let path = directory.join(name);
    fs::write(&path, text).unwrap();
    path
}

fn results(report: &Path) -> Value {
    serde_json::from_slice(&fs::read(report.join("results.json")).unwrap()).unwrap()
}

fn seeds(results: &Value) -> Vec<u64> {
    results["runs"].as_array().unwrap().iter().map(|run| run["seed"].as_u64().unwrap()).collect()
}

#[test]
fn a_sweep_that_was_killed_goes_on_where_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let path = written(directory.path(), "quick.toml", QUICK);
    let report = directory.path().join("report");
    let arguments =
        ["run", "--seeds", "60", "--report", report.to_str().unwrap(), "--resume", path.to_str().unwrap()];
    let mut first = Begun::new(&arguments);
    first.after(3);
    first.signal("-KILL");
    assert!(!first.0.wait().unwrap().success());
    assert!(!report.join("results.json").exists());
    let before = fs::read_to_string(report.join("runs.jsonl")).unwrap();
    let before: Vec<&str> = before.split_inclusive('\n').filter(|line| line.ends_with('\n')).collect();
    assert!((3..60).contains(&before.len()), "{}", before.len());

    let (code, out) = done(&arguments);
    assert_eq!(code, Some(0), "{out}");
    assert!(out.contains(&format!("{} of 60 runs were made before", before.len())), "{out}");
    assert_eq!(out.lines().filter(|line| line.ends_with("  ok")).count(), 60 - before.len());
    assert_eq!(seeds(&results(&report)), (1..=60).collect::<Vec<_>>());
    let after = fs::read_to_string(report.join("runs.jsonl")).unwrap();
    assert!(after.starts_with(&before.concat()), "what was found stays as it was");

    // Everything is there: nothing is run, and the report is made again.
    fs::remove_file(report.join("results.json")).unwrap();
    let (code, out) = done(&arguments);
    assert!(code == Some(0) && out.contains("60 of 60 runs were made before"), "{out}");
    assert_eq!(seeds(&results(&report)).len(), 60);
}

#[test]
fn a_run_of_another_text_or_seed_is_made_and_one_that_nobody_asks_for_is_forgotten() {
    let directory = tempfile::tempdir().unwrap();
    let path = written(directory.path(), "quick.toml", QUICK);
    let report = directory.path().join("report");
    let run = |more: &[&str]| {
        let mut arguments = vec!["run", "--report", report.to_str().unwrap(), path.to_str().unwrap()];
        arguments.extend(more);
        done(&arguments).1
    };
    run(&["--seeds", "3"]);
    assert!(run(&["--seeds", "4", "--resume"]).contains("3 of 4 runs were made before"));
    let out = run(&["--seed", "3", "--seeds", "3", "--resume"]);
    assert!(out.contains("2 of 3 runs were made before"), "{out}");
    assert_eq!(seeds(&results(&report)), [3, 4, 5]);
    assert!(!run(&["--seed", "3", "--seeds", "3", "--check-determinism", "--resume"]).contains("before"));
    written(directory.path(), "quick.toml", &format!("{QUICK}hold = \"1s\"\n"));
    assert!(!run(&["--seed", "3", "--seeds", "3", "--resume"]).contains("before"));
    assert!(!run(&["--seed", "3", "--seeds", "3"]).contains("before"), "nobody asked to go on");
}

#[test]
fn whoever_interrupts_a_sweep_waits_for_no_run_and_gets_what_was_found() {
    for signal in ["-INT", "-TERM"] {
        let directory = tempfile::tempdir().unwrap();
        let quick = written(directory.path(), "a-quick.toml", QUICK);
        let endless = written(directory.path(), "endless.toml", ENDLESS);
        let report = directory.path().join("report");
        let paths = [quick.to_str().unwrap(), endless.to_str().unwrap()];
        let mut sweep =
            Begun::new(&["run", "--seeds", "2", "--report", report.to_str().unwrap(), paths[0], paths[1]]);
        sweep.after(2);
        sweep.signal(signal);
        assert_eq!(sweep.0.wait().unwrap().code(), Some(130));
        let results = results(&report);
        assert_eq!((seeds(&results), &results["interrupted"]), (vec![1, 2], &Value::Bool(true)));
        assert_eq!(results["not_begun"], 2);
    }
}

#[test]
fn what_fails_in_a_sweep_is_made_smaller_once_a_scenario() {
    let directory = tempfile::tempdir().unwrap();
    let limit = "[[expect]]\nkind = \"latency\"\nop = \"ADD\"\np99_max = \"1ms\"\n";
    let path = written(directory.path(), "slow.toml", &format!("{QUICK}count = 3\n{limit}"));
    let report = directory.path().join("report");
    let arguments =
        ["run", "--seeds", "2", "--shrink", "--report", report.to_str().unwrap(), path.to_str().unwrap()];
    let (code, out) = done(&arguments);
    assert_eq!(code, Some(1));
    assert!(out.contains(&format!("smaller: harness shrink --seed 1 {}", path.display())), "{out}");
    let runs = &results(&report)["runs"];
    assert_eq!(runs[1].get("shrunk"), None);
    let small = report.join(runs[0]["shrunk"].as_str().unwrap());
    assert!(fs::read_to_string(&small).unwrap().starts_with("# Made smaller by harness shrink, of "));
    assert_eq!(done(&["check", small.to_str().unwrap()]).0, Some(0));
    assert_eq!(done(&["run", small.to_str().unwrap()]).0, Some(1));
}
