//! Taking away what the audit has found to be nobody's, and what earlier DELs still owe. The audit has judged and holds the
//! sandbox's lock; nothing here judges again.

use super::teardown::{Scope, Tell, settle, teardown};
use crate::call::Call;
use crate::error::Error;
use crate::journal::{Journal, Record, State};

/// Whether the monitor is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Notice {
    /// There is nothing to tell: another pod has the name, or nobody knows whose it was.
    None,
    /// The pod is gone: if this was its last attachment, the monitor is told.
    Due,
    /// Nobody can tell now whether the pod is gone: it stays owed.
    Later,
}

/// What became of it.
#[derive(Debug)]
pub(crate) struct Released {
    /// What of it is still on this node, if anything.
    pub(crate) local: Result<(), Error>,
    /// Why the monitor has not been told, if it was to be.
    pub(crate) monitor: Option<Error>,
}

/// Takes everything of an attachment away: entity, port, bridge membership, link, record, and the pod's place in the monitor's
/// books. Of a debt only what is owed. What cannot be delivered is written down.
pub(crate) async fn release(
    call: &Call<'_>,
    journal: &Journal<'_>,
    record: &Record,
    notice: Notice,
) -> Released {
    let tell = match notice {
        Notice::None | Notice::Later => Tell::No,
        Notice::Due => Tell::of(record).unless_others(journal, record),
    };
    let all = record.state != State::Owed || record.owes_vrs;
    let scope = Scope { rows: all, link: all, tell };
    let mut left = teardown(call, record, scope, call.deadline).await;
    left.unsure |= notice == Notice::Later && Tell::of(record) != Tell::No;
    if tell != Tell::No && left.monitor.is_none() && !left.unsure {
        // A runtime's late DEL must not tell it again. Losing this costs a notice too many.
        let _ = journal.bury(&record.port_name);
    }
    settle(journal, record, &left);
    let monitor = left.monitor.take();
    Released { local: left.local_result(), monitor }
}
