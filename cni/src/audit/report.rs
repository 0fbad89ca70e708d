//! What a pass found and did, for people, scripts and metrics.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::act::Outcome;
use super::ledger::Ledger;
use super::plan::Trip;
use super::subject::{Foreign, Subject};

/// What is done to an attachment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// It is taken away.
    Release,
    /// Its rows are written again.
    Restore,
    /// What a DEL owes is delivered.
    Deliver,
}

impl Kind {
    /// As reports and metrics name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Restore => "restore",
            Self::Deliver => "deliver",
        }
    }
}

/// One action.
#[derive(Debug)]
pub struct Action {
    /// What was done.
    pub kind: Kind,
    /// To which port.
    pub port: String,
    /// Of which pod: `namespace/name`, or what is known instead.
    pub pod: String,
    /// Of which sandbox.
    pub sandbox: String,
    /// Why: a word of the table.
    pub reason: &'static str,
    /// What was known.
    pub evidence: String,
    /// What became of it.
    pub outcome: Outcome,
}

/// One attachment as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The port.
    pub port: String,
    /// `namespace/name`, or what is known instead.
    pub pod: String,
    /// The sandbox.
    pub sandbox: String,
    /// Its address on the switch.
    pub address: String,
    /// The verdict.
    pub state: &'static str,
    /// Why.
    pub reason: &'static str,
    /// What was known.
    pub evidence: String,
    /// Since when it seems to be leaked; absent for what does not.
    pub suspected_for: Option<Duration>,
}

/// What the audit keeps from one pass to the next: never more of a kind than there are attachments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Remembered {
    /// First sightings.
    pub sightings: usize,
    /// What could not be done yet.
    pub debts: usize,
    /// Addresses that differ and were told.
    pub differences: usize,
}

/// One pass.
#[derive(Debug, Default)]
pub struct Report {
    /// What was done.
    pub actions: Vec<Action>,
    /// Every attachment.
    pub attachments: Vec<Line>,
    /// Rows of others.
    pub foreign: Foreign,
    /// How many seem to be leaked and are not due.
    pub waiting: usize,
    /// Why less was done than could have been: witnesses that were silent, and answers that are odd.
    pub doubts: Vec<String>,
    /// The trip wire, if it holds.
    pub tripped: Option<Trip>,
    /// What is kept for the next pass.
    pub remembered: Remembered,
    /// How long it took.
    pub took: Duration,
}

impl Report {
    /// Lists the attachments.
    pub(super) fn list(&mut self, subjects: &[Subject], ledger: &Ledger) {
        self.attachments = subjects.iter().map(|subject| line(subject, ledger)).collect();
    }

    /// How many attachments there are of each verdict.
    pub fn states(&self) -> BTreeMap<&'static str, usize> {
        let mut counts = BTreeMap::new();
        for line in &self.attachments {
            *counts.entry(line.state).or_default() += 1;
        }
        counts
    }

    /// For scripts: `nuage-audit once --json`.
    pub fn to_json(&self) -> Value {
        let actions: Vec<Value> = self
            .actions
            .iter()
            .map(|action| {
                json!({
                    "action": action.kind.name(), "port": action.port, "pod": action.pod,
                    "sandbox": action.sandbox, "reason": action.reason, "evidence": action.evidence,
                    "result": action.outcome.name(), "details": action.outcome.details()
                })
            })
            .collect();
        json!({
            "actions": actions,
            "attachments": self.states(),
            "foreign": {
                "entities": self.foreign.entities, "nuage_ports": self.foreign.nuage_ports,
                "switch_ports": self.foreign.switch_ports
            },
            "waiting": self.waiting,
            "remembered": {
                "sightings": self.remembered.sightings, "debts": self.remembered.debts,
                "differences": self.remembered.differences
            },
            "doubts": self.doubts,
            "tripped": self.tripped.map(|trip| json!({"due": trip.due, "limit": trip.limit})),
            "seconds": self.took.as_secs_f64()
        })
    }

    /// For people: a line an action, then one of figures.
    pub fn lines(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.actions.iter().map(action_line).collect();
        lines.extend(self.doubts.iter().map(|doubt| format!("doubt: {doubt}")));
        if let Some(Trip { due, limit }) = self.tripped {
            lines.push(format!(
                "held: {due} attachments are due and {limit} are believed; look at `nuage-audit status`, then run \
                 `nuage-audit once --confirm` if that is right"
            ));
        }
        let states: Vec<String> =
            self.states().iter().map(|(state, count)| format!("{count} {state}")).collect();
        let states = if states.is_empty() { "none".to_owned() } else { states.join(", ") };
        lines.push(format!(
            "attachments: {states}; waiting {}; rows of others {}",
            self.waiting,
            self.foreign.entities + self.foreign.nuage_ports + self.foreign.switch_ports
        ));
        lines
    }
}

fn action_line(action: &Action) -> String {
    let Action { kind, port, pod, reason, outcome, .. } = action;
    let details = outcome.details();
    let details = if details.is_empty() { details } else { format!(": {details}") };
    printable(&format!("{} {port} of {pod} ({reason}): {}{details}", kind.name(), outcome.name()))
}

fn line(subject: &Subject, ledger: &Ledger) -> Line {
    let seen = ledger.get(&subject.identity.port_name);
    Line {
        port: subject.identity.port_name.clone(),
        pod: subject.pod_name(),
        sandbox: subject.identity.container_id.clone(),
        address: subject.address.clone(),
        state: subject.judgement.verdict.name(),
        reason: subject.judgement.reason,
        evidence: subject.facts.to_string(),
        suspected_for: seen.map(|seen| Duration::from_millis(seen.age)),
    }
}

/// Without control characters: names come from rows that anybody may have written, and a terminal obeys some of them.
pub fn printable(text: &str) -> String {
    text.chars()
        .flat_map(
            |character| {
                if character.is_control() { character.escape_default().collect() } else { vec![character] }
            },
        )
        .collect()
}
