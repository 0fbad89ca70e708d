//! What an ADD has to do, decided from what was found before anything is touched. Pure.

use super::teardown::{Scope, Tell};
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

/// One step of an ADD. By the time of the first, the intent is written down and it is known what the pod chose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    /// Take away what an earlier call left.
    ClearLeftovers,
    /// Make the veth pair, while the monitor says where the pod goes.
    LinkAndPlace,
    /// Make the port in the switch, its row, and the entity's row, which makes the controller resolve the port.
    CreateRows,
    /// Wait for the controller.
    AwaitResolution,
    /// Give the pod its address and routes.
    ConfigureLink,
    /// Write down that it is up.
    WriteAttached,
}

impl Step {
    /// What figures call it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::ClearLeftovers => "leftovers",
            Self::LinkAndPlace => "place",
            Self::CreateRows => "rows",
            Self::AwaitResolution => "resolution",
            Self::ConfigureLink => "configure",
            Self::WriteAttached => "record",
        }
    }

    /// Every step of an ADD that finds nothing, in order.
    const FRESH: [Self; 5] = [
        Self::LinkAndPlace,
        Self::CreateRows,
        Self::AwaitResolution,
        Self::ConfigureLink,
        Self::WriteAttached,
    ];

    /// What there may be to take away once this step has failed, half-done or with its answer lost. The steps that came
    /// before it are in it; what no step has touched is not, so that a failed ADD waits for nobody without need.
    pub(super) fn undo(self) -> Scope {
        let rows = self == Self::ClearLeftovers || self >= Self::CreateRows;
        // By then the monitor has been asked for the place, and may have counted the pod.
        let tell = if self == Self::ClearLeftovers { Tell::No } else { Tell::Yes };
        Scope { rows, link: true, tell }
    }
}

/// What an ADD finds and has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plan {
    /// The attachment is up, or the pod's link is somebody else's: leave it alone.
    LeaveAlone,
    /// Nothing is there: make it.
    Make,
    /// An earlier call left something: take it away, then make it anew.
    ClearAndMake,
}

impl Plan {
    /// Its steps, in order.
    pub(super) fn steps(self) -> Vec<Step> {
        let clear = (self == Self::ClearAndMake).then_some(Step::ClearLeftovers);
        let make = if self == Self::LeaveAlone { &[][..] } else { &Step::FRESH[..] };
        clear.into_iter().chain(make.iter().copied()).collect()
    }
}

/// Decides.
pub(super) fn plan(situation: &Situation) -> Plan {
    let Situation { entry, pod_link, host_link, boot_id } = situation;
    let both_ends = *pod_link && *host_link;
    match entry {
        // A link that we did not write down is somebody else's if it is the pod's, and ours by its name if it is the
        // host's.
        Entry::Absent if *pod_link => Plan::LeaveAlone,
        Entry::Absent if *host_link => Plan::ClearAndMake,
        Entry::Absent => Plan::Make,
        // Perhaps a newer version's record of a pod that runs: DEL may take it away, ADD must not.
        Entry::Unreadable if both_ends => Plan::LeaveAlone,
        Entry::Unreadable => Plan::ClearAndMake,
        Entry::Record(record) => {
            let up = record.state == State::Attached && record.boot_id == *boot_id;
            if up && both_ends { Plan::LeaveAlone } else { Plan::ClearAndMake }
        }
    }
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

    fn found(entry: Entry, pod_link: bool, host_link: bool) -> Plan {
        plan(&Situation { entry, pod_link, host_link, boot_id: "now".into() })
    }

    #[test]
    fn an_attachment_that_is_up_is_left_alone() {
        assert_eq!(found(record(State::Attached, "now"), true, true), Plan::LeaveAlone);
        assert_eq!(found(Entry::Unreadable, true, true), Plan::LeaveAlone);
        assert!(Plan::LeaveAlone.steps().is_empty());
    }

    #[test]
    fn somebody_elses_link_in_the_pod_is_left_alone() {
        assert_eq!(found(Entry::Absent, true, false), Plan::LeaveAlone);
        assert_eq!(found(Entry::Absent, true, true), Plan::LeaveAlone);
    }

    #[test]
    fn what_an_earlier_call_left_is_cleared_first() {
        for (entry, pod_link, host_link) in [
            (record(State::Intent, "now"), true, true),
            (record(State::Owed, "now"), false, false),
            (record(State::Attached, "earlier"), false, false),
            (record(State::Attached, "now"), false, true),
            (Entry::Unreadable, false, false),
            (Entry::Absent, false, true),
        ] {
            assert_eq!(found(entry.clone(), pod_link, host_link), Plan::ClearAndMake, "{entry:?}");
        }
        assert_eq!(Plan::ClearAndMake.steps().first(), Some(&Step::ClearLeftovers));
        assert_eq!(found(Entry::Absent, false, false), Plan::Make);
    }

    #[test]
    fn an_undo_takes_away_what_its_step_and_those_before_it_make() {
        assert_eq!(Step::ClearLeftovers.undo(), Scope::local_and(Tell::No));
        assert_eq!(Step::LinkAndPlace.undo(), Scope { rows: false, link: true, tell: Tell::Yes });
        for step in Plan::ClearAndMake.steps().into_iter().filter(|step| *step > Step::LinkAndPlace) {
            assert_eq!(step.undo(), Scope::local_and(Tell::Yes), "{step:?}");
        }
    }

    #[test]
    fn the_pod_is_written_down_as_attached_when_all_else_is_done() {
        assert_eq!(Plan::Make.steps().last(), Some(&Step::WriteAttached));
        let steps = Plan::ClearAndMake.steps();
        assert!(steps.is_sorted(), "the order of the steps is the order of their names");
    }
}
