//! `monitor_told_exactly_once_per_delete`: the monitor counts pods by name, and a notice too many gives a living pod's address
//! away. What it was told is written down where it hears it; nothing here asks the plugin.
//!
//! Each sandbox of a pod that met trouble may owe a notice of its own, which a later call delivers: of such a pod the promise is
//! "at least once".

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::{CallView, Invariant};
use crate::world::sim::ledger::Phase;

/// How long a notice is remembered, in milliseconds: a runtime repeats its DELs within minutes.
const REMEMBERED: u64 = 10 * 60 * 1000;

pub(super) const INVARIANT: Invariant = Invariant::of_call(
    "monitor_told_exactly_once_per_delete",
    "when a DEL has succeeded and nothing was wrong, the monitor was told that the pod is gone: once, however often DEL is \
     called in ten minutes; at least once, if an earlier sandbox of the pod met trouble and may owe a notice, too",
    check,
);

/// What the monitor was told of pods that were not attached again, and what there was to tell.
#[derive(Debug, Default)]
pub(crate) struct Notices {
    pods: BTreeMap<String, Pod>,
    /// Since when each is known, oldest first.
    order: VecDeque<(u64, String)>,
    /// How many GCs have begun: each may tell what nobody knows to be due.
    collections: u64,
    /// The pods whose earlier sandboxes may owe a notice. No more than have met trouble.
    indebted: BTreeSet<String>,
}

/// What is known of the pods of one name.
#[derive(Clone, Copy, Debug)]
struct Pod {
    since: u64,
    /// How often the monitor was told.
    told: u32,
    /// How many attachments that were up had their DEL begin.
    due: u32,
    /// How many DELs run.
    running: u32,
    /// How often something had begun to be wrong by then, if nothing was.
    calm: Option<u64>,
    /// Something was wrong meanwhile, a call failed or was killed, it was attached again while a DEL ran, or somebody else than a
    /// DEL has told: then nobody can say what was due.
    unsure: bool,
}

/// When something happens, in milliseconds; and how often something has begun to be wrong by then, if nothing is wrong now.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    pub(crate) now: u64,
    pub(crate) calm: Option<u64>,
}

impl Notices {
    fn pod(&mut self, name: &str, moment: Moment) -> &mut Pod {
        let (now, calm) = (moment.now, moment.calm.map(|unrest| unrest + self.collections));
        while let Some((since, old)) = self.order.front().filter(|(since, _)| since + REMEMBERED <= now) {
            if self.pods.get(old).is_some_and(|pod| pod.since == *since)
                && self.pods.remove(old).is_some_and(|pod| pod.unsure)
            {
                self.indebted.insert(old.clone());
            }
            self.order.pop_front();
        }
        if !self.pods.contains_key(name) {
            self.order.push_back((now, name.to_owned()));
        }
        let fresh = Pod { since: now, told: 0, due: 0, running: 0, calm, unsure: calm.is_none() };
        let pod = self.pods.entry(name.to_owned()).or_insert(fresh);
        pod.unsure |= pod.calm != calm;
        pod
    }

    /// The monitor is told that a pod is gone.
    pub(crate) fn told(&mut self, name: &str, moment: Moment) {
        let pod = self.pod(name, moment);
        pod.told += 1;
        pod.unsure |= pod.running == 0;
    }

    /// A DEL of an attachment of a pod begins, which was up or not.
    pub(crate) fn del_begins(&mut self, name: &str, moment: Moment, was_up: bool) {
        let pod = self.pod(name, moment);
        pod.running += 1;
        pod.due += u32::from(was_up);
        // Of what nobody knows to have been up, nobody knows what is to be told.
        pod.unsure |= pod.due == 0;
    }

    /// It has ended, `well` or not.
    pub(crate) fn del_ends(&mut self, name: &str, well: bool) {
        if let Some(pod) = self.pods.get_mut(name) {
            pod.running = pod.running.saturating_sub(1);
            pod.unsure |= !well;
        }
    }

    /// An ADD of a pod has failed or was killed: the monitor may know of the pod or not.
    pub(crate) fn add_failed(&mut self, name: &str, moment: Moment) {
        self.pod(name, moment).unsure = true;
    }

    /// A GC begins.
    pub(crate) fn collects(&mut self) {
        self.collections += 1;
    }

    /// An ADD of a pod begins or has succeeded: what comes next is about that.
    pub(crate) fn renewed(&mut self, name: &str) {
        match self.pods.get_mut(name) {
            Some(pod) if pod.running > 0 => pod.unsure = true,
            _ => {
                if self.pods.remove(name).is_some_and(|pod| pod.unsure) {
                    self.indebted.insert(name.to_owned());
                }
            }
        }
    }

    /// How often the monitor was told of a pod, and how often it should have been, if that is sure.
    fn of(&self, name: &str) -> Option<(u32, u32)> {
        self.pods.get(name).filter(|pod| !pod.unsure).map(|pod| (pod.told, pod.due))
    }

    /// Whether an earlier sandbox of the pod may owe a notice.
    fn may_owe(&self, name: &str) -> bool {
        self.indebted.contains(name)
    }
}

fn check(view: &CallView<'_>) -> Result<(), String> {
    let (ended, asked) = (view.ended, view.ended.asked);
    let over = asked.command == "DEL" && view.success().is_some() && ended.meanwhile.steady && ended.calm;
    let (true, Some(sandbox)) = (over, view.sandbox()) else { return Ok(()) };
    let Some((told, due)) = view.ledger.notices.of(&sandbox.pod) else { return Ok(()) };
    let missed = told == 0 && due > 0 && ended.was_up && !ended.meanwhile.overlaps && !sandbox.disturbed;
    let repeated = told > due && !view.ledger.notices.may_owe(&sandbox.pod);
    if repeated || (missed && !has_others(view, &sandbox.pod)) {
        return Err(format!(
            "after {} the monitor was told {told} times that it is gone, not {due}",
            view.name()
        ));
    }
    Ok(())
}

/// Whether another sandbox of this pod's name is there, or one that its runtime has forgotten and nobody has taken down: then the
/// monitor is not to be told yet.
fn has_others(view: &CallView<'_>, pod: &str) -> bool {
    let mut others = view.ledger.on(view.node).filter(|(id, _)| **id != *view.ended.asked.sandbox);
    others.any(|(_, other)| other.pod == pod && (other.phase != Phase::Gone || other.disturbed))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(now: u64) -> Moment {
        Moment { now, calm: Some(0) }
    }

    #[test]
    fn each_attachment_that_was_up_is_told_once_however_often_del_is_called() {
        let mut notices = Notices::default();
        notices.del_begins("default/a", at(0), true);
        notices.told("default/a", at(1));
        notices.del_ends("default/a", true);
        for time in 2..8 {
            notices.del_begins("default/a", at(time), false);
            notices.del_ends("default/a", true);
        }
        assert_eq!(notices.of("default/a"), Some((1, 1)));
        notices.renewed("default/a");
        assert_eq!(notices.of("default/a"), None);
    }

    #[test]
    fn what_met_trouble_may_owe_a_notice_for_good_and_what_did_not_owes_none() {
        let mut notices = Notices::default();
        notices.del_begins("default/a", at(0), true);
        notices.del_ends("default/a", true);
        notices.renewed("default/a");
        assert!(!notices.may_owe("default/a"));
        notices.add_failed("default/a", at(1));
        notices.renewed("default/a");
        notices.add_failed("default/b", at(2));
        notices.del_begins("default/c", at(REMEMBERED + 2), true);
        assert!(
            notices.may_owe("default/a") && notices.may_owe("default/b") && !notices.may_owe("default/c")
        );
    }

    #[test]
    fn a_pod_is_remembered_for_ten_minutes() {
        let mut notices = Notices::default();
        notices.del_begins("default/a", at(0), true);
        notices.del_ends("default/a", true);
        notices.renewed("default/a");
        notices.del_begins("default/a", at(3000), true);
        notices.del_begins("default/b", at(REMEMBERED + 2500), true);
        assert!(notices.of("default/a").is_some());
        notices.del_begins("default/b", at(REMEMBERED + 3000), true);
        assert_eq!((notices.pods.len(), notices.order.len()), (1, 1));
    }

    #[test]
    fn nothing_is_sure_where_something_was_wrong_or_an_add_came_in_between() {
        for (first, second) in [(None, Some(1)), (Some(1), None), (Some(1), Some(2))] {
            let mut notices = Notices::default();
            notices.del_begins("default/a", Moment { now: 0, calm: first }, true);
            notices.told("default/a", Moment { now: 1, calm: second });
            assert_eq!(notices.of("default/a"), None);
        }
        let spoil: [fn(&mut Notices); 4] = [
            |notices| notices.del_ends("default/a", false),
            |notices| notices.add_failed("default/a", at(1)),
            |notices| {
                notices.collects();
                notices.told("default/a", at(1));
            },
            |notices| {
                notices.del_ends("default/a", true);
                notices.told("default/a", at(1));
            },
        ];
        for spoil in spoil {
            let mut notices = Notices::default();
            notices.del_begins("default/a", at(0), true);
            spoil(&mut notices);
            assert_eq!(notices.of("default/a"), None);
        }
        let mut notices = Notices::default();
        notices.del_begins("default/a", at(0), true);
        notices.renewed("default/a");
        notices.told("default/a", at(1));
        assert_eq!(notices.of("default/a"), None);
    }
}
