//! DEL: takes an attachment away. Works from what it finds, succeeds when there is nothing, waits for nobody longer than
//! its budget, and leaves what it cannot deliver to the journal: an error would only keep the runtime from going on.

use std::time::Duration;

use super::teardown::{Scope, Tell, settle, teardown};
use super::{Manners, debts, identity, lock};
use crate::call::Call;
use crate::error::Error;
use crate::journal::{Entry, Journal, Record, boot_id};

/// Kept of the call's time for writing down what could not be delivered.
const RESERVE: Duration = Duration::from_millis(250);
/// Kept of it for the teardown while another call holds the sandbox's lock.
const TEARDOWN_RESERVE: Duration = Duration::from_secs(1);

/// Detaches the interface of `call`.
///
/// # Errors
/// Code 11 while a call for another interface of the sandbox is in progress.
pub async fn del(call: &Call<'_>) -> Result<(), Error> {
    let asked = identity(call)?;
    let journal = Journal::new(call.host, call.node);
    let patience = call.deadline.checked_sub(TEARDOWN_RESERVE).unwrap_or(call.deadline);
    let _guard = match lock(&journal, asked, Manners::Overtaking, patience).await {
        Ok(guard) => Some(guard),
        // A directory that cannot be written must not keep a pod from going; the switch's transactions are atomic.
        Err(Error::Io { .. }) => None,
        Err(error) => return Err(error),
    };
    mutant!(call.host, "B4" => if !crate::mutants::has_one_port(call, asked, patience).await { return Ok(()) });
    let entry = journal.load(&asked.port_name).unwrap_or(Entry::Unreadable);
    let (was_there, unreadable) = (entry != Entry::Absent, entry == Entry::Unreadable);
    let buried = journal.is_buried(&asked.port_name);
    let (network, boot_id) = (&call.request.network.name, boot_id(&*call.host.files));
    let record = match entry {
        // What was written down knows more than a DEL's arguments: some runtimes leave them out.
        Entry::Record(record) => *record,
        // Nothing of it can be left that the original made.
        Entry::Absent if buried => Record::intent(asked, network, boot_id, 0),
        Entry::Absent | Entry::Unreadable => Record::stranger(asked, network, boot_id),
    };
    let deadline = call.deadline.checked_sub(RESERVE).unwrap_or(call.deadline);

    // The monitor counts pods: it is told once, by the DEL that ends the last attachment.
    let tell = match Tell::of(&record) {
        _ if buried => Tell::No,
        // Something was begun.
        Tell::IfRows if unreadable => Tell::Yes,
        tell => tell,
    };
    let tell = tell.unless_others(&journal, &record);
    mutant!(call.host, "B5", let tell = match tell {
        Tell::No => Tell::No,
        _ => crate::mutants::tell_first(call, &record).await.map(|()| Tell::No)?,
    });
    let left = teardown(call, &record, Scope::local_and(tell), deadline).await;
    let told = left.monitor.is_none() && !left.unsure;
    if told && (was_there || left.found_rows) {
        // A runtime repeats its DELs, and a switch can come back with rows of yesterday: nobody is told again. Losing
        // this costs a notice too many.
        let _ = journal.bury(&record.port_name);
    }
    mutant!(call.host, "B6" => return journal.remove(&record.port_name));
    settle(&journal, &record, &left);
    if left.is_complete() {
        debts::deliver(call, &journal, &record.port_name).await;
    }
    Ok(())
}
