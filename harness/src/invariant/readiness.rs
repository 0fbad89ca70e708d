//! `status_matches_add_ability`: a runtime puts pods where STATUS succeeds, so it must say what an ADD at that time can do.

use super::{CallView, Invariant};

/// What STATUS may fail with (CNI specification 1.1.0): the node takes no pods, or those that it has suffer, too.
const NOT_READY: [u64; 2] = [50, 51];
/// What an ADD fails with where the node is not able: no answer of the controller, a switch that refuses.
const NOT_ABLE: [u64; 2] = [101, 104];
/// "Try again later": the node's business only if it is the switch that is not there, and then the message names it. What the API
/// server or the monitor cannot do now (an object that is too large, a range that is used up) no STATUS can know.
const TRY_AGAIN: u64 = 11;
const SWITCH: &str = "the VRS";

pub(super) const INVARIANT: Invariant = Invariant::of_call(
    "status_matches_add_ability",
    "while the switch is away STATUS fails with 50 or 51 and no ADD succeeds; while nothing is wrong STATUS succeeds and no ADD \
     fails because of the switch or its controller",
    check,
);

fn check(view: &CallView<'_>) -> Result<(), String> {
    let ended = view.ended;
    let Some(outcome) = ended.outcome else { return Ok(()) };
    let wrong = |what: &str| {
        Err(format!("{} {what}: {}", view.name(), String::from_utf8_lossy(&outcome.stdout).trim()))
    };
    match (ended.asked.command.as_str(), view.code()) {
        ("STATUS" | "ADD", None) if ended.meanwhile.away => wrong("succeeded while the switch was away"),
        ("STATUS", Some(code)) if ended.meanwhile.away && !NOT_READY.contains(&code) => {
            wrong("failed with a code of its own while the switch was away")
        }
        ("STATUS", Some(_)) if ended.meanwhile.steady => wrong("failed while nothing was wrong"),
        ("ADD", Some(code)) if ended.meanwhile.steady && ended.calm && is_the_nodes(view, code) => {
            wrong("failed because of the node while nothing was wrong")
        }
        _ => Ok(()),
    }
}

/// Whether the reason of a failed ADD is one that STATUS looks at.
fn is_the_nodes(view: &CallView<'_>, code: u64) -> bool {
    NOT_ABLE.contains(&code) || (code == TRY_AGAIN && view.message().contains(SWITCH))
}
