//! Jobs: commands to an object, accepted at once and done by the next second. What cannot be done here fails and says
//! so. Never runs twice.

use serde_json::{Value, json};
use uuid::Uuid;

use super::{Behaviour, Body, drafts};
use crate::vsd::engine::Engine;
use crate::vsd::error::Refusal;
use crate::vsd::model::{Name, ROOT};
use crate::vsd::store::Object;

const POLICY: [&str; 5] =
    ["BEGIN_POLICY_CHANGES", "APPLY_POLICY_CHANGES", "DISCARD_POLICY_CHANGES", "EXPORT", "IMPORT"];
/// The commands that an entity takes, of those for which the API's specification has a list.
const COMMANDS: [(Name, &[&str]); 14] = [
    ("domain", &POLICY),
    ("domaintemplate", &POLICY),
    ("l2domain", &POLICY),
    ("l2domaintemplate", &POLICY),
    ("ingressacltemplate", &["EXPORT", "IMPORT"]),
    ("egressacltemplate", &["EXPORT", "IMPORT"]),
    ("ingressadvfwdtemplate", &["EXPORT", "IMPORT"]),
    ("vport", &["CLEAR_MAC_MOVE_ALARMS"]),
    ("gateway", &["GATEWAY_AUDIT", "NETCONF_FORCE_DEPLOY", "NETCONF_SYNC"]),
    ("vsc", &["RELOAD"]),
    ("vrs", &["RELOAD"]),
    ("vsd", &["RELOAD"]),
    (ROOT, &["GET_ZFB_INFO", "BATCH_CRUD_REQUEST"]),
    (
        "enterprise",
        &[
            "FORCE_KEYSERVER_UPDATE",
            "FORCE_KEYSERVER_UPDATE_ACK",
            "FORCE_KEYSERVER_VSD_RESYNC",
            "GATEWAY_AUDIT",
            "GET_ZFB_INFO",
            "RETRIEVE_ACTIVE_NSGS",
        ],
    ),
];

pub(super) struct Job;

impl Behaviour for Job {
    fn creating(&self, _engine: &mut Engine, draft: &mut Object, _body: &Body) -> Result<(), Refusal> {
        let entity = draft.parent.map_or(ROOT, |(entity, _)| entity);
        let command = draft.text("command").unwrap_or_default();
        let known = COMMANDS.iter().find(|(known, _)| *known == entity);
        if known.is_some_and(|(_, commands)| !commands.contains(&command)) {
            let description = format!("A {entity} does not know the command {command}.");
            return Err(Refusal::invalid("command", "Invalid command", description));
        }
        for result in ["status", "progress", "result"] {
            draft.values.remove(result);
        }
        draft.set("assocEntityType", entity.to_ascii_uppercase());
        Ok(())
    }

    fn created(&self, engine: &mut Engine, id: Uuid, _body: &Body) -> Result<(), Refusal> {
        let Some(mut job) = engine.store.get(id).cloned() else { return Ok(()) };
        let outcome = work(engine, &job);
        job.set("status", if outcome.is_ok() { "SUCCESS" } else { "FAILED" });
        job.set("progress", 1.0);
        if let Err(reason) = outcome {
            job.set("result", json!({ "title": "Job failed", "description": reason }));
        }
        engine.store.replace(job);
        Ok(())
    }

    fn shown(&self, engine: &Engine, object: &Object, shown: &mut Body) {
        // A client that was just told of it finds it running and asks again, as with the real one.
        if engine.second() == object.created {
            for (name, value) in
                [("status", Value::from("RUNNING")), ("progress", Value::from(0.0)), ("result", Value::Null)]
            {
                shown.insert(name.to_owned(), value);
            }
        }
    }
}

fn work(engine: &mut Engine, job: &Object) -> Result<(), &'static str> {
    let owner = job.parent.and_then(|(_, id)| engine.store.get(id)).cloned();
    match (job.text("command").unwrap_or_default(), owner) {
        ("BEGIN_POLICY_CHANGES", Some(owner)) => {
            drafts::begin(engine, &owner).then_some(()).ok_or("Policy changes have begun already.")
        }
        ("APPLY_POLICY_CHANGES", Some(owner)) => {
            drafts::apply(engine, &owner).then_some(()).ok_or("No policy changes have begun.")
        }
        ("DISCARD_POLICY_CHANGES", Some(owner)) => {
            drafts::discard(engine, &owner).then_some(()).ok_or("No policy changes have begun.")
        }
        ("CLEAR_MAC_MOVE_ALARMS" | "RELOAD" | "GATEWAY_AUDIT", _) => Ok(()),
        _ => Err("This command is not emulated."),
    }
}
