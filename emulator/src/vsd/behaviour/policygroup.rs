//! Policy groups: their number and their members. Never leaves a domain.

use super::{Behaviour, Body};
use crate::vsd::engine::Engine;
use crate::vsd::error::{Refusal, code};
use crate::vsd::store::Object;

/// The lowest number of a policy group: the real VSD's `PGIDLowerLimit`.
const FIRST: u64 = 65_536;

/// The next number; zones and subnets have one too.
pub(super) fn number(engine: &mut Engine) -> u64 {
    engine.number("policygroup", FIRST)
}

pub(super) struct PolicyGroup;

impl Behaviour for PolicyGroup {
    fn creating(&self, engine: &mut Engine, draft: &mut Object, _body: &Body) -> Result<(), Refusal> {
        draft.fill("policyGroupID", number(engine));
        Ok(())
    }

    fn deleting(&self, engine: &Engine, object: &Object) -> Result<(), Refusal> {
        if engine.store.members(object.id, "vport").is_empty() {
            return Ok(());
        }
        let description = "The policy group is attached to a vPort.";
        Err(Refusal::conflict(code::POLICY_GROUP_IN_USE, "", "Policy group is in use", description))
    }

    fn linking(&self, engine: &Engine, owner: &Object, member: &Object) -> Result<(), Refusal> {
        refuse_other_domain(engine, owner, member)
    }
}

/// 409 if what a vPort becomes a member of is not of its domain: code 7309 for a policy group.
pub(super) fn refuse_other_domain(engine: &Engine, one: &Object, other: &Object) -> Result<(), Refusal> {
    let domain = |object| {
        let domain =
            engine.store.ancestor(object, "domain").or_else(|| engine.store.ancestor(object, "l2domain"));
        domain.map(|domain| domain.id)
    };
    if domain(one) == domain(other) {
        return Ok(());
    }
    let group = if one.entity == "vport" { other } else { one };
    if group.entity != "policygroup" {
        let description = format!("The {} and the vPort are in different domains.", group.entity);
        return Err(Refusal::invalid("", "Invalid member", description));
    }
    let description = "The policy group and the vPort are in different domains.";
    Err(Refusal::conflict(code::OTHER_DOMAIN, "", "Invalid policy group", description))
}
