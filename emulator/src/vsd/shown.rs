//! Objects as a client sees them, written straight into the reply: a tree of each object's eighty attributes would cost
//! more than all else. Never shows a secret, nor to clients of an older release what that one has not.

use std::borrow::Cow;

use serde::ser::{Serialize, SerializeMap as _, Serializer};
use serde_json::{Map, Value};

use super::behaviour;
use super::engine::{COMMON, Engine};
use super::model::{Name, Release};
use super::store::Object;

/// The server's attribute that came with v6.
const EMBEDDED: &str = "embeddedMetadata";

/// The JSON array of objects, as a release has them.
pub(super) fn text(engine: &Engine, objects: &[&Object], release: Release) -> String {
    let shown: Vec<Shown<'_>> = objects.iter().map(|object| Shown { engine, object, release }).collect();
    serde_json::to_string(&shown).unwrap_or_default()
}

/// Takes out of a tree what a release has not.
pub(super) fn cut(engine: &Engine, entity: Name, shown: &mut Value, release: Release) {
    if let Value::Object(members) = shown
        && release < Release::V6
    {
        members.retain(|name, _| name != EMBEDDED && has(engine, entity, name, release));
    }
}

/// What a release has of what a client says: the rest is as unknown as anything else that no attribute is called.
pub(super) fn known<'a>(
    engine: &Engine,
    entity: Name,
    body: &'a Map<String, Value>,
    release: Release,
) -> Cow<'a, Map<String, Value>> {
    if body.keys().all(|name| has(engine, entity, name, release)) {
        return Cow::Borrowed(body);
    }
    let known = body.iter().filter(|(name, _)| has(engine, entity, name, release));
    Cow::Owned(known.map(|(name, value)| (name.clone(), value.clone())).collect())
}

fn has(engine: &Engine, entity: Name, name: &str, release: Release) -> bool {
    let attribute = engine.model.entity(entity).and_then(|(_, facts)| facts.attribute(name));
    release == Release::V6 || attribute.is_none_or(|(_, attribute)| attribute.since <= release)
}

/// What [`Engine::render`] gives, without a copy.
struct Shown<'a> {
    engine: &'a Engine,
    object: &'a Object,
    release: Release,
}

impl Serialize for Shown<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { engine, object, release } = *self;
        let mut completed = Map::new();
        behaviour::of(object.entity).shown(engine, object, &mut completed);
        let mut members = serializer.serialize_map(None)?;
        let common = COMMON.iter().filter(|name| release == Release::V6 || **name != EMBEDDED);
        for name in common.filter(|name| !completed.contains_key(**name)) {
            members.serialize_entry(name, engine.field(object, name).as_ref())?;
        }
        let facts = engine.model.entity(object.entity).map(|(_, facts)| &facts.attributes);
        for (name, attribute) in facts.into_iter().flatten() {
            if attribute.since > release || completed.contains_key(*name) {
                continue;
            }
            let stored = object.values.get(name).unwrap_or(&attribute.default);
            members.serialize_entry(name, if attribute.secret { &Value::Null } else { stored })?;
        }
        for (name, value) in &completed {
            members.serialize_entry(name, value)?;
        }
        members.end()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::clock::Clock;
    use crate::entropy::Entropy;
    use crate::vsd::behaviour::CSPROOT;
    use crate::vsd::{Site, Vsd};

    #[test]
    fn what_is_written_is_what_the_tree_says_and_each_member_once() {
        let vsd = Vsd::new(Clock::System, Entropy::seeded(1));
        let name = "a".to_owned();
        let (enterprise, domain, zone, subnet) = (name.clone(), name.clone(), name.clone(), name);
        let address = "10.0.0.0/24".parse().unwrap();
        vsd.bootstrap(&Site { enterprise, domain, zone, subnet, address }).unwrap();
        let mut engine = vsd.lock();
        let subnet = engine.store.all("subnet").iter().next().unwrap().to_string();
        let container = json!({ "name": "c", "UUID": "u", "orchestrationID": "o",
                                "interfaces": [{ "MAC": "02:00:00:00:00:01", "attachedNetworkID": subnet }] });
        let Value::Object(container) = container else { panic!("an object") };
        engine.change(CSPROOT, |engine| engine.create("container", None, &container)).unwrap();
        for entity in
            ["enterprise", "user", "group", "domain", "subnet", "vport", "container", "containerinterface"]
        {
            let ids: Vec<_> = engine.store.all(entity).iter().copied().collect();
            assert!(!ids.is_empty(), "{entity}");
            let objects: Vec<&Object> = ids.iter().filter_map(|id| engine.store.get(*id)).collect();
            let trees: Vec<Value> = objects.iter().map(|object| engine.render(object)).collect();
            let written = text(&engine, &objects, Release::V6);
            assert_eq!(serde_json::from_str::<Value>(&written).unwrap(), json!(trees));
            let one = text(&engine, &objects[..1], Release::V6);
            assert_eq!(
                one.matches("\"lastUpdatedBy\":").count(),
                trees[0].to_string().matches("\"lastUpdatedBy\":").count()
            );
        }
    }
}
