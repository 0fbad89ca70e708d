//! Taking an attachment away, by names alone: the one way back for a failed ADD, DEL, GC and old debts. Tries everything,
//! collects what failed, and can be repeated.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::call::Call;
use crate::error::Error;
use crate::journal::{Journal, Record};
use crate::orchestrator::{Identity, notify_deleted};
use crate::vrs::Vrs;

/// How long the monitor may take: it serves everybody from one loop, but a drain must not wait for it pod by pod.
const MONITOR_PATIENCE: Duration = Duration::from_secs(3);

/// What of an attachment there may be to take away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Scope {
    /// Its rows on the VRS.
    pub(super) rows: bool,
    /// Its link.
    pub(super) link: bool,
    /// Its pod's place in the monitor's books.
    pub(super) monitor: bool,
}

impl Scope {
    /// Rows and link; the monitor is told if `monitor` says so.
    pub(super) fn local_and(monitor: bool) -> Self {
        Self { rows: true, link: true, monitor }
    }
}

/// What became of a teardown.
#[derive(Debug)]
pub(super) struct Teardown {
    /// Why rows may still be on the VRS.
    pub(super) vrs: Option<Error>,
    /// Why the link may still be on the host.
    pub(super) link: Option<Error>,
    /// Why the monitor has not been told.
    pub(super) monitor: Option<Error>,
    /// Whether there were rows.
    pub(super) found_rows: bool,
}

impl Teardown {
    /// Whether nothing is owed.
    pub(super) fn is_complete(&self) -> bool {
        self.vrs.is_none() && self.link.is_none() && self.monitor.is_none()
    }

    /// The failures that leave something of the attachment on this node, as one.
    pub(super) fn local_result(self) -> Result<(), Error> {
        let mut errors: Vec<Error> = self.vrs.into_iter().chain(self.link).collect();
        if errors.len() > 1 { Err(Error::Several(errors)) } else { errors.pop().map_or(Ok(()), Err) }
    }
}

fn too_late(what: &str) -> Error {
    Error::TryAgain {
        what: format!("{what} took too long"),
        details: "no time is left".to_owned(),
        hint: None,
    }
}

/// Takes away what `scope` names; all at the same time, all by `deadline`.
pub(super) async fn teardown(
    call: &Call<'_>,
    identity: &Identity,
    scope: Scope,
    deadline: Instant,
) -> Teardown {
    let call = Call { deadline, ..*call };
    let rows = async {
        if !scope.rows {
            return Ok(false);
        }
        let removed = async { Vrs::connect_once(&call, deadline).await?.remove(identity).await };
        timeout_at(deadline, removed).await.unwrap_or_else(|_| Err(too_late("removing the rows")))
    };
    // Deleting a link takes the kernel tens of milliseconds: it overlaps everything else.
    let link = async {
        if !scope.link {
            return Ok(());
        }
        let deleted = timeout_at(deadline, call.host.links.delete(&identity.port_name)).await;
        deleted.map_err(|_| too_late("deleting the link"))?.map(drop).map_err(Error::from)
    };
    let monitor = async {
        match &identity.pod {
            Some(pod) if scope.monitor => {
                let patience = deadline.min(Instant::now() + MONITOR_PATIENCE);
                let told = timeout_at(patience, notify_deleted(&call, pod)).await;
                told.unwrap_or_else(|_| Err(too_late("telling the monitor")))
            }
            _ => Ok(()),
        }
    };
    let (rows, link, monitor) = tokio::join!(rows, link, monitor);
    Teardown {
        found_rows: *rows.as_ref().unwrap_or(&false),
        vrs: rows.err(),
        link: link.err(),
        monitor: monitor.err(),
    }
}

/// Writes down what is still owed of an attachment, or forgets it where nothing is. Where even that fails, the record
/// that is there says as much, and the audit finds rows by their stamps.
pub(super) fn settle(journal: &Journal<'_>, record: &Record, left: &Teardown) {
    let owing = record.owing(left.vrs.is_some() || left.link.is_some(), left.monitor.is_some());
    let _ = journal.settle(&owing);
}

/// Whether an attachment that is about to go is the last one of its pod. The monitor counts pods by name: told of the
/// first interface that goes, or of an old sandbox, it would give away the address of a pod that lives.
pub(super) fn is_last_of_pod(journal: &Journal<'_>, record: &Record) -> bool {
    let Some(pod) = &record.pod else { return false };
    if !journal.has_open(pod, record) {
        return true;
    }
    // Of two calls that end the last two attachments at the same time, each could leave it to the other. So this one is
    // written down as leaving before it looks again.
    let _ = journal.save(&record.owing(true, true));
    !journal.has_open(pod, record)
}
