//! `no_half_state_after_failed_add`: a sandbox whose ADD has failed, before anything else is called for it.

use super::{Invariant, View};

pub(super) const INVARIANT: Invariant = Invariant {
    name: "no_half_state_after_failed_add",
    meaning: "an ADD that failed has left nothing, unless the switch was away",
    check,
};

fn check(view: &View<'_>) -> Result<(), String> {
    let failed = view.ledger.on(view.node).filter(|(_, sandbox)| sandbox.failed && !sandbox.disturbed);
    for (id, sandbox) in failed {
        let left = |what: &str| Err(format!("the failed ADD of pod {} left its {what}", sandbox.pod));
        if view.entities.contains_key(id) {
            return left("row in Nuage_VM_Table");
        }
        if let Some((name, what)) = view.names().find(|(name, _)| view.owner(name).as_deref() == Some(id)) {
            return left(&format!("{what} {name}"));
        }
        if view.world.nodes[view.node].kernel.link(&sandbox.netns, "eth0").is_some() {
            return left("link inside");
        }
    }
    Ok(())
}
