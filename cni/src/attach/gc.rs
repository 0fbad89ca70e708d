//! GC: removes the attachments of this network that the runtime does not list. Only what our journal has under the
//! network's name: rows without a record are the audit's business. Goes on past errors and tells all of them.

use super::teardown::teardown;
use crate::call::Call;
use crate::error::Error;
use crate::journal::Journal;

/// Removes what is not listed.
///
/// # Errors
/// Code 106 with every failure, or the only one.
pub async fn gc(call: &Call<'_>) -> Result<(), Error> {
    let journal = Journal::new(call.host, call.node);
    let valid = &call.request.network.valid_attachments;
    let mut errors = Vec::new();
    for record in journal.records()? {
        let listed = valid.iter().any(|(id, ifname)| *id == record.container_id && *ifname == record.ifname);
        if listed || record.network != call.request.network.name {
            continue;
        }
        // Somebody works on that sandbox right now: it is not garbage yet.
        let Some(_guard) = journal.try_lock(&record.entity_uuid)? else { continue };
        let left = teardown(call, &record.identity(), true, call.deadline).await;
        if left.vrs.is_none() && left.link.is_none() {
            errors.extend(journal.remove(&record.port_name).err());
        }
        errors.extend(left.local_errors());
    }
    if errors.len() > 1 { Err(Error::Several(errors)) } else { errors.pop().map_or(Ok(()), Err) }
}
