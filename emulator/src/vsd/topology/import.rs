//! Makes what a topology says: finds each object by its name below its parent, makes it where it is missing and
//! changes what is different. A second time it changes nothing. Never deletes, never unlinks.

use std::collections::{BTreeMap, VecDeque};

use serde_json::{Map, Value, json};

use super::document::{self, meaning};
use super::{Error, Node, Setting, at};
use crate::vsd::client::{self, Client};
use crate::vsd::error::code;
use crate::vsd::model::{Entity, Model};

/// How many objects there were to deal with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Made.
    pub created: usize,
    /// Different before.
    pub updated: usize,
    /// As they are to be.
    pub unchanged: usize,
}

/// Makes what `text` says.
///
/// # Errors
/// Any of [`Error`]; what was made until then stays.
pub async fn import(client: &Client, text: &str) -> Result<Outcome, Error> {
    let model = Model::load();
    let roots = document::read(text, &model)?;
    let mut import = Import { client, model: &model, ids: BTreeMap::new(), outcome: Outcome::default() };
    let mut queue: VecDeque<(String, &Node)> = roots.iter().map(|node| (String::new(), node)).collect();
    let mut linked = Vec::new();
    // An object may refer to one that stands further down: it waits.
    let mut waited = 0;
    while let Some((above, node)) = queue.pop_front() {
        match import.resolved(node) {
            Ok(attributes) => {
                waited = 0;
                let path = import.ensure(&above, node, &attributes).await?;
                // Before all else: a template has its parts before anything is made from it.
                for child in node.children.iter().rev() {
                    queue.push_front((format!("{path}/"), child));
                }
                linked.push((path, node));
            }
            Err(missing) if waited > queue.len() => {
                return Err(meaning(&node.place, format!("@{missing} is nowhere, or waits for this")));
            }
            Err(_) => {
                waited += 1;
                queue.push_back((above, node));
            }
        }
    }
    for (path, node) in linked {
        import.members(&path, node).await?;
    }
    Ok(import.outcome)
}

struct Import<'a> {
    client: &'a Client,
    model: &'a Model,
    /// IDs by labels.
    ids: BTreeMap<&'a str, String>,
    outcome: Outcome,
}

impl<'a> Import<'a> {
    /// The attributes of a node with the IDs that they refer to, or the label that has none yet.
    fn resolved(&self, node: &'a Node) -> Result<Map<String, Value>, &'a str> {
        let value = |setting: &'a Setting| match setting {
            Setting::Value(value) => Ok(value.clone()),
            Setting::Reference(label) => {
                self.ids.get(label.as_str()).map(|id| json!(id)).ok_or(label.as_str())
            }
        };
        node.attributes.iter().map(|(name, setting)| Ok(((*name).to_owned(), value(setting)?))).collect()
    }

    /// Makes an object what it is to be, and gives its path.
    async fn ensure(
        &mut self,
        above: &str,
        node: &'a Node,
        wanted: &Map<String, Value>,
    ) -> Result<String, Error> {
        let (_, facts) = self
            .model
            .entity(node.entity)
            .ok_or_else(|| meaning(&node.place, "is of no entity".to_owned()))?;
        let collection = format!("{above}{}", facts.resource);
        let found = self.find(&collection, facts, node, wanted).await?;
        let id = if let Some(found) = found {
            let id = client::id(&found).map_err(at(&node.place))?.to_owned();
            let path = format!("{}/{id}", facts.resource);
            let changed = self.update(&path, facts, &found, wanted).await.map_err(at(&node.place))?;
            *(if changed { &mut self.outcome.updated } else { &mut self.outcome.unchanged }) += 1;
            id
        } else {
            let created = self.client.create(&collection, &Value::Object(wanted.clone())).await;
            let created = created.map_err(at(&node.place))?;
            self.outcome.created += 1;
            client::id(&created).map_err(at(&node.place))?.to_owned()
        };
        let path = format!("{}/{id}", facts.resource);
        if let Some(label) = &node.label
            && self.ids.insert(label, id).is_some()
        {
            return Err(meaning(&node.place, format!("{label} is the name of something else")));
        }
        Ok(path)
    }

    /// The object that is there already: of the same name, or where there are no names, alike.
    async fn find(
        &self,
        collection: &str,
        facts: &Entity,
        node: &Node,
        wanted: &Map<String, Value>,
    ) -> Result<Option<Value>, Error> {
        let keys = facts.unique.into_iter().chain(["name", "externalID"]);
        let named = keys.into_iter().find_map(|name| Some((name, wanted.get(name)?.as_str()?)));
        if let Some((name, value)) = named {
            return self.client.find(collection, name, value).await.map_err(at(&node.place));
        }
        let all = self.client.list(collection, None).await.map_err(at(&node.place))?;
        Ok(all.into_iter().find(|object| wanted.iter().all(|(name, value)| object.get(name) == Some(value))))
    }

    /// Changes what is different and can be. Returns whether anything was.
    async fn update(
        &self,
        path: &str,
        facts: &Entity,
        found: &Value,
        wanted: &Map<String, Value>,
    ) -> Result<bool, client::Error> {
        let settled = |name: &str| {
            // A secret is never shown, so nobody can say whether it is different.
            facts.attribute(name).is_none_or(|(_, facts)| facts.secret || facts.creation_only)
        };
        let different =
            wanted.iter().filter(|(name, value)| !settled(name) && found.get(*name) != Some(value));
        let changes: Map<String, Value> =
            different.map(|(name, value)| (name.clone(), value.clone())).collect();
        if changes.is_empty() {
            return Ok(false);
        }
        match self.client.update(path, &Value::Object(changes)).await {
            Err(error) if error.code() == Some(code::NO_CHANGE) => Ok(false),
            result => result.map(|()| true),
        }
    }

    async fn members(&self, path: &str, node: &Node) -> Result<(), Error> {
        for (entity, labels) in &node.members {
            let resource = self.model.entity(entity).map_or("", |(_, facts)| facts.resource);
            for label in labels {
                let id = self.ids.get(label.as_str());
                let id = id.ok_or_else(|| meaning(&node.place, format!("@{label} is nowhere")))?;
                self.client.add_member(&format!("{path}/{resource}"), id).await.map_err(at(&node.place))?;
            }
        }
        Ok(())
    }
}
