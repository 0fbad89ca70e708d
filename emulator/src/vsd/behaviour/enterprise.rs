//! Enterprises: numbers, their groups, and the operator's own one, which is there from the start and never
//! listed. Never touches what lies below a domain.

use serde_json::{Value, json};
use uuid::Uuid;

use super::{Behaviour, Body};
use crate::vsd::engine::{Engine, SYSTEM_USER};
use crate::vsd::error::{Refusal, code};
use crate::vsd::store::{Object, Values};

/// The operator's enterprise; the same on all installations of the real VSD.
pub(in crate::vsd) const CSP: Uuid = Uuid::from_u128(0x7604_6673_d0ea_4a67_b6af_2829_952f_0812);
/// The profile of an enterprise that names none; the same on all installations of the real VSD.
const DEFAULT_PROFILE: Uuid = Uuid::from_u128(0xf1e5_eb19_c67a_4651_90c1_3f84_e23e_1d36);
/// The lowest customer number: the real VSD's `offsetCustomerID`.
const FIRST_CUSTOMER: u64 = 10_000;

pub(super) struct Enterprise;

impl Behaviour for Enterprise {
    fn creating(&self, engine: &mut Engine, draft: &mut Object, _body: &Body) -> Result<(), Refusal> {
        if let Some(profile) = draft.text("enterpriseProfileID") {
            engine.find("enterpriseprofile", profile)?;
        }
        if !draft.values.contains_key("customerID") {
            draft.set("customerID", engine.number("customer", FIRST_CUSTOMER));
        }
        Ok(())
    }

    fn created(&self, engine: &mut Engine, id: Uuid, _body: &Body) -> Result<(), Refusal> {
        for (name, role, private) in [
            ("Administrators", "ORGADMIN", true),
            ("Everybody", "ORGUSER", false),
            ("Network Designer", "ORGNETWORKDESIGNER", true),
        ] {
            let group = json!({ "name": name, "role": role, "private": private });
            if let Value::Object(group) = group {
                engine.create("group", Some(("enterprise", id)), &group)?;
            }
        }
        Ok(())
    }

    fn deleting(&self, engine: &Engine, object: &Object) -> Result<(), Refusal> {
        if object.id == CSP {
            let title = "System enterprise cannot be deleted";
            return Err(Refusal::conflict(code::SYSTEM_ENTERPRISE, "", title, title));
        }
        let id = object.id.to_string();
        if ["container", "vm"]
            .into_iter()
            .any(|entity| !engine.store.valued(entity, "enterpriseID", &id).is_empty())
        {
            let description = "Containers or VMs are still attached below it.";
            return Err(Refusal::conflict(code::STILL_ATTACHED, "", "enterprise is in use", description));
        }
        Ok(())
    }

    fn hidden(&self, id: Uuid) -> bool {
        id == CSP
    }
}

/// Makes what each installation starts with.
pub(in crate::vsd) fn seed(engine: &mut Engine) {
    let now = engine.second();
    let object = |id, entity, values| Object {
        id,
        entity,
        parent: None,
        created: now,
        updated: now,
        owner: SYSTEM_USER,
        updated_by: SYSTEM_USER,
        values,
    };
    let profile = Values::from([("name", Value::from("Default Profile"))]);
    engine.store.insert(object(DEFAULT_PROFILE, "enterpriseprofile", profile));
    let csp = Values::from([("name", Value::from("CSP")), ("enterpriseType", Value::from("CSP"))]);
    engine.store.insert(object(CSP, "enterprise", csp));
}
