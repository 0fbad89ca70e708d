//! The objects and the indexes over them: by entity, by ancestor, by value of an indexed attribute, by
//! membership, by address. A change can be taken back as a whole. Never decides whether a change is right.

mod ids;
mod object;

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::Arc;

use serde_json::Value;
use uuid::Uuid;

use super::addresses::Addresses;
use super::model::{Attribute, Kind, Model, Name};
pub(super) use ids::Ids;
pub(super) use object::Object;

/// Attributes that each entity is found by, whatever the data file says.
const ALWAYS_INDEXED: [Name; 2] = ["externalID", "name"];

/// What a change makes of one object.
#[derive(Clone, Copy, Debug)]
pub(super) struct Change<'a> {
    /// The object as it was.
    pub(super) before: Option<&'a Object>,
    /// The object as it is.
    pub(super) after: Option<&'a Object>,
    /// It got or lost members.
    pub(super) linked: bool,
}

/// How to take one step back.
#[derive(Debug)]
enum Undo {
    Remove(Uuid),
    Insert(Object),
    Replace(Object),
    Link(Uuid, Uuid),
    Unlink(Uuid, Uuid),
}

#[derive(Debug)]
pub(super) struct Store {
    model: Arc<Model>,
    objects: BTreeMap<Uuid, Object>,
    by_entity: BTreeMap<Name, Ids>,
    below: BTreeMap<(Uuid, Name), Ids>,
    /// By entity and attribute, then by value.
    by_value: BTreeMap<(Name, Name), BTreeMap<Box<str>, Ids>>,
    members: BTreeMap<(Uuid, Name), Ids>,
    pub(super) addresses: Addresses,
    undo: Vec<Undo>,
}

static NONE: Ids = Ids::None;

impl Store {
    pub(super) fn new(model: Arc<Model>) -> Self {
        Self {
            model,
            objects: BTreeMap::new(),
            by_entity: BTreeMap::new(),
            below: BTreeMap::new(),
            by_value: BTreeMap::new(),
            members: BTreeMap::new(),
            addresses: Addresses::default(),
            undo: Vec::new(),
        }
    }

    pub(super) fn get(&self, id: Uuid) -> Option<&Object> {
        self.objects.get(&id)
    }

    /// The object with this ID if it is of this entity.
    pub(super) fn of(&self, entity: &str, id: Uuid) -> Option<&Object> {
        self.objects.get(&id).filter(|object| object.entity == entity)
    }

    pub(super) fn all(&self, entity: &str) -> &Ids {
        self.by_entity.get(entity).unwrap_or(&NONE)
    }

    /// The objects of an entity that have `ancestor` among their parents, however far up.
    pub(super) fn below(&self, ancestor: Uuid, entity: Name) -> &Ids {
        self.below.get(&(ancestor, entity)).unwrap_or(&NONE)
    }

    /// The objects whose indexed attribute has this value (or holds it, where it is a list).
    pub(super) fn valued(&self, entity: Name, attribute: Name, value: &str) -> &Ids {
        self.by_value.get(&(entity, attribute)).and_then(|values| values.get(value)).unwrap_or(&NONE)
    }

    /// The objects of an entity among which all are whose attribute is this text, without a scan; `None` for an
    /// attribute without an index.
    pub(super) fn lookup(&self, entity: Name, attribute: &str, text: &str) -> Option<BTreeSet<Uuid>> {
        let id = || Uuid::try_parse(text).ok();
        match attribute {
            "ID" => Some(id().filter(|id| self.of(entity, *id).is_some()).into_iter().collect()),
            "parentID" => {
                let below = id().map(|id| self.below(id, entity));
                Some(below.into_iter().flat_map(Ids::iter).copied().collect())
            }
            _ => {
                let (_, facts) = self.model.entity(entity)?;
                let (name, facts) = facts.attribute(attribute)?;
                indexed(name, facts).then(|| self.valued(entity, name, text).iter().copied().collect())
            }
        }
    }

    pub(super) fn members(&self, id: Uuid, entity: Name) -> &Ids {
        self.members.get(&(id, entity)).unwrap_or(&NONE)
    }

    /// The ancestor of an object that is of this entity.
    pub(super) fn ancestor(&self, object: &Object, entity: &str) -> Option<&Object> {
        let mut next = object.parent;
        while let Some((kind, id)) = next {
            let parent = self.objects.get(&id)?;
            if kind == entity {
                return Some(parent);
            }
            next = parent.parent;
        }
        None
    }

    pub(super) fn insert(&mut self, object: Object) {
        self.undo.push(Undo::Remove(object.id));
        self.put(object);
    }

    pub(super) fn replace(&mut self, object: Object) {
        if let Some(old) = self.take(object.id) {
            self.undo.push(Undo::Replace(old));
        }
        self.put(object);
    }

    /// Takes an object out. Its children must have gone before, its memberships go with it.
    pub(super) fn remove(&mut self, id: Uuid) {
        let members: Vec<Uuid> = self
            .members
            .range((id, "")..)
            .take_while(|((owner, _), _)| *owner == id)
            .flat_map(|(_, ids)| ids.iter().copied())
            .collect();
        for member in members {
            self.unlink(id, member);
        }
        if let Some(old) = self.take(id) {
            self.undo.push(Undo::Insert(old));
        }
    }

    pub(super) fn link(&mut self, a: Uuid, b: Uuid) {
        if self.tie(a, b, true) {
            self.undo.push(Undo::Unlink(a, b));
        }
    }

    pub(super) fn unlink(&mut self, a: Uuid, b: Uuid) {
        if self.tie(a, b, false) {
            self.undo.push(Undo::Link(a, b));
        }
    }

    /// What is different since the last `commit`, an object once, in the order in which they were touched.
    pub(super) fn changes(&self) -> Vec<Change<'_>> {
        let mut seen = BTreeSet::new();
        let mut changes: Vec<Change<'_>> = Vec::new();
        for step in &self.undo {
            let (id, before) = match step {
                Undo::Remove(id) => (*id, None),
                Undo::Insert(old) | Undo::Replace(old) => (old.id, Some(old)),
                Undo::Link(..) | Undo::Unlink(..) => continue,
            };
            if seen.insert(id) {
                changes.push(Change { before, after: self.objects.get(&id), linked: false });
            }
        }
        let linked = self.undo.iter().filter_map(|step| match step {
            Undo::Link(owner, _) | Undo::Unlink(owner, _) => self.objects.get(owner),
            _ => None,
        });
        for owner in linked.filter(|owner| seen.insert(owner.id)) {
            changes.push(Change { before: Some(owner), after: Some(owner), linked: true });
        }
        changes.retain(|change| change.before.is_some() || change.after.is_some());
        changes
    }

    /// Makes the changes so far final.
    pub(super) fn commit(&mut self) {
        self.undo.clear();
    }

    /// Takes back all changes since the last `commit`.
    pub(super) fn roll_back(&mut self) {
        while let Some(step) = self.undo.pop() {
            match step {
                Undo::Remove(id) => drop(self.take(id)),
                Undo::Insert(object) => self.put(object),
                Undo::Replace(object) => {
                    self.take(object.id);
                    self.put(object);
                }
                Undo::Link(a, b) => drop(self.tie(a, b, true)),
                Undo::Unlink(a, b) => drop(self.tie(a, b, false)),
            }
        }
    }

    fn put(&mut self, object: Object) {
        self.index(&object, true);
        self.objects.insert(object.id, object);
    }

    fn take(&mut self, id: Uuid) -> Option<Object> {
        let object = self.objects.remove(&id)?;
        self.index(&object, false);
        Some(object)
    }

    fn index(&mut self, object: &Object, add: bool) {
        change(&mut self.by_entity, object.entity, object.id, add);
        let mut next = object.parent;
        while let Some((_, id)) = next {
            change(&mut self.below, (id, object.entity), object.id, add);
            next = self.objects.get(&id).and_then(|parent| parent.parent);
        }
        let attributes = self.model.entity(object.entity).map(|(_, entity)| &entity.attributes);
        for (name, attribute) in attributes.into_iter().flatten().filter(|(name, facts)| indexed(name, facts))
        {
            let value = object.values.get(name).unwrap_or(&attribute.default);
            let texts = match value {
                Value::Array(items) => items.as_slice(),
                single => std::slice::from_ref(single),
            };
            for text in texts.iter().filter_map(Value::as_str) {
                let values = self.by_value.entry((object.entity, *name)).or_default();
                change(values, Box::from(text), object.id, add);
                if values.is_empty() {
                    self.by_value.remove(&(object.entity, *name));
                }
            }
        }
        let address = object.text("IPAddress").and_then(|text| text.parse::<Ipv4Addr>().ok());
        if let (Some(subnet), Some(address)) = (object.reference("attachedNetworkID"), address) {
            if add { self.addresses.take(subnet, address) } else { self.addresses.free(subnet, address) }
        }
    }

    /// Links or unlinks both ways. Returns whether that changed anything.
    fn tie(&mut self, a: Uuid, b: Uuid, add: bool) -> bool {
        let (Some(first), Some(second)) = (self.objects.get(&a), self.objects.get(&b)) else { return false };
        let (first, second) = (first.entity, second.entity);
        if self.members(a, second).contains(&b) == add {
            return false;
        }
        change(&mut self.members, (a, second), b, add);
        change(&mut self.members, (b, first), a, add);
        true
    }
}

/// Whether objects are found by an attribute. A number is not: it equals more than one text.
fn indexed(name: Name, facts: &Attribute) -> bool {
    let texts = matches!(facts.kind, Kind::String | Kind::List);
    texts && !facts.secret && (facts.indexed || ALWAYS_INDEXED.contains(&name))
}

fn change<K: Ord>(index: &mut BTreeMap<K, Ids>, key: K, id: Uuid, add: bool) {
    if add {
        index.entry(key).or_default().insert(id);
    } else if let Some(ids) = index.get_mut(&key) {
        ids.remove(id);
        if ids.is_empty() {
            index.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(id: u128, entity: Name, parent: Option<(Name, u128)>, name: &str) -> Object {
        Object {
            id: Uuid::from_u128(id),
            entity,
            parent: parent.map(|(entity, id)| (entity, Uuid::from_u128(id))),
            created: 0,
            updated: 0,
            owner: Uuid::nil(),
            updated_by: Uuid::nil(),
            values: BTreeMap::from([("name", Value::from(name))]),
        }
    }

    #[test]
    fn a_change_that_is_rolled_back_leaves_no_trace_in_any_index() {
        let mut store = Store::new(Model::load());
        store.insert(object(1, "domain", None, "d"));
        store.insert(object(2, "policygroup", Some(("domain", 1)), "g"));
        store.insert(object(3, "zone", Some(("domain", 1)), "z"));
        store.insert(object(4, "subnet", Some(("zone", 3)), "s"));
        store.insert(object(5, "vport", Some(("subnet", 4)), "v"));
        store.link(Uuid::from_u128(2), Uuid::from_u128(5));
        store.commit();
        let before = format!("{store:?}");

        store.remove(Uuid::from_u128(5));
        store.replace(object(4, "subnet", Some(("zone", 3)), "renamed"));
        let mut interface = object(6, "containerinterface", None, "i");
        interface.set("attachedNetworkID", Uuid::from_u128(4).to_string());
        interface.set("IPAddress", "10.0.0.2");
        store.insert(interface);
        assert!(store.addresses.is_taken(Uuid::from_u128(4), Ipv4Addr::new(10, 0, 0, 2)));
        assert!(store.members(Uuid::from_u128(2), "vport").is_empty());
        store.roll_back();

        assert_eq!(format!("{store:?}"), before);
    }
}
