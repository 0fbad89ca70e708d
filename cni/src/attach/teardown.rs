//! Taking an attachment away, by names alone: the one way back for a failed ADD, DEL, GC and old debts. Tries everything,
//! collects what failed, and can be repeated.

use tokio::time::{Instant, timeout_at};

use crate::call::Call;
use crate::error::Error;
use crate::orchestrator::{Identity, notify_deleted};
use crate::vrs::Vrs;

/// What became of a teardown.
#[derive(Debug)]
pub(super) struct Teardown {
    /// Why rows may still be on the VRS.
    pub(super) vrs: Option<Error>,
    /// Why the link may still be on the host.
    pub(super) link: Option<Error>,
    /// Why the monitor has not been told.
    pub(super) monitor: Option<Error>,
}

impl Teardown {
    /// The failures that leave something of the attachment on this node.
    pub(super) fn local_errors(self) -> Vec<Error> {
        self.vrs.into_iter().chain(self.link).collect()
    }
}

fn too_late(what: &str) -> Error {
    Error::TryAgain {
        what: format!("{what} took too long"),
        details: "no time is left".to_owned(),
        hint: None,
    }
}

/// Takes away rows and link, and tells the monitor if `tell` says so; all at the same time, all by `deadline`.
pub(super) async fn teardown(
    call: &Call<'_>,
    identity: &Identity,
    tell: bool,
    deadline: Instant,
) -> Teardown {
    let call = Call { deadline, ..*call };
    let rows = async {
        let vrs = Vrs::connect_once(&call, deadline).await?;
        vrs.remove(identity).await
    };
    let rows = timeout_at(deadline, rows);
    // Deleting a link takes the kernel tens of milliseconds: it overlaps everything else.
    let link = timeout_at(deadline, call.host.links.delete(&identity.port_name));
    let monitor = async {
        match identity.pod.as_ref().filter(|_| tell) {
            Some(pod) => timeout_at(deadline, notify_deleted(&call, pod))
                .await
                .unwrap_or_else(|_| Err(too_late("telling the monitor"))),
            None => Ok(()),
        }
    };
    let (rows, link, monitor) = tokio::join!(rows, link, monitor);
    let rows = rows.unwrap_or_else(|_| Err(too_late("removing the rows")));
    let link = link.map_err(|_| too_late("deleting the link")).and_then(|result| result.map_err(Error::from));
    Teardown { vrs: rows.err(), link: link.err(), monitor: monitor.err() }
}
