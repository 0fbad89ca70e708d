//! Taking an attachment away, by names alone: the one way back for a failed ADD, DEL, GC and old debts. Tries everything,
//! collects what failed, and can be repeated.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use crate::call::Call;
use crate::error::Error;
use crate::journal::{Journal, Record, State};
use crate::orchestrator::{Identity, notify_deleted};
use crate::vrs::{OriginalNames, Vrs};

/// How long the monitor may take: it serves everybody from one loop, but a drain must not wait for it pod by pod.
const MONITOR_PATIENCE: Duration = Duration::from_secs(3);

/// Whether the monitor is told that the pod is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tell {
    /// It has been, or has never counted the pod, or counts another attachment of it.
    No,
    /// It has counted the pod.
    Yes,
    /// Nobody has written down whether it has: rows on the switch say so.
    IfRows,
}

impl Tell {
    /// `self`, if that attachment is the last of its pod.
    pub(super) fn unless_others(self, journal: &Journal<'_>, record: &Record) -> Self {
        let last = match self {
            Self::No => return Self::No,
            Self::Yes => is_last_of_pod(journal, record),
            // Most of these were never there, and are not worth a write.
            Self::IfRows => record.pod.as_ref().is_some_and(|pod| !journal.has_open(pod, record)),
        };
        if last { self } else { Self::No }
    }

    /// What a record says.
    pub(super) fn of(record: &Record) -> Self {
        match record.state {
            State::Owed if !record.owes_monitor => Self::No,
            _ if record.stranger => Self::IfRows,
            _ => Self::Yes,
        }
    }
}

/// How long the monitor is kept waiting for the switch's word. The switch is on the same machine.
const ROWS_PATIENCE: Duration = Duration::from_millis(500);

/// What of an attachment there may be to take away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Scope {
    /// Its rows on the VRS.
    pub(super) rows: bool,
    /// Its link.
    pub(super) link: bool,
    /// Its pod's place in the monitor's books.
    pub(super) tell: Tell,
}

impl Scope {
    /// Rows and link, and what is to be told.
    pub(super) fn local_and(tell: Tell) -> Self {
        Self { rows: true, link: true, tell }
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
    /// Whether rows would have said that the monitor is to be told, and could not be asked.
    pub(super) unsure: bool,
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

/// Takes away what `scope` names of an attachment; all at the same time, all by `deadline`.
pub(super) async fn teardown(call: &Call<'_>, record: &Record, scope: Scope, deadline: Instant) -> Teardown {
    let call = Call { deadline, ..*call };
    let identity = record.identity();
    // Only what this plugin has not written down can be the original's.
    let originals = record.stranger.then(|| OriginalNames::of(call.orchestrator, &identity));
    let numbered = originals.as_ref().and_then(|names| names.numbered.clone());
    let is_first = OriginalNames::of(call.orchestrator, &identity).any_interface == identity.port_name;
    // The switch answers at once, and knows whether the sandbox has other interfaces.
    let (answer, others) = oneshot::channel();
    let rows = async {
        let removing = timeout_at(deadline, remove_rows(&call, &identity, originals.as_ref(), scope, answer));
        let (found, strange) = match removing.await {
            Ok(Ok((found, strange))) => (Ok(found), strange),
            Ok(Err(error)) => (Err(error), BTreeSet::new()),
            Err(_) => (Err(too_late("removing the rows")), BTreeSet::new()),
        };
        let links = if scope.link { delete_links(&call, &strange, deadline).await } else { Ok(()) };
        (found, links)
    };
    // Deleting a link takes the kernel tens of milliseconds: it overlaps everything else.
    let own_links = async {
        if !scope.link {
            return Ok(());
        }
        let own: BTreeSet<String> = numbered.into_iter().chain([identity.port_name.clone()]).collect();
        delete_links(&call, &own, deadline).await
    };
    let monitor = async {
        if scope.tell == Tell::No || identity.pod.is_none() {
            return (Ok(()), false);
        }
        // A switch that says nothing is no reason to keep the monitor waiting.
        let patience = deadline.min(Instant::now() + ROWS_PATIENCE);
        let answer = timeout_at(patience, others).await.ok().and_then(Result::ok);
        match (scope.tell, answer) {
            (_, Some(Rows { others: true, .. })) | (Tell::IfRows, Some(Rows { found: false, .. })) => {
                (Ok(()), false)
            }
            // What the original attached is in no journal: another interface beside it may be the pod's last or not.
            (Tell::IfRows, None) => (Ok(()), true),
            (Tell::Yes, None) if !is_first => (Ok(()), true),
            _ => (tell(&call, &identity, deadline).await, false),
        }
    };
    let ((found, strange_links), link, (monitor, unsure)) = tokio::join!(biased; rows, own_links, monitor);
    Teardown {
        found_rows: *found.as_ref().unwrap_or(&false),
        vrs: found.err().filter(|_| scope.rows),
        link: link.err().or(strange_links.err()),
        monitor: monitor.err(),
        unsure,
    }
}

/// What the switch had of an attachment.
#[derive(Clone, Copy, Debug)]
struct Rows {
    /// Something of the attachment itself.
    found: bool,
    /// Other ports of its sandbox.
    others: bool,
}

/// Removes the rows as far as `scope` goes, and answers what there was as soon as that is known. Returns whether there were
/// any, and the original's ports among them.
async fn remove_rows(
    call: &Call<'_>,
    identity: &Identity,
    originals: Option<&OriginalNames>,
    scope: Scope,
    answer: oneshot::Sender<Rows>,
) -> Result<(bool, BTreeSet<String>), Error> {
    if !scope.rows && scope.tell == Tell::No {
        return Ok((false, BTreeSet::new()));
    }
    let vrs = Vrs::connect_once(call, call.deadline).await?;
    if !scope.rows {
        let others = vrs.has_entity(&identity.entity_uuid).await?;
        let _ = answer.send(Rows { found: false, others });
        return Ok((false, BTreeSet::new()));
    }
    let strange = match originals {
        Some(names) => {
            let any = names.any_interface == identity.port_name || is_there(call, identity).await;
            vrs.find_originals(identity, names, any).await?
        }
        None => BTreeSet::new(),
    };
    let mut ports = strange.clone();
    ports.insert(identity.port_name.clone());
    let detached = vrs.detach(&identity.entity_uuid, &ports).await?;
    let (found, others) = (detached.found, detached.others);
    // Nobody waits for it where nobody has to be told.
    let _ = answer.send(Rows { found, others });
    vrs.remove_ports(&ports, &detached).await?;
    Ok((found, strange))
}

/// Whether the interface is in its pod, or the pod has none any more. The original gave all interfaces of a sandbox one
/// name: a DEL of one that was never made must not take another one's port. Of a debt nobody can tell.
async fn is_there(call: &Call<'_>, identity: &Identity) -> bool {
    if call.identity != Some(identity) {
        return false;
    }
    let Some(path) = &call.request.netns else { return true };
    match call.host.links.open_netns(path).await {
        Ok(netns) => !matches!(call.host.links.find(Some(&netns), &identity.ifname).await, Ok(None)),
        Err(_) => true,
    }
}

async fn delete_links(call: &Call<'_>, names: &BTreeSet<String>, deadline: Instant) -> Result<(), Error> {
    let mut result = Ok(());
    for name in names {
        let deleted = timeout_at(deadline, call.host.links.delete(name)).await;
        let deleted = deleted.map_err(|_| too_late("deleting the link")).and_then(|done| Ok(done.map(drop)?));
        result = result.and(deleted);
    }
    result
}

async fn tell(call: &Call<'_>, identity: &Identity, deadline: Instant) -> Result<(), Error> {
    let Some(pod) = &identity.pod else { return Ok(()) };
    let patience = deadline.min(Instant::now() + MONITOR_PATIENCE);
    mutant!(call.host, "B14", let patience = deadline);
    let told = timeout_at(patience, notify_deleted(call, pod)).await;
    told.unwrap_or_else(|_| Err(too_late("telling the monitor")))
}

/// Writes down what is still owed of an attachment, or forgets it where nothing is. Where even that fails, the record
/// that is there says as much, and the audit finds rows by their stamps.
pub(super) fn settle(journal: &Journal<'_>, record: &Record, left: &Teardown) {
    let local = left.vrs.is_some() || left.link.is_some();
    let mut owing = record.owing(local, left.monitor.is_some() || left.unsure);
    owing.stranger = record.stranger && (left.unsure || local);
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
