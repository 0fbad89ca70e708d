//! `gc_removes_exactly_the_complement`: after a GC what the runtime has listed is whole, and nothing is left of what it has not.

use super::{CallView, Invariant};
use crate::world::sim::ledger::Phase;

pub(super) const INVARIANT: Invariant = Invariant::of_call(
    "gc_removes_exactly_the_complement",
    "when a GC has succeeded and nothing was wrong, each attachment that it was told is valid is whole, and nothing is left of \
     sandboxes that are gone",
    check,
);

fn check(view: &CallView<'_>) -> Result<(), String> {
    let asked = view.ended.asked;
    if asked.command != "GC" || view.success().is_none() || !view.ended.meanwhile.steady {
        return Ok(());
    }
    for (id, ifname) in &asked.valid {
        let Some(sandbox) = view.ledger.sandbox(view.node, id).filter(|sandbox| !sandbox.lost) else {
            continue;
        };
        // Whose DEL has begun since is promised no more.
        let mut promises = view.ledger.history.promised(view.node, id);
        let Some((_, promise)) = promises.find(|(promised, _)| promised == ifname) else { continue };
        if let Some(what) = view.missing(id, &sandbox.netns, ifname, promise) {
            return Err(format!("GC was told that {ifname} of pod {} is valid, and {what}", sandbox.pod));
        }
    }
    let gone = view.ledger.on(view.node).filter(|(id, sandbox)| {
        sandbox.phase == Phase::Gone && !view.ledger.history.is_worked_on(view.node, id)
    });
    for (id, sandbox) in gone {
        if let Some(what) = view.residue(id) {
            return Err(format!("GC was not told of pod {}, which is gone, and left {what}", sandbox.pod));
        }
    }
    Ok(())
}
