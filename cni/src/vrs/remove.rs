//! Taking rows away. Works by names and stamps, asks for nothing that must be there, and can be repeated.

use std::collections::BTreeSet;

use nuage_ovsdb::client::OperationResult;
use nuage_ovsdb::operation::{Condition, Mutation, Operation, map, set, uuid_json};
use serde_json::Value;

use super::{OriginalNames, Vrs, rows};
use crate::error::Error;
use crate::orchestrator::Identity;

/// More ports than the original ever made for one sandbox; what is beyond is the audit's.
const MAX_STRANGE_PORTS: usize = 16;

impl Vrs {
    /// The ports that the original plugin made for an interface of the sandbox: under either of its names, and those that
    /// the sandbox's entity lists. Names that it gave to any interface count only if `of_any_interface`. What carries our
    /// stamps is not among them.
    ///
    /// # Errors
    /// The switch's refusal, or code 11.
    pub async fn find_originals(
        &self,
        identity: &Identity,
        original: &OriginalNames,
        of_any_interface: bool,
    ) -> Result<BTreeSet<String>, Error> {
        let own = Condition::equals("vm_uuid", identity.entity_uuid.as_str());
        let stamped = Condition::new("external_ids", "includes", map([("vm-uuid", &identity.entity_uuid)]));
        let mut operations = vec![
            Operation::select("Nuage_VM_Table", &[own], &["ports"]),
            Operation::select("Port", &[stamped], &["name", "external_ids"]),
        ];
        for name in original.all(of_any_interface) {
            let named = [Condition::equals("name", name.as_str())];
            operations.push(Operation::select("Nuage_Port_Table", &named, &["name"]));
            operations.push(Operation::select("Port", &named, &["name", "external_ids"]));
        }
        let results = self.transact("looking for the ports of the sandbox", operations).await?;
        let mut found = BTreeSet::new();
        let mut ours = BTreeSet::from([identity.port_name.clone()]);
        let mut is_ours = false;
        for row in results.iter().flat_map(OperationResult::rows) {
            let name = row.get("name").and_then(Value::as_str).map(str::to_owned);
            if row.get("external_ids").is_some_and(rows::has_our_stamp) {
                is_ours |= name.as_ref() == Some(&identity.port_name);
                ours.extend(name.clone());
            }
            found.extend(name);
            found.extend(row.get("ports").map(rows::strings).unwrap_or_default());
        }
        if is_ours {
            // Made by this plugin, though nobody knows any more: what else the sandbox has is of other interfaces.
            return Ok(BTreeSet::new());
        }
        let strange =
            found.into_iter().filter(|name| original.is_like(name, of_any_interface) && !ours.contains(name));
        Ok(strange.take(MAX_STRANGE_PORTS).collect())
    }

    /// Takes these ports out of their entities, and the sandbox's entity away with the last one: that detaches them from
    /// the overlay. What is not there is no error. [`Vrs::remove_ports`] takes the rest away.
    ///
    /// # Errors
    /// The switch's refusal, or code 11.
    pub async fn detach(&self, entity_uuid: &str, ports: &BTreeSet<String>) -> Result<Detached, Error> {
        let lists = |port: &str| [Condition::new("ports", "includes", port)];
        let named = |port: &str| [Condition::equals("name", port)];
        let mut operations = Vec::new();
        for port in ports {
            operations.push(Operation::select("Nuage_VM_Table", &lists(port), &["_uuid"]));
            operations.push(Operation::select("Nuage_Port_Table", &named(port), &["name"]));
            operations.push(Operation::select("Port", &named(port), &["_uuid"]));
        }
        for port in ports {
            let out = Mutation::delete("ports", port.as_str());
            operations.push(Operation::mutate("Nuage_VM_Table", &lists(port), &[out]));
        }
        let own = Condition::equals("vm_uuid", entity_uuid);
        operations.push(Operation::delete("Nuage_VM_Table", &empty(own.clone())));
        operations.push(Operation::select("Nuage_VM_Table", &[own], &["_uuid"]));
        let results = self.transact("removing the entity", operations).await?;
        let found = &results[..SELECTS * ports.len()];
        let column = |index: usize| found.iter().skip(index).step_by(SELECTS).flat_map(uuids).collect();
        Ok(Detached {
            found: found.iter().any(|result| !result.rows().is_empty()),
            others: results.last().is_some_and(|rest| !rest.rows().is_empty()),
            entities: column(0),
            ports: column(2),
        })
    }

    /// Takes away what [`Vrs::detach`] has left of the ports: their rows, the ports, and entities of another key than the
    /// call's arguments give them.
    ///
    /// # Errors
    /// The switch's refusal, or code 11.
    pub async fn remove_ports(&self, ports: &BTreeSet<String>, detached: &Detached) -> Result<(), Error> {
        let mut operations = Vec::new();
        for port in ports {
            let named = [Condition::equals("name", port.as_str())];
            operations.push(Operation::delete("Nuage_Port_Table", &named));
        }
        for entity in &detached.entities {
            let this = empty(Condition::equals("_uuid", entity.clone()));
            operations.push(Operation::delete("Nuage_VM_Table", &this));
        }
        for port in &detached.ports {
            // A port without a bridge is collected by the database itself.
            let holder = Condition::new("ports", "includes", port.clone());
            let out = Mutation::delete("ports", port.clone());
            operations.push(Operation::mutate("Bridge", &[holder], &[out]));
        }
        self.transact("removing the port", operations).await.map(drop)
    }

    /// Whether the sandbox's entity is there: it has ports.
    ///
    /// # Errors
    /// The switch's refusal, or code 11.
    pub async fn has_entity(&self, entity_uuid: &str) -> Result<bool, Error> {
        let own = [Condition::equals("vm_uuid", entity_uuid)];
        let asked = vec![Operation::select("Nuage_VM_Table", &own, &["_uuid"])];
        Ok(!self.transact("looking for the entity", asked).await?[0].rows().is_empty())
    }
}

/// How many selects [`Vrs::detach`] makes for a port.
const SELECTS: usize = 3;

/// What [`Vrs::detach`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Detached {
    /// Whether there was anything of the ports.
    pub found: bool,
    /// Whether the sandbox's entity stays: it has other ports.
    pub others: bool,
    entities: Vec<Value>,
    ports: Vec<Value>,
}

fn empty(which: Condition) -> [Condition; 2] {
    [which, Condition::equals("ports", set([]))]
}

fn uuids(result: &OperationResult) -> Vec<Value> {
    let uuids = result.rows().into_iter().filter_map(|row| rows::uuid(row.get("_uuid")?));
    uuids.map(uuid_json).collect()
}
