//! The objects and the indexes over them: by entity, by ancestor, by value of an indexed attribute, by
//! membership, by address. A change can be taken back as a whole. Never decides whether a change is right.

mod ids;
mod indexes;
mod object;
mod texts;
mod values;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use uuid::Uuid;

use super::addresses::Addresses;
use super::model::{Model, Name};
pub(super) use ids::Ids;
use indexes::{Indexes, change, indexed};
pub(super) use object::Object;
pub(super) use values::Values;

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
    indexes: Indexes,
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
            indexes: Indexes::default(),
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
        self.indexes.all(entity)
    }

    /// The objects of an entity that have `ancestor` among their parents, however far up.
    pub(super) fn below(&self, ancestor: Uuid, entity: Name) -> &Ids {
        self.indexes.below(ancestor, entity)
    }

    /// The objects of an entity that lie directly below `parent`, in the order of their IDs.
    pub(super) fn children(&self, parent: Uuid, entity: Name) -> impl Iterator<Item = &Object> {
        let below = self.below(parent, entity).iter().filter_map(move |id| self.get(*id));
        below.filter(move |child| child.parent.is_some_and(|(_, id)| id == parent))
    }

    /// Whether `ancestor` is among an object's parents, however far up.
    pub(super) fn is_below(&self, object: &Object, ancestor: Uuid) -> bool {
        let mut next = object.parent;
        while let Some((_, id)) = next {
            if id == ancestor {
                return true;
            }
            next = self.objects.get(&id).and_then(|parent| parent.parent);
        }
        false
    }

    /// The objects whose indexed attribute has this value (or holds it, where it is a list).
    pub(super) fn valued(&self, entity: Name, attribute: Name, value: &str) -> &Ids {
        self.indexes.valued(entity, attribute, value)
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

    /// The pairs of objects that were linked or unlinked since the last `commit`, and whether they are linked now.
    pub(super) fn link_changes(&self) -> BTreeMap<(Uuid, Uuid), bool> {
        let pairs = self.undo.iter().filter_map(|step| match step {
            Undo::Link(a, b) | Undo::Unlink(a, b) => Some((*a.min(b), *a.max(b))),
            _ => None,
        });
        pairs.map(|pair| (pair, self.linked(pair.0, pair.1))).collect()
    }

    fn linked(&self, a: Uuid, b: Uuid) -> bool {
        self.objects.get(&b).is_some_and(|other| self.members(a, other.entity).contains(&b))
    }

    /// Fills an empty store with what was kept: objects in the order of their IDs, and pairs of members.
    pub(super) fn load(&mut self, objects: Vec<Object>, links: Vec<(Uuid, Uuid)>) {
        self.objects = objects.into_iter().map(|object| (object.id, object)).collect();
        // Parents may come after their children, so all objects are there before the first is indexed.
        for object in self.objects.values() {
            self.indexes.change(&self.model, &self.objects, object, true);
            self.addresses.follow(object, true);
        }
        for (a, b) in links {
            self.tie(a, b, true);
        }
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

    fn put(&mut self, mut object: Object) {
        object.values.settle();
        self.index(&object, true);
        self.objects.insert(object.id, object);
    }

    fn take(&mut self, id: Uuid) -> Option<Object> {
        let object = self.objects.remove(&id)?;
        self.index(&object, false);
        Some(object)
    }

    fn index(&mut self, object: &Object, add: bool) {
        self.indexes.change(&self.model, &self.objects, object, add);
        self.addresses.follow(object, add);
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

#[cfg(test)]
mod tests {
    use serde_json::Value;

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
            values: Values::from([("name", Value::from(name))]),
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
        assert!(store.addresses.is_used(Uuid::from_u128(4), "10.0.0.2".parse().unwrap()));
        assert!(store.members(Uuid::from_u128(2), "vport").is_empty());
        store.roll_back();

        assert_eq!(format!("{store:?}"), before);
    }
}
