//! Delivers what earlier DELs could not, while the VRS is there anyway. A guest of other calls: bounded in number and
//! time, and never a reason for them to fail.

use std::time::Duration;

use tokio::time::Instant;

use super::teardown::teardown;
use crate::call::Call;
use crate::journal::{Journal, Record, State};

/// How many debts one call delivers at most.
const MAX_DEBTS: usize = 8;
/// How long one call spends on them at most.
const BUDGET: Duration = Duration::from_secs(1);

/// Delivers some debts; `own` is the attachment of the call itself.
pub(super) async fn deliver(call: &Call<'_>, journal: &Journal<'_>, own: &str) {
    let deadline = call.deadline.min(Instant::now() + BUDGET);
    let Ok(records) = journal.records() else { return };
    let owed = records.into_iter().filter(|record| record.state == State::Owed && record.port_name != own);
    let owed: Vec<Record> = owed.take(MAX_DEBTS).collect();
    for mut record in owed {
        if Instant::now() >= deadline {
            return;
        }
        // A debt whose sandbox is being worked on is not ours to settle.
        let Ok(Some(_guard)) = journal.try_lock(&record.entity_uuid) else { continue };
        let result = teardown(call, &record.identity(), record.owes_monitor, deadline).await;
        let owes_vrs = result.vrs.is_some() || result.link.is_some();
        let owes_monitor = result.monitor.is_some();
        if !owes_vrs && !owes_monitor {
            let _ = journal.remove(&record.port_name);
        } else if (owes_vrs, owes_monitor) != (record.owes_vrs, record.owes_monitor) {
            (record.owes_vrs, record.owes_monitor) = (owes_vrs, owes_monitor);
            let _ = journal.save(&record);
        }
    }
}
