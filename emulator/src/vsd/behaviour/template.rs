//! Domain templates: one with instances is changed and deleted only after confirmation. Never changes the
//! instances.

use super::Behaviour;
use crate::vsd::engine::Engine;
use crate::vsd::error::Refusal;
use crate::vsd::store::Object;

pub(super) struct Template;

impl Behaviour for Template {
    fn updating(
        &self,
        engine: &mut Engine,
        before: &Object,
        _after: &mut Object,
        confirmed: bool,
    ) -> Result<(), Refusal> {
        ask_if_used(engine, before, confirmed)
    }

    fn deleting(&self, engine: &Engine, object: &Object, confirmed: bool) -> Result<(), Refusal> {
        ask_if_used(engine, object, confirmed)
    }
}

fn ask_if_used(engine: &Engine, object: &Object, confirmed: bool) -> Result<(), Refusal> {
    if confirmed || engine.store.valued("domain", "templateID", &object.id.to_string()).is_empty() {
        return Ok(());
    }
    let description = "Removing/Changing the domaintemplate will affect associated instances";
    Err(Refusal::confirm("This domaintemplate template is in use", description))
}
