//! Templates of domains and layer-2 domains, and what lies below them: what has instances is changed and deleted
//! only after confirmation. Making instances is `instantiate`'s; never changes an instance.

use super::Behaviour;
use crate::vsd::engine::Engine;
use crate::vsd::error::Refusal;
use crate::vsd::model::Name;
use crate::vsd::store::Object;

/// A template, and what is instantiated with it.
pub(super) struct Template;

/// Templates, and what is made of them.
const INSTANCES: [(Name, Name); 2] = [("domaintemplate", "domain"), ("l2domaintemplate", "l2domain")];

impl Behaviour for Template {
    fn asks_if_used(&self) -> bool {
        true
    }
}

/// 300, unless it is confirmed, if the object asks and the template that it is or lies below has instances.
pub(in crate::vsd) fn ask_if_used(engine: &Engine, object: &Object, confirmed: bool) -> Result<(), Refusal> {
    if confirmed || !super::of(object.entity).asks_if_used() || !is_used(engine, object) {
        return Ok(());
    }
    let entity = object.entity;
    let description = format!("Removing/Changing the {entity} will affect associated instances");
    Err(Refusal::confirm(&format!("This {entity} template is in use"), description))
}

fn is_used(engine: &Engine, object: &Object) -> bool {
    INSTANCES.into_iter().any(|(template, instance)| {
        let own = (object.entity == template).then_some(object);
        let template = own.or_else(|| engine.store.ancestor(object, template));
        template.is_some_and(|found| {
            !engine.store.valued(instance, "templateID", &found.id.to_string()).is_empty()
        })
    })
}
