//! `no_port_without_pod`: every row and link belongs to a sandbox that is attached by it or being worked on.

use super::{Invariant, View};
use crate::world::sim::ledger::Phase;

pub(super) const INVARIANT: Invariant = Invariant::of_state(
    "no_port_without_pod",
    "every row, port and link belongs to a sandbox that is attached by it, being worked on, or owed a clean-up",
    check,
);

fn check(view: &View<'_>) -> Result<(), String> {
    for name in view.names() {
        if let Some(place) = view.places(name).next() {
            belongs(view, name).map_err(|why| format!("{place} {name}: {why}"))?;
        }
    }
    for id in view.entities() {
        match view.sandbox(id) {
            Some(sandbox) if sandbox.phase != Phase::Gone || sandbox.disturbed => {}
            _ => return Err(format!("row in Nuage_VM_Table: its sandbox {id} is gone, or never was")),
        }
    }
    Ok(())
}

fn belongs(view: &View<'_>, name: &str) -> Result<(), String> {
    let owner = view.owner(name);
    let Some(sandbox) = owner.as_deref().and_then(|id| view.sandbox(id)) else {
        return Err("its sandbox is gone, or never was".to_owned());
    };
    match &sandbox.phase {
        Phase::Adding | Phase::Deleting => Ok(()),
        Phase::Attached { port, .. } if port == name => Ok(()),
        Phase::Attached { port, .. } => Err(format!("pod {} has {port}", sandbox.pod)),
        // The switch was away during its DEL: what is owed is paid by a later call.
        Phase::Gone if sandbox.disturbed => Ok(()),
        Phase::Gone => Err(format!("pod {} is gone", sandbox.pod)),
    }
}
