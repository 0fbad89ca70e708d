//! report.html: one file that needs no network, no library and no server. The page's style and script are the only ones that
//! its policy lets run; everything that comes from a run is data, and shown as text.

mod details;

use std::fmt::Write as _;
use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::record::Record;
use super::results::Results;
use super::sweep::sweeps;

/// As many events of one run are on the page. Of a run that was violated they are the last ones before that.
const MAX_ITEMS: usize = 10_000;
/// As many of all runs together: some five megabytes.
const MAX_ALL_ITEMS: usize = 60_000;
/// As many runs are on the page, those that failed first.
const MAX_RUNS: usize = 5_000;
/// As many complaints of a run.
const MAX_COMPLAINTS: usize = 60;

const TEMPLATE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = concat!(
    "(() => {\n",
    include_str!("base.js"),
    include_str!("timeline.js"),
    include_str!("charts.js"),
    include_str!("main.js"),
    "})();\n"
);
const DATA: &str = "@DATA@";

/// The page of runs whose traces lie in `directory`. What is not there is not on the page, which says so.
pub fn document(directory: &Path, results: &Results) -> String {
    let template = TEMPLATE
        .replace("@STYLE_HASH@", &hash(STYLE))
        .replace("@SCRIPT_HASH@", &hash(SCRIPT))
        .replace("@STYLE@", STYLE)
        .replace("@SCRIPT@", SCRIPT);
    // Last, so that nothing is replaced in it.
    let (before, after) = template.split_once(DATA).unwrap_or((&template, ""));
    format!("{before}{}{after}", inert(&data(directory, results).to_string()))
}

/// What a policy calls a text that may run.
fn hash(text: &str) -> String {
    format!("sha256-{}", BASE64_STANDARD.encode(Sha256::digest(text)))
}

fn data(directory: &Path, results: &Results) -> Value {
    let mut shown: Vec<&Record> = results.runs.iter().collect();
    if shown.len() > MAX_RUNS {
        shown.sort_by_key(|run| !run.failed());
        shown.truncate(MAX_RUNS);
        shown.sort_by(|one, other| one.key().cmp(&other.key()));
    }
    let details = details::of(directory, &shown);
    let numbers: Vec<Value> = (0..shown.len())
        .map(|run| details.iter().position(|(of, _)| *of == run).map_or(Value::Null, |number| json!(number)))
        .collect();
    let runs: Vec<Value> = shown.iter().zip(numbers).map(|(run, number)| of_run(run, &number)).collect();
    json!({
        "version": results.version, "summary": results.summary, "not_begun": results.not_begun,
        "interrupted": results.interrupted, "coverage": results.coverage, "runs": runs,
        "runs_left_out": results.runs.len() - shown.len(), "sweeps": sweeps(&results.runs),
        "details": details.into_iter().map(|(_, detail)| detail).collect::<Vec<_>>(),
        "caps": {"items": MAX_ITEMS, "all_items": MAX_ALL_ITEMS, "runs": MAX_RUNS},
    })
}

fn of_run(run: &Record, detail: &Value) -> Value {
    let complaints: Vec<&String> = run.complaints.iter().take(MAX_COMPLAINTS).collect();
    json!({
        "scenario": run.scenario, "title": run.title, "seed": run.seed.to_string(), "world": run.world,
        "verdict": run.verdict, "pods": run.pods, "adds": run.adds, "dels": run.dels,
        "simulated_seconds": run.simulated_seconds, "real_seconds": run.real_seconds, "complaints": complaints,
        "violation": run.violation, "replay": run.replay, "latency": run.latency, "trace": run.trace,
        "detail": detail,
    })
}

/// JSON in which no HTML parser and no eye finds anything but characters of ASCII that mean nothing to it.
fn inert(json: &str) -> String {
    let mut inert = String::with_capacity(json.len());
    for character in json.chars() {
        if matches!(character, ' '..='~') && !matches!(character, '<' | '>' | '&') {
            inert.push(character);
            continue;
        }
        // Outside of strings there are none of these.
        for unit in character.encode_utf16(&mut [0; 2]) {
            let _ = write!(inert, "\\u{unit:04x}");
        }
    }
    inert
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::record::tests::{TOO_FAST, one};
    use super::*;

    fn parts(page: &str) -> (&str, &str, &str) {
        let (before, rest) = page.split_once("id=\"data\">").unwrap();
        let (data, after) = rest.split_once("</script>").unwrap();
        (before, data, after)
    }

    #[test]
    fn a_page_asks_for_nothing_and_has_nothing_that_its_policy_would_stop() {
        let directory = tempfile::tempdir().unwrap();
        let page = document(directory.path(), &Results::of(vec![one("", 1).1]));
        for outside in
            ["http://", "https://", "src=", "@import", "url(", "fetch(", "innerHTML", " style=\"", "onclick="]
        {
            let known = page.replace("http://www.w3.org/2000/svg", "");
            assert!(!known.contains(outside), "{outside}");
        }
        assert!(
            page.contains(&format!("script-src '{}'", hash(SCRIPT))) && page.contains("default-src 'none'")
        );
        assert!(!SCRIPT.contains("</script") && !STYLE.contains("</style") && !page.contains("@S"));
    }

    #[test]
    fn what_a_scenario_is_named_cannot_leave_the_data() {
        let (_, mut record) = one(TOO_FAST, 1);
        record.scenario = "</script><script>alert(1)</script><!--".to_owned();
        record.title = "\u{202e}@SCRIPT@ @DATA@ '\"&amp; \u{1f980}".to_owned();
        let directory = tempfile::tempdir().unwrap();
        let page = document(directory.path(), &Results::of(vec![record.clone()]));
        assert_eq!((page.matches("<script").count(), page.matches("</script>").count()), (2, 2));
        let (_, data, after) = parts(&page);
        assert!(data.is_ascii() && !data.contains(['<', '>', '&']) && after.contains("start();"));
        let read: Value = serde_json::from_str(data).unwrap();
        assert_eq!(read["runs"][0]["scenario"], json!(record.scenario));
        assert_eq!(read["runs"][0]["title"], json!(record.title));
    }

    #[test]
    fn of_more_runs_than_a_page_takes_those_that_failed_are_there() {
        let (_, record) = one("", 1);
        let mut runs = vec![record; MAX_RUNS + 3];
        for (seed, run) in (0..).zip(&mut runs) {
            run.seed = seed;
        }
        runs[MAX_RUNS + 2].verdict = super::super::record::Verdict::Failed;
        let directory = tempfile::tempdir().unwrap();
        let data = data(directory.path(), &Results::of(runs));
        let shown = data["runs"].as_array().unwrap();
        assert_eq!((shown.len(), &data["runs_left_out"]), (MAX_RUNS, &json!(3)));
        assert_eq!(shown.iter().filter(|run| run["verdict"] == "FAILED").count(), 1);
    }

    proptest! {
        #[test]
        fn data_that_is_inert_is_the_same_data(text in any::<String>()) {
            let inert = inert(&json!({"x": text}).to_string());
            prop_assert!(inert.is_ascii() && !inert.contains(['<', '>', '&']));
            let read: Value = serde_json::from_str(&inert).unwrap();
            prop_assert_eq!(&read["x"], &json!(text));
        }
    }
}
