//! What an ADD has to do, decided from what was found before anything is touched. Pure.

use crate::journal::{Entry, State};

/// What is known before an ADD begins.
#[derive(Clone, Debug)]
pub(super) struct Situation {
    /// What the journal has of the attachment.
    pub(super) entry: Entry,
    /// Whether the pod's namespace has a link of that name.
    pub(super) pod_link: bool,
    /// Whether the host has a link of the port's name.
    pub(super) host_link: bool,
    /// The boot that this is.
    pub(super) boot_id: String,
}

/// One step of an ADD. The order is the order of the undo, too, backwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Take away what an earlier call left.
    ClearLeftovers,
    /// Write down what is about to be made.
    WriteIntent,
    /// Make the veth pair.
    CreateLink,
    /// Make the port in the switch and its row.
    CreatePort,
    /// Make the entity's row, which makes the controller resolve the port.
    CreateEntity,
    /// Wait for the controller.
    AwaitResolution,
    /// Give the pod its address and routes.
    ConfigureLink,
    /// Write down that it is up.
    WriteAttached,
}

/// The steps of an ADD, or `None` if the attachment is up and must be left alone.
pub(super) fn plan(situation: &Situation) -> Option<Vec<Step>> {
    let Situation { entry, pod_link, host_link, boot_id } = situation;
    let leftovers = match entry {
        // A link that we did not write down is somebody else's if it is the pod's, and ours by its name if it is the
        // host's.
        Entry::Absent if *pod_link => return None,
        Entry::Absent => *host_link,
        Entry::Unreadable => true,
        Entry::Record(record) => {
            let up = record.state == State::Attached && record.boot_id == *boot_id;
            if up && *pod_link && *host_link {
                return None;
            }
            true
        }
    };
    let mut steps = if leftovers { vec![Step::ClearLeftovers] } else { Vec::new() };
    steps.extend([
        Step::WriteIntent,
        Step::CreateLink,
        Step::CreatePort,
        Step::CreateEntity,
        Step::AwaitResolution,
        Step::ConfigureLink,
        Step::WriteAttached,
    ]);
    Some(steps)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Record;
    use crate::orchestrator::Identity;

    fn record(state: State, boot_id: &str) -> Entry {
        let identity = Identity {
            container_id: "c".into(),
            ifname: "eth0".into(),
            port_name: "nu0".into(),
            entity_uuid: "c".into(),
            entity_name: "c".into(),
            pod: None,
        };
        let mut record = Record::intent(&identity, "n", boot_id.into(), 1);
        record.state = state;
        Entry::Record(Box::new(record))
    }

    fn steps(entry: Entry, pod_link: bool, host_link: bool) -> Option<Vec<Step>> {
        plan(&Situation { entry, pod_link, host_link, boot_id: "now".into() })
    }

    fn clears(entry: Entry, pod_link: bool, host_link: bool) -> bool {
        steps(entry, pod_link, host_link).expect("a plan").contains(&Step::ClearLeftovers)
    }

    #[test]
    fn the_intent_comes_before_the_first_side_effect() {
        let steps = steps(Entry::Absent, false, false).unwrap();
        assert_eq!(steps.first(), Some(&Step::WriteIntent));
        assert_eq!(steps.last(), Some(&Step::WriteAttached));
    }

    #[test]
    fn an_attachment_that_is_up_is_left_alone() {
        assert_eq!(steps(record(State::Attached, "now"), true, true), None);
    }

    #[test]
    fn somebody_elses_link_in_the_pod_is_left_alone() {
        assert_eq!(steps(Entry::Absent, true, false), None);
    }

    #[test]
    fn what_an_earlier_call_left_is_cleared_first() {
        assert!(clears(record(State::Intent, "now"), true, true));
        assert!(clears(record(State::Owed, "now"), false, false));
        assert!(clears(record(State::Attached, "earlier"), false, false));
        assert!(clears(record(State::Attached, "now"), false, true));
        assert!(clears(Entry::Unreadable, false, false));
        assert!(clears(Entry::Absent, false, true));
        assert!(!clears(Entry::Absent, false, false));
    }
}
