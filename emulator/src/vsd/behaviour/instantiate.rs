//! Makes of what lies below a template what lies below its instance: the same values, the part's ID as `templateID`, and
//! references between parts as references between what was made of them. Never changes the template.

use std::collections::BTreeMap;

use serde_json::Value;
use uuid::Uuid;

use super::{Body, drafts};
use crate::vsd::engine::Engine;
use crate::vsd::error::Refusal;
use crate::vsd::model::Name;
use crate::vsd::store::Object;

/// What is made of which part, in this order: what others refer to comes first.
const PARTS: [(Name, &[(Name, Name)]); 8] = [
    ("domaintemplate", &WHOLE),
    ("l2domaintemplate", &WHOLE),
    ("zonetemplate", &[("subnettemplate", "subnet"), ("qos", "qos")]),
    ("subnettemplate", &[("addressrange", "addressrange"), ("qos", "qos")]),
    ("ingressacltemplate", &[("ingressaclentrytemplate", "ingressaclentrytemplate")]),
    ("egressacltemplate", &[("egressaclentrytemplate", "egressaclentrytemplate")]),
    ("ingressadvfwdtemplate", &[("ingressadvfwdentrytemplate", "ingressadvfwdentrytemplate")]),
    ("egressadvfwdtemplate", &[("egressadvfwdentrytemplate", "egressadvfwdentrytemplate")]),
];
const WHOLE: [(Name, Name); 10] = [
    ("addressrange", "addressrange"),
    ("policygrouptemplate", "policygroup"),
    ("redirectiontargettemplate", "redirectiontarget"),
    ("pgexpressiontemplate", "pgexpression"),
    ("zonetemplate", "zone"),
    ("qos", "qos"),
    ("ingressacltemplate", "ingressacltemplate"),
    ("egressacltemplate", "egressacltemplate"),
    ("ingressadvfwdtemplate", "ingressadvfwdtemplate"),
    ("egressadvfwdtemplate", "egressadvfwdtemplate"),
];

/// Fills an instance with what its template has.
///
/// # Errors
/// What a client would be told that made the parts itself.
pub(super) fn fill(engine: &mut Engine, template: Uuid, instance: (Name, Uuid)) -> Result<(), Refusal> {
    let mut made = BTreeMap::from([(template, instance.1)]);
    below(engine, template, instance, &mut made)
}

fn below(
    engine: &mut Engine,
    part: Uuid,
    instance: (Name, Uuid),
    made: &mut BTreeMap<Uuid, Uuid>,
) -> Result<(), Refusal> {
    let entity = engine.store.get(part).map_or("", |part| part.entity);
    let parts =
        PARTS.iter().find(|(template, _)| *template == entity).map_or(&[] as &[_], |(_, parts)| *parts);
    for (kind, becomes) in parts.iter().copied() {
        for child in children(engine, part, kind) {
            let id = make(engine, becomes, instance, &child, made)?;
            made.insert(child.id, id);
            below(engine, child.id, (becomes, id), made)?;
        }
    }
    Ok(())
}

/// What lies directly below, in the order of its making.
fn children(engine: &Engine, parent: Uuid, entity: Name) -> Vec<Object> {
    // What is being prepared in a template is nobody's yet.
    let found = engine.store.children(parent, entity).filter(|child| !drafts::is_draft(child));
    let mut found: Vec<Object> = found.cloned().collect();
    found.sort_by(|a, b| (a.created, a.text("name"), a.id).cmp(&(b.created, b.text("name"), b.id)));
    found
}

fn make(
    engine: &mut Engine,
    entity: Name,
    parent: (Name, Uuid),
    part: &Object,
    made: &BTreeMap<Uuid, Uuid>,
) -> Result<Uuid, Refusal> {
    let instance = |value: &Value| {
        let referred = value.as_str().and_then(|text| Uuid::try_parse(text).ok());
        let instance = referred.and_then(|id| made.get(&id));
        instance.map_or_else(|| value.clone(), |id| Value::from(id.to_string()))
    };
    let body: Body = part.values.iter().map(|(name, value)| ((*name).to_owned(), instance(value))).collect();
    let id = engine.create(entity, Some(parent), &body)?;
    let facts = engine.model.entity(entity).and_then(|(_, facts)| facts.attribute("templateID"));
    if facts.is_some()
        && let Some(mut object) = engine.store.get(id).cloned()
    {
        object.set("templateID", part.id.to_string());
        engine.store.replace(object);
    }
    Ok(id)
}
