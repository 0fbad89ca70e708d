//! `no_port_without_pod`: every row and link belongs to a sandbox that is attached by it or being worked on.

use super::{Invariant, View};
use crate::world::sim::ledger::Phase;

pub(super) const INVARIANT: Invariant = Invariant {
    name: "no_port_without_pod",
    meaning: "every row, port and link belongs to a sandbox that is attached by it, being worked on, or owed a clean-up",
    check,
};

fn check(view: &View<'_>) -> Result<(), String> {
    if let Some(details) = &view.twice {
        return Err(details.clone());
    }
    for (name, what) in view.names() {
        let owner = view.owner(name);
        let wrong = |why: &str| Err(format!("{what} {name}: {why}"));
        let Some(sandbox) = owner.as_deref().and_then(|id| view.sandbox(id)) else {
            return wrong("its sandbox is gone, or never was");
        };
        match &sandbox.phase {
            Phase::Adding | Phase::Deleting => {}
            Phase::Attached { port, .. } if port == name => {}
            Phase::Attached { port, .. } => return wrong(&format!("pod {} has {port}", sandbox.pod)),
            // The switch was away during its DEL: what is owed is paid by a later call.
            Phase::Gone if sandbox.disturbed => {}
            Phase::Gone => return wrong(&format!("pod {} is gone", sandbox.pod)),
        }
    }
    for id in view.entities.keys() {
        match view.sandbox(id) {
            Some(sandbox) if sandbox.phase != Phase::Gone || sandbox.disturbed => {}
            _ => return Err(format!("row in Nuage_VM_Table: its sandbox {id} is gone, or never was")),
        }
    }
    Ok(())
}
