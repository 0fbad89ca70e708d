//! `no_residue_after_del`: the moment a DEL has succeeded, nothing of the attachment is left on the node.

use super::{CallView, Invariant};

pub(super) const INVARIANT: Invariant = Invariant::of_call(
    "no_residue_after_del",
    "when a DEL has succeeded and nothing was wrong, no row, link or journal record of the attachment is left",
    check,
);

fn check(view: &CallView<'_>) -> Result<(), String> {
    let asked = view.ended.asked;
    // What a fault kept from being delivered is owed; other invariants see that it is paid.
    let over = view.success().is_some() && asked.command == "DEL" && view.ended.calm;
    if !over || view.sandbox().is_some_and(|sandbox| sandbox.disturbed || sandbox.lost) {
        return Ok(());
    }
    let others = view.ledger.history.promised(view.node, &asked.sandbox).next().is_some();
    if others {
        // Another interface of the sandbox is up: what belongs to which of them the other invariants tell.
        return Ok(());
    }
    view.residue(&asked.sandbox).map_or(Ok(()), |what| Err(format!("{} left {what}", view.name())))
}
