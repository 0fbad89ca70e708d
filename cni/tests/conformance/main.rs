//! CONFORMANCE.md is made from the list of clauses, and every clause has its tests, which exist; so has every line of AUDIT.md.
//! `UPDATE_CONFORMANCE=1 cargo test -p nuage-cni --test conformance` writes it anew.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::PathBuf;

use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Clauses {
    /// How many demands and advices a section of the specification has for plugins.
    sections: BTreeMap<String, usize>,
    clause: Vec<Clause>,
}

/// As the specification has them (RFC 2119).
#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
enum Level {
    #[serde(rename = "MUST")]
    Must,
    #[serde(rename = "MUST NOT")]
    MustNot,
    #[serde(rename = "SHOULD")]
    Should,
}

impl Level {
    fn words(self) -> &'static str {
        match self {
            Self::Must => "MUST",
            Self::MustNot => "MUST NOT",
            Self::Should => "SHOULD",
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Clause {
    id: String,
    section: String,
    level: Level,
    demand: String,
    #[serde(default)]
    tests: Vec<String>,
    reason: Option<String>,
}

fn package() -> PathBuf {
    env!("CARGO_MANIFEST_DIR").into()
}

fn read() -> Clauses {
    let text = std::fs::read_to_string(package().join("tests/conformance/clauses.toml")).unwrap();
    toml::from_str(&text).unwrap()
}

fn clauses() -> Vec<Clause> {
    read().clause
}

fn page(clauses: &[Clause]) -> String {
    let mut page = "# Conformance\n\n\
        What the CNI specification 1.1.0 demands of a plugin, and what it advises, in our own words, and the tests that hold it. Made from\n\
        [tests/conformance/clauses.toml](tests/conformance/clauses.toml); a test compares the two, and fails for a clause without\n\
        a test and for a test that does not exist.\n\n\
        | clause | section | level | demand | held by |\n|---|---|---|---|---|\n"
        .to_owned();
    for clause in clauses {
        let tests: Vec<String> = clause.tests.iter().map(|test| format!("`{test}`")).collect();
        let held =
            clause.reason.as_ref().map_or_else(|| tests.join("<br>"), |why| format!("does not apply: {why}"));
        let Clause { id, section, level, demand, .. } = clause;
        writeln!(page, "| {id} | {section} | {} | {demand} | {held} |", level.words()).unwrap();
    }
    page
}

/// The names of the tests in a file of the workspace.
fn tests_of(file: &str) -> BTreeSet<String> {
    let path = package().join("..").join(file);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let mut found = BTreeSet::new();
    for (number, line) in lines.iter().enumerate() {
        let name =
            line.trim_start_matches("async ").strip_prefix("fn ").and_then(|rest| rest.split('(').next());
        let marked =
            lines[..number].iter().rev().take_while(|line| line.starts_with("#[") || line.starts_with("//"));
        let is_test = |line: &&str| line.starts_with("#[test]") || line.starts_with("#[tokio::test");
        // Within proptest! the mark stands as it does elsewhere.
        if let Some(name) = name.filter(|_| marked.clone().any(is_test)) {
            found.insert(name.to_owned());
        }
    }
    found
}

#[test]
fn every_clause_has_its_tests_and_they_exist() {
    let clauses = clauses();
    let ids: BTreeSet<&str> = clauses.iter().map(|clause| clause.id.as_str()).collect();
    assert_eq!(ids.len(), clauses.len(), "an id stands twice");
    for clause in &clauses {
        assert_ne!(clause.tests.is_empty(), clause.reason.is_none(), "{}: tests, or a reason", clause.id);
        for test in &clause.tests {
            let (file, name) = test.split_once("::").expect(test);
            assert!(tests_of(file).contains(name), "{}: {file} has no test {name}", clause.id);
        }
    }
}

#[test]
fn every_section_has_all_of_its_clauses() {
    let Clauses { sections, clause } = read();
    let mut found: BTreeMap<String, usize> = BTreeMap::new();
    for one in &clause {
        *found.entry(one.section.clone()).or_default() += 1;
    }
    assert_eq!(found, sections, "clauses a section, and how many it has");
}

#[test]
fn the_page_is_what_the_clauses_say() {
    let (path, page) = (package().join("CONFORMANCE.md"), page(&clauses()));
    if std::env::var_os("UPDATE_CONFORMANCE").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let there = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        there == page,
        "CONFORMANCE.md is old: UPDATE_CONFORMANCE=1 cargo test -p nuage-cni --test conformance"
    );
}

#[test]
fn every_bug_of_the_originals_audit_and_every_leak_has_its_test() {
    let page = std::fs::read_to_string(package().join("AUDIT.md")).unwrap();
    let mut lines = BTreeMap::new();
    for line in page.lines().filter(|line| line.starts_with("| A") || line.starts_with("| L")) {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let [id, _, held] = cells[..] else { panic!("{line}") };
        let tests: Vec<&str> = held.split("<br>").map(|test| test.trim().trim_matches('`')).collect();
        for test in &tests {
            let (file, name) = test.split_once("::").unwrap_or_else(|| panic!("{test}"));
            assert!(tests_of(file).contains(name), "{id}: {file} has no test {name}");
        }
        assert!(lines.insert(id.to_owned(), tests.len()).is_none(), "{id} stands twice");
    }
    let bugs = (1..=14).map(|number| format!("A{number}"));
    let expected: BTreeSet<String> = bugs.chain((1..=5).map(|number| format!("L{number}"))).collect();
    assert_eq!(lines.into_keys().collect::<BTreeSet<_>>(), expected);
}
