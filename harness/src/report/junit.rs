//! junit.xml: what CI systems read. A suite a scenario, a case a seed. Nothing that a scenario or a run says can leave its place.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::record::{Record, Verdict};
use super::results::Results;

/// As much is told of what went wrong with a run, in characters: readers of these files are slow with more.
const MAX_TEXT: usize = 20_000;

/// The document.
pub fn document(results: &Results) -> String {
    let mut suites: BTreeMap<&str, Vec<&Record>> = BTreeMap::new();
    for run in &results.runs {
        suites.entry(&run.scenario).or_default().push(run);
    }
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let summary = &results.summary;
    let _ = writeln!(
        text,
        "<testsuites name=\"harness\" tests=\"{}\" failures=\"{}\" errors=\"0\" time=\"{:.3}\">",
        summary.runs, summary.failed, summary.real_seconds
    );
    for (scenario, runs) in suites {
        suite(&mut text, scenario, &runs);
    }
    text.push_str("</testsuites>\n");
    text
}

fn suite(text: &mut String, scenario: &str, runs: &[&Record]) {
    let failed = runs.iter().filter(|run| run.failed()).count();
    let time: f64 = runs.iter().map(|run| run.real_seconds).sum();
    let name = escaped(scenario);
    let _ = writeln!(
        text,
        "  <testsuite name=\"{name}\" tests=\"{}\" failures=\"{failed}\" errors=\"0\" skipped=\"0\" time=\"{time:.3}\">",
        runs.len()
    );
    for run in runs {
        // What was varied is part of the name and not of the file's.
        let file = if run.varied.is_some() {
            String::new()
        } else {
            format!(" file=\"{}\"", escaped(&format!("{scenario}.toml")))
        };
        let _ = write!(
            text,
            "    <testcase name=\"seed {}\" classname=\"{name}\"{file} time=\"{:.3}\"",
            run.seed, run.real_seconds
        );
        if !run.failed() {
            text.push_str("/>\n");
            continue;
        }
        let kind = match (run.verdict, &run.violation) {
            (Verdict::NotDeterministic, _) => "not deterministic",
            (_, Some(violation)) => &violation.invariant,
            (_, None) => "expectation",
        };
        let details = format!("{}\nagain: {}", run.complaints.join("\n"), run.replay);
        let _ = writeln!(
            text,
            ">\n      <failure type=\"{}\" message=\"{}\">{}</failure>\n    </testcase>",
            escaped(kind),
            escaped(&run.reason()),
            escaped(&details)
        );
    }
    text.push_str("  </testsuite>\n");
}

/// As text or in quotes; what XML cannot say at all is replaced.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars().take(MAX_TEXT) {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&apos;"),
            '\n' => escaped.push_str("&#10;"),
            '\t' | ' '..='\u{7e}' | '\u{a0}'..='\u{fffd}' | '\u{10000}'.. => escaped.push(character),
            _ => escaped.push('\u{fffd}'),
        }
    }
    escaped
}
