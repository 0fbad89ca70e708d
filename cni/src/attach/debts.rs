//! What earlier DELs could not deliver is delivered by later calls: bounded in number and time, and never a reason for
//! them to fail.

use std::time::Duration;

use tokio::time::Instant;

use super::teardown::{Scope, Tell, settle, teardown};
use crate::call::Call;
use crate::journal::{Entry, Journal, State};

/// How many debts one call delivers at most.
const MAX_DEBTS: usize = 8;
/// How long one call spends on them at most.
const BUDGET: Duration = Duration::from_secs(1);

/// Delivers some debts; `own` is the attachment of the call itself. Stops at the first that cannot be delivered: whoever
/// is away for one is away for all.
pub(super) async fn deliver(call: &Call<'_>, journal: &Journal<'_>, own: &str) {
    let deadline = call.deadline.min(Instant::now() + BUDGET);
    let Ok(records) = journal.debts() else { return };
    let owed = records.into_iter().filter(|record| record.port_name != own);
    for seen in owed.take(MAX_DEBTS) {
        if Instant::now() >= deadline {
            return;
        }
        // A debt whose sandbox is being worked on is not ours to settle.
        let Ok(Some(_guard)) = journal.try_lock(&seen.entity_uuid) else { continue };
        // It may have been settled, or attached again, since it was seen.
        let Ok(Entry::Record(record)) = journal.load(&seen.port_name) else { continue };
        if record.state != State::Owed {
            continue;
        }
        let tell = Tell::of(&record).unless_others(journal, &record);
        let scope = Scope { rows: record.owes_vrs, link: record.owes_vrs, tell };
        let left = teardown(call, &record, scope, deadline).await;
        settle(journal, &record, &left);
        if !left.is_complete() {
            return;
        }
    }
}
