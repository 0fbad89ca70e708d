//! GC: removes the attachments of this network that the runtime does not list. Only what our journal has under the
//! network's name: rows without a record are the audit's business. Goes on past errors and tells all of them.

use super::teardown::{Scope, Tell, settle, teardown};
use crate::call::Call;
use crate::error::Error;
use crate::journal::{Entry, Journal, Record};

/// Removes what is not listed.
///
/// # Errors
/// Code 106 with every failure, or the only one.
pub async fn gc(call: &Call<'_>) -> Result<(), Error> {
    let journal = Journal::new(call.host, call.node);
    let mut errors = Vec::new();
    for seen in journal.records()?.iter().filter(|record| is_garbage(call, record)) {
        match collect(call, &journal, seen).await {
            Ok(()) => {}
            Err(Error::Several(several)) => errors.extend(several),
            Err(error) => errors.push(error),
        }
    }
    if errors.len() > 1 { Err(Error::Several(errors)) } else { errors.pop().map_or(Ok(()), Err) }
}

fn is_garbage(call: &Call<'_>, record: &Record) -> bool {
    let network = &call.request.network;
    let mut valid = network.valid_attachments.iter();
    let listed = valid.any(|(id, ifname)| *id == record.container_id && *ifname == record.ifname);
    !listed && record.network == network.name
}

async fn collect(call: &Call<'_>, journal: &Journal<'_>, seen: &Record) -> Result<(), Error> {
    // Somebody works on that sandbox right now: it is not garbage yet.
    let Some(_guard) = journal.try_lock(&seen.entity_uuid)? else { return Ok(()) };
    // Nor if somebody has done so since the runtime made its list.
    let Entry::Record(record) = journal.load(&seen.port_name)? else { return Ok(()) };
    if *record != *seen {
        return Ok(());
    }
    let tell = Tell::of(&record).unless_others(journal, &record);
    let left = teardown(call, &record, Scope::local_and(tell), call.deadline).await;
    settle(journal, &record, &left);
    left.local_result()
}
