//! What a report has, read by those that it is written for: scripts, CI systems.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "a test")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use assert_cmd::Command as Asserted;
use serde_json::Value;

/// Two runs that hold and two that do not, of scenarios whose names and texts are as bad as they get.
const HOSTILE: &str = "bad '\"<&> name \u{202e}txt";

fn harness(arguments: &[&str]) -> Output {
    Asserted::cargo_bin("harness").unwrap().args(arguments).output().unwrap()
}

fn write_scenarios(directory: &Path) -> PathBuf {
    let folder = directory.join(HOSTILE);
    std::fs::create_dir(&folder).unwrap();
    let text = |title: &str, more: &str| {
        format!("title = \"{title}\"\nwhy = \"w\"\n[[load]]\nkind = \"pod\"\ncount = 3\n{more}")
    };
    let fails = "[[expect]]\nkind = \"latency\"\nop = \"ADD\"\np99_max = \"1ms\"\n";
    std::fs::write(folder.join("holds.toml"), text("</script><b>it's \\\"fine\\\"</b>", "")).unwrap();
    std::fs::write(folder.join("fails.toml"), text("]]> \\u202e <!-- ", fails)).unwrap();
    folder
}

/// A report of them.
fn report(directory: &Path) -> (PathBuf, Value) {
    let (scenarios, report) = (write_scenarios(directory), directory.join("report"));
    let output =
        harness(&["run", "--seeds", "2", "--report", report.to_str().unwrap(), scenarios.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    let results = std::fs::read(report.join("results.json")).unwrap();
    (report, serde_json::from_slice(&results).unwrap())
}

/// Whether there is a Python, whose standard library reads XML.
fn python(test: &str) -> Option<Command> {
    if Command::new("python3").arg("--version").output().is_err() {
        eprintln!("SKIPPED {test}: python3");
        return None;
    }
    Some(Command::new("python3"))
}

#[test]
fn an_xml_reader_finds_each_run_in_junit_xml_and_what_failed() {
    let Some(mut python) = python("an_xml_reader_finds_each_run_in_junit_xml_and_what_failed") else {
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let (report, results) = report(directory.path());
    let script = "
import json, sys, xml.etree.ElementTree as tree
root = tree.parse(sys.argv[1]).getroot()
print(json.dumps({
    'totals': [root.get('tests'), root.get('failures')],
    'suites': [[suite.get('name'), suite.get('tests'), suite.get('failures')] for suite in root],
    'cases': [[case.get('classname'), case.get('name'), [[f.get('type'), f.get('message'), f.text] for f in case]]
              for suite in root for case in suite]}))";
    let output = python.args(["-c", script]).arg(report.join("junit.xml")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let read: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(read["totals"], serde_json::json!(["4", "2"]));
    let runs = results["runs"].as_array().unwrap();
    for (case, run) in read["cases"].as_array().unwrap().iter().zip(runs) {
        assert_eq!((&case[0], &case[1]), (&run["scenario"], &Value::from(format!("seed {}", run["seed"]))));
        if run["verdict"] == "ok" {
            assert_eq!(case[2], serde_json::json!([]));
            continue;
        }
        let failure = &case[2][0];
        assert_eq!((&failure[0], &failure[1]), (&Value::from("expectation"), &run["failures"][0]));
        let told = failure[2].as_str().unwrap();
        assert!(told.ends_with(&format!("again: {}", run["replay"].as_str().unwrap())), "{told}");
    }
    assert_eq!(read["suites"].as_array().unwrap().len(), 2);
}

#[test]
fn every_trace_that_results_name_is_there() {
    let directory = tempfile::tempdir().unwrap();
    let (report, results) = report(directory.path());
    let mut found = 0;
    for run in results["runs"].as_array().unwrap() {
        let name = run["trace"].as_str().unwrap();
        let trace = std::fs::read_to_string(report.join(format!("{name}.trace.json"))).unwrap();
        let trace: Value = serde_json::from_str(&trace).unwrap();
        assert_eq!(trace["otherData"]["scenario"], run["scenario"]);
        assert!(report.join(format!("{name}.jsonl")).is_file());
        found += 1;
    }
    assert_eq!(found, 4);
}

/// The names of all members, with what lists and maps have in common: `runs[].seed`, `runs[].latency.COMMAND.count`.
fn members(value: &Value, path: &str, found: &mut std::collections::BTreeSet<String>) {
    match value {
        Value::Object(members_of) => {
            let is_map = ["coverage", "answers", "latency"].iter().any(|map| path.ends_with(map));
            for (name, member) in members_of {
                let name = if is_map { "COMMAND" } else { name };
                let path = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
                members(member, &path, found);
            }
        }
        Value::Array(elements) => {
            for element in elements {
                members(element, &format!("{path}[]"), found);
            }
        }
        _ => {}
    }
    // Of the maps it is told what their keys are, and of the lists what is in them.
    let own = !path.ends_with(['D', ']']) && !path.contains("coverage.") && !path.contains("answers.");
    if own && !path.is_empty() && !path.starts_with("summary.latency.") {
        found.insert(path.to_owned());
    }
}

#[test]
fn the_reference_of_results_json_has_every_field_that_there_is_and_no_other() {
    use nuage_harness::report::record::{Varied, Violation};
    use nuage_harness::report::results::Results;
    use nuage_harness::world::sim::difference::Difference;

    let directory = tempfile::tempdir().unwrap();
    let mut results = Results::read(&report(directory.path()).0).unwrap();
    let text = || "x".to_owned();
    let difference =
        vec![Difference { subject: text(), aspect: text(), expected: text(), found: text(), differs: true }];
    results.runs[0].violation = Some(Violation {
        invariant: text(),
        details: text(),
        node: text(),
        time_ms: 1,
        events: 1,
        difference,
    });
    results.runs[0].more.insert("shrunk".to_owned(), text().into());
    results.runs[0].varied = Some(Varied { key: text(), unit: text(), value: 1.0 });
    let mut found = std::collections::BTreeSet::new();
    members(&serde_json::to_value(&results).unwrap(), "", &mut found);
    found.remove("summary");
    found.remove("runs");
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference/results.md");
    let page = std::fs::read_to_string(page).unwrap();
    let told: std::collections::BTreeSet<String> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`').map(|(field, _)| field.to_owned()))
        .collect();
    assert_eq!(told, found);
}
