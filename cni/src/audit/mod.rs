//! The audit: keeps the switch equal to the containers that run. Observes the switch first and the containers second, each whole or
//! not at all; judges by one table ([`judge`]); waits for a second observation and a grace period; looks once more before it
//! touches anything. It never touches what lives, what is not ours, or what it cannot tell.

pub mod act;
pub mod backoff;
pub mod cli;
pub mod containers;
pub mod cri;
mod events;
mod facts;
pub mod judge;
pub mod kubernetes;
pub mod ledger;
pub mod mesos;
pub mod metrics;
#[cfg(feature = "mutants")]
mod mutants;
pub mod news;
pub mod node_name;
mod peer;
pub mod plan;
pub mod reachable;
pub mod report;
pub mod run;
pub mod service;
pub mod state;
pub mod subject;
pub mod token;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::call::Call;
use crate::config::NodeConfig;
use crate::error::Error;
use crate::host::{Host, LockGuard, Namespaces};
use crate::journal::{Entry, Journal, Record, State, boot_id};
use crate::log::CallLog;
use crate::orchestrator::Orchestrator;
use crate::protocol::{Command, NetworkConfig, Request};
use crate::vrs::Vrs;
use act::{Hands, Outcome};
use backoff::Backoff;
use containers::{Containers, Reception, Testimony, Word};
use facts::sandbox_fact;
use judge::{Presence, Sandbox, Verdict};
use ledger::Ledger;
use news::{Allowance, News};
use plan::plan;
use report::{Action, Kind, Remembered, Report};
use subject::{Observation, Subject, subjects};

/// How long a pass may take in all. A node full of debts is paid in several.
const PASS_BUDGET: Duration = Duration::from_mins(1);
/// How long a pass waits for another one of this node, a person's beside the daemon's.
const LOCK_PATIENCE: Duration = Duration::from_secs(10);
const LOCK_PAUSE: Duration = Duration::from_millis(50);
/// No debt is tried less often.
const LONGEST_PAUSE: Duration = Duration::from_mins(10);

/// What a pass may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mode {
    /// It only says what it would do, and remembers nothing.
    pub dry_run: bool,
    /// A person has confirmed that many deletions are right.
    pub confirmed: bool,
}

/// The audit of one node.
pub struct Auditor {
    host: Host,
    orchestrator: Orchestrator,
    node: NodeConfig,
    config_dir: Option<PathBuf>,
    containers: Arc<dyn Containers>,
    /// What the disk refused to take; it counts while the process lives.
    unsaved: Option<Ledger>,
    held: bool,
    debts: BTreeMap<String, Debt>,
    differing: BTreeSet<String>,
    allowance: Allowance,
    /// Whether it has been logged that pods must not be told of.
    is_muzzled: bool,
}

/// A debt that could not be paid yet.
struct Debt {
    backoff: Backoff,
    due: Instant,
}

impl std::fmt::Debug for Auditor {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Auditor").field("held", &self.held).finish_non_exhaustive()
    }
}

impl Auditor {
    /// An audit of the node behind `host`, whose containers `containers` knows.
    pub fn new(
        host: Host,
        orchestrator: Orchestrator,
        node: NodeConfig,
        config_dir: Option<PathBuf>,
        containers: Arc<dyn Containers>,
    ) -> Self {
        Self {
            host,
            orchestrator,
            node,
            config_dir,
            containers,
            unsaved: None,
            held: false,
            debts: BTreeMap::new(),
            differing: BTreeSet::new(),
            allowance: Allowance::new(),
            is_muzzled: false,
        }
    }

    /// One pass.
    ///
    /// # Errors
    /// What could not be observed; nothing has been done then.
    pub async fn pass(&mut self, mode: Mode) -> Result<Report, Error> {
        let started = Instant::now();
        let _turn = self.take_turn().await?;
        let request = empty_request();
        let host = self.host.clone();
        let node = self.node.clone();
        let log = CallLog::of_audit(&host, &node, None);
        let deadline = started + PASS_BUDGET;
        let vrs = Vrs::connect_once(&self.call(&host, &node, &request, &log, deadline), deadline).await?;
        let observation = self.observe(&vrs).await?;
        let (subjects, foreign) = subjects(&observation);
        mutant!(host, "A1" => mutants::take_strangers(&vrs, &observation).await);
        mutant!(host, "A2", let subjects = mutants::condemn_namesakes(subjects));
        mutant!(host, "A6", let subjects = mutants::believe_an_empty_list(subjects, &observation));
        let mut ledger =
            self.unsaved.clone().unwrap_or_else(|| Ledger::load(&*self.host.files, &node.state_dir));
        self.note(&mut ledger, &subjects, observation.testimony.runtimes_silence().is_some());
        let plan = plan(&subjects, &ledger, node.stale_timeout, self.held, mode.confirmed);
        let mut report = Report {
            foreign,
            waiting: plan.waiting,
            tripped: plan.tripped,
            doubts: doubts(&observation, &subjects),
            ..Report::default()
        };
        report.list(&subjects, &ledger);
        if mode.dry_run {
            report.actions = planned(&subjects, &plan);
        } else {
            self.held = plan.tripped.is_some();
            let acting = Acting { vrs: &vrs, deadline };
            self.act(&acting, &subjects, &plan, &mut ledger, &mut report).await;
            report.doubts.extend(unconfirmed(&report.actions));
            let mut news = restored(&subjects, &report.actions);
            news.extend(self.tell_differences(&subjects));
            report.remembered = Remembered {
                sightings: ledger.iter().count(),
                debts: self.debts.len(),
                differences: self.differing.len(),
            };
            self.save(ledger);
            self.spread(news).await;
        }
        report.took = started.elapsed();
        Ok(report)
    }

    /// Takes the turn of this node: two passes at once would count one observation twice.
    async fn take_turn(&self) -> Result<Box<dyn LockGuard>, Error> {
        let path = self.node.run_dir.join("audit.lock");
        let deadline = Instant::now() + LOCK_PATIENCE;
        let failed =
            |details: String| Error::Io { operation: format!("locking {}", path.display()), details };
        loop {
            if let Some(guard) = self.host.files.try_lock(&path).map_err(|error| failed(error.to_string()))? {
                return Ok(guard);
            }
            if Instant::now() >= deadline {
                return Err(Error::TryAgain {
                    what: "another pass of the audit is in progress".to_owned(),
                    details: format!("{} is locked", path.display()),
                    hint: None,
                });
            }
            sleep(LOCK_PAUSE).await;
        }
    }

    fn call<'a>(
        &'a self,
        host: &'a Host,
        node: &'a NodeConfig,
        request: &'a Request,
        log: &'a CallLog<'a>,
        deadline: Instant,
    ) -> Call<'a> {
        Call {
            host,
            orchestrator: self.orchestrator,
            node,
            config_dir: self.config_dir.as_deref(),
            request,
            identity: None,
            log,
            deadline,
        }
    }

    /// The switch first, the containers last: what comes up in between is in the later answer.
    async fn observe(&self, vrs: &Vrs) -> Result<Observation, Error> {
        let survey = vrs.survey().await?;
        let journal = Journal::new(&self.host, &self.node);
        let mut entries = BTreeMap::new();
        for name in journal.names()? {
            let entry = journal.load(&name)?;
            if entry != Entry::Absent {
                entries.insert(name, entry);
            }
        }
        let links = match self.host.links.names().await {
            Ok(names) => Word::Told(names.into_iter().collect::<BTreeSet<String>>()),
            Err(error) => Word::Silent(format!("the kernel does not tell its links: {error}")),
        };
        let testimony = self.containers.observe().await;
        mutant!(self.host, "A7", let testimony = mutants::hear_nobody(testimony));
        let namespaces = self.namespaces(&entries, &links, &testimony).await;
        Ok(Observation {
            orchestrator: self.orchestrator,
            journal: entries,
            survey,
            links,
            namespaces,
            boot_id: boot_id(&*self.host.files),
            testimony,
        })
    }

    /// The last witness is asked only where it can make a difference: a link is gone whose sandbox was up, or one is there whose
    /// sandbox the runtime does not call ready.
    async fn namespaces(
        &self,
        entries: &BTreeMap<String, Entry>,
        links: &Word<BTreeSet<String>>,
        testimony: &Testimony,
    ) -> Word<Namespaces> {
        let Some(links) = links.told() else { return Word::Silent("nobody asked".to_owned()) };
        let contradicts = |name: &String, record: &Record| {
            if !links.contains(name) {
                return record.state == State::Attached;
            }
            let sandbox = sandbox_fact(testimony.sandboxes(), &record.identity(), Presence::There);
            matches!(sandbox, Sandbox::NotReady | Sandbox::Gone)
        };
        let asked = entries
            .iter()
            .any(|(name, entry)| matches!(entry, Entry::Record(record) if contradicts(name, record)));
        if !asked {
            return Word::Silent("nobody asked".to_owned());
        }
        match self.host.links.namespaces().await {
            Ok(found) => Word::Told(found),
            Err(error) => Word::Silent(format!("the kernel does not tell its namespaces: {error}")),
        }
    }

    /// Writes sightings down, and takes back those of what is well.
    fn note(&self, ledger: &mut Ledger, subjects: &[Subject], runtime_is_silent: bool) {
        let now = self.host.clock.now();
        for subject in subjects {
            let port = &subject.identity.port_name;
            if subject.judgement.verdict != Verdict::Candidate {
                // Silence is no sign of life: what was seen before still counts once there is a word again.
                if !subject.is_unheard_of(runtime_is_silent) {
                    ledger.forget(port);
                }
                continue;
            }
            let is_new = ledger.get(port).is_none();
            ledger.note(port, subject.judgement.reason, now, self.node.audit_interval * 2);
            if is_new {
                let log = CallLog::of_audit(&self.host, &self.node, Some(&subject.identity));
                let evidence = subject.facts.to_string();
                log.info("suspected", &[("reason", subject.judgement.reason), ("evidence", &evidence)]);
            }
        }
        let known: BTreeSet<&str> =
            subjects.iter().map(|subject| subject.identity.port_name.as_str()).collect();
        ledger.retain(|port| known.contains(port));
    }

    async fn act(
        &mut self,
        acting: &Acting<'_>,
        subjects: &[Subject],
        plan: &plan::Plan,
        ledger: &mut Ledger,
        report: &mut Report,
    ) {
        let present: BTreeSet<&String> = subjects.iter().map(|subject| &subject.identity.port_name).collect();
        self.debts.retain(|port, _| present.contains(port));
        mutant!(self.host, "A4" => if report.foreign.switch_ports > 0 { return });
        let steps = plan.restore.iter().chain(&plan.release);
        for subject in steps.filter_map(|index| subjects.get(*index)) {
            let port = &subject.identity.port_name;
            let waits = self.debts.get(port).is_some_and(|debt| debt.due > Instant::now());
            if waits || Instant::now() >= acting.deadline {
                continue;
            }
            let hands = Hands {
                host: &self.host,
                orchestrator: self.orchestrator,
                node: &self.node,
                config_dir: self.config_dir.as_deref(),
                containers: &*self.containers,
                vrs: acting.vrs,
            };
            let kind = kind(subject);
            let outcome = match kind {
                Kind::Restore => hands.restore(subject).await,
                Kind::Release | Kind::Deliver => hands.release(subject).await,
            };
            self.settle(port, &outcome);
            if matches!(outcome, Outcome::Done | Outcome::Undelivered(_) | Outcome::Spared(_)) {
                ledger.forget(port);
            }
            self.tell(subject, kind, &outcome);
            report.actions.push(action(subject, kind, outcome));
        }
    }

    /// What could not be done is tried again later and later.
    fn settle(&mut self, port: &str, outcome: &Outcome) {
        if !matches!(outcome, Outcome::Failed(_) | Outcome::Undelivered(_)) {
            self.debts.remove(port);
            return;
        }
        let fresh = || Debt {
            backoff: Backoff::new(port, self.node.audit_interval, LONGEST_PAUSE),
            due: Instant::now(),
        };
        let debt = self.debts.entry(port.to_owned()).or_insert_with(fresh);
        debt.due = Instant::now() + debt.backoff.pause();
    }

    /// One event a decision, with its reason and what was known.
    fn tell(&self, subject: &Subject, kind: Kind, outcome: &Outcome) {
        let log = CallLog::of_audit(&self.host, &self.node, Some(&subject.identity));
        let (evidence, details) = (subject.facts.to_string(), outcome.details());
        let mut fields = vec![
            ("reason", subject.judgement.reason),
            ("evidence", evidence.as_str()),
            ("result", outcome.name()),
        ];
        if !details.is_empty() {
            fields.push(("details", &details));
        }
        match outcome {
            Outcome::Done | Outcome::Planned => log.info(kind.name(), &fields),
            Outcome::Busy => log.debug(kind.name(), &fields),
            Outcome::Spared(_) | Outcome::Unconfirmed(_) | Outcome::Undelivered(_) => {
                log.warn(kind.name(), &fields);
            }
            Outcome::Failed(_) => log.error(kind.name(), &fields),
        }
    }

    /// Tells whoever looks at the pods, as far as that is allowed. That it is not is logged once.
    async fn spread(&mut self, news: Vec<News>) {
        for one in news {
            if !self.allowance.take() {
                return;
            }
            match self.containers.tell(&one, self.host.clock.now()).await {
                Reception::Shown => {}
                Reception::Failed | Reception::Nobody => return,
                Reception::Forbidden => {
                    if !std::mem::replace(&mut self.is_muzzled, true) {
                        let log = CallLog::of_audit(&self.host, &self.node, None);
                        let hint = "let its account create events in the core API group";
                        log.warn("no Events are shown on pods: the right is missing", &[("hint", hint)]);
                    }
                    return;
                }
            }
        }
    }

    /// Another address than the pod's is told once and never applied.
    fn tell_differences(&mut self, subjects: &[Subject]) -> Vec<News> {
        let mut news = Vec::new();
        let mut differing = BTreeSet::new();
        for subject in subjects {
            let Some((mine, other)) = subject.difference() else { continue };
            let port = &subject.identity.port_name;
            if !self.differing.contains(port) {
                let log = CallLog::of_audit(&self.host, &self.node, Some(&subject.identity));
                log.warn(
                    "the switch has another address than the pod",
                    &[("pod_has", &mine), ("switch_has", &other)],
                );
                news.extend(subject.identity.pod.clone().map(|pod| News {
                    pod,
                    reason: "AddressDiffers",
                    message: format!(
                        "The pod has {mine}, and the virtual switch has {other} for its port {port}."
                    ),
                    is_warning: true,
                }));
            }
            differing.insert(port.clone());
        }
        self.differing = differing;
        news
    }

    fn save(&mut self, ledger: Ledger) {
        match ledger.save(&*self.host.files) {
            Ok(()) => self.unsaved = None,
            Err(error) => {
                let log = CallLog::of_audit(&self.host, &self.node, None);
                log.error("the first sightings are not on the disk", &[("error", &error.details())]);
                self.unsaved = Some(ledger);
            }
        }
    }
}

/// What acting needs of a pass.
struct Acting<'a> {
    vrs: &'a Vrs,
    deadline: Instant,
}

fn kind(subject: &Subject) -> Kind {
    match subject.judgement.verdict {
        Verdict::Restore => Kind::Restore,
        Verdict::Release if subject.judgement.reason == "owed" => Kind::Deliver,
        Verdict::Keep | Verdict::Candidate | Verdict::Release => Kind::Release,
    }
}

fn action(subject: &Subject, kind: Kind, outcome: Outcome) -> Action {
    Action {
        kind,
        port: subject.identity.port_name.clone(),
        pod: subject.pod_name(),
        sandbox: subject.identity.container_id.clone(),
        reason: subject.judgement.reason,
        evidence: subject.facts.to_string(),
        outcome,
    }
}

/// What is told of pods whose rows were written again.
fn restored(subjects: &[Subject], actions: &[Action]) -> Vec<News> {
    let done = actions
        .iter()
        .filter(|action| action.kind == Kind::Restore && matches!(action.outcome, Outcome::Done));
    let done: BTreeSet<&str> = done.map(|action| action.port.as_str()).collect();
    let repaired = subjects.iter().filter(|subject| done.contains(subject.identity.port_name.as_str()));
    repaired
        .filter_map(|subject| {
            let message = format!(
                "The virtual switch had lost the pod's port {}; it has it again.",
                subject.identity.port_name
            );
            let pod = subject.identity.pod.clone()?;
            Some(News { pod, reason: "AttachmentRestored", message, is_warning: false })
        })
        .collect()
}

fn planned(subjects: &[Subject], plan: &plan::Plan) -> Vec<Action> {
    let steps = plan.restore.iter().chain(&plan.release).filter_map(|index| subjects.get(*index));
    steps.map(|subject| action(subject, kind(subject), Outcome::Planned)).collect()
}

/// That releases wait for somebody to say once more that they are right.
fn unconfirmed(actions: &[Action]) -> Option<String> {
    let mut reasons = actions.iter().filter_map(|action| match &action.outcome {
        Outcome::Unconfirmed(reason) => Some(reason),
        _ => None,
    });
    let first = reasons.next()?;
    Some(format!("{} releases could not be confirmed: {first}", 1 + reasons.count()))
}

/// Why less is done than could be.
fn doubts(observation: &Observation, subjects: &[Subject]) -> Vec<String> {
    let mut doubts: Vec<String> = Vec::new();
    doubts.extend(observation.links.silence().map(str::to_owned));
    let pods = &observation.testimony.pods;
    if observation.orchestrator != Orchestrator::Mesos {
        doubts.extend(pods.silence().map(|reason| format!("the pods of this node are not known: {reason}")));
    }
    let testimony = &observation.testimony;
    doubts.extend(
        testimony
            .runtimes_silence()
            .map(|reason| format!("the sandboxes of this node are not known: {reason}")),
    );
    let inhabited =
        subjects.iter().filter(|subject| subject.judgement.reason == "namespace_inhabited").count();
    if inhabited > 0 {
        doubts.push(format!(
            "processes live in {inhabited} sandboxes that the runtime does not tell of: may it be asked for all of them?"
        ));
    }
    let links = subjects.iter().filter(|subject| subject.facts.link == Presence::There).count();
    if links > 0 && testimony.sandboxes().is_some_and(containers::Sandboxes::is_empty) {
        doubts.push(format!(
            "the runtime knows no sandbox on this node, and {links} links are there: that is not believed"
        ));
    }
    if links > 0 && pods.told().is_some_and(containers::Pods::is_empty) {
        doubts.push(format!(
            "no pod is said to be on this node, and {links} links are there: that is not believed"
        ));
    }
    if !observation.survey.bridge {
        doubts.push("the switch has lost its bridge: nothing can be written again".to_owned());
    }
    doubts
}

fn empty_request() -> Request {
    Request {
        command: Command::Status,
        container_id: String::new(),
        netns: None,
        ifname: String::new(),
        args: BTreeMap::new(),
        network: NetworkConfig::default(),
    }
}
