//! What nobody may find in an executable that is shipped: switches for tests, names of simulated faults, paths of the
//! machine that made it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "a test")]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use clap::Command;
use nuage_packager::contents::EXECUTABLES;
use nuage_packager::manual;
use support::{dist, packages};

fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if !path.ends_with("target") && !path.ends_with(".git") {
                sources(&path, found);
            }
        } else if path.extension().is_some_and(|end| end == "rs" || end == "toml") {
            found.push(path);
        }
    }
}

/// The variables that an executable's help tells of: an operator's, no test's.
fn documented(command: &Command) -> BTreeSet<String> {
    let own = command.get_arguments().filter_map(|argument| Some(argument.get_env()?.to_str()?.to_owned()));
    own.chain(command.get_subcommands().flat_map(documented)).collect()
}

/// Every environment variable of this project's own that a source, a test or a script names.
fn switches(top: &Path) -> BTreeSet<String> {
    let mut paths = Vec::new();
    sources(top, &mut paths);
    let mut names = BTreeSet::new();
    for path in paths {
        let text = fs::read_to_string(&path).unwrap_or_default();
        for (start, _) in text.match_indices("NUAGE_") {
            let rest = &text[start..];
            let end = rest.find(|c: char| !c.is_ascii_uppercase() && c != '_').unwrap_or(rest.len());
            names.insert(rest[..end].trim_end_matches('_').to_owned());
        }
    }
    for executable in EXECUTABLES {
        let documented = documented(&manual::command(executable).unwrap());
        names.retain(|name| !documented.iter().any(|documented| documented.starts_with(name)));
    }
    names
}

/// The names of the faults that scenarios declare.
fn faults(top: &Path) -> BTreeSet<String> {
    let mut paths = Vec::new();
    sources(&top.join("scenarios"), &mut paths);
    let mut names = BTreeSet::new();
    for path in paths {
        let scenario: toml::Table = fs::read_to_string(&path).unwrap_or_default().parse().unwrap_or_default();
        let declared = scenario.get("fault").and_then(toml::Value::as_array).into_iter().flatten();
        names.extend(declared.filter_map(|fault| Some(fault.get("kind")?.as_str()?.to_owned())));
    }
    names
}

/// What an executable has that is built with the bugs of the original (the feature `mutants` of nuage-cni).
fn mark(top: &Path) -> String {
    let source = fs::read_to_string(top.join("cni/src/mutants.rs")).unwrap();
    source.split_once("MARK: &str = \"").and_then(|(_, rest)| rest.split_once('"')).unwrap().0.to_owned()
}

fn has(executable: &[u8], text: &str) -> bool {
    executable.windows(text.len()).any(|window| window == text.as_bytes())
}

#[test]
fn no_switch_of_a_test_no_fault_and_no_path_of_the_build_is_in_what_a_node_gets() {
    if dist().is_none() {
        eprintln!(
            "SKIPPED no_switch_of_a_test_no_fault_and_no_path_of_the_build_is_in_what_a_node_gets: NUAGE_DIST_DIR with a static build (ci/test makes it)"
        );
        return;
    }
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap();
    let (switches, faults) = (switches(&top), faults(&top));
    assert!(switches.contains("NUAGE_DIST_DIR"), "{switches:?}");
    assert!(faults.len() > 10, "{faults:?}");
    let mark = mark(&top);
    for name in EXECUTABLES {
        let executable = fs::read(packages().join(name)).unwrap();
        assert!(!has(&executable, &mark), "{name} has bugs of the original");
        if matches!(*name, "emulator" | "harness") {
            continue;
        }
        for forbidden in switches.iter().chain(&faults) {
            assert!(!has(&executable, forbidden), "{name} knows {forbidden}");
        }
        assert!(!has(&executable, &format!("{}/", top.display())), "{name} has the path of its build");
    }
}
