//! `other_namespaces_untouched`: in the namespace of a pod is what its own ADD made, whoever else is worked on.

use super::{Invariant, View};
use crate::world::sim::ledger::Phase;

pub(super) const INVARIANT: Invariant = Invariant::of_state(
    "other_namespaces_untouched",
    "the namespace of a pod that is up has the links that its own ADDs made, with their addresses, and no more; that of another \
     driver's pod stays as it is",
    check,
);

fn check(view: &View<'_>) -> Result<(), String> {
    if let Some(what) = view.kernel().bystander_changed() {
        return Err(format!("the namespace of another driver's pod: {what}"));
    }
    for (id, sandbox) in view.sandboxes() {
        if !matches!(sandbox.phase, Phase::Attached { .. }) {
            continue;
        }
        let promised: Vec<_> = view.ledger.history.promised(view.node, id).collect();
        if promised.is_empty() {
            // Made before this plugin was there, or worked on right now.
            continue;
        }
        for (host_name, link) in view.kernel().links_in(&sandbox.netns) {
            let Some((_, promise)) = promised.iter().find(|(ifname, _)| **ifname == link.name) else {
                return Err(format!("pod {} has a link {} that nobody asked for", sandbox.pod, link.name));
            };
            let told = |ip: &ipnet::IpNet| promise.addresses.contains(&ip.addr().to_string());
            if promise.port != host_name || !link.addresses.iter().all(told) {
                let addresses = &link.addresses;
                return Err(format!(
                    "{} of pod {} leads to {host_name} with {addresses:?}",
                    link.name, sandbox.pod
                ));
            }
        }
    }
    Ok(())
}
