//! `nuage-audit once`: one pass, by hand or by a timer.

use clap::Args;

use super::{Failure, Site, say};
use crate::audit::Mode;
use crate::audit::act::Outcome;
use crate::audit::report::Report;

#[derive(Debug, Args)]
pub(super) struct Options {
    /// Only say what would be done; remember nothing
    #[arg(long, conflicts_with = "confirm")]
    dry_run: bool,
    /// Many deletions at once are right
    #[arg(long)]
    confirm: bool,
    /// Say it as one JSON object, with `actions`
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(site: &Site, options: &Options) -> Result<(), Failure> {
    let mode = Mode { dry_run: options.dry_run, confirmed: options.confirm };
    let report = site.auditor().await?.pass(mode).await?;
    if options.json {
        say(&report.to_json().to_string());
    } else {
        for line in report.lines() {
            say(&line);
        }
    }
    judge(&report)
}

fn judge(report: &Report) -> Result<(), Failure> {
    if report.tripped.is_some() {
        return Err(Failure::Held);
    }
    let undone = |outcome: &Outcome| {
        matches!(outcome, Outcome::Failed(_) | Outcome::Unconfirmed(_) | Outcome::Undelivered(_))
    };
    if report.actions.iter().any(|action| undone(&action.outcome)) { Err(Failure::Undone) } else { Ok(()) }
}
