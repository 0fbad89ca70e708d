//! What a pass does to one attachment: takes it away, writes its rows again, delivers what it owes. Each is looked at once more,
//! under its sandbox's lock, right before anything is touched; whatever has changed since the pass looked makes it leave.

use std::time::Duration;

use tokio::time::Instant;

use super::containers::{Containers, Life, PodInfo, Word};
use super::facts::{boot_fact, found_fact, journal_fact, rows_fact, sandbox_fact};
use super::judge::{Boot, Facts, Journal as JournalFact, Pod as PodFact, Presence, Verdict, judge};
use super::subject::{Owner, Subject};
use crate::attach::release::{Notice, release};
use crate::call::Call;
use crate::config::NodeConfig;
use crate::error::Error;
use crate::host::{Host, LockGuard};
use crate::journal::{Entry, Journal, Record, State, boot_id};
use crate::log::CallLog;
use crate::orchestrator::{Orchestrator, Pod};
use crate::protocol::{Command, NetworkConfig, Request};
use crate::vrs::{Found, Making, Vrs};

/// How long one attachment may take: as long as a DEL.
const BUDGET: Duration = Duration::from_secs(5);

/// What became of an action.
#[derive(Debug)]
pub enum Outcome {
    /// It is done.
    Done,
    /// It would have been done.
    Planned,
    /// Somebody else is at work on the sandbox, or has been since the pass looked.
    Busy,
    /// Looked at once more, it lives; the reason of the table.
    Spared(&'static str),
    /// Whoever could say once more that it is dead does not answer; why.
    Unconfirmed(String),
    /// It is done on this node, and the monitor has not been told yet.
    Undelivered(Error),
    /// Something of it is left, and it is tried again.
    Failed(Error),
}

impl Outcome {
    /// As reports and metrics name it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Planned => "planned",
            Self::Busy => "busy",
            Self::Spared(_) => "spared",
            Self::Unconfirmed(_) => "unconfirmed",
            Self::Undelivered(_) => "undelivered",
            Self::Failed(_) => "failed",
        }
    }

    /// What is behind it, for people.
    pub fn details(&self) -> String {
        match self {
            Self::Done | Self::Planned | Self::Busy => String::new(),
            Self::Spared(reason) => (*reason).to_owned(),
            Self::Unconfirmed(reason) => reason.clone(),
            Self::Undelivered(error) | Self::Failed(error) => format!("{error}: {}", error.details()),
        }
    }
}

/// What acting on an attachment needs.
#[derive(Clone, Copy)]
pub struct Hands<'a> {
    /// The node's seams.
    pub host: &'a Host,
    /// Its orchestrator.
    pub orchestrator: Orchestrator,
    /// nuage-cni.yaml.
    pub node: &'a NodeConfig,
    /// Where the other files are, if not in their standard places.
    pub config_dir: Option<&'a std::path::Path>,
    /// Who says what lives.
    pub containers: &'a dyn Containers,
    /// The switch.
    pub vrs: &'a Vrs,
}

impl Hands<'_> {
    /// Takes an attachment away, or delivers what it owes.
    pub async fn release(&self, subject: &Subject) -> Outcome {
        let journal = Journal::new(self.host, self.node);
        let _guard = match hold(&journal, subject) {
            Ok(guard) => guard,
            Err(outcome) => return outcome,
        };
        let Again { facts, pod, silence } = self.look_again(subject).await;
        let again = judge(facts);
        mutant!(self.host, "A2" | "A6", let again = subject.judgement);
        if !matches!(again.verdict, Verdict::Candidate | Verdict::Release) {
            return silence.map_or(Outcome::Spared(again.reason), Outcome::Unconfirmed);
        }
        let request = request(subject);
        let log = CallLog::of_audit(self.host, self.node, Some(&subject.identity));
        let call = self.call(&request, &log);
        let record = subject.record().cloned().unwrap_or_else(|| {
            let boot_id = boot_id(&*self.host.files);
            Record::intent(&subject.identity, &subject.network, boot_id, 0)
        });
        let others = subject.identity.pod.as_ref().is_some_and(|pod| journal.has_open(pod, &record));
        let local = self.is_local(&pod).await;
        let notice = notice(subject, &record, &pod, others, local);
        let released = release(&call, &journal, &record, notice).await;
        match (released.local, released.monitor) {
            (Err(error), _) => Outcome::Failed(error),
            (Ok(()), Some(error)) => Outcome::Undelivered(error),
            (Ok(()), None) => Outcome::Done,
        }
    }

    /// Whether a pod that is pending is one of this node's; of another it does not matter, and nobody is asked.
    async fn is_local(&self, found: &Word<Option<PodInfo>>) -> bool {
        let Word::Told(Some(found @ PodInfo { life: Life::Pending, .. })) = found else { return false };
        let known = self.containers.observe().await.pods;
        known.told().is_some_and(|pods| pods.with_uid(&found.uid).is_some())
    }

    /// A call as the verbs know it.
    fn call<'c>(&'c self, request: &'c Request, log: &'c CallLog<'c>) -> Call<'c> {
        Call {
            host: self.host,
            orchestrator: self.orchestrator,
            node: self.node,
            config_dir: self.config_dir,
            request,
            identity: None,
            log,
            deadline: Instant::now() + BUDGET,
        }
    }

    /// The facts as they are now.
    async fn look_again(&self, subject: &Subject) -> Again {
        let name = &subject.identity.port_name;
        let link = match self.host.links.find(None, name).await {
            Ok(Some(_)) => Presence::There,
            Ok(None) => Presence::Gone,
            Err(_) => Presence::Unknown,
        };
        let mut facts = Facts {
            link,
            journal: journal_fact(&subject.entry),
            boot: boot_fact(
                subject.record().map(|record| record.boot_id.as_str()),
                &boot_id(&*self.host.files),
            ),
            ..subject.facts
        };
        let mut silence = None;
        // What was not asked before is not asked now, nor where the answer makes no difference.
        let is_dead_anyway = facts.journal == JournalFact::Owed || facts.boot == Boot::Another;
        let is_asked = !is_dead_anyway && subject.owner.is_runtimes_business(self.orchestrator);
        if is_asked && let Some(word) = self.containers.sandboxes().await {
            facts.sandbox = sandbox_fact(word.told(), &subject.identity, link);
            silence = word.silence().map(str::to_owned);
        }
        let Owner::Pod(pod) = &subject.owner else {
            let nobody = Word::Silent("it has no pod that can be asked for".to_owned());
            return Again { facts, pod: nobody, silence };
        };
        let found = self.containers.look_again(pod).await;
        facts.pod = match &found {
            Word::Silent(reason) => {
                silence = Some(reason.clone());
                PodFact::Unknown
            }
            Word::Told(found) => found_fact(pod, found.as_ref().filter(|found| is_same(pod, found))),
        };
        Again { facts, pod: found, silence }
    }

    /// Writes rows again that the switch has lost: with the same names and MAC, and the pod's address as a fixed one.
    pub async fn restore(&self, subject: &Subject) -> Outcome {
        let journal = Journal::new(self.host, self.node);
        let _guard = match hold(&journal, subject) {
            Ok(guard) => guard,
            Err(outcome) => return outcome,
        };
        let (Some(record), Some(written)) =
            (subject.record(), subject.record().and_then(|record| record.written.as_ref()))
        else {
            return Outcome::Spared("rows_incomplete");
        };
        let identity = &subject.identity;
        let found = match self.vrs.find(&identity.entity_uuid, &identity.port_name, false).await {
            Ok(found) => found,
            Err(error) => return Outcome::Failed(error),
        };
        if !matches!(self.host.links.find(None, &identity.port_name).await, Ok(Some(_))) {
            return Outcome::Spared("link_gone");
        }
        if rows_fact(parts(&found, &identity.port_name)) == super::judge::Rows::All {
            return Outcome::Spared("link_there");
        }
        let address = record.addresses.first().and_then(|address| address.split('/').next()?.parse().ok());
        let mut placement = written.placement.clone();
        placement.static_ip = address.or(placement.static_ip);
        let request = request(subject);
        let log = CallLog::of_audit(self.host, self.node, Some(identity));
        let making = Making { identity, placement: &placement, mac: &record.mac };
        match self.vrs.restore(&self.call(&request, &log), &making, &found).await {
            Ok(()) => Outcome::Done,
            Err(error) => Outcome::Failed(error),
        }
    }
}

/// What is known of an attachment once it was looked at again.
struct Again {
    facts: Facts,
    /// What its pod's origin says of it.
    pod: Word<Option<PodInfo>>,
    /// Why somebody who could say more does not.
    silence: Option<String>,
}

/// The lock of a sandbox, unless somebody holds it or has changed the attachment since the pass looked.
fn hold(journal: &Journal<'_>, subject: &Subject) -> Result<Box<dyn LockGuard>, Outcome> {
    let guard = journal.try_lock(subject.lock_name()).map_err(Outcome::Failed)?.ok_or(Outcome::Busy)?;
    let entry = journal.load(&subject.identity.port_name).map_err(Outcome::Failed)?;
    if entry == subject.entry { Ok(guard) } else { Err(Outcome::Busy) }
}

/// A DEL of it, as far as anything asks.
fn request(subject: &Subject) -> Request {
    Request {
        command: Command::Del,
        container_id: subject.identity.container_id.clone(),
        netns: None,
        ifname: subject.identity.ifname.clone(),
        args: std::collections::BTreeMap::new(),
        network: NetworkConfig { name: subject.network.clone(), ..NetworkConfig::default() },
    }
}

/// What is there of the three: entity, Nuage row, port.
fn parts(found: &Found, port: &str) -> [bool; 3] {
    let listed = found.entity_ports.iter().flatten().any(|listed| listed == port);
    [listed, found.port.is_some(), found.switch_port]
}

/// Whether what has the name is the pod itself, and not one that was made again.
fn is_same(pod: &Pod, found: &PodInfo) -> bool {
    pod.uid.as_ref().is_none_or(|uid| found.has_uid(uid))
}

/// Whether the monitor is told: it counts pods by name, so that nobody who lives may have the name. `others`: the pod has
/// another attachment, whose end will tell. `local`: what has the name is pending on this node.
fn notice(
    subject: &Subject,
    record: &Record,
    found: &Word<Option<PodInfo>>,
    others: bool,
    local: bool,
) -> Notice {
    let Owner::Pod(pod) = &subject.owner else { return Notice::None };
    if others || (record.state == State::Owed && !record.owes_monitor) {
        return Notice::None;
    }
    match found {
        Word::Silent(_) => Notice::Later,
        Word::Told(Some(found)) if !found.wants_port() => Notice::Due,
        Word::Told(Some(found)) if is_same(pod, found) => Notice::Later,
        // Another of its name that is not attached: its own ADD counts it anew.
        Word::Told(Some(_)) if local => Notice::Due,
        // Another of its name: the notice would free that one's place.
        Word::Told(Some(_)) => Notice::None,
        Word::Told(None) => Notice::Due,
    }
}

impl Subject {
    /// Whether only the monitor waits for something.
    pub fn owes_only_a_notice(&self) -> bool {
        matches!(&self.entry, Entry::Record(record) if record.state == State::Owed && !record.owes_vrs)
    }
}
