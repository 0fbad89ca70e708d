//! The rules: from what is known of one attachment to what becomes of it. Pure, and the only place that decides. Whatever is not
//! known speaks for the attachment: it is valid until it is proven to be leaked.
//!
//! The first line that fits counts; `·` is anything.
//!
//! | journal | boot | runtime's sandbox | pod | link | namespace | verdict | reason |
//! |---|---|---|---|---|---|---|---|
//! | owed | · | · | · | · | · | release | `owed`: a DEL has asked for it |
//! | · | another | · | · | there | · | candidate | `earlier_boot`: two facts that contradict each other |
//! | · | another | · | · | not there, unknown | · | release | `earlier_boot`: links do not outlive a boot |
//! | · | · | · | finished | · | · | candidate | `pod_finished`: it owns no port |
//! | · | · | · | on the host's network | · | · | candidate | `pod_on_host_network`: it owns no port |
//! | · | · | ready | · | · | · | **live** | `sandbox_ready` |
//! | · | · | not ready, gone | · | there | inhabited | keep | `namespace_inhabited`: who does not know it may not see all |
//! | · | · | not ready | · | · | · | candidate | `sandbox_not_ready`: its DEL was due before |
//! | · | · | gone | · | · | · | candidate | `sandbox_gone` |
//! | intent | · | nobody asked | · | · | · | candidate | `unfinished_add`: its ADD has ended (its lock is free) and never succeeded |
//! | · | · | nobody asked | absent | · | · | candidate | `pod_gone` |
//! | · | · | nobody asked | pending, running, static, someone's, no pod's, unknown | there | · | **live** | `link_there` |
//! | · | · | nobody asked | · | unknown | · | keep | `links_unknown` |
//! | · | · | nobody asked | unknown | not there | · | keep | `pods_unknown`: one witness is silent |
//! | · | · | nobody asked | pending, running, static, someone's, no pod's | not there | there, inhabited | keep | `namespace_there` |
//! | · | · | nobody asked | pending, running, static, someone's, no pod's | not there | gone, unknown | candidate | `link_gone`: the kernel took it with its sandbox |
//!
//! **live** is `keep` where all rows are on the switch. Where some are not, it is `restore` if the journal can write them again
//! (attached, of this boot) and the link is there, and `keep` with reason `rows_incomplete` if not.
//!
//! A *candidate* is released after two observations and the grace period (`staleentrytimeout`), looked at once more under the
//! sandbox's lock. *Release* needs no grace: the kernel or the runtime has said so. Whoever holds the lock of the sandbox is at
//! work on it, and the audit leaves it alone whatever is known.

use std::fmt;

/// What the orchestrator says of the attachment's pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pod {
    /// Nothing that counts: it did not answer, or its answer is old or incredible.
    Unknown,
    /// The attachment is no pod's (podman, cnitool, Mesos).
    None,
    /// The attachment names no pod, and some pod of this node has no attachment: it may be that one's.
    Someone,
    /// It is not on this node any more, or another one has its name.
    Absent,
    /// It is there and has not begun to run.
    Pending,
    /// It runs.
    Running,
    /// It has ended, with success or without.
    Finished,
    /// It uses the host's network.
    HostNetwork,
    /// Its UID is a file's hash, and the API server does not know it: a static pod runs without a mirror.
    Static,
}

/// What the runtime says of its sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sandbox {
    /// There is nobody to ask, or no answer.
    Unknown,
    /// It runs.
    Ready,
    /// It was stopped.
    NotReady,
    /// The runtime does not know it.
    Gone,
}

/// Whether something is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// Nobody can tell.
    Unknown,
    /// It is.
    There,
    /// It is not.
    Gone,
}

/// Whether a network namespace is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Namespace {
    /// Nobody can tell.
    Unknown,
    /// It is, and a process is in it.
    Inhabited,
    /// It is.
    There,
    /// It is not.
    Gone,
}

/// What the journal says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Journal {
    /// Nothing: the original plugin wrote none, or the disk was lost.
    Absent,
    /// Something that cannot be read.
    Unreadable,
    /// An ADD began and has not ended.
    Intent,
    /// It is up.
    Attached,
    /// A DEL could not deliver everything.
    Owed,
}

/// Of which boot of the machine the record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Boot {
    /// There is no record, or the system tells no boot.
    Unknown,
    /// Of this one.
    This,
    /// Of another.
    Another,
}

/// How much of an attachment the switch has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rows {
    /// Port, its Nuage row, and an entity that lists it.
    All,
    /// Some of these.
    Some,
    /// None.
    None,
}

/// All that is known of one attachment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Its pod.
    pub pod: Pod,
    /// Its sandbox.
    pub sandbox: Sandbox,
    /// The host's end of its veth pair.
    pub link: Presence,
    /// Its record.
    pub journal: Journal,
    /// Its record's boot.
    pub boot: Boot,
    /// The network namespace that its record names.
    pub namespace: Namespace,
    /// Its rows.
    pub rows: Rows,
}

impl fmt::Display for Facts {
    /// On one line, for logs and reports.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!(
            "pod={:?} sandbox={:?} link={:?} journal={:?} boot={:?} namespace={:?} rows={:?}",
            self.pod, self.sandbox, self.link, self.journal, self.boot, self.namespace, self.rows
        );
        formatter.write_str(&text.to_ascii_lowercase())
    }
}

/// What becomes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// It is left alone.
    Keep,
    /// It lives, and rows of it are lost: they are written again.
    Restore,
    /// It seems to be leaked.
    Candidate,
    /// It is dead for certain.
    Release,
}

impl Verdict {
    /// As reports and metrics name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Restore => "restore",
            Self::Candidate => "candidate",
            Self::Release => "release",
        }
    }
}

/// A verdict with its reason, a word of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// What becomes of it.
    pub verdict: Verdict,
    /// Why.
    pub reason: &'static str,
}

/// Judges, by the table above.
pub fn judge(facts: Facts) -> Judgement {
    use Verdict::{Candidate, Keep, Release};
    let because = |verdict, reason| Judgement { verdict, reason };
    if facts.journal == Journal::Owed {
        return because(Release, "owed");
    }
    if facts.boot == Boot::Another {
        let contradiction = facts.link == Presence::There;
        return because(if contradiction { Candidate } else { Release }, "earlier_boot");
    }
    match facts.pod {
        Pod::Finished => return because(Candidate, "pod_finished"),
        Pod::HostNetwork => return because(Candidate, "pod_on_host_network"),
        _ => {}
    }
    match facts.sandbox {
        Sandbox::Ready => return live(facts, "sandbox_ready"),
        Sandbox::NotReady | Sandbox::Gone
            if facts.link == Presence::There && facts.namespace == Namespace::Inhabited =>
        {
            return because(Keep, "namespace_inhabited");
        }
        Sandbox::NotReady => return because(Candidate, "sandbox_not_ready"),
        Sandbox::Gone => return because(Candidate, "sandbox_gone"),
        Sandbox::Unknown => {}
    }
    if facts.journal == Journal::Intent {
        return because(Candidate, "unfinished_add");
    }
    if facts.pod == Pod::Absent {
        return because(Candidate, "pod_gone");
    }
    match (facts.link, facts.pod, facts.namespace) {
        (Presence::There, ..) => live(facts, "link_there"),
        (Presence::Unknown, ..) => because(Keep, "links_unknown"),
        (Presence::Gone, Pod::Unknown, _) => because(Keep, "pods_unknown"),
        (Presence::Gone, _, Namespace::There | Namespace::Inhabited) => because(Keep, "namespace_there"),
        (Presence::Gone, ..) => because(Candidate, "link_gone"),
    }
}

/// Of one that lives: whether it has what it needs.
fn live(facts: Facts, reason: &'static str) -> Judgement {
    if facts.rows == Rows::All {
        return Judgement { verdict: Verdict::Keep, reason };
    }
    let restorable =
        facts.journal == Journal::Attached && facts.boot == Boot::This && facts.link == Presence::There;
    if restorable {
        return Judgement { verdict: Verdict::Restore, reason: "rows_lost" };
    }
    Judgement { verdict: Verdict::Keep, reason: "rows_incomplete" }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PODS: [Pod; 9] = [
        Pod::Unknown,
        Pod::None,
        Pod::Someone,
        Pod::Absent,
        Pod::Pending,
        Pod::Running,
        Pod::Finished,
        Pod::HostNetwork,
        Pod::Static,
    ];
    const SANDBOXES: [Sandbox; 4] = [Sandbox::Unknown, Sandbox::Ready, Sandbox::NotReady, Sandbox::Gone];
    const PRESENCES: [Presence; 3] = [Presence::Unknown, Presence::There, Presence::Gone];
    const NAMESPACES: [Namespace; 4] =
        [Namespace::Unknown, Namespace::Inhabited, Namespace::There, Namespace::Gone];
    const JOURNALS: [Journal; 5] =
        [Journal::Absent, Journal::Unreadable, Journal::Intent, Journal::Attached, Journal::Owed];
    const BOOTS: [Boot; 3] = [Boot::Unknown, Boot::This, Boot::Another];
    const ROWS: [Rows; 3] = [Rows::All, Rows::Some, Rows::None];

    /// Every combination of facts.
    fn all() -> impl Iterator<Item = Facts> {
        let count = PODS.len() * 4 * 3 * 5 * 3 * 4 * 3;
        (0..count).map(|number| {
            let mut rest = number;
            let mut digit = |base: usize| {
                let digit = rest % base;
                rest /= base;
                digit
            };
            Facts {
                pod: PODS[digit(9)],
                sandbox: SANDBOXES[digit(4)],
                link: PRESENCES[digit(3)],
                journal: JOURNALS[digit(5)],
                boot: BOOTS[digit(3)],
                namespace: NAMESPACES[digit(4)],
                rows: ROWS[digit(3)],
            }
        })
    }

    fn is_against(verdict: Verdict) -> bool {
        matches!(verdict, Verdict::Candidate | Verdict::Release)
    }

    #[test]
    fn a_running_pod_whose_link_is_there_is_never_touched() {
        for facts in all().filter(|facts| {
            facts.link == Presence::There
                && matches!(
                    facts.pod,
                    Pod::Running | Pod::Pending | Pod::Static | Pod::Someone | Pod::Unknown
                )
                && matches!(facts.sandbox, Sandbox::Unknown | Sandbox::Ready)
                && !matches!(facts.journal, Journal::Owed | Journal::Intent)
                && facts.boot != Boot::Another
        }) {
            assert!(!is_against(judge(facts).verdict), "{facts:?}: {:?}", judge(facts));
        }
    }

    #[test]
    fn whatever_a_runtime_leaves_out_is_not_touched_while_a_process_lives_in_it() {
        for facts in all().filter(|facts| {
            facts.link == Presence::There
                && facts.namespace == Namespace::Inhabited
                && !matches!(facts.pod, Pod::Finished | Pod::HostNetwork)
                && facts.sandbox != Sandbox::Unknown
                && facts.journal != Journal::Owed
                && facts.boot != Boot::Another
        }) {
            assert!(!is_against(judge(facts).verdict), "{facts:?}");
        }
    }

    #[test]
    fn where_every_witness_is_silent_nothing_is_done() {
        for facts in all().filter(|facts| {
            facts.pod == Pod::Unknown
                && facts.sandbox == Sandbox::Unknown
                && facts.boot != Boot::Another
                && !matches!(facts.journal, Journal::Owed | Journal::Intent)
        }) {
            assert!(!is_against(judge(facts).verdict), "{facts:?}");
        }
    }

    #[test]
    fn only_the_runtime_or_the_kernel_release_at_once() {
        for facts in all().filter(|facts| judge(*facts).verdict == Verdict::Release) {
            assert!(facts.journal == Journal::Owed || facts.boot == Boot::Another, "{facts:?}");
        }
    }

    #[test]
    fn rows_are_written_again_only_from_a_record_of_this_boot_and_for_a_link_that_is_there() {
        for facts in all().filter(|facts| judge(*facts).verdict == Verdict::Restore) {
            assert_eq!((facts.journal, facts.boot), (Journal::Attached, Boot::This), "{facts:?}");
            assert_eq!(facts.link, Presence::There, "{facts:?}");
            assert!(facts.rows != Rows::All, "{facts:?}");
            assert!(!matches!(facts.pod, Pod::Finished | Pod::HostNetwork), "{facts:?}");
            assert!(facts.pod != Pod::Absent || facts.sandbox == Sandbox::Ready, "{facts:?}");
        }
    }

    #[test]
    fn whatever_is_dead_for_every_witness_is_not_kept() {
        for facts in all().filter(|facts| {
            facts.link == Presence::Gone
                && matches!(facts.pod, Pod::Absent | Pod::Finished | Pod::HostNetwork)
                && facts.sandbox != Sandbox::Ready
        }) {
            assert!(is_against(judge(facts).verdict), "{facts:?}");
        }
    }

    #[test]
    fn finished_pods_and_pods_of_the_hosts_network_own_no_port() {
        for facts in all().filter(|facts| matches!(facts.pod, Pod::Finished | Pod::HostNetwork)) {
            assert!(is_against(judge(facts).verdict), "{facts:?}");
        }
    }

    #[test]
    fn every_reason_stands_in_the_table() {
        let source = include_str!("judge.rs");
        let table: String = source.lines().take_while(|line| line.starts_with("//!")).collect();
        for facts in all() {
            let reason = judge(facts).reason;
            let told = table.contains(&format!("`{reason}`")) || reason == "rows_lost";
            assert!(told, "{reason}");
        }
    }
}
