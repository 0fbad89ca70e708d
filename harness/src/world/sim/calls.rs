//! One call of the plugin, whichever world it is in: as a process of its own, seen by the invariants of calls at its end.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use nuage_cni::{Invocation, Outcome};
use nuage_emulator::faults::Caller;
use nuage_emulator::monitor::Monitor;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::World;
use super::ledger::Ledger;
use super::process::{self, Kill};
use super::seams::Attempts;
use crate::fault;
use crate::invariant;
use crate::invariant::call::{Asked, CallView, Ended, Meanwhile, Promise};
use crate::invariant::growth::Grown;
use crate::invariant::history::{Begun, End};
use crate::invariant::notices::Moment;
use crate::world::activity::Place;
#[cfg(target_os = "linux")]
use crate::world::host;

/// What runtimes do that is odd and harms nothing: with these faults alone nothing is wrong anywhere.
const HARMLESS: [&str; 6] = [
    "kubelet.no_infra_id",
    "kubelet.seven_dels",
    "kubelet.del_without_add",
    "kubelet.add_repeated",
    "kubelet.check_after_add",
    "kubelet.forgets",
];

/// A call that has begun, and how things were then.
struct Beginning {
    begun: Begun,
    calm: bool,
    /// Whether the node's switch was away.
    away: bool,
    /// How often something had begun to be wrong by then.
    unrest: u64,
}

/// What a report says of a call that was killed.
const KILLED: &str = "killed";

impl World {
    /// Carries out one call of the plugin on a node, as a process of its own; `None`: it was killed after `limit`.
    pub async fn process(&self, node: usize, call: Invocation, limit: Duration) -> Option<Outcome> {
        let asked = Asked::of(&call);
        let command = asked.command.as_str();
        let planned = {
            let mut planned = self.kill.lock().unwrap_or_else(PoisonError::into_inner);
            if planned.is_some_and(|(first, _)| first == command) { planned.take() } else { None }
        };
        let caller = Caller::new(&self.nodes[node].name, command);
        let struck = if planned.is_none() { fault::planned_kill(self, &caller) } else { None };
        let kill = planned.or(struck.map(|(_, kill)| ("", kill)));
        let kill = kill.map_or(Kill::After(limit), |(_, kill)| kill);
        let beginning = self.begin_call(node, &asked);
        let asked_at = self.activity.now();
        let (started, attempts) = (Instant::now(), Attempts::default());
        let mut outcome = self.run_process(node, call, kill, (&caller, &attempts)).await;
        if let (Some(retort), Some(answered)) = (self.retort, outcome.take_if(|_| self.retort.is_some())) {
            let (answer, later) = retort(command, answered);
            sleep(later).await;
            outcome = Some(answer);
        }
        let took = started.elapsed();
        self.keep_call(node, &asked, asked_at, outcome.as_ref());
        self.end_call(node, (&asked, &beginning), outcome.as_ref(), took, attempts.get());
        if outcome.is_none() {
            match (planned, struck) {
                (Some((command, _)), _) => self.ledger().strike(fault::KILLED, command),
                (None, Some((id, _))) => self.faults.count(id, &caller),
                (None, None) => {}
            }
        }
        outcome
    }

    /// What a report says of a call.
    fn keep_call(&self, node: usize, asked: &Asked, begin: u64, outcome: Option<&Outcome>) {
        let texts = || {
            let ledger = self.ledger();
            let pod = ledger.sandbox(node, &asked.sandbox).map(|sandbox| sandbox.pod.clone());
            let trouble = match outcome {
                None => KILLED.to_owned(),
                Some(outcome) if outcome.exit_code == 0 => String::new(),
                Some(outcome) => {
                    let error: Value = serde_json::from_slice(&outcome.stdout).unwrap_or_default();
                    let text = |key: &str| error[key].as_str().unwrap_or_default().to_owned();
                    format!("code {}: {} {}", error["code"], text("msg"), text("details"))
                }
            };
            (asked.command.clone(), pod.unwrap_or_default(), trouble)
        };
        self.activity.ended(Place::Call, Some(&self.nodes[node].name), begin, texts);
    }

    async fn run_process(
        &self,
        node: usize,
        call: Invocation,
        kill: Kill,
        (caller, attempts): (&Caller, &Attempts),
    ) -> Option<Outcome> {
        #[cfg(target_os = "linux")]
        if let Some(ground) = &self.ground {
            return host::process::run(ground.bin_dir(node), call, kill).await;
        }
        let power_lost = self.runtimes.power_lost(node);
        process::run(|life| self.seams(node, life, caller, attempts), call, kill, power_lost).await
    }

    /// What calls on a node have said about themselves since this was last asked.
    fn take_told(&self, node: usize) -> Vec<String> {
        #[cfg(target_os = "linux")]
        if let Some(ground) = &self.ground {
            return ground.take_told(node);
        }
        self.nodes[node].log.take_unseen()
    }

    /// Whether nothing is wrong anywhere.
    fn is_calm(&self, ledger: &Ledger) -> bool {
        let monitor = self.monitor_up.load(Ordering::Relaxed);
        self.faults.quiet_but(&HARMLESS) && monitor && ledger.switches_down.is_empty()
    }

    /// A call begins.
    fn begin_call(&self, node: usize, asked: &Asked) -> Beginning {
        let mut ledger = self.ledger();
        let calm = self.is_calm(&ledger);
        ledger.running.begins(node);
        let begun = ledger.history.begin(node, asked, calm);
        let moment = self.moment(&ledger);
        match (asked.command.as_str(), pod_of(&ledger, node, asked)) {
            ("ADD", Some(pod)) => ledger.notices.renewed(&pod),
            ("DEL", Some(pod)) => ledger.notices.del_begins(&pod, moment, begun.was_up()),
            ("GC", _) => ledger.notices.collects(),
            _ => {}
        }
        Beginning { begun, calm, away: ledger.switches_down.contains(&node), unrest: ledger.unrest }
    }

    /// Writes down whom the monitor is told to be gone from now on.
    pub(in crate::world) fn watch_notices(self: &Arc<Self>, monitor: &Monitor) {
        let world = Arc::downgrade(self);
        monitor.observe(Box::new(move |namespace, pod| {
            let Some(world) = world.upgrade() else { return };
            let mut ledger = world.ledger();
            let moment = world.moment(&ledger);
            ledger.notices.told(&format!("{namespace}/{pod}"), moment);
        }));
    }

    fn moment(&self, ledger: &Ledger) -> Moment {
        Moment { now: self.now(), calm: self.is_calm(ledger).then_some(ledger.unrest) }
    }

    /// A call has ended: checks every invariant of calls.
    fn end_call(
        &self,
        node: usize,
        (asked, beginning): (&Asked, &Beginning),
        outcome: Option<&Outcome>,
        took: Duration,
        attempts: u64,
    ) {
        let end = match outcome {
            Some(outcome) if outcome.exit_code == 0 => End::Success(Promise::of(&outcome.stdout)),
            Some(_) => End::Failure,
            None => End::Killed,
        };
        let told = self.take_told(node);
        let mut ledger = self.ledger();
        let same = ledger.unrest == beginning.unrest;
        let steady = beginning.calm && self.is_calm(&ledger) && same;
        let away = beginning.away && ledger.switches_down.contains(&node) && same;
        let (misfits, calm) = ledger.history.end(&beginning.begun, asked, end, steady);
        let overlaps = ledger.history.overlapped(&beginning.begun);
        let was_up = beginning.begun.was_up();
        let grown = Grown::now(self, node);
        let running = ledger.running.ends(node);
        let well = outcome.is_some_and(|outcome| outcome.exit_code == 0);
        let moment = self.moment(&ledger);
        match (asked.command.as_str(), pod_of(&ledger, node, asked)) {
            ("ADD", Some(pod)) if well => ledger.notices.renewed(&pod),
            ("ADD", Some(pod)) => ledger.notices.add_failed(&pod, moment),
            ("DEL", Some(pod)) => ledger.notices.del_ends(&pod, well),
            _ => {}
        }
        if ledger.violation.is_some() {
            return;
        }
        let ended = Ended {
            asked,
            outcome,
            took,
            told,
            attempts,
            misfits,
            calm,
            meanwhile: Meanwhile { steady, away, overlaps },
            was_up,
            grown,
            running,
        };
        let mirror = self.mirror();
        let view = CallView { world: self, ledger: &ledger, mirror: &mirror, node, ended: &ended };
        let breaches = invariant::check_call(&view);
        drop(mirror);
        self.report(&mut ledger, node, breaches);
    }
}

/// The pod of the sandbox that a call is about, if its runtime knows it.
fn pod_of(ledger: &Ledger, node: usize, asked: &Asked) -> Option<String> {
    ledger.sandbox(node, &asked.sandbox).map(|sandbox| sandbox.pod.clone())
}
