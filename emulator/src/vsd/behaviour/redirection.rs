//! Redirection targets: vPorts of their domain are members. Never redirects anything.

use super::{Behaviour, policygroup};
use crate::vsd::engine::Engine;
use crate::vsd::error::Refusal;
use crate::vsd::store::Object;

pub(super) struct RedirectionTarget;

impl Behaviour for RedirectionTarget {
    fn linking(&self, engine: &Engine, owner: &Object, member: &Object) -> Result<(), Refusal> {
        policygroup::refuse_other_domain(engine, owner, member)
    }
}
