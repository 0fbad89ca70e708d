//! `one_address_one_pod` and `history_fits_the_model`: all that was ever answered, held to a small model.

use super::history::Misfit;
use super::{CallView, Invariant};
use crate::world::sim::ledger::{Phase, Sandbox};

pub(super) const ADDRESSES: Invariant = Invariant::of_call(
    "one_address_one_pod",
    "an address that an ADD has answered is answered to nobody else until the DEL begins",
    |view| {
        first(view, |misfit| match misfit {
            Misfit::Address(what) => Some(what),
            Misfit::Answer(_) => None,
        })
    },
);

pub(super) const ANSWERS: Invariant = Invariant::of_call(
    "history_fits_the_model",
    "an ADD of what is up fails, a port is one attachment's from its ADD to its DEL, and CHECK succeeds only of what is there",
    |view| {
        let attached = |sandbox: &Sandbox| matches!(sandbox.phase, Phase::Attached { .. });
        if view.ended.asked.command == "CHECK" && view.sandbox().is_some_and(attached) {
            // By another plugin, before this one was there.
            return Ok(());
        }
        first(view, |misfit| match misfit {
            Misfit::Answer(what) => Some(what),
            Misfit::Address(_) => None,
        })
    },
);

fn first(view: &CallView<'_>, of_interest: impl Fn(&Misfit) -> Option<&String>) -> Result<(), String> {
    let found = view.ended.misfits.iter().find_map(of_interest);
    found.map_or(Ok(()), |what| Err(format!("{}: {what}", view.name())))
}
