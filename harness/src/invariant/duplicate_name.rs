//! `no_duplicate_port_name`: a VRS has no index that would see to it.

use super::{Invariant, View};

pub(super) const INVARIANT: Invariant = Invariant::of_state(
    "no_duplicate_port_name",
    "no two rows of a table are of the same port or of the same sandbox",
    check,
);

fn check(view: &View<'_>) -> Result<(), String> {
    if let Some(name) = view.names().find(|name| view.rows().most_named(name) > 1) {
        return Err(format!("two ports are named {name}"));
    }
    if let Some(id) = view.entities().find(|id| view.rows().entity_rows(id) > 1) {
        return Err(format!("two rows in Nuage_VM_Table are of sandbox {id}"));
    }
    Ok(())
}
