//! What entities do beyond being data: each hook in the file of its entity. An entity without a file has none.
//! A hook may refuse; it may change other objects through the engine; it never writes a reply.

mod container;
mod domain;
mod enterprise;
mod interface;
mod platform;
mod policygroup;
mod subnet;
mod template;
mod user;
mod vport;
mod zone;

use serde_json::{Map, Value};
use uuid::Uuid;

use super::engine::Engine;
use super::error::{Refusal, code};
use super::store::Object;

pub(super) use enterprise::{CSP, seed as seed_enterprise};
pub(super) use platform::{ROOT_GROUP, seed as seed_platform};
pub(super) use user::{CSPROOT, me, seed as seed_user};

type Body = Map<String, Value>;

/// The hooks of an entity; each does nothing where an entity does not say otherwise.
pub(super) trait Behaviour: Sync {
    /// Before an object is stored: completes it, or refuses.
    fn creating(&self, _engine: &mut Engine, _draft: &mut Object, _body: &Body) -> Result<(), Refusal> {
        Ok(())
    }

    /// After an object is stored: makes what belongs to it.
    fn created(&self, _engine: &mut Engine, _id: Uuid, _body: &Body) -> Result<(), Refusal> {
        Ok(())
    }

    /// Before an update is stored.
    fn updating(
        &self,
        _engine: &mut Engine,
        _before: &Object,
        _after: &mut Object,
        _confirmed: bool,
    ) -> Result<(), Refusal> {
        Ok(())
    }

    /// Before an object and all below it go; not asked again for what is below.
    fn deleting(&self, _engine: &Engine, _object: &Object, _confirmed: bool) -> Result<(), Refusal> {
        Ok(())
    }

    /// After an object has gone.
    fn deleted(&self, _engine: &mut Engine, _object: &Object) {}

    /// Whether the deletion of an object with children must be confirmed.
    fn asks(&self) -> bool {
        true
    }

    /// Before two objects become members of each other.
    fn linking(&self, _engine: &Engine, _owner: &Object, _member: &Object) -> Result<(), Refusal> {
        Ok(())
    }

    /// Whether an object is left out of the root collection.
    fn hidden(&self, _id: Uuid) -> bool {
        false
    }

    /// Completes what a client sees.
    fn shown(&self, _engine: &Engine, _object: &Object, _shown: &mut Body) {}
}

struct Plain;
impl Behaviour for Plain {}

/// The hooks of an entity.
pub(super) fn of(entity: &str) -> &'static dyn Behaviour {
    match entity {
        "enterprise" => &enterprise::Enterprise,
        "user" => &user::User,
        "domaintemplate" => &template::Template,
        "domain" => &domain::Domain,
        "zone" => &zone::Zone,
        "subnet" => &subnet::Subnet,
        "subnettemplate" => &subnet::SubnetTemplate,
        "vport" => &vport::Vport,
        "container" => &container::Container,
        "containerinterface" => &interface::Interface,
        "policygroup" => &policygroup::PolicyGroup,
        _ => &Plain,
    }
}

/// 409, code 2039.
pub(super) fn no_change() -> Refusal {
    let description = "There are no attribute changes to modify the entity.";
    Refusal::conflict(code::NO_CHANGE, "", "No change", description)
}

/// 409, code 2506, if an interface's `attribute` names the object.
fn refuse_while_attached(engine: &Engine, object: &Object, attribute: &'static str) -> Result<(), Refusal> {
    if engine.store.valued("containerinterface", attribute, &object.id.to_string()).is_empty() {
        return Ok(());
    }
    let title = format!("{} is in use", object.entity);
    Err(Refusal::conflict(code::STILL_ATTACHED, "", &title, "Containers are still attached below it."))
}
