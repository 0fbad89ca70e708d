//! DEL: takes an attachment away. Works from what it finds, succeeds when there is nothing, waits for nobody longer than
//! its budget, and leaves what it cannot deliver to the journal: an error would only keep the runtime from going on.

use std::time::Duration;

use super::teardown::{Scope, is_last_of_pod, settle, teardown};
use super::{debts, identity, lock};
use crate::call::Call;
use crate::error::Error;
use crate::journal::{Entry, Journal, Record, State, boot_id};

/// Kept of the call's time for writing down what could not be delivered.
const RESERVE: Duration = Duration::from_millis(250);
/// Kept of it for the teardown while another call holds the sandbox's lock.
const TEARDOWN_RESERVE: Duration = Duration::from_secs(1);

/// Detaches the interface of `call`.
///
/// # Errors
/// Code 11 while another call for the sandbox is in progress.
pub async fn del(call: &Call<'_>) -> Result<(), Error> {
    let asked = identity(call)?;
    let journal = Journal::new(call.host, call.node);
    let patience = call.deadline.checked_sub(TEARDOWN_RESERVE).unwrap_or(call.deadline);
    let _guard = match lock(&journal, asked, patience).await {
        Ok(guard) => Some(guard),
        // A directory that cannot be written must not keep a pod from going; the switch's transactions are atomic.
        Err(Error::Io { .. }) => None,
        Err(error) => return Err(error),
    };
    let entry = journal.load(&asked.port_name).unwrap_or(Entry::Unreadable);
    let (was_there, unreadable) = (entry != Entry::Absent, entry == Entry::Unreadable);
    let record = match entry {
        // What was written down knows more than a DEL's arguments: some runtimes leave them out.
        Entry::Record(record) => *record,
        Entry::Absent | Entry::Unreadable => {
            Record::intent(asked, &call.request.network.name, boot_id(&*call.host.files), 0)
        }
    };
    let identity = record.identity();
    let deadline = call.deadline.checked_sub(RESERVE).unwrap_or(call.deadline);

    // The monitor counts pods: it is told once, by the DEL that ends the last attachment.
    let owes = unreadable || record.state != State::Owed || record.owes_monitor;
    let tell = was_there && owes && is_last_of_pod(&journal, &record);
    let mut left = teardown(call, &identity, Scope::local_and(tell), deadline).await;
    if !was_there && left.found_rows && is_last_of_pod(&journal, &record) {
        // Attached by somebody whose journal is gone, or who had none.
        let told = Scope { rows: false, link: false, monitor: true };
        left.monitor = teardown(call, &identity, told, deadline).await.monitor;
    }
    settle(&journal, &record, &left);
    if left.is_complete() {
        debts::deliver(call, &journal, &identity.port_name).await;
    }
    Ok(())
}
