//! Zones: their number. Never makes subnets.

use super::{Behaviour, Body, policygroup, refuse_while_attached};
use crate::vsd::engine::Engine;
use crate::vsd::error::Refusal;
use crate::vsd::store::Object;

pub(super) struct Zone;

impl Behaviour for Zone {
    fn creating(&self, engine: &mut Engine, draft: &mut Object, _body: &Body) -> Result<(), Refusal> {
        draft.fill("policyGroupID", policygroup::number(engine));
        Ok(())
    }

    fn deleting(&self, engine: &Engine, object: &Object, _confirmed: bool) -> Result<(), Refusal> {
        refuse_while_attached(engine, object, "zoneID")
    }
}
