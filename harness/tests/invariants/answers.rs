//! What can be wrong with an answer, and with when it comes.

use std::time::Duration;

use nuage_cni::Outcome;
use serde_json::{Value, json};

use super::Mutation;

const ONE_JSON: &str = "error_code_in_spec_and_stdout_is_one_json";
const AT_ONCE: Duration = Duration::ZERO;

/// Runtimes ask STATUS and CHECK.
const QUESTIONS: &str = "[[load]]\nkind = \"probe\"\nduration = \"3s\"\nevery = \"200ms\"";
/// They do so when the switch has lost its rows, and while it is away.
const ROWS_LOST: &str = "[[load]]\nkind = \"probe\"\nduration = \"3s\"\nevery = \"200ms\"\n\
    [[fault]]\nkind = \"vrs.restart\"\nat = \"1s\"\nfor = \"100ms\"\nlose_rows = true";
const SWITCH_AWAY: &str = "[[load]]\nkind = \"probe\"\nduration = \"3s\"\nevery = \"200ms\"\n\
    [[fault]]\nkind = \"vrs.restart\"\nat = \"1s\"\nfor = \"1s\"";

/// A success that has nothing to say.
fn silent() -> Outcome {
    Outcome { stdout: Vec::new(), stderr: None, exit_code: 0 }
}

/// A failure with this code.
fn refused(code: u32) -> Outcome {
    let error = json!({"cniVersion": "1.1.0", "code": code, "msg": "m"}).to_string().into_bytes();
    Outcome { stdout: error, stderr: None, exit_code: 1 }
}

pub(super) const ALL: &[Mutation] = &[
    Mutation::of_answers(ONE_JSON, "an ADD prints its result twice", |command, outcome| {
        let twice = |outcome: Outcome| [outcome.stdout.clone(), outcome.stdout].concat();
        (changed(command == "ADD", outcome, twice), AT_ONCE)
    }),
    Mutation::of_answers(ONE_JSON, "an ADD prints no result", |command, outcome| {
        (changed(command == "ADD", outcome, |_| Vec::new()), AT_ONCE)
    }),
    Mutation::of_answers(ONE_JSON, "a DEL prints something", |command, outcome| {
        (changed(command == "DEL", outcome, |_| b"{}\n".to_vec()), AT_ONCE)
    }),
    Mutation::of_answers(ONE_JSON, "an error has a code that the specification keeps", |_, outcome| {
        let error = json!({"cniVersion": "1.0.0", "code": 42, "msg": "m"}).to_string().into_bytes();
        (Outcome { stdout: error, stderr: None, exit_code: 1.max(outcome.exit_code) }, AT_ONCE)
    }),
    Mutation::of_answers("call_ends_within_its_budget", "an ADD takes 95 s", |command, outcome| {
        (outcome, if command == "ADD" { Duration::from_secs(95) } else { AT_ONCE })
    }),
    Mutation::of_answers("del_never_blocks", "a DEL takes 7 s", |command, outcome| {
        (outcome, if command == "DEL" { Duration::from_secs(7) } else { AT_ONCE })
    }),
    Mutation::of_answers("add_result_equals_dataplane", "a result has another MAC address", |_, outcome| {
        (edited(outcome, |result| result["interfaces"][1]["mac"] = json!("02:00:00:00:00:00")), AT_ONCE)
    }),
    Mutation::of_answers("add_result_equals_dataplane", "a result has another gateway", |_, outcome| {
        (edited(outcome, |result| result["ips"][0]["gateway"] = json!("192.0.2.1")), AT_ONCE)
    }),
    Mutation::of_answers("one_address_one_pod", "every result has the same address", |_, outcome| {
        (edited(outcome, |result| result["ips"][0]["address"] = json!("192.0.2.9/24")), AT_ONCE)
    }),
    Mutation::of_answers("check_agrees_with_state", "CHECK finds everything in order", |command, outcome| {
        (if command == "CHECK" { silent() } else { outcome }, AT_ONCE)
    })
    .beside(ROWS_LOST),
    Mutation::of_answers("check_agrees_with_state", "CHECK finds nothing in order", |command, outcome| {
        (if command == "CHECK" { refused(105) } else { outcome }, AT_ONCE)
    })
    .beside(QUESTIONS),
    Mutation::of_answers("status_matches_add_ability", "STATUS is always ready", |command, outcome| {
        (if command == "STATUS" { silent() } else { outcome }, AT_ONCE)
    })
    .beside(SWITCH_AWAY),
    Mutation::of_answers("status_matches_add_ability", "STATUS is never ready", |command, outcome| {
        (if command == "STATUS" { refused(50) } else { outcome }, AT_ONCE)
    })
    .beside(QUESTIONS),
    Mutation::of_answers("history_fits_the_model", "every result has the same port", |_, outcome| {
        (edited(outcome, |result| result["interfaces"][0]["name"] = json!("nu0")), AT_ONCE)
    }),
];

fn changed(wanted: bool, outcome: Outcome, stdout: impl Fn(Outcome) -> Vec<u8>) -> Outcome {
    if wanted && outcome.exit_code == 0 {
        return Outcome { stdout: stdout(outcome.clone()), ..outcome };
    }
    outcome
}

/// A result with something else in it.
fn edited(outcome: Outcome, edit: impl Fn(&mut Value)) -> Outcome {
    let Ok(mut result) = serde_json::from_slice::<Value>(&outcome.stdout) else { return outcome };
    if outcome.exit_code != 0 || result["ips"].is_null() {
        return outcome;
    }
    edit(&mut result);
    Outcome { stdout: result.to_string().into_bytes(), ..outcome }
}
