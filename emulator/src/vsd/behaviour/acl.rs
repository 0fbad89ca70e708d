//! ACL and forwarding templates and their entries: names, priorities, whether they are live or a draft. What they decide
//! is `policy`'s to say.

use serde_json::Value;

use super::{Behaviour, Body, drafts};
use crate::vsd::engine::Engine;
use crate::vsd::error::Refusal;
use crate::vsd::model::Name;
use crate::vsd::policy::Rule;
use crate::vsd::store::Object;

/// What an entry may name as a place, by the kind that it says: the entity of the object.
const PLACES: [(&str, &[Name]); 8] = [
    ("ZONE", &["zone", "zonetemplate"]),
    ("SUBNET", &["subnet", "subnettemplate", "l2domain"]),
    ("POLICYGROUP", &["policygroup", "policygrouptemplate"]),
    ("PGEXPRESSION", &["pgexpression", "pgexpressiontemplate"]),
    ("ENTERPRISE_NETWORK", &["enterprisenetwork"]),
    ("NETWORK_MACRO_GROUP", &["networkmacrogroup"]),
    ("PUBLIC_NETWORK", &["publicnetwork"]),
    ("SAAS_APPLICATION_GROUP", &["saasapplicationgroup"]),
];

/// An ACL or forwarding template.
pub(super) struct Policy;
/// One of its entries; the code of a second one of the same priority.
pub(super) struct Entry(pub(super) u32);

impl Behaviour for Policy {
    fn creating(&self, engine: &mut Engine, draft: &mut Object, _body: &Body) -> Result<(), Refusal> {
        let owner = draft.parent.and_then(|(_, id)| engine.store.get(id));
        drafts::mark(draft, owner.is_some_and(drafts::is_open));
        prioritize(engine, draft, None)
    }

    fn updating(&self, engine: &mut Engine, before: &Object, after: &mut Object) -> Result<(), Refusal> {
        if before.values.get("priority") == after.values.get("priority") {
            return Ok(());
        }
        prioritize(engine, after, None)
    }

    fn asks_if_used(&self) -> bool {
        true
    }

    fn are_rivals(&self, one: &Object, other: &Object) -> bool {
        drafts::is_draft(one) == drafts::is_draft(other)
    }
}

impl Behaviour for Entry {
    fn creating(&self, engine: &mut Engine, draft: &mut Object, _body: &Body) -> Result<(), Refusal> {
        let owner = draft.parent.and_then(|(_, id)| engine.store.get(id));
        drafts::mark(draft, owner.is_some_and(drafts::is_draft));
        check(engine, draft)?;
        draft.set("statsID", engine.entropy.uuid().to_string());
        prioritize(engine, draft, Some(self.0))
    }

    fn updating(&self, engine: &mut Engine, before: &Object, after: &mut Object) -> Result<(), Refusal> {
        check(engine, after)?;
        if before.values.get("priority") == after.values.get("priority") {
            return Ok(());
        }
        prioritize(engine, after, Some(self.0))
    }

    fn asks_if_used(&self) -> bool {
        true
    }
}

/// Refuses an entry that cannot be understood, and says of which entities its places are.
fn check(engine: &Engine, entry: &mut Object) -> Result<(), Refusal> {
    let wrong =
        |attribute: &str, description: String| Refusal::invalid(attribute, "Invalid ACL entry", description);
    Rule::read(|name| entry.values.get(name))
        .map_err(|attribute| wrong(attribute, format!("{attribute} is no value of an ACL entry.")))?;
    for (kind, id, shown) in [
        ("locationType", "locationID", "locationEntityType"),
        ("networkType", "networkID", "networkEntityType"),
    ] {
        let kind = entry.text(kind).unwrap_or_default();
        let Some((_, entities)) = PLACES.iter().find(|(place, _)| *place == kind) else {
            entry.values.remove(shown);
            continue;
        };
        let found = entry.reference(id).and_then(|id| engine.store.get(id));
        let found = found.filter(|object| entities.contains(&object.entity));
        let found = found.ok_or_else(|| wrong(id, format!("{id} names nothing of the type {kind}.")))?;
        let entity = found.entity.to_ascii_uppercase();
        entry.set(shown, entity);
    }
    Ok(())
}

/// Gives a priority to what names none, behind all others, and refuses one that another has: with the code of an entry,
/// or for a template without one, by which Nuage's monitor tells it from a name that exists.
fn prioritize(engine: &Engine, draft: &mut Object, code: Option<u32>) -> Result<(), Refusal> {
    let Some((_, owner)) = draft.parent else { return Ok(()) };
    let others = engine.store.children(owner, draft.entity).filter(|other| other.id != draft.id);
    let level = |object: &Object| object.text("priorityType").unwrap_or("NONE").to_owned();
    let same =
        |other: &&Object| drafts::is_draft(other) == drafts::is_draft(draft) && level(other) == level(draft);
    let taken: Vec<i64> = others.filter(same).filter_map(priority).collect();
    let automatic = draft.values.get("autoGeneratePriority") == Some(&Value::Bool(true));
    let Some(asked) = priority(draft).filter(|_| !automatic) else {
        let next = taken.into_iter().max().map_or(0, |last| last.saturating_add(1));
        draft.set("priority", next);
        return Ok(());
    };
    if !taken.contains(&asked) {
        return Ok(());
    }
    let description = format!("Another {} has the priority {asked}.", draft.entity);
    let refusal = Refusal::invalid("priority", "Duplicate priority", description);
    Err(Refusal { code, ..refusal })
}

fn priority(object: &Object) -> Option<i64> {
    object.values.get("priority").and_then(Value::as_i64)
}
