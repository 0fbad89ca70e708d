//! `no_half_state_after_failed_add`: a sandbox whose ADD has failed, before anything else is called for it.

use super::{Invariant, View};

pub(super) const INVARIANT: Invariant = Invariant::of_state(
    "no_half_state_after_failed_add",
    "an ADD that failed has left nothing, unless the switch was away",
    check,
);

fn check(view: &View<'_>) -> Result<(), String> {
    let failed = view.sandboxes().filter(|(_, sandbox)| sandbox.failed && !sandbox.disturbed);
    for (id, sandbox) in failed {
        let left = |what: &str| Err(format!("the failed ADD of pod {} left its {what}", sandbox.pod));
        if view.rows().entity(id).is_some() {
            return left("row in Nuage_VM_Table");
        }
        for name in view.kernel().names_of(id) {
            if let Some(place) = view.places(&name).next() {
                return left(&format!("{place} {name}"));
            }
        }
        if view.kernel().link(&sandbox.netns, "eth0").is_some() {
            return left("link inside");
        }
    }
    Ok(())
}
