//! Machines that are on their way out: the hypervisor has let them go, and the VSD keeps them and their addresses for a time,
//! in case they come back. Never decides that a machine goes, only when.

use serde_json::Value;
use uuid::Uuid;

use super::machine::{CONTAINER, VIRTUAL, interfaces};
use super::reservation;
use crate::vsd::engine::{Engine, SYSTEM_USER};
use crate::vsd::settings::Settings;
use crate::vsd::store::Object;

/// After how many milliseconds a removal is tried again that could not be written to disk.
const AGAIN: u64 = 60_000;

/// How many milliseconds a machine is kept in its state; `None` for one that stays. Deleted ones by their own expiry, or
/// the system's time for purging; unreachable ones by the system's time for cleaning up.
fn patience(engine: &Engine, machine: &Object) -> Option<u64> {
    let settings = || Settings::of(engine);
    match machine.text("status")? {
        "DELETE_PENDING" => {
            let own = machine.values.get("deleteExpiry").and_then(Value::as_u64).filter(|own| *own > 0);
            Some(own.map_or_else(|| settings().purge_after, |seconds| seconds.saturating_mul(1_000)))
        }
        "UNREACHABLE" => Some(settings().cleanup_after),
        _ => None,
    }
}

/// The state of a machine changes.
pub(super) fn state_changes(engine: &mut Engine, before: &Object, after: &Object) {
    if before.text("status") == after.text("status") {
        return;
    }
    let pending = after.text("status") == Some("DELETE_PENDING");
    if pending || before.text("status") == Some("DELETE_PENDING") {
        let state = if pending { "ASSIGNED_DELETE_PENDING" } else { "ASSIGNED" };
        let interfaces: Vec<Object> = interfaces(engine, after).cloned().collect();
        for interface in interfaces {
            reservation::mark(engine, &interface, state);
        }
    }
    if let Some(patience) = patience(engine, after) {
        let due = engine.clock.now().saturating_add(patience);
        engine.going.insert(after.id, due);
    }
}

/// Takes up what an earlier process left.
pub(in crate::vsd) fn take_up(engine: &mut Engine) {
    for entity in [CONTAINER.entity, VIRTUAL.entity] {
        let machines = engine.store.all(entity).iter().filter_map(|id| engine.store.get(*id));
        let due =
            |machine: &Object| Some((machine.id, machine.updated.saturating_add(patience(engine, machine)?)));
        let going: Vec<(Uuid, u64)> = machines.filter_map(due).collect();
        engine.going.extend(going);
    }
}

/// Removes the machines whose time is over. Whoever has come back meanwhile stays.
pub(in crate::vsd) fn purge(engine: &mut Engine) {
    if engine.going.is_empty() {
        return;
    }
    let now = engine.clock.now();
    let due: Vec<Uuid> = engine.going.iter().filter(|(_, due)| **due <= now).map(|(id, _)| *id).collect();
    for id in due {
        engine.going.remove(&id);
        let machine = engine.store.get(id).filter(|machine| patience(engine, machine).is_some()).cloned();
        let Some(machine) = machine else { continue };
        let removed = engine.change(SYSTEM_USER, |engine| {
            engine.cascade(&machine);
            Ok(())
        });
        if removed.is_err() {
            engine.going.insert(id, now.saturating_add(AGAIN));
        }
    }
}
