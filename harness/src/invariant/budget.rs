//! `call_ends_within_its_budget` and `del_never_blocks`: nothing waits without an end. The budgets are the promised ones.

use std::time::Duration;

use super::{CallView, Invariant};

/// What each command may take in all.
const BUDGETS: [(&str, Duration); 5] = [
    ("ADD", Duration::from_secs(90)),
    ("CHECK", Duration::from_secs(5)),
    ("STATUS", Duration::from_secs(5)),
    ("GC", Duration::from_secs(30)),
    ("VERSION", Duration::from_secs(1)),
];
/// A DEL that waits longer holds up the next pod of a kubelet.
const DEL: Duration = Duration::from_secs(5);
/// What the way of an answer that comes at the last moment may add.
const SLACK: Duration = Duration::from_millis(100);
/// What a busy machine may add to a real call before it is the plugin's fault.
const REAL_SLACK: Duration = Duration::from_secs(5);

pub(super) const CALLS: Invariant = Invariant::of_call(
    "call_ends_within_its_budget",
    "an ADD ends within 90 s, a GC within 30 s, CHECK and STATUS within 5 s, whatever is wrong",
    |view| {
        let budget = BUDGETS.iter().find(|(command, _)| *command == view.ended.asked.command);
        budget.map_or(Ok(()), |(_, budget)| within(view, *budget))
    },
);

pub(super) const DELS: Invariant =
    Invariant::of_call("del_never_blocks", "a DEL ends within 5 s, whatever is wrong", |view| {
        if view.ended.asked.command == "DEL" { within(view, DEL) } else { Ok(()) }
    });

fn within(view: &CallView<'_>, budget: Duration) -> Result<(), String> {
    // Whoever was killed has not ended by himself; a runtime that kills does so after that time.
    let slack = if view.world.is_real() { REAL_SLACK } else { SLACK };
    if view.ended.took <= budget + slack {
        return Ok(());
    }
    Err(format!("{} took {:?}, more than {budget:?}", view.name(), view.ended.took))
}
