//! The events that the pending changes of the store are: one for each object that was created, deleted or is
//! different, in the order in which they were touched. Members as recorded from VSD 5.0's message bus.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use uuid::Uuid;

use super::Event;
use crate::vsd::access::Line;
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
        let find = |id| engine.store.get(id).or_else(|| gone.get(&id).copied());
        Some(Event { json: json.to_string().into_boxed_str(), line: Line::of(object, find) })
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
