//! One call of the plugin, whichever world it is in: as a process of its own, seen by the invariants of calls at its end.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;

use nuage_cni::{Invocation, Outcome};
use nuage_emulator::faults::Caller;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::World;
use super::ledger::Ledger;
use super::process::{self, Kill};
use super::seams::Attempts;
use crate::fault;
use crate::invariant;
use crate::invariant::call::{Asked, CallView, Ended, Promise};
use crate::invariant::history::{Begun, End};
use crate::world::activity::Place;
#[cfg(target_os = "linux")]
use crate::world::host;

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
        let (begun, unrest) = self.begin_call(node, &asked);
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
        self.end_call(node, (&asked, &begun, unrest), outcome.as_ref(), took, attempts.get());
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
            return host::process::run(&ground.bin_dir, call, kill).await;
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
        self.faults.quiet() && monitor && ledger.switches_down.is_empty()
    }

    /// A call begins; with how often something had begun to be wrong by then.
    fn begin_call(&self, node: usize, asked: &Asked) -> (Begun, u64) {
        let mut ledger = self.ledger();
        let calm = self.is_calm(&ledger);
        (ledger.history.begin(node, asked, calm), ledger.unrest)
    }

    /// A call has ended: checks every invariant of calls.
    fn end_call(
        &self,
        node: usize,
        (asked, begun, unrest): (&Asked, &Begun, u64),
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
        let calm = self.is_calm(&ledger) && ledger.unrest == unrest;
        let (misfits, calm) = ledger.history.end(begun, asked, end, calm);
        if ledger.violation.is_some() {
            return;
        }
        let ended = Ended { asked, outcome, took, told, attempts, misfits, calm };
        let mirror = self.mirror();
        let view = CallView { world: self, ledger: &ledger, mirror: &mirror, node, ended: &ended };
        let breaches = invariant::check_call(&view);
        drop(mirror);
        self.report(&mut ledger, node, breaches);
    }
}
