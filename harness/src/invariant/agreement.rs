//! `check_agrees_with_state`: what CHECK says of an attachment is how it is. Looks at an attachment that nobody else worked on
//! meanwhile, in a world in which nothing else was wrong.

use super::{CallView, Invariant};

/// The versions that know no CHECK.
const WITHOUT_CHECK: [&str; 4] = ["0.1.0", "0.2.0", "0.3.0", "0.3.1"];

pub(super) const INVARIANT: Invariant = Invariant::of_call(
    "check_agrees_with_state",
    "CHECK fails of an attachment that lacks a row, a link or an address, and succeeds of a whole one, unless something is wrong",
    check,
);

fn check(view: &CallView<'_>) -> Result<(), String> {
    let (ended, asked) = (view.ended, view.ended.asked);
    let judged =
        asked.command == "CHECK" && ended.was_up && ended.meanwhile.steady && !ended.meanwhile.overlaps;
    let (true, Some(sandbox), Some(outcome)) = (judged, view.sandbox(), ended.outcome) else { return Ok(()) };
    let mut promises = view.ledger.history.promised(view.node, &asked.sandbox);
    let Some((ifname, promise)) = promises.find(|(ifname, _)| *ifname == asked.ifname) else {
        return Ok(());
    };
    let missing = view.missing(&asked.sandbox, &sandbox.netns, ifname, promise);
    match (missing, outcome.exit_code) {
        (Some(what), 0) => Err(format!("{} succeeded, and {what}", view.name())),
        // An audit may have brought back what was missing when CHECK looked.
        (None, code) if code != 0 && !sandbox.lost && !WITHOUT_CHECK.contains(&asked.version.as_str()) => {
            Err(format!(
                "{} failed, and nothing is missing: {}",
                view.name(),
                String::from_utf8_lossy(&outcome.stdout)
            ))
        }
        _ => Ok(()),
    }
}
