//! DEL: takes an attachment away. Works from what it finds, succeeds when there is nothing, waits for nobody longer than
//! its budget, and leaves what it cannot deliver to the journal: an error would only keep the runtime from going on.

use super::teardown::{Teardown, teardown};
use super::{debts, identity, lock};
use crate::call::Call;
use crate::error::Error;
use crate::journal::{Entry, Journal, Record, State};
use crate::orchestrator::Identity;

/// Detaches the interface of `call`.
///
/// # Errors
/// Code 11 while another call for the sandbox is in progress, code 5 if the journal cannot be read.
pub async fn del(call: &Call<'_>) -> Result<(), Error> {
    let asked = identity(call)?;
    let journal = Journal::new(call.host, call.node);
    let _guard = lock(&journal, asked, call.deadline).await?;
    let entry = journal.load(&asked.port_name)?;
    // What was written down knows more than a DEL's arguments: some runtimes leave them out.
    let identity = match &entry {
        Entry::Record(record) => record.identity(),
        Entry::Absent | Entry::Unreadable => asked.clone(),
    };
    // The monitor counts pods: it is told once, by the DEL that ends an attachment.
    let tell = match &entry {
        Entry::Record(record) => record.state != State::Owed || record.owes_monitor,
        Entry::Unreadable => true,
        Entry::Absent => false,
    };
    let result = teardown(call, &identity, tell, call.deadline).await;
    settle(call, &journal, &entry, &identity, &result);
    if result.vrs.is_none() {
        debts::deliver(call, &journal, &identity.port_name).await;
    }
    Ok(())
}

/// Writes down what is owed, or that nothing is.
fn settle(call: &Call<'_>, journal: &Journal<'_>, entry: &Entry, identity: &Identity, result: &Teardown) {
    let owes_vrs = result.vrs.is_some() || result.link.is_some();
    let owes_monitor = result.monitor.is_some();
    if !owes_vrs && !owes_monitor {
        let _ = journal.remove(&identity.port_name);
        return;
    }
    let mut record = match entry {
        Entry::Record(record) => Record::clone(record),
        Entry::Absent | Entry::Unreadable => {
            Record::intent(identity, &call.request.network.name, String::new(), 0)
        }
    };
    record.state = State::Owed;
    record.owes_vrs = owes_vrs;
    record.owes_monitor = owes_monitor;
    // A full journal or disk keeps no debt; the audit finds the rows by their stamps.
    let _ = journal.save(&record);
}
