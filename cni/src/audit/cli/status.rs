//! `nuage-audit status`: a table of the attachments of this node. Changes nothing.

use clap::Args;
use serde_json::{Value, json};

use super::{Failure, Site, say};
use crate::audit::Mode;
use crate::audit::report::{Line, printable};
use crate::audit::service::ask;

#[derive(Debug, Args)]
pub(super) struct Options {
    /// Say it as one JSON object
    #[arg(long)]
    json: bool,
}

const HEAD: [&str; 7] = ["PORT", "POD", "SANDBOX", "ADDRESS", "STATE", "REASON", "SUSPECTED"];
/// Of a sandbox's id: enough to tell those of a node apart.
const SANDBOX_SHOWN: usize = 13;

pub(super) async fn run(site: &Site, options: &Options) -> Result<(), Failure> {
    let report = site.auditor().await?.pass(Mode { dry_run: true, confirmed: false }).await?;
    if options.json {
        let lines: Vec<Value> = report.attachments.iter().map(to_json).collect();
        let daemon = ask(&site.node.run_dir, "status").await;
        say(&json!({"attachments": lines, "doubts": report.doubts, "daemon": daemon}).to_string());
        return Ok(());
    }
    let rows: Vec<[String; 7]> = report.attachments.iter().map(cells).collect();
    for line in table(&rows) {
        say(&line);
    }
    for doubt in &report.doubts {
        say(&format!("doubt: {}", printable(doubt)));
    }
    match ask(&site.node.run_dir, "status").await {
        None => say("daemon: does not answer"),
        Some(daemon) => say(&format!("daemon: {}", printable(&describe(&daemon)))),
    }
    Ok(())
}

/// How the daemon is, in a line.
fn describe(daemon: &Value) -> String {
    let up = daemon["up_seconds"].as_u64().unwrap_or(0);
    let passed = daemon["last_pass"]["seconds_ago"].as_u64();
    let passed = passed.map_or_else(|| "never".to_owned(), |seconds| format!("{seconds} s ago"));
    let trouble = daemon["trouble"].as_str().map(|trouble| format!("; {trouble}")).unwrap_or_default();
    format!("up for {up} s, last pass {passed}{trouble}")
}

fn to_json(line: &Line) -> Value {
    json!({
        "port": line.port, "pod": line.pod, "sandbox": line.sandbox, "address": line.address, "state": line.state,
        "reason": line.reason, "evidence": line.evidence,
        "suspected_seconds": line.suspected_for.map(|time| time.as_secs())
    })
}

fn cells(line: &Line) -> [String; 7] {
    let dash = |text: String| if text.is_empty() { "-".to_owned() } else { text };
    let sandbox = line.sandbox.chars().take(SANDBOX_SHOWN).collect();
    let suspected = line.suspected_for.map(|time| format!("{} s", time.as_secs())).unwrap_or_default();
    [
        line.port.clone(),
        line.pod.clone(),
        sandbox,
        line.address.clone(),
        line.state.to_owned(),
        line.reason.to_owned(),
        suspected,
    ]
    .map(|text| dash(printable(&text)))
}

/// Columns as wide as their longest cell.
fn table(rows: &[[String; 7]]) -> Vec<String> {
    let head = HEAD.map(str::to_owned);
    let all = || std::iter::once(&head).chain(rows);
    let widths: Vec<usize> = (0..HEAD.len())
        .map(|column| all().map(|row| row[column].chars().count()).max().unwrap_or(0))
        .collect();
    let line = |row: &[String; 7]| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    all().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_a_terminals_command_is_shown_and_not_obeyed() {
        let line = Line {
            port: "nu0123456789abc".into(),
            pod: "?/\u{1b}[2Jweb".into(),
            sandbox: "s".into(),
            address: String::new(),
            state: "keep",
            reason: "link_there",
            evidence: String::new(),
            suspected_for: None,
        };
        let lines = table(&[cells(&line)]);
        assert!(lines[1].contains(r"?/\u{1b}[2Jweb"), "{lines:?}");
        assert!(!lines[1].contains('\u{1b}'));
        assert_eq!(lines[0].find("STATE"), lines[1].find("keep"));
    }
}
