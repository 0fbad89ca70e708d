//! Floating addresses: shared networks that they are given from, who has one, and how many an enterprise may have. Never
//! translates anything.

use serde_json::Value;
use uuid::Uuid;

use super::network::Ranges;
use super::{Behaviour, Body, allocate, domain};
use crate::vsd::engine::Engine;
use crate::vsd::error::Refusal;
use crate::vsd::model::Name;
use crate::vsd::store::Object;

/// A network that the operator shares with all enterprises.
pub(super) struct SharedNetwork;
/// An address of one, for a domain.
pub(super) struct FloatingIp;

impl Behaviour for SharedNetwork {
    fn creating(&self, engine: &mut Engine, draft: &mut Object, _body: &Body) -> Result<(), Refusal> {
        Ranges::asked(draft)?.fill_gateways(draft);
        domain::share(engine, draft);
        Ok(())
    }

    fn updating(&self, _engine: &mut Engine, _before: &Object, after: &mut Object) -> Result<(), Refusal> {
        Ranges::asked(after).map(drop)
    }

    fn deleting(&self, engine: &Engine, object: &Object) -> Result<(), Refusal> {
        let given =
            engine.store.valued("floatingip", "associatedSharedNetworkResourceID", &object.id.to_string());
        if given.is_empty() {
            return Ok(());
        }
        Err(in_use("Shared network in use", format!("{} floating addresses are of it.", given.len())))
    }
}

/// 409; the product's code is not public.
fn in_use(title: &str, description: String) -> Refusal {
    Refusal::invalid("", title, description)
}

impl Behaviour for FloatingIp {
    fn creating(&self, engine: &mut Engine, draft: &mut Object, _body: &Body) -> Result<(), Refusal> {
        let named = draft.text("associatedSharedNetworkResourceID").unwrap_or_default().to_owned();
        let network = engine.find("sharednetworkresource", &named)?.clone();
        draft.set("associatedSharedNetworkResourceID", network.id.to_string());
        let refuse = |description: &str| {
            let attribute = "associatedSharedNetworkResourceID";
            Err(Refusal::invalid(attribute, "Invalid shared network", description.to_owned()))
        };
        if network.text("type") != Some("FLOATING") {
            return refuse("Floating addresses are of a shared network of the type FLOATING.");
        }
        let domain = draft.parent.and_then(|(_, id)| engine.store.get(id));
        let underlay = |object: Option<&Object>, flag: &str| {
            object.and_then(|object| object.values.get(flag)) == Some(&Value::Bool(true))
        };
        if underlay(Some(&network), "underlay") && !underlay(domain, "FIPUnderlay") {
            return refuse("The domain has no floating addresses of the underlay (FIPUnderlay).");
        }
        count(engine, draft, true)?;
        allocate::floating(engine, draft, &network)
    }

    fn deleting(&self, _engine: &Engine, object: &Object) -> Result<(), Refusal> {
        match object.text("assignedToObjectType") {
            Some(kind) => Err(in_use("Floating IP in use", format!("It is assigned to a {kind}."))),
            None => Ok(()),
        }
    }

    fn deleted(&self, engine: &mut Engine, object: &Object) {
        // One less is never refused.
        let _ = count(engine, object, false);
    }
}

/// Counts one more, or one less, of the enterprise's.
fn count(engine: &mut Engine, address: &Object, more: bool) -> Result<(), Refusal> {
    let Some(mut enterprise) = engine.store.ancestor(address, "enterprise").cloned() else { return Ok(()) };
    let number = |attribute: &str| engine.field(&enterprise, attribute).as_u64().unwrap_or_default();
    let (used, quota) = (number("floatingIPsUsed"), number("floatingIPsQuota"));
    if more && used >= quota {
        let description = format!("The enterprise may have {quota} floating addresses.");
        return Err(Refusal::invalid("", "Quota exceeded", description));
    }
    enterprise.set("floatingIPsUsed", if more { used + 1 } else { used.saturating_sub(1) });
    engine.store.replace(enterprise);
    Ok(())
}

/// Whoever may have a floating address: a vPort or a virtual address. What it names after a change and did not before is
/// assigned to it, and the other way round.
///
/// # Errors
/// There is no such address, it is another domain's or somebody else's.
pub(super) fn assign(
    engine: &mut Engine,
    before: Option<&Object>,
    after: Option<&Object>,
) -> Result<(), Refusal> {
    const ATTRIBUTE: &str = "associatedFloatingIPID";
    let named = |object: Option<&Object>| object.and_then(|object| object.reference(ATTRIBUTE));
    let (old, new) = (named(before), named(after));
    if old == new {
        return Ok(());
    }
    if let (Some(id), Some(holder)) = (new, after) {
        let address = engine.find("floatingip", &id.to_string())?.clone();
        let of = |object: &Object| engine.store.ancestor(object, "domain").map(|domain| domain.id);
        if of(&address) != of(holder) {
            let description = "The floating address is of another domain.".to_owned();
            return Err(Refusal::invalid(ATTRIBUTE, "Floating IP of another domain", description));
        }
        if let Some(kind) = address.text("assignedToObjectType") {
            return Err(in_use("Floating IP in use", format!("It is assigned to another {kind}.")));
        }
        mark(engine, id, Some(holder.entity));
    }
    if let Some(id) = old {
        mark(engine, id, None);
    }
    Ok(())
}

fn mark(engine: &mut Engine, id: Uuid, holder: Option<Name>) {
    let Some(mut address) = engine.store.get(id).cloned() else { return };
    if let Some(holder) = holder {
        address.set("assigned", true);
        address.set("assignedToObjectType", holder);
    } else {
        address.values.remove("assigned");
        address.values.remove("assignedToObjectType");
    }
    engine.store.replace(address);
}
