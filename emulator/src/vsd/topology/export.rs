//! Writes down what a VSD has that was planned: what can be made again, without what the server numbers itself, what
//! runs, and secrets. Only reads.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::document::{self, creatable};
use super::{Error, LEFT_OUT, MOST_OBJECTS, Node, PLANNED, Setting, at};
use crate::vsd::client::{self, Client};
use crate::vsd::model::{Attribute, Entity, Model, Name, ROOT};

/// The topology of a VSD as a text that [`super::import()`] reads.
///
/// # Errors
/// [`Error::Vsd`], [`Error::TooMany`].
pub async fn export(client: &Client) -> Result<String, Error> {
    let model = Model::load();
    let mut export = Export { client, model: &model, objects: Vec::new() };
    let roots = export.below(None, ROOT, "").await?;
    // The children of each object are read after it, so a list of what is still to be read replaces recursion.
    let mut next = 0;
    while let Some(found) = export.objects.get(next) {
        let (entity, place) = (found.entity, found.place.clone());
        let (resource, id) = (found.resource, found.id.clone());
        let children = export.below(Some((resource, &id)), entity, &format!("{place} > ")).await?;
        if let Some(found) = export.objects.get_mut(next) {
            found.children = children;
        }
        next += 1;
    }
    let members = export.members().await?;
    Ok(document::write(&export.nodes(&roots, &members)))
}

/// An object that was read.
struct Found {
    entity: Name,
    resource: Name,
    id: String,
    place: String,
    attributes: Vec<(Name, Value)>,
    /// Their places among all that was found.
    children: Vec<usize>,
}

/// Members of objects by their entity, all by their places.
type Members = BTreeMap<usize, Vec<(Name, Vec<usize>)>>;

struct Export<'a> {
    client: &'a Client,
    model: &'a Model,
    objects: Vec<Found>,
}

impl Export<'_> {
    /// Reads what was made directly below an object, and gives its places.
    async fn below(
        &mut self,
        parent: Option<(Name, &str)>,
        entity: &str,
        above: &str,
    ) -> Result<Vec<usize>, Error> {
        let (model, mut places) = (self.model, Vec::new());
        let Some((_, facts)) = model.entity(entity) else { return Ok(places) };
        let readable = facts.children.iter().filter(|(_, edge)| edge.verbs.contains('R'));
        let wanted = readable.filter_map(|(child, _)| creatable(model, entity, child));
        for child in wanted.filter(|child| !LEFT_OUT.contains(child)) {
            let Some((_, facts)) = model.entity(child) else { continue };
            let collection = match parent {
                Some((resource, id)) => format!("{resource}/{id}/{}", facts.resource),
                None => facts.resource.to_owned(),
            };
            for object in self.client.list(&collection, None).await.map_err(at(&collection))? {
                if self.objects.len() >= MOST_OBJECTS {
                    return Err(Error::TooMany(MOST_OBJECTS));
                }
                if is_planned(child, &object, parent.map(|(_, id)| id)) {
                    places.push(self.objects.len());
                    self.objects.push(found(child, facts, &object, above)?);
                }
            }
        }
        Ok(places)
    }

    /// Which objects are members of which, each pair once.
    async fn members(&self) -> Result<Members, Error> {
        let places: BTreeMap<&str, usize> =
            self.objects.iter().enumerate().map(|(place, found)| (found.id.as_str(), place)).collect();
        let (mut members, mut told) = (Members::new(), BTreeSet::new());
        for (place, found) in self.objects.iter().enumerate() {
            let Some((_, facts)) = self.model.entity(found.entity) else { continue };
            let edges = facts.children.iter().filter(|(_, edge)| edge.member && edge.verbs.contains('U'));
            for (entity, _) in edges {
                let Some((name, facts)) = self.model.entity(entity) else { continue };
                let collection = format!("{}/{}/{}", found.resource, found.id, facts.resource);
                let listed = self.client.list(&collection, None).await.map_err(at(&collection))?;
                let ids = listed.iter().filter_map(|object| object.get("ID").and_then(Value::as_str));
                let others = ids.filter_map(|id| places.get(id).copied());
                let fresh: Vec<usize> =
                    others.filter(|other| told.insert((place.min(*other), place.max(*other)))).collect();
                if !fresh.is_empty() {
                    members.entry(place).or_default().push((name, fresh));
                }
            }
        }
        Ok(members)
    }

    /// The objects as tables, with names for those that others refer to.
    fn nodes(&self, roots: &[usize], members: &Members) -> Vec<Node> {
        let places: BTreeMap<&str, usize> =
            self.objects.iter().enumerate().map(|(place, found)| (found.id.as_str(), place)).collect();
        let attributes = self.objects.iter().flat_map(|found| &found.attributes);
        let referred = attributes.filter_map(|(_, value)| places.get(value.as_str()?).copied());
        let joined = members.values().flatten().flat_map(|(_, others)| others.iter().copied());
        let named: BTreeSet<usize> = referred.chain(joined).collect();
        let mut counts: BTreeMap<Name, usize> = BTreeMap::new();
        let mut labels = BTreeMap::new();
        for place in named {
            if let Some(found) = self.objects.get(place) {
                let count = counts.entry(found.entity).or_default();
                *count += 1;
                labels.insert(place, format!("{}-{count}", found.entity));
            }
        }
        let setting = |value: &Value| {
            let other = value.as_str().and_then(|text| places.get(text));
            match other.and_then(|place| labels.get(place)) {
                Some(label) => Setting::Reference(label.clone()),
                None => Setting::Value(value.clone()),
            }
        };
        // Children come behind their parents, so from the end each finds its own made.
        let mut made: BTreeMap<usize, Node> = BTreeMap::new();
        for (place, found) in self.objects.iter().enumerate().rev() {
            let joined = members.get(&place).into_iter().flatten();
            let members = joined.map(|(entity, others)| {
                (*entity, others.iter().filter_map(|other| labels.get(other).cloned()).collect())
            });
            let node = Node {
                entity: found.entity,
                place: found.place.clone(),
                label: labels.get(&place).cloned(),
                attributes: found.attributes.iter().map(|(name, value)| (*name, setting(value))).collect(),
                members: members.collect(),
                children: found.children.iter().filter_map(|child| made.remove(child)).collect(),
            };
            made.insert(place, node);
        }
        roots.iter().filter_map(|root| made.remove(root)).collect()
    }
}

/// Whether an object of a list was planned, and lies directly below the parent.
fn is_planned(entity: &str, object: &Value, parent: Option<&str>) -> bool {
    let is = |attribute: &str, value: &str| object.get(attribute).and_then(Value::as_str) == Some(value);
    // A port with something in it that an orchestrator attached.
    let runs = entity == "vport"
        && (is("type", "CONTAINER") || is("type", "VM"))
        && object.get("hasAttachedInterfaces") == Some(&Value::Bool(true));
    !runs && parent.is_none_or(|parent| is("parentID", parent))
}

fn found(entity: Name, facts: &Entity, object: &Value, above: &str) -> Result<Found, Error> {
    let name = object.get("name").and_then(Value::as_str).unwrap_or("?");
    let place = format!("{above}{entity} {name}");
    let id = client::id(object).map_err(at(&place))?.to_owned();
    let told = |(name, attribute): (&Name, &Attribute)| {
        let value = object.get(name)?;
        let said = !value.is_null() && *value != attribute.default;
        let clients = !attribute.read_only && !attribute.secret;
        let planned = !attribute.assigned || PLANNED.contains(name);
        (said && clients && planned).then(|| (*name, value.clone()))
    };
    let attributes = facts.attributes.iter().filter_map(told).collect();
    Ok(Found { entity, resource: facts.resource, id, place, attributes, children: Vec::new() })
}
