//! What entities do beyond being data: each hook in the file of its entity. An entity without a file has none.
//! A hook may refuse; it may change other objects through the engine; it never writes a reply.

mod acl;
mod allocate;
mod dhcp;
mod domain;
mod drafts;
mod enterprise;
mod expression;
mod floating;
mod instantiate;
mod interface;
mod job;
mod l2domain;
mod linger;
mod machine;
mod macros;
mod metadata;
mod network;
mod platform;
mod policygroup;
mod redirection;
mod reservation;
mod resync;
mod subnet;
mod template;
mod user;
mod vport;
mod zone;

use serde_json::{Map, Value};
use uuid::Uuid;

use super::engine::Engine;
use super::error::{Refusal, code};
use super::model::Name;
use super::store::{Ids, Object};

pub(super) use enterprise::{CSP, seed as seed_enterprise};
pub(super) use linger::{purge, take_up};
pub(super) use platform::{ROOT_GROUP, seed as seed_platform};
pub(super) use template::ask_if_used;
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
    fn updating(&self, _engine: &mut Engine, _before: &Object, _after: &mut Object) -> Result<(), Refusal> {
        Ok(())
    }

    /// Before an object and all below it go; not asked again for what is below.
    fn deleting(&self, _engine: &Engine, _object: &Object) -> Result<(), Refusal> {
        Ok(())
    }

    /// After an object has gone.
    fn deleted(&self, _engine: &mut Engine, _object: &Object) {}

    /// Whether the deletion of an object with children must be confirmed.
    fn asks(&self) -> bool {
        true
    }

    /// Whether a change or the deletion of an object must be confirmed while the template that it is or lies below has
    /// instances.
    fn asks_if_used(&self) -> bool {
        false
    }

    /// Whether two objects below one parent may not have the same name (or whatever is unique of them).
    fn are_rivals(&self, _one: &Object, _other: &Object) -> bool {
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

    /// What a collection below an object holds that is not what lies there; `None` where it is.
    fn seen_below(&self, _engine: &Engine, _parent: &Object, _entity: Name) -> Option<Ids> {
        None
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
        "domaintemplate" | "policygrouptemplate" | "redirectiontargettemplate" | "qos" => &template::Template,
        "pgexpression" | "pgexpressiontemplate" => &expression::GroupExpression,
        "zonetemplate" => &zone::ZoneTemplate,
        "subnettemplate" => &subnet::SubnetTemplate,
        "l2domaintemplate" => &l2domain::L2DomainTemplate,
        "domain" => &domain::Domain,
        "l2domain" => &l2domain::L2Domain,
        "zone" => &zone::Zone,
        "subnet" => &subnet::Subnet,
        "addressrange" => &reservation::AddressRange,
        "ipreservation" => &reservation::Reservation,
        "vmipreservation" => &reservation::MachineReservation,
        "virtualip" => &reservation::VirtualIp,
        "floatingip" => &floating::FloatingIp,
        "sharednetworkresource" => &floating::SharedNetwork,
        "dhcpoption" => &dhcp::DhcpOption,
        "vport" => &vport::Vport,
        "container" => &machine::CONTAINER,
        "vm" => &machine::VIRTUAL,
        "containerinterface" => &interface::CONTAINER,
        "vminterface" => &interface::VIRTUAL,
        "hostinterface" => &interface::HOST,
        "bridgeinterface" => &interface::BRIDGE,
        "policygroup" => &policygroup::PolicyGroup,
        "redirectiontarget" => &redirection::RedirectionTarget,
        "enterprisenetwork" => &macros::Macro,
        "ingressacltemplate" | "egressacltemplate" | "ingressadvfwdtemplate" | "egressadvfwdtemplate" => {
            &acl::Policy
        }
        "ingressaclentrytemplate" | "egressaclentrytemplate" => &acl::Entry(code::ENTRY_PRIORITY_IN_USE),
        "ingressadvfwdentrytemplate" | "egressadvfwdentrytemplate" => {
            &acl::Entry(code::FORWARDING_PRIORITY_IN_USE)
        }
        "job" => &job::Job,
        "metadata" | "globalmetadata" => &metadata::Metadata,
        "resync" | "containerresync" => &resync::Resync,
        _ => &Plain,
    }
}

/// 409, code 2039.
pub(super) fn no_change() -> Refusal {
    let description = "There are no attribute changes to modify the entity.";
    Refusal::conflict(code::NO_CHANGE, "", "No change", description)
}

/// 409, code 2506, if the `attribute` of a container's or a virtual machine's interface names the object.
fn refuse_while_attached(engine: &Engine, object: &Object, attribute: &'static str) -> Result<(), Refusal> {
    let id = object.id.to_string();
    let kinds = [("containerinterface", "Containers"), ("vminterface", "VMs")];
    let attached = |(entity, _): &(Name, Name)| !engine.store.valued(entity, attribute, &id).is_empty();
    let Some((_, machines)) = kinds.into_iter().find(attached) else { return Ok(()) };
    let title = format!("{} is in use", object.entity);
    Err(Refusal::conflict(
        code::STILL_ATTACHED,
        "",
        &title,
        format!("{machines} are still attached below it."),
    ))
}
