//! Changes of policy that are prepared as drafts beside what is live, and then applied or discarded as a whole. What is
//! live stays as it is until then.

use std::collections::BTreeSet;

use uuid::Uuid;

use crate::vsd::engine::Engine;
use crate::vsd::model::Name;
use crate::vsd::store::Object;

/// The templates that drafts are made of, and their entries.
const POLICIES: [(Name, Name); 4] = [
    ("ingressacltemplate", "ingressaclentrytemplate"),
    ("egressacltemplate", "egressaclentrytemplate"),
    ("ingressadvfwdtemplate", "ingressadvfwdentrytemplate"),
    ("egressadvfwdtemplate", "egressadvfwdentrytemplate"),
];
const STATE: Name = "policyState";
const STATUS: Name = "policyChangeStatus";
/// The attribute of a draft that names what it is a draft of.
const LIVE: Name = "associatedLiveEntityID";

/// Whether changes of this domain's (or template's) policy are being prepared.
pub(super) fn is_open(owner: &Object) -> bool {
    owner.text(STATUS) == Some("STARTED")
}

pub(super) fn is_draft(object: &Object) -> bool {
    object.text(STATE) == Some("DRAFT")
}

/// Says whether an object is a draft; live is the default.
pub(super) fn mark(object: &mut Object, draft: bool) {
    if draft {
        object.set(STATE, "DRAFT");
    } else {
        object.values.remove(STATE);
    }
}

/// Makes a draft of each live template below `owner`. False if there are drafts already.
pub(super) fn begin(engine: &mut Engine, owner: &Object) -> bool {
    if is_open(owner) {
        return false;
    }
    for (template, entry) in POLICIES {
        for live in children(engine, owner.id, template) {
            let draft = copy(engine, &live, live.parent);
            for entry in children(engine, live.id, entry) {
                copy(engine, &entry, Some((template, draft)));
            }
        }
    }
    set_status(engine, owner, "STARTED");
    true
}

/// Makes live what the drafts say. False if there are none.
pub(super) fn apply(engine: &mut Engine, owner: &Object) -> bool {
    if !is_open(owner) {
        return false;
    }
    for (template, entry) in POLICIES {
        settle(engine, owner.id, template, |engine, live, draft| settle_entries(engine, live, draft, entry));
    }
    set_status(engine, owner, "APPLIED");
    true
}

/// Removes the drafts. False if there are none.
pub(super) fn discard(engine: &mut Engine, owner: &Object) -> bool {
    if !is_open(owner) {
        return false;
    }
    for (template, _) in POLICIES {
        for draft in children(engine, owner.id, template).iter().filter(|object| is_draft(object)) {
            engine.cascade(draft);
        }
    }
    set_status(engine, owner, "DISCARDED");
    true
}

fn set_status(engine: &mut Engine, owner: &Object, status: &str) {
    let mut owner = owner.clone();
    owner.set(STATUS, status);
    engine.store.replace(owner);
}

fn children(engine: &Engine, parent: Uuid, entity: Name) -> Vec<Object> {
    engine.store.children(parent, entity).cloned().collect()
}

fn copy(engine: &mut Engine, live: &Object, parent: Option<(Name, Uuid)>) -> Uuid {
    let now = engine.second();
    let mut draft = Object {
        id: engine.entropy.uuid(),
        parent,
        created: now,
        updated: now,
        owner: engine.actor,
        updated_by: engine.actor,
        ..live.clone()
    };
    draft.set(LIVE, live.id.to_string());
    mark(&mut draft, true);
    let id = draft.id;
    engine.store.insert(draft);
    id
}

/// Brings the live templates of an owner in line with their drafts, and `below` what lies below each pair of them.
fn settle(engine: &mut Engine, owner: Uuid, template: Name, below: impl Fn(&mut Engine, &Object, &Object)) {
    let (drafts, lives): (Vec<_>, Vec<_>) = children(engine, owner, template).into_iter().partition(is_draft);
    drop_what_has_no_draft(engine, &lives, &drafts);
    for draft in drafts {
        if let Some(live) = live_of(engine, &draft) {
            below(engine, &live, &draft);
            adopt(engine, &live, &draft);
            engine.cascade(&draft);
        } else {
            // A template that is new becomes live with its entries.
            below(engine, &draft, &draft);
            become_live(engine, draft);
        }
    }
}

fn settle_entries(engine: &mut Engine, live: &Object, draft: &Object, entity: Name) {
    let drafts = children(engine, draft.id, entity);
    if live.id != draft.id {
        drop_what_has_no_draft(engine, &children(engine, live.id, entity), &drafts);
    }
    for entry in drafts {
        if let Some(old) = live_of(engine, &entry) {
            adopt(engine, &old, &entry);
        } else {
            engine.store.remove(entry.id);
            become_live(engine, Object { parent: Some((live.entity, live.id)), ..entry });
        }
    }
}

fn drop_what_has_no_draft(engine: &mut Engine, lives: &[Object], drafts: &[Object]) {
    let kept: BTreeSet<Uuid> = drafts.iter().filter_map(|draft| draft.reference(LIVE)).collect();
    for live in lives.iter().filter(|live| !kept.contains(&live.id)) {
        engine.cascade(live);
    }
}

/// The live object that a draft was made of, if it is still there.
fn live_of(engine: &Engine, draft: &Object) -> Option<Object> {
    draft.reference(LIVE).and_then(|id| engine.store.of(draft.entity, id)).cloned()
}

/// Gives a live object the values of its draft.
fn adopt(engine: &mut Engine, live: &Object, draft: &Object) {
    let mut values = draft.values.clone();
    values.remove(LIVE);
    values.remove(STATE);
    if values != live.values {
        let (updated, updated_by) = (engine.second(), engine.actor);
        engine.store.replace(Object { updated, updated_by, values, ..live.clone() });
    }
}

fn become_live(engine: &mut Engine, mut draft: Object) {
    draft.values.remove(LIVE);
    mark(&mut draft, false);
    if engine.store.get(draft.id).is_some() {
        engine.store.replace(draft);
    } else {
        engine.store.insert(draft);
    }
}
