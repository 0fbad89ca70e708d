//! Users: passwords are kept as digests, the operator's root user is there from the start, and `/me` is the
//! user who asks. Never shows a password.

use serde_json::{Value, json};
use uuid::Uuid;

use super::enterprise::CSP;
use super::platform::ROOT_GROUP;
use super::{Behaviour, Body};
use crate::vsd::auth::{self, digest};
use crate::vsd::engine::{Engine, SYSTEM_USER};
use crate::vsd::error::{Refusal, code};
use crate::vsd::store::{Object, Values};

/// The operator's root user; the same on all installations of the real VSD.
pub(in crate::vsd) const CSPROOT: Uuid = Uuid::from_u128(0x8a6f_0e20_a4db_4878_ad84_9cc6_1756_cd5e);

/// Roles by what they give, most first.
const RANKS: [&str; 6] = ["CSPROOT", "CSPOPERATOR", "CMS", "ORGADMIN", "ORGNETWORKDESIGNER", "ORGUSER"];

pub(super) struct User;

impl Behaviour for User {
    fn creating(&self, _engine: &mut Engine, draft: &mut Object, _body: &Body) -> Result<(), Refusal> {
        // The root collection makes users of the operator.
        draft.parent.get_or_insert(("enterprise", CSP));
        let password = draft.text("password").map(digest);
        draft.set("password", password);
        Ok(())
    }

    fn updating(&self, _engine: &mut Engine, before: &Object, after: &mut Object) -> Result<(), Refusal> {
        if after.text("password") != before.text("password") {
            let password = after.text("password").map(digest);
            after.set("password", password);
        }
        Ok(())
    }

    fn deleting(&self, _engine: &Engine, object: &Object) -> Result<(), Refusal> {
        if object.id == CSPROOT {
            let title = "System user cannot be deleted";
            return Err(Refusal::conflict(code::SYSTEM_USER, "", title, title));
        }
        Ok(())
    }

    fn deleted(&self, engine: &mut Engine, object: &Object) {
        engine.keys.remove(&object.id);
    }
}

/// Makes the operator's root user.
pub(in crate::vsd) fn seed(engine: &mut Engine, password: &str) {
    let now = engine.second();
    let values = Values::from([
        ("userName", Value::from("csproot")),
        ("password", Value::from(digest(password))),
        ("firstName", Value::from("csproot")),
        ("lastName", Value::from("csproot")),
        ("email", Value::from("csproot@csp.invalid")),
    ]);
    engine.store.insert(Object {
        id: CSPROOT,
        entity: "user",
        parent: Some(("enterprise", CSP)),
        created: now,
        updated: now,
        owner: SYSTEM_USER,
        updated_by: SYSTEM_USER,
        values,
    });
    engine.store.link(CSPROOT, ROOT_GROUP);
}

/// The answer to `/me`: the user, the enterprise, the role and a key for what follows.
pub(in crate::vsd) fn me(engine: &mut Engine, user: Uuid) -> Result<Value, Refusal> {
    let (key, expiry) = auth::key(engine, user);
    let object = engine.find("user", &user.to_string())?;
    let mut shown = Body::new();
    if let Some((_, facts)) = engine.model.entity("me") {
        for (name, attribute) in &facts.attributes {
            shown.insert((*name).to_owned(), attribute.default.clone());
        }
    }
    if let Value::Object(user) = engine.render(object) {
        shown.extend(user);
    }
    let enterprise = engine.store.ancestor(object, "enterprise");
    let rest = json!({
        "enterpriseID": enterprise.map(|enterprise| enterprise.id.to_string()),
        "enterpriseName": enterprise.and_then(|enterprise| enterprise.text("name")),
        "role": role(engine, object),
        "licenseCapabilities": ["ENCRYPTION_ENABLED"],
        "APIKey": key,
        "APIKeyExpiry": expiry,
    });
    if let Value::Object(rest) = rest {
        shown.extend(rest);
    }
    Ok(Value::Object(shown))
}

fn role(engine: &Engine, user: &Object) -> String {
    if user.id == CSPROOT {
        return "CSPROOT".to_owned();
    }
    // The role of several groups is the one that gives most.
    let groups = engine.store.members(user.id, "group").iter().filter_map(|id| engine.store.get(*id));
    let rank = |role: &&str| RANKS.iter().position(|known| known == role).unwrap_or(RANKS.len());
    groups.filter_map(|group| group.text("role")).min_by_key(rank).unwrap_or("USER").to_owned()
}
