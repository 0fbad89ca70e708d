//! What a user may do with which object: by the role of the user's groups, by ownership, and by the permissions that
//! stand below an object for a user or a group. Never says who somebody is: that is the login's.

use std::collections::BTreeSet;

use http::StatusCode;
use uuid::Uuid;

use super::behaviour::{CSP, CSPROOT};
use super::error::Refusal;
use super::model::Name;
use super::store::{Object, Store};

/// What is allowed with an object; each includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Right {
    Nothing,
    Read,
    /// To attach something to it: a vPort to a subnet, a member to a group, an instance to a template.
    Use,
    /// To make something below it.
    Extend,
    /// To change it.
    Change,
    /// To delete it, and to grant rights.
    All,
}

/// What the roles of somebody's groups make of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// The operator's root user and those in groups of that role.
    Root,
    /// May do everything but what is the platform's own.
    Operator,
    /// A cloud management system: makes machines for others, reads everything.
    CloudManager,
    /// Anybody else of the operator's: reads everything.
    Spectator,
    Administrator,
    Designer,
    Member,
}

impl Standing {
    /// The right of a tenant's user to an object of the own enterprise.
    fn right(self, line: &Line) -> Right {
        match self {
            Self::Administrator if line.entity() == "enterprise" => Right::Change,
            Self::Administrator => Right::All,
            Self::Designer if line.steps.iter().any(|step| DESIGNED.contains(&step.entity)) => Right::All,
            Self::Designer => Right::Read,
            _ if COMMON.contains(&line.entity()) => Right::Read,
            _ => Right::Nothing,
        }
    }
}

/// An object and what it lies below, as far as rights follow from it: also of one that is gone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Line {
    /// The enterprise that it belongs to. Containers and machines lie below nothing and say whose they are.
    enterprise: Option<Uuid>,
    /// The object first.
    steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Step {
    id: Uuid,
    entity: Name,
    owner: Uuid,
}

impl Line {
    /// The line of an object, whose parents `find` knows.
    pub(super) fn of<'a>(object: &'a Object, find: impl Fn(Uuid) -> Option<&'a Object>) -> Self {
        let mut line = Self { enterprise: None, steps: Vec::new() };
        let mut next = Some(object);
        while let Some(object) = next {
            line.steps.push(Step { id: object.id, entity: object.entity, owner: object.owner });
            if line.enterprise.is_none() {
                let machine = MACHINES.contains(&object.entity);
                let named = machine.then(|| object.reference("enterpriseID")).flatten();
                line.enterprise = named.or((object.entity == "enterprise").then_some(object.id));
            }
            next = object.parent.and_then(|(_, id)| find(id));
        }
        line
    }

    fn entity(&self) -> Name {
        self.steps.first().map_or("", |step| step.entity)
    }
}

/// Somebody with a standing.
#[derive(Debug)]
pub(super) struct Caller {
    user: Uuid,
    enterprise: Option<Uuid>,
    standing: Standing,
    /// The user, and the groups that a permission may name instead.
    grantees: BTreeSet<Uuid>,
}

/// Entities whose objects are made by machines and their managers.
const MACHINES: [Name; 4] = ["container", "containerinterface", "vm", "vminterface"];
/// Entities that a right to use their parent suffices for.
const ATTACHED: [Name; 3] = ["vport", "virtualip", "dhcpoption"];
/// Entities that every member of an enterprise sees there.
const COMMON: [Name; 3] = ["enterprise", "user", "group"];
/// Entities that only the operator's root users change.
const PLATFORM: [Name; 4] = ["license", "systemconfig", "vsd", "vsp"];
/// Entities that network designers make, with all that lies below.
const DESIGNED: [Name; 4] = ["domain", "domaintemplate", "l2domain", "l2domaintemplate"];

impl Caller {
    /// What is known of a user.
    pub(super) fn of(store: &Store, user: Uuid) -> Self {
        let object = store.get(user);
        let enterprise = object.and_then(|user| store.ancestor(user, "enterprise")).map(|found| found.id);
        let groups = || store.members(user, "group").iter().filter_map(|id| store.get(*id));
        let roles: BTreeSet<&str> = groups().filter_map(|group| group.text("role")).collect();
        let standing = standing(user, enterprise, &roles);
        let mut grantees: BTreeSet<Uuid> = groups().map(|group| group.id).chain([user]).collect();
        if let (Some(enterprise), false) = (enterprise, enterprise == Some(CSP)) {
            // Every user of an enterprise counts as a member of its group of that name.
            let groups = store.below(enterprise, "group").iter().filter_map(|id| store.get(*id));
            let everybody = groups.filter(|group| group.text("name") == Some("Everybody"));
            grantees.extend(everybody.map(|group| group.id));
        }
        Self { user, enterprise, standing, grantees }
    }

    /// May act for others: makes machines, and names the user they are for.
    pub(super) fn manages_machines(&self) -> bool {
        matches!(self.standing, Standing::Root | Standing::CloudManager)
    }

    /// May see everything there is.
    pub(super) fn sees_all(&self) -> bool {
        !matches!(self.standing, Standing::Administrator | Standing::Designer | Standing::Member)
    }

    /// May see this.
    pub(super) fn sees(&self, store: &Store, object: &Object) -> bool {
        self.sees_all() || self.right(store, object) >= Right::Read
    }

    /// May see, or might have seen, what is or was here.
    pub(super) fn sees_line(&self, store: &Store, line: &Line) -> bool {
        self.sees_all() || self.right_to(store, line) >= Right::Read
    }

    /// 403 where the right to an object is less than `needed`.
    pub(super) fn demand(&self, store: &Store, object: &Object, needed: Right) -> Result<(), Refusal> {
        if self.standing == Standing::Root || self.right(store, object) >= needed {
            return Ok(());
        }
        let Object { entity, id, .. } = object;
        Err(denied(format!("You have no permission to do this with the {entity} {id}.")))
    }

    /// 403 where nothing of an entity may be made below a parent, or at the root. 401 for machines at the root: it is
    /// by this that neutron's plugin knows that it is no cloud management system.
    pub(super) fn demand_create(
        &self,
        store: &Store,
        parent: Option<&Object>,
        entity: Name,
        template: Option<Uuid>,
    ) -> Result<(), Refusal> {
        let Some(parent) = parent else { return self.demand_root(entity) };
        if matches!(self.standing, Standing::CloudManager) && MACHINES.contains(&entity) {
            return Ok(());
        }
        if self.standing == Standing::Designer
            && self.enterprise == Some(parent.id)
            && DESIGNED.contains(&entity)
        {
            return Ok(());
        }
        let template = template.filter(|_| DESIGNED.contains(&entity)).and_then(|id| store.get(id));
        if template.is_some_and(|template| self.right(store, template) >= Right::Use)
            && self.enterprise == Some(parent.id)
        {
            return Ok(());
        }
        let needed = match entity {
            "permission" => Right::All,
            entity if ATTACHED.contains(&entity) || MACHINES.contains(&entity) => Right::Use,
            _ => Right::Extend,
        };
        self.demand(store, parent, needed)
    }

    fn demand_root(&self, entity: Name) -> Result<(), Refusal> {
        match self.standing {
            Standing::Root => Ok(()),
            Standing::CloudManager if MACHINES.contains(&entity) => Ok(()),
            _ if MACHINES.contains(&entity) => {
                Err(Refusal::unauthorized("Only members of the CMS group make machines."))
            }
            Standing::Operator if !PLATFORM.contains(&entity) && entity != "user" => Ok(()),
            _ => Err(denied(format!("You have no permission to make a {entity}."))),
        }
    }

    /// The right to an object.
    fn right(&self, store: &Store, object: &Object) -> Right {
        self.right_to(store, &Line::of(object, |id| store.get(id)))
    }

    fn right_to(&self, store: &Store, line: &Line) -> Right {
        let (entity, owner) = (line.entity(), line.enterprise);
        let by_role = match self.standing {
            Standing::Operator if PLATFORM.contains(&entity) || owner == Some(CSP) => Right::Read,
            Standing::Root | Standing::Operator => Right::All,
            Standing::CloudManager if MACHINES.contains(&entity) => Right::All,
            Standing::CloudManager | Standing::Spectator => Right::Read,
            _ if owner.is_none() && entity == "license" => Right::Nothing,
            _ if owner.is_none() => Right::Read,
            _ if owner != self.enterprise => Right::Nothing,
            of_tenant => of_tenant.right(line),
        };
        if by_role == Right::All { by_role } else { by_role.max(self.granted(store, line)) }
    }

    /// What ownership and permissions give, on the object or on anything above it.
    fn granted(&self, store: &Store, line: &Line) -> Right {
        let mut best = Right::Nothing;
        for step in &line.steps {
            if step.owner == self.user && step.entity != "enterprise" {
                return Right::All;
            }
            for permission in store.children(step.id, "permission") {
                let grantee = permission.reference("permittedEntityID");
                if grantee.is_some_and(|grantee| self.grantees.contains(&grantee)) {
                    best = best.max(granted(permission.text("permittedAction")));
                }
            }
        }
        best
    }
}

fn standing(user: Uuid, enterprise: Option<Uuid>, roles: &BTreeSet<&str>) -> Standing {
    if enterprise == Some(CSP) {
        return match () {
            () if user == CSPROOT || roles.contains("CSPROOT") => Standing::Root,
            () if roles.contains("CSPOPERATOR") => Standing::Operator,
            () if roles.contains("CMS") => Standing::CloudManager,
            () => Standing::Spectator,
        };
    }
    match () {
        () if roles.contains("ORGADMIN") => Standing::Administrator,
        () if roles.contains("ORGNETWORKDESIGNER") => Standing::Designer,
        () => Standing::Member,
    }
}

/// The right that a permission's action gives. One without an action gives sight.
fn granted(action: Option<&str>) -> Right {
    match action {
        Some("ALL") => Right::All,
        Some("DEPLOY") => Right::Change,
        Some("EXTEND") => Right::Extend,
        Some("USE" | "INSTANTIATE") => Right::Use,
        _ => Right::Read,
    }
}

fn denied(description: String) -> Refusal {
    Refusal::denied(StatusCode::FORBIDDEN, "Permission denied", description)
}
