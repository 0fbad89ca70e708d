//! The events that the pending changes of the store are: one for each object that was created, deleted or is
//! different, in the order in which they were touched. Members as recorded from VSD 5.0's message bus.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use uuid::Uuid;

use super::Event;
use crate::vsd::engine::Engine;
use crate::vsd::store::{Change, Object};

/// What the engine is about to make final, as events.
pub(in crate::vsd) fn describe(engine: &Engine) -> Vec<Event> {
    let changes = engine.store.changes();
    let gone: BTreeMap<Uuid, &Object> =
        changes.iter().filter_map(|change| change.before).map(|object| (object.id, object)).collect();
    let actor = engine.store.get(engine.actor);
    let enterprise = actor.and_then(|actor| engine.store.ancestor(actor, "enterprise"));
    let (user, enterprise) = (
        actor.and_then(|actor| actor.text("userName")),
        enterprise.and_then(|enterprise| enterprise.text("name")),
    );
    let received = engine.clock.now();
    let request = engine.entropy.uuid().to_string();
    let events = changes.iter().filter_map(|change| {
        let (kind, object) = what(change)?;
        let json = json!({
            "type": kind,
            "entityType": object.entity,
            "entities": [engine.render(object)],
            "eventReceivedTime": received,
            "userName": user,
            "enterpriseName": enterprise,
            "updateMechanism": "DEFAULT",
            "requestID": request,
            "entityVersion": Value::Null,
            // As the real one spells it.
            "assoicatedEvent": false,
            "diffMap": Value::Null,
            "ignoreDiffInMediationEvents": false,
        });
        let enterprise = owner(engine, &gone, object);
        Some(Event { json: json.to_string().into_boxed_str(), enterprise })
    });
    events.collect()
}

fn what<'a>(change: &Change<'a>) -> Option<(&'static str, &'a Object)> {
    match (change.before, change.after) {
        (None, Some(after)) => Some(("CREATE", after)),
        (Some(before), None) => Some(("DELETE", before)),
        (Some(before), Some(after)) if before != after || change.linked => Some(("UPDATE", after)),
        _ => None,
    }
}

/// The enterprise of an object, which may be gone by now as its parents may.
fn owner(engine: &Engine, gone: &BTreeMap<Uuid, &Object>, object: &Object) -> Option<Uuid> {
    let mut object = object;
    loop {
        if object.entity == "enterprise" {
            return Some(object.id);
        }
        // Containers lie below nothing and say whose they are.
        if let Some(enterprise) = object.reference("enterpriseID") {
            return Some(enterprise);
        }
        let (_, parent) = object.parent?;
        object = engine.store.get(parent).or_else(|| gone.get(&parent).copied())?;
    }
}
