//! Zones: their number and their range, which subnets may be cut out of. Never makes subnets.

use super::network::Ranges;
use super::{Behaviour, Body, policygroup, refuse_while_attached};
use crate::vsd::engine::Engine;
use crate::vsd::error::Refusal;
use crate::vsd::store::Object;

pub(super) struct Zone;
pub(super) struct ZoneTemplate;

impl Behaviour for Zone {
    fn creating(&self, engine: &mut Engine, draft: &mut Object, _body: &Body) -> Result<(), Refusal> {
        Ranges::asked(draft)?;
        draft.fill("policyGroupID", policygroup::number(engine));
        Ok(())
    }

    fn updating(&self, _engine: &mut Engine, _before: &Object, after: &mut Object) -> Result<(), Refusal> {
        Ranges::asked(after).map(drop)
    }

    fn deleting(&self, engine: &Engine, object: &Object) -> Result<(), Refusal> {
        refuse_while_attached(engine, object, "zoneID")
    }
}

impl Behaviour for ZoneTemplate {
    fn creating(&self, _engine: &mut Engine, draft: &mut Object, _body: &Body) -> Result<(), Refusal> {
        Ranges::asked(draft).map(drop)
    }

    fn updating(&self, _engine: &mut Engine, _before: &Object, after: &mut Object) -> Result<(), Refusal> {
        Ranges::asked(after).map(drop)
    }

    fn asks_if_used(&self) -> bool {
        true
    }
}
