//! What one pass does, decided from judgements and first sightings. Pure. Holds the trip wire: deletions that rest on belief are
//! capped a pass, and too many of them at once are taken for a wrong belief.

use std::time::Duration;

use super::judge::Verdict;
use super::ledger::Ledger;
use super::subject::Subject;

/// So many deletions a pass are believed on any node.
const ALWAYS_BELIEVED: usize = 5;
/// And one in so many attachments on a large one.
const BELIEVED_SHARE: usize = 10;

/// The trip wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trip {
    /// How many attachments were due.
    pub due: usize,
    /// How many would have been believed.
    pub limit: usize,
}

/// What one pass does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Indices of subjects whose rows are written again.
    pub restore: Vec<usize>,
    /// Indices of subjects that are taken away.
    pub release: Vec<usize>,
    /// How many seem to be leaked and are not due.
    pub waiting: usize,
    /// Too many are due: none of those that rest on belief is taken away.
    pub tripped: Option<Trip>,
}

/// How many deletions a pass of a node with so many attachments are believed.
pub fn limit(attachments: usize) -> usize {
    ALWAYS_BELIEVED.max(attachments.div_ceil(BELIEVED_SHARE))
}

/// Decides. `held`: the wire was tripped before; `confirmed`: a person has said that it is right.
pub fn plan(subjects: &[Subject], ledger: &Ledger, grace: Duration, held: bool, confirmed: bool) -> Plan {
    let mut plan = Plan::default();
    let mut due = Vec::new();
    for (index, subject) in subjects.iter().enumerate() {
        match subject.judgement.verdict {
            Verdict::Keep => {}
            Verdict::Restore => plan.restore.push(index),
            // Not by belief: the runtime or the kernel has said so. A reboot may leave a whole node of these.
            Verdict::Release => plan.release.push(index),
            Verdict::Candidate => {
                let is_due = ledger.get(&subject.identity.port_name).is_some_and(|seen| seen.is_due(grace));
                if is_due { due.push(index) } else { plan.waiting += 1 }
            }
        }
    }
    let limit = limit(subjects.len());
    if !due.is_empty() && !confirmed && (held || due.len() > limit) {
        plan.tripped = Some(Trip { due: due.len(), limit });
        plan.waiting += due.len();
    } else {
        plan.release.extend(due);
    }
    plan
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::subject::tests::subject;

    /// A node with so many attachments, the first of which are candidates that are due.
    fn node(attachments: usize, candidates: usize) -> (Vec<Subject>, Ledger) {
        let mut ledger = Ledger::default();
        let subjects = (0..attachments).map(|number| {
            let verdict = if number < candidates { Verdict::Candidate } else { Verdict::Keep };
            subject(&format!("p{number}"), verdict)
        });
        let subjects: Vec<Subject> = subjects.collect();
        for subject in subjects.iter().take(candidates) {
            for minute in 0..3 {
                let now = Duration::from_mins(minute);
                ledger.note(&subject.identity.port_name, "pod_gone", now, Duration::from_mins(2));
            }
        }
        (subjects, ledger)
    }

    const GRACE: Duration = Duration::from_mins(2);

    #[test]
    fn up_to_five_or_a_tenth_are_believed_and_one_more_is_not() {
        for (attachments, believed) in [(6, 5), (50, 5), (110, 11), (1000, 100)] {
            let (subjects, ledger) = node(attachments, believed);
            assert_eq!(plan(&subjects, &ledger, GRACE, false, false).release.len(), believed);
            let (subjects, ledger) = node(attachments, believed + 1);
            let tripped = plan(&subjects, &ledger, GRACE, false, false);
            assert!(tripped.release.is_empty(), "{attachments}");
            assert_eq!(tripped.tripped, Some(Trip { due: believed + 1, limit: believed }));
        }
    }

    #[test]
    fn once_tripped_nothing_that_rests_on_belief_is_taken_away_until_a_person_confirms() {
        let (subjects, ledger) = node(100, 3);
        assert!(plan(&subjects, &ledger, GRACE, true, false).release.is_empty());
        assert_eq!(plan(&subjects, &ledger, GRACE, true, true).release.len(), 3);
    }

    #[test]
    fn what_the_runtime_or_the_kernel_says_is_not_held_up() {
        let subjects: Vec<Subject> =
            (0..50).map(|number| subject(&format!("p{number}"), Verdict::Release)).collect();
        let plan = plan(&subjects, &Ledger::default(), GRACE, true, false);
        assert_eq!((plan.release.len(), plan.tripped), (50, None));
    }

    #[test]
    fn a_candidate_that_is_not_due_waits() {
        let (subjects, ledger) = node(10, 2);
        let plan = plan(&subjects, &ledger, 10 * GRACE, false, false);
        assert_eq!((plan.release.len(), plan.waiting), (0, 2));
    }
}
