//! The resource engine: create, read, list, update and delete objects of whatever entities the model has.
//! What one entity does differently stands in [`super::behaviour`]; nothing here names an entity but the root.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value};
use uuid::Uuid;

use super::auth::Key;
use super::behaviour;
use super::error::Refusal;
use super::events::{self, Events};
use super::filter::Filter;
use super::model::{Attribute, Edge, Entity, Model, Name, ROOT};
use super::persist::{Disk, Numbers};
use super::store::{Ids, Object, Store};
use super::validate;
use crate::clock::Clock;
use crate::entropy::Entropy;

/// The user whom automatic changes are attributed to; the same on all installations of the real VSD.
pub(super) const SYSTEM_USER: Uuid = Uuid::from_u128(0x43f8_868f_4bc1_472c_9d19_533d_cfcb_1ee0);

/// The server's own attributes, which no spec file lists and each object has.
pub(super) const COMMON: [Name; 10] = [
    "ID",
    "parentID",
    "parentType",
    "owner",
    "creationDate",
    "lastUpdatedDate",
    "lastUpdatedBy",
    "entityScope",
    "embeddedMetadata",
    "children",
];

#[derive(Debug)]
pub(super) struct Engine {
    pub(super) model: Arc<Model>,
    pub(super) store: Store,
    pub(super) events: Events,
    /// The last number that was given out of each named range.
    pub(super) numbers: Numbers,
    /// Where changes are kept, if they outlive the process.
    pub(super) disk: Option<Disk>,
    /// The API keys of each user.
    pub(super) keys: BTreeMap<Uuid, Vec<Key>>,
    /// When machines that are on their way out are to go, in milliseconds since 1970. One that stays after all may be
    /// among them.
    pub(super) going: BTreeMap<Uuid, u64>,
    pub(super) entropy: Entropy,
    pub(super) clock: Clock,
    /// Who makes the current change.
    pub(super) actor: Uuid,
}

/// Which part of a collection is wanted, and how it is ordered.
#[derive(Debug, Default)]
pub(super) struct Query {
    pub(super) filter: Option<Filter>,
    /// Attributes, and whether they descend.
    pub(super) order: Vec<(String, bool)>,
    /// First object and number of objects; all of them where absent.
    pub(super) window: Option<(usize, usize)>,
}

impl Engine {
    pub(super) fn new(clock: Clock, entropy: Entropy) -> Self {
        let model = Model::load();
        let store = Store::new(Arc::clone(&model));
        let (numbers, keys) = (Numbers::new(), BTreeMap::new());
        Self {
            model,
            store,
            events: Events::new(),
            numbers,
            disk: None,
            keys,
            going: BTreeMap::new(),
            entropy,
            clock,
            actor: SYSTEM_USER,
        }
    }

    /// Does `work` as `actor`, wholly or not at all.
    pub(super) fn change<T>(
        &mut self,
        actor: Uuid,
        work: impl FnOnce(&mut Self) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        self.actor = actor;
        let result = work(self).and_then(|done| self.keep().map(|()| done));
        if result.is_err() {
            self.store.roll_back();
        } else if self.events.wanted() {
            let events = events::describe(self);
            self.events.append(events);
        }
        self.store.commit();
        result
    }

    /// Writes what has changed to disk, before anybody is told.
    fn keep(&mut self) -> Result<(), Refusal> {
        let Some(disk) = &mut self.disk else { return Ok(()) };
        disk.commit(&self.store, &self.numbers).map_err(|error| {
            tracing::error!(%error, "a change could not be written to disk");
            Refusal::unavailable("The change could not be written to disk.")
        })
    }

    /// The time of a change: milliseconds since 1970 of the whole second.
    pub(super) fn second(&self) -> u64 {
        self.clock.now() / 1000 * 1000
    }

    pub(super) fn find(&self, entity: Name, id: &str) -> Result<&Object, Refusal> {
        let found = Uuid::try_parse(id).ok().and_then(|id| self.store.of(entity, id));
        found.ok_or_else(|| Refusal::not_found(entity, id))
    }

    pub(super) fn create(
        &mut self,
        entity: Name,
        parent: Option<(Name, Uuid)>,
        body: &Map<String, Value>,
    ) -> Result<Uuid, Refusal> {
        let model = Arc::clone(&self.model);
        let (_, facts) = model.entity(entity).ok_or_else(|| Refusal::no_such_path(entity))?;
        let now = self.second();
        let mut draft = Object {
            id: self.entropy.uuid(),
            entity,
            parent,
            created: now,
            updated: now,
            owner: self.actor,
            updated_by: self.actor,
            values: validate::new(facts, body)?,
        };
        let behaviour = behaviour::of(entity);
        behaviour.creating(self, &mut draft, body)?;
        self.refuse_duplicate(facts, &draft)?;
        let id = draft.id;
        self.store.insert(draft);
        behaviour.created(self, id, body)?;
        Ok(id)
    }

    pub(super) fn update(
        &mut self,
        entity: Name,
        id: Uuid,
        body: &Map<String, Value>,
        confirmed: bool,
    ) -> Result<(), Refusal> {
        let model = Arc::clone(&self.model);
        let (_, facts) = model.entity(entity).ok_or_else(|| Refusal::no_such_path(entity))?;
        let before = self.find(entity, &id.to_string())?.clone();
        let mut after = before.clone();
        validate::update(facts, body, &mut after)?;
        let behaviour = behaviour::of(entity);
        behaviour::ask_if_used(self, &before, confirmed)?;
        behaviour.updating(self, &before, &mut after)?;
        let same = |(name, attribute): (&Name, &Attribute)| {
            let secret = attribute.secret && before.values.get(name) != after.values.get(name);
            !secret && self.field(&before, name) == self.field(&after, name)
        };
        if facts.attributes.iter().all(same) {
            return Err(behaviour::no_change());
        }
        if facts.unique.is_some_and(|name| before.values.get(name) != after.values.get(name)) {
            self.refuse_duplicate(facts, &after)?;
        }
        (after.updated, after.updated_by) = (self.second(), self.actor);
        self.store.replace(after);
        Ok(())
    }

    /// Deletes an object and what lies below it.
    pub(super) fn delete(&mut self, entity: Name, id: Uuid, confirmed: bool) -> Result<(), Refusal> {
        let object = self.find(entity, &id.to_string())?.clone();
        behaviour::ask_if_used(self, &object, confirmed)?;
        behaviour::of(entity).deleting(self, &object)?;
        let children = self.children(&object);
        if !confirmed && !children.is_empty() && behaviour::of(entity).asks() {
            let title = format!("This {entity} has objects below it");
            return Err(Refusal::confirm(&title, "Removing it will remove them too."));
        }
        self.cascade(&object);
        Ok(())
    }

    /// Takes out an object whose deletion was allowed, with everything below it.
    pub(super) fn cascade(&mut self, object: &Object) {
        for child in self.children(object) {
            if let Some(child) = self.store.get(child).cloned() {
                self.cascade(&child);
            }
        }
        self.store.remove(object.id);
        behaviour::of(object.entity).deleted(self, object);
    }

    fn children(&self, object: &Object) -> Vec<Uuid> {
        let Some((_, facts)) = self.model.entity(object.entity) else { return Vec::new() };
        let owned = facts.children.iter().filter(|(_, edge)| edge.by.is_none() && !edge.member);
        owned.flat_map(|(child, _)| self.store.children(object.id, child)).map(|child| child.id).collect()
    }

    fn refuse_duplicate(&self, facts: &Entity, object: &Object) -> Result<(), Refusal> {
        let (Some(attribute), Some(code)) = (facts.unique, facts.duplicate) else { return Ok(()) };
        let Some(value) = object.text(attribute) else { return Ok(()) };
        let same = self.store.valued(object.entity, attribute, value).iter().filter(|id| **id != object.id);
        let mut same =
            same.filter_map(|id| self.store.get(*id)).filter(|other| other.parent == object.parent);
        if same.any(|other| behaviour::of(object.entity).are_rivals(object, other)) {
            let entity = object.entity;
            let description = format!("Another {entity} with the same {attribute} = {value} exists.");
            return Err(Refusal::conflict(code, attribute, "Duplicate object", description));
        }
        Ok(())
    }

    /// The value of any attribute, the server's own included. A secret is null.
    pub(super) fn field<'a>(&'a self, object: &'a Object, name: &str) -> Cow<'a, Value> {
        let facts = self.model.entity(object.entity).and_then(|(_, facts)| facts.attribute(name));
        if let Some((name, attribute)) = facts {
            if attribute.secret {
                return Cow::Owned(Value::Null);
            }
            return Cow::Borrowed(object.values.get(name).unwrap_or(&attribute.default));
        }
        Cow::Owned(match name {
            "ID" => Value::from(object.id.to_string()),
            "parentID" => object.parent.map_or(Value::Null, |(_, id)| Value::from(id.to_string())),
            "parentType" => object.parent.map_or(Value::Null, |(entity, _)| Value::from(entity)),
            "owner" => Value::from(object.owner.to_string()),
            "lastUpdatedBy" => Value::from(object.updated_by.to_string()),
            "creationDate" => Value::from(object.created),
            "lastUpdatedDate" => Value::from(object.updated),
            "entityScope" => Value::from(if object.parent.is_none() { "GLOBAL" } else { "ENTERPRISE" }),
            _ => Value::Null,
        })
    }

    /// An object as a client sees it: every attribute, absent ones as null.
    pub(super) fn render(&self, object: &Object) -> Value {
        let mut shown = Map::new();
        let names = self.names(object.entity);
        for name in names {
            shown.insert(name.to_owned(), self.field(object, name).into_owned());
        }
        behaviour::of(object.entity).shown(self, object, &mut shown);
        Value::Object(shown)
    }

    fn names(&self, entity: Name) -> impl Iterator<Item = Name> {
        let facts = self.model.entity(entity).map(|(_, facts)| facts);
        COMMON.into_iter().chain(facts.into_iter().flat_map(|facts| facts.attributes.keys().copied()))
    }

    /// The collection of an entity's objects below a parent, or all of them.
    fn collection(&self, parent: Option<&Object>, entity: Name, edge: &Edge) -> &Ids {
        match (parent, edge.by) {
            (None, _) => self.store.all(entity),
            (Some(parent), Some(by)) => self.store.valued(entity, by, &parent.id.to_string()),
            (Some(parent), None) if edge.member => self.store.members(parent.id, entity),
            (Some(parent), None) => self.store.below(parent.id, entity),
        }
    }

    /// The objects of a collection that a query wants and that may be seen, in its order, and how many match before
    /// paging.
    pub(super) fn list(
        &self,
        parent: Option<&Object>,
        entity: Name,
        edge: &Edge,
        query: &Query,
        seen: &dyn Fn(&Object) -> bool,
    ) -> (usize, Vec<&Object>) {
        let derived = parent.and_then(|parent| behaviour::of(parent.entity).seen_below(self, parent, entity));
        let all = derived.as_ref().unwrap_or_else(|| self.collection(parent, entity, edge));
        // Of what an index found, where it lies is told faster by the object than by a large set.
        let inside = |object: &&Object| match parent {
            None => true,
            Some(parent) if derived.is_none() && edge.by.is_none() && !edge.member => {
                self.store.is_below(object, parent.id)
            }
            Some(_) => all.contains(&object.id),
        };
        let hidden = |id: &Uuid| parent.is_none() && behaviour::of(entity).hidden(*id);
        let passes = |object: &&Object| {
            let field = |name: &str| self.field(object, name);
            query.filter.as_ref().is_none_or(|filter| filter.passes(self.names(entity), field))
        };
        let index = |attribute: &str, text: &str| self.store.lookup(entity, attribute, text);
        let shown = |object: &&Object| passes(object) && seen(object);
        let wanted = |id: &Uuid| self.store.get(*id).filter(|_| !hidden(id)).filter(shown);
        let found: Vec<&Object> = match query.filter.as_ref().and_then(|filter| filter.candidates(&index)) {
            Some(ids) => ids.iter().filter_map(wanted).filter(inside).collect(),
            None => all.iter().filter_map(wanted).collect(),
        };
        (found.len(), self.ordered(found, query))
    }

    /// The part of these objects that a query wants, in its order: by name and ID where it leaves that open.
    fn ordered<'a>(&'a self, mut found: Vec<&'a Object>, query: &Query) -> Vec<&'a Object> {
        let (first, length) = query.window.unwrap_or((0, usize::MAX));
        if found.len() > 1 {
            let by = query.order.iter().map(|(name, descending)| (name.as_str(), *descending));
            let by: Vec<(&str, bool)> = by.chain([("name", false), ("ID", false)]).collect();
            let keyed = |object: &'a Object| -> (Vec<Cow<'a, Value>>, &'a Object) {
                (by.iter().map(|(name, _)| self.field(object, name)).collect(), object)
            };
            let mut keys: Vec<_> = found.into_iter().map(keyed).collect();
            keys.sort_unstable_by(|(a, _), (b, _)| {
                let pairs = a.iter().zip(b).zip(&by);
                let orders = pairs.map(
                    |((a, b), (_, descending))| {
                        if *descending { compare(b, a) } else { compare(a, b) }
                    },
                );
                orders.fold(Ordering::Equal, Ordering::then)
            });
            found = keys.into_iter().map(|(_, object)| object).collect();
        }
        found.into_iter().skip(first).take(length).collect()
    }

    /// The edge from a parent (or the root) to a collection.
    pub(super) fn edge(&self, parent: Option<&Object>, entity: Name) -> Option<&Edge> {
        self.model.edge(parent.map_or(ROOT, |parent| parent.entity), entity)
    }

    /// The next number of a range that starts at `first`: the real VSD's numbers look random, ours are
    /// countable.
    pub(super) fn number(&mut self, range: Name, first: u64) -> u64 {
        let number = self.numbers.entry(range.into()).and_modify(|last| *last += 1).or_insert(first);
        *number
    }
}

fn compare(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::String(a), Value::String(b)) => a.cmp(b),
        (Value::Number(a), Value::Number(b)) => {
            a.as_f64().unwrap_or_default().total_cmp(&b.as_f64().unwrap_or_default())
        }
        (Value::Null, Value::Null) => Ordering::Equal,
        (Value::Null, _) => Ordering::Less,
        (_, Value::Null) => Ordering::Greater,
        (a, b) => a.to_string().cmp(&b.to_string()),
    }
}
