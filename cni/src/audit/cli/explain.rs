//! `nuage-audit explain PORT`: all that is known of one port, and what becomes of it. Changes nothing.

use clap::Args;

use super::{Failure, Site, say};
use crate::audit::Mode;
use crate::audit::report::printable;
use crate::error::Error;

#[derive(Debug, Args)]
pub(super) struct Options {
    /// The port on the switch, which is the link's name on the host too
    #[arg(value_name = "PORT")]
    port: String,
}

pub(super) async fn run(site: &Site, options: &Options) -> Result<(), Failure> {
    let report = site.auditor().await?.pass(Mode { dry_run: true, confirmed: false }).await?;
    let Some(line) = report.attachments.iter().find(|line| line.port == options.port) else {
        return Err(
            Error::UnknownContainer(format!("no attachment of this node has port {}", options.port)).into()
        );
    };
    let planned = report.actions.iter().find(|action| action.port == options.port);
    let grace = site.node.stale_timeout.as_secs();
    let what = match (planned, line.state) {
        (Some(action), _) => format!("the next pass would {} it", action.kind.name()),
        (None, "candidate") if report.tripped.is_some() => {
            "it seems to be leaked, and the trip wire holds: `nuage-audit once --confirm`".to_owned()
        }
        (None, "candidate") => {
            let seen = line.suspected_for.unwrap_or_default().as_secs();
            format!("it seems to be leaked, seen so for {seen} s of {grace} s")
        }
        (None, _) => "it is left alone".to_owned(),
    };
    for (key, value) in [
        ("port", line.port.as_str()),
        ("pod", &line.pod),
        ("sandbox", &line.sandbox),
        ("address", &line.address),
        ("verdict", line.state),
        ("reason", line.reason),
        ("evidence", &line.evidence),
        ("outlook", &what),
    ] {
        say(&format!("{key}: {}", printable(value)));
    }
    for doubt in &report.doubts {
        say(&format!("doubt: {}", printable(doubt)));
    }
    Ok(())
}
