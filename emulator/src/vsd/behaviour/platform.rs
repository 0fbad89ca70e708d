//! What belongs to the platform and is there from the start: the system configuration and the operator's groups.
//! Never what a tenant has.

use serde_json::Value;
use uuid::Uuid;

use super::enterprise::CSP;
use crate::vsd::engine::{Engine, SYSTEM_USER};
use crate::vsd::store::{Object, Values};

/// The system configuration. The real one's ID is not public.
const CONFIGURATION: Uuid = Uuid::from_u128(0x0f0d_1c6a_4a35_4f3f_9b54_8a1f_6ce2_1b01);
/// The group of the operator's root users.
pub(in crate::vsd) const ROOT_GROUP: Uuid = Uuid::from_u128(0x0f0d_1c6a_4a35_4f3f_9b54_8a1f_6ce2_1b02);
/// The operator's groups: ID, name and role. Names and IDs are ours, the roles are the API's.
const GROUPS: [(Uuid, &str, &str); 3] = [
    (ROOT_GROUP, "Root Group", "CSPROOT"),
    (Uuid::from_u128(0x0f0d_1c6a_4a35_4f3f_9b54_8a1f_6ce2_1b03), "Operator Group", "CSPOPERATOR"),
    (Uuid::from_u128(0x0f0d_1c6a_4a35_4f3f_9b54_8a1f_6ce2_1b04), "CMS Group", "CMS"),
];

/// Makes what each installation starts with.
pub(in crate::vsd) fn seed(engine: &mut Engine) {
    let now = engine.second();
    let object = |id, entity, parent, values| Object {
        id,
        entity,
        parent,
        created: now,
        updated: now,
        owner: SYSTEM_USER,
        updated_by: SYSTEM_USER,
        values,
    };
    engine.store.insert(object(CONFIGURATION, "systemconfig", None, Values::default()));
    for (id, name, role) in GROUPS {
        let values = Values::from([
            ("name", Value::from(name)),
            ("role", Value::from(role)),
            ("managementMode", Value::from("RESERVED")),
            ("private", Value::from(true)),
        ]);
        engine.store.insert(object(id, "group", Some(("enterprise", CSP)), values));
    }
}
