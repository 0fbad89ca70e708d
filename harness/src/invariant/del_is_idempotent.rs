//! `del_is_idempotent`: the kubelet model calls a second DEL for every sandbox, without a namespace, and notes what it
//! answered. What it must not do to others, the other invariants see.

use super::{Invariant, View};

pub(super) const INVARIANT: Invariant = Invariant::of_state(
    "del_is_idempotent",
    "a second DEL, without a namespace, succeeds and prints nothing",
    check,
);

fn check(view: &View<'_>) -> Result<(), String> {
    view.ledger.second_del_failed.clone().map_or(Ok(()), Err)
}
