//! report.html in a real browser: its script runs, says nothing on the console, shows what results.json has, stays inert whatever
//! a scenario is named, and stays small however much there is to show.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "a test")]

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use nuage_harness::report::record::Record;
use nuage_harness::report::results::Results;
use nuage_harness::report::timeline::{Band, Group, Item, Kind, Lane, Timeline};
use nuage_harness::report::{Directory, chrome};
use nuage_harness::run::run_reported;
use nuage_harness::scenario::Scenario;

const BROWSERS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];
/// As many elements a page may have that draws as much as it can.
const MAX_ELEMENTS: usize = 3_000;
/// By the browser's virtual clock.
const BUDGET_MS: &str = "6000";
const HOSTILE: &str =
    "</script><script>document.body.dataset.owned=1</script><img src=x onerror=alert(1)>'\" \u{202e}gnp";

/// What the browser made of a page: the elements, and what was said on its console.
struct Seen {
    page: String,
    console: Vec<String>,
}

fn browser(test: &str) -> Option<&'static str> {
    let found = BROWSERS.into_iter().find(|name| Command::new(name).arg("--version").output().is_ok());
    if found.is_none() {
        eprintln!("SKIPPED {test}: chromium");
    }
    found
}

fn look(browser: &str, directory: &Path, fragment: &str, size: &str, dark: bool) -> Seen {
    let page = directory.join("report.html");
    let mut command = Command::new(browser);
    command.args([
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--no-first-run",
    ]);
    command.args(["--enable-logging=stderr", "--dump-dom"]);
    command.arg(format!("--virtual-time-budget={BUDGET_MS}")).arg(format!("--window-size={size}"));
    command.arg(format!("--blink-settings=preferredColorScheme={}", u8::from(!dark)));
    command.arg(format!("--user-data-dir={}", directory.join("browser").display()));
    command.arg(format!("file://{}{fragment}", page.display()));
    let output = command.output().unwrap();
    let console = String::from_utf8_lossy(&output.stderr);
    let console = console.lines().filter(|line| line.contains("CONSOLE")).map(str::to_owned).collect();
    Seen { page: String::from_utf8_lossy(&output.stdout).into_owned(), console }
}

impl Seen {
    /// What the script wrote on the page's body.
    fn told(&self, what: &str) -> &str {
        let body = self.page.split_once("<body").map_or("", |(_, rest)| rest);
        let tag = body.split_once('>').map_or("", |(tag, _)| tag);
        tag.split_once(&format!("data-{what}=\""))
            .and_then(|(_, rest)| rest.split_once('"'))
            .map_or("", |(told, _)| told)
    }

    fn elements(&self) -> usize {
        let (before, rest) = self.page.split_once("<script").unwrap();
        let (_, after) = rest.rsplit_once("</script>").unwrap();
        [before, after].iter().map(|part| part.matches("</").count()).sum()
    }

    fn assert_whole(&self, results: &Results, about: &str) {
        assert_eq!(self.told("ready"), "true", "{about}: {:#?}\n{}", self.console, self.page.len());
        assert!(self.console.is_empty(), "{about}: {:#?}", self.console);
        let told = (self.told("errors"), self.told("runs"), self.told("failed"));
        let summary = &results.summary;
        assert_eq!(told, ("0", &*summary.runs.to_string(), &*summary.failed.to_string()), "{about}");
    }
}

fn run(title: &str, more: &str) -> (nuage_harness::run::Report, Record) {
    let text = format!("title = {title:?}\nwhy = \"w\"\n[[load]]\nkind = \"pod\"\ncount = 3\n{more}");
    let report = run_reported(&Scenario::parse("theme/mine.toml", &text).unwrap(), 1).unwrap();
    let record = Record::of(&report, Duration::from_millis(20), true);
    (report, record)
}

/// A report of a run that holds and one that does not, whose names are as bad as they get.
fn hostile(directory: &Path) -> Results {
    let mut written = Directory::begin(directory).unwrap();
    let fails = "[[expect]]\nkind = \"latency\"\nop = \"ADD\"\np99_max = \"1ms\"\n";
    let mut records = Vec::new();
    for (more, seed) in [("", 1), (fails, 2)] {
        let (mut report, mut record) = run("t", more);
        (report.scenario, report.seed) = (HOSTILE.to_owned(), seed);
        (record.scenario, record.title, record.seed) = (HOSTILE.to_owned(), HOSTILE.to_owned(), seed);
        record.complaints.push(HOSTILE.to_owned());
        report.trace.push(
            format!("{{\"event\":{HOSTILE:?},\"t\":3,\"node\":\"x\"}}")
                .replace("\\u{202e}", "\\u202e")
                .replace("\\'", "'"),
        );
        written.write_traces(&mut record, &report).unwrap();
        written.add(&record).unwrap();
        records.push(record);
    }
    let results = Results::of(records);
    written.finish(&results).unwrap();
    results
}

#[test]
fn a_browser_runs_the_page_light_and_dark_narrow_and_wide_without_a_complaint() {
    let Some(browser) = browser("a_browser_runs_the_page_light_and_dark_narrow_and_wide_without_a_complaint")
    else {
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let results = hostile(directory.path());
    for (size, dark) in [("1400,1000", false), ("1400,1000", true), ("390,844", false), ("390,844", true)] {
        look(browser, directory.path(), "", size, dark)
            .assert_whole(&results, &format!("{size}, dark: {dark}"));
    }
}

#[test]
fn a_page_stays_inert_whatever_a_scenario_is_named() {
    let Some(browser) = browser("a_page_stays_inert_whatever_a_scenario_is_named") else { return };
    let directory = tempfile::tempdir().unwrap();
    let results = hostile(directory.path());
    let seen = look(browser, directory.path(), "#run=1", "1200,900", false);
    seen.assert_whole(&results, "hostile");
    assert_eq!((seen.told("owned"), seen.page.matches("<script").count()), ("", 2));
    assert!(!seen.page.contains("<img"), "an element that nobody made");
    let shown = seen.page.split_once("id=\"run-name\"").unwrap().1.split_once("</h2>").unwrap().0;
    assert!(
        shown.contains("&lt;/script&gt;") && shown.contains("U+202E") && !shown.contains('\u{202e}'),
        "{shown}"
    );
}

/// A report of one run of so many events, in as many lanes as there may be.
fn large(directory: &Path, count: u64) -> Results {
    let (report, mut record) = run("t", "");
    let mut written = Directory::begin(directory).unwrap();
    written.write_traces(&mut record, &report).unwrap();
    let item = |number: u64| Item {
        lane: usize::try_from(number % 500).unwrap(),
        row: 0,
        kind: if number.is_multiple_of(3) { Kind::Mark } else { Kind::Add },
        what: "ADD".to_owned(),
        detail: format!("event {number}"),
        trouble: number.is_multiple_of(50),
        begin: number * 1000,
        end: number * 1000 + 900 * u64::from(!number.is_multiple_of(3)),
    };
    let lanes = (0..500).map(|pod| Lane { group: Group::Pods, name: format!("jobs/pod-{pod}") });
    let bands = (0..50).map(|band| Band {
        fault: "vrs.slow".to_owned(),
        node: "node-1".to_owned(),
        begin: band * 100_000,
        end: band * 100_000 + 40_000,
    });
    let timeline = Timeline {
        scenario: record.scenario.clone(),
        seed: record.seed,
        end: count * 1000,
        lanes: lanes.collect(),
        items: (0..count).map(item).collect(),
        bands: bands.collect(),
        addresses: (0..count).map(|number| (number * 1000, number % 700)).collect(),
        ..Timeline::default()
    };
    let trace = record.trace.clone().unwrap();
    fs::write(directory.join(format!("{trace}.trace.json")), chrome::document(&timeline)).unwrap();
    // As many runs as the list of a long sweep has.
    let mut records: Vec<Record> =
        (0..2000).map(|seed| Record { seed, trace: None, ..record.clone() }).collect();
    records[0] = record;
    for record in &records {
        written.add(record).unwrap();
    }
    let results = Results::of(records);
    written.finish(&results).unwrap();
    results
}

#[test]
fn a_run_of_more_events_than_are_drawn_and_two_thousand_runs_are_a_page_of_few_elements() {
    let name = "a_run_of_more_events_than_are_drawn_and_two_thousand_runs_are_a_page_of_few_elements";
    let Some(browser) = browser(name) else { return };
    let directory = tempfile::tempdir().unwrap();
    let results = large(directory.path(), 12_000);
    let seen = look(browser, directory.path(), "", "1400,1000", false);
    seen.assert_whole(&results, "large");
    assert!(seen.elements() < MAX_ELEMENTS, "{} elements", seen.elements());
    let told = seen.page.split_once("id=\"timeline-note\"").unwrap().1.split_once("</p>").unwrap().0;
    assert!(told.contains("the first 10,000 of 12,000 events"), "{told}");
    let list = seen.page.split_once("id=\"runs-note\"").unwrap().1.split_once("</p>").unwrap().0;
    assert!(list.contains("The first 400 of 2,000 runs"), "{list}");
}
