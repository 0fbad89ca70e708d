//! The bugs that this project found in itself, as `found.toml` has them, and whether a test is there that is named somewhere.

use std::fs;
use std::path::Path;

/// A bug of ours.
#[derive(Debug)]
pub(super) struct Found {
    /// What was wrong.
    pub(super) bug: String,
    /// What found it.
    pub(super) finder: String,
    /// What keeps it away: `FILE::TEST`.
    pub(super) test: String,
}

/// All of them.
pub(super) fn found() -> Vec<Found> {
    let table: toml::Table = include_str!("found.toml").parse().unwrap();
    let bugs = table["bug"].as_array().unwrap();
    let one = |bug: &toml::Value| {
        let value = |key: &str| bug.get(key).and_then(toml::Value::as_str).expect(key).to_owned();
        Found { bug: value("bug"), finder: value("found_by"), test: value("test") }
    };
    bugs.iter().map(one).collect()
}

/// Fails where a test that is named `FILE::TEST` is not there.
pub(super) fn check_test(top: &Path, whose: &str, test: &str) {
    let (file, name) = test.split_once("::").unwrap_or_else(|| panic!("{whose}: {test} names no test"));
    let content =
        fs::read_to_string(top.join(file)).unwrap_or_else(|error| panic!("{whose}: {file}: {error}"));
    assert!(content.contains(&format!("fn {name}(")), "{whose}: {file} has no test {name}");
}
