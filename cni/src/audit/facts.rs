//! Facts of one attachment, each from what was observed of it. Pure leaves of [`subject`](super::subject) and of the second look
//! ([`act`](super::act)); they decide nothing.

use super::containers::{Life, PodInfo, Sandboxes};
use super::judge::{Boot, Journal, Pod as PodFact, Presence, Rows, Sandbox};
use super::subject::is_hex;
use crate::journal::{Entry, State};
use crate::orchestrator::{Identity, Pod};

/// The digits of a static pod's UID: an MD5 without dashes.
const FILE_HASH_DIGITS: usize = 32;

/// What is there of the three: an entity that lists the port, its Nuage row, the switch's port.
pub(super) fn rows_fact(there: [bool; 3]) -> Rows {
    match there.iter().filter(|there| **there).count() {
        3 => Rows::All,
        0 => Rows::None,
        _ => Rows::Some,
    }
}

pub(super) fn journal_fact(entry: &Entry) -> Journal {
    match entry {
        Entry::Absent => Journal::Absent,
        Entry::Unreadable => Journal::Unreadable,
        Entry::Record(record) => match record.state {
            State::Intent => Journal::Intent,
            State::Attached => Journal::Attached,
            State::Owed => Journal::Owed,
        },
    }
}

pub(super) fn boot_fact(recorded: Option<&str>, current: &str) -> Boot {
    match recorded {
        None | Some("") => Boot::Unknown,
        Some(_) if current.is_empty() => Boot::Unknown,
        Some(recorded) if recorded == current => Boot::This,
        Some(_) => Boot::Another,
    }
}

/// What the runtime says of a sandbox. Of Mesos the entity's key is the container's id, doubled; of the others one is the other in
/// practice.
pub(super) fn sandbox_fact(told: Option<&Sandboxes>, identity: &Identity, link: Presence) -> Sandbox {
    let Some(sandboxes) = told.filter(|_| !identity.entity_uuid.is_empty()) else { return Sandbox::Unknown };
    // No node is without any container for long: an empty answer is no witness against what is there.
    if sandboxes.is_empty() && link == Presence::There {
        return Sandbox::Unknown;
    }
    let is_known = |name: &str| sandboxes.contains_key(name);
    match sandboxes.get(&identity.entity_uuid).or_else(|| sandboxes.get(&identity.container_id)) {
        Some(true) => Sandbox::Ready,
        Some(false) => Sandbox::NotReady,
        // Only a Mesos container that is nested has a dot in its name. An old agent tells of the outer ones alone.
        None => match (identity.container_id.split_once('.'), identity.container_id.rsplit_once('.')) {
            (_, Some((_, inner))) if is_known(inner) => Sandbox::Ready,
            (Some((outer, _)), _) if is_known(outer) => Sandbox::Unknown,
            _ => Sandbox::Gone,
        },
    }
}

pub(super) fn life_fact(life: Life) -> PodFact {
    match life {
        Life::Pending => PodFact::Pending,
        Life::Running => PodFact::Running,
        Life::Finished => PodFact::Finished,
    }
}

/// What is known of `pod` if this was found.
pub(super) fn found_fact(pod: &Pod, found: Option<&PodInfo>) -> PodFact {
    let is_file_hash = |uid: &String| uid.len() == FILE_HASH_DIGITS && uid.bytes().all(is_hex);
    match found {
        Some(found) if found.host_network => PodFact::HostNetwork,
        Some(found) => life_fact(found.life),
        None if pod.uid.as_ref().is_some_and(is_file_hash) => PodFact::Static,
        None => PodFact::Absent,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::subject::original_identity;

    #[test]
    fn a_nested_container_that_an_old_agent_does_not_list_lives_as_long_as_its_outer_one() {
        let of = |told: &[&str], id: &str| {
            let told: Sandboxes = told.iter().map(|name| ((*name).to_owned(), true)).collect();
            sandbox_fact(Some(&told), &original_identity("nu7db556744f4c7", id, ""), Presence::There)
        };
        assert_eq!(of(&["out", "in"], "out.in"), Sandbox::Ready);
        assert_eq!(of(&["out"], "out.in"), Sandbox::Unknown);
        assert_eq!(of(&["out"], "out.inout.in"), Sandbox::Unknown);
        assert_eq!(of(&["out", "in"], "out.inout.in"), Sandbox::Ready);
        assert_eq!(of(&["other"], "out.in"), Sandbox::Gone);
        assert_eq!(of(&["other"], "out"), Sandbox::Gone);
        assert_eq!(of(&[], "out"), Sandbox::Unknown, "an empty answer is not believed");
    }
}
