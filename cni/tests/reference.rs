//! The guide's reference pages are what the code says. `NUAGE_UPDATE=1 cargo test -p nuage-cni --test reference` writes them anew.
#![cfg(feature = "audit")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test")]

use std::fmt::Write as _;
use std::path::Path;

use nuage_cni::audit::metrics::Metrics;
use nuage_cni::error::Error;

fn compare(page: &str, made: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference").join(page);
    if std::env::var_os("NUAGE_UPDATE").is_some() {
        std::fs::write(&path, made).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == made, "docs/reference/{page} is stale: run this test with NUAGE_UPDATE=1");
}

#[test]
fn the_guide_has_every_configuration_key() {
    compare("configuration.md", &nuage_cni::config::reference());
}

#[test]
fn the_guide_has_every_error_code_and_says_what_to_do_about_each() {
    let mut page = String::from(
        "# Error codes\n\nMade from the code; a test compares them. Codes up to 99 are the CNI specification's.\n\n| code | meaning |\n|---|---|\n",
    );
    let guide =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/troubleshoot.md"))
            .unwrap();
    let source = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/error.rs")).unwrap();
    let returned = source.lines().filter(|line| line.trim_start().starts_with("Self::"));
    let returned =
        returned.filter_map(|line| line.split_once(" => ")?.1.trim_end_matches(',').parse::<u32>().ok());
    let (mut returned, told): (Vec<u32>, Vec<u32>) =
        (returned.collect(), Error::CODES.iter().map(|(code, _)| *code).collect());
    returned.sort_unstable();
    assert_eq!(returned, told, "every code has its meaning");
    for (code, meaning) in Error::CODES {
        let heading = guide.lines().find(|line| line.starts_with(&format!("## {code}: ")));
        let heading = heading.unwrap_or_else(|| panic!("docs/troubleshoot.md has no section on code {code}"));
        let anchor: String = heading
            .trim_start_matches("## ")
            .to_lowercase()
            .replace(' ', "-")
            .chars()
            .filter(|character| character.is_alphanumeric() || *character == '-')
            .collect();
        let _ = writeln!(page, "| [{code}](../troubleshoot.md#{anchor}) | {meaning} |");
    }
    compare("errors.md", &page);
}

#[test]
fn the_guide_has_every_figure() {
    let mut page = String::from(
        "# Metrics\n\nMade from the code; a test compares them. Served at `/metrics` where `metricslisten` says.\n\n| name | kind | meaning |\n|---|---|---|\n",
    );
    let text = Metrics::default().text();
    let lines: Vec<&str> = text.lines().collect();
    for pair in lines.windows(2) {
        let (Some(help), Some(kind)) = (pair[0].strip_prefix("# HELP "), pair[1].strip_prefix("# TYPE "))
        else {
            continue;
        };
        let (name, meaning) = help.split_once(' ').unwrap();
        let (_, kind) = kind.split_once(' ').unwrap();
        let _ = writeln!(page, "| `{name}` | {kind} | {meaning} |");
    }
    compare("metrics.md", &page);
}
