//! `no_half_state_after_failed_add`: a sandbox whose ADD has failed, before anything else is called for it.

use super::{View, text};

pub(super) fn check(view: &View<'_>) -> Result<(), String> {
    for (id, sandbox) in view.ledger.on(view.node).filter(|(_, sandbox)| sandbox.failed && !sandbox.disturbed)
    {
        if view.entities.iter().any(|row| text(row, "vm_uuid") == id) {
            return Err(format!("the failed ADD of pod {} left its row in Nuage_VM_Table", sandbox.pod));
        }
        if view.world.nodes[view.node].kernel.link(&sandbox.netns, "eth0").is_some() {
            return Err(format!("the failed ADD of pod {} left its link", sandbox.pod));
        }
    }
    Ok(())
}
