//! Reading everything that a switch has of containers, whole or not at all, and writing rows again that it has lost. For the
//! audit: calls of the plugin look at their own attachment only.

use std::collections::BTreeMap;

use nuage_ovsdb::operation::{Condition, Operation};
use nuage_ovsdb::value::Row;
use serde_json::Value;

use super::make::{absent, entity_operations, join_operations};
use super::{Found, Making, Vrs, rows};
use crate::call::Call;
use crate::error::Error;

/// A row of `Nuage_VM_Table`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EntityRow {
    /// `vm_uuid`
    pub uuid: String,
    /// `vm_name`
    pub name: String,
    /// `ports`
    pub ports: Vec<String>,
    /// Whether its type and domain are those of containers.
    pub is_container: bool,
}

/// A row of `Nuage_Port_Table`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NuagePortRow {
    /// `name`
    pub name: String,
    /// `ip_addr`, empty until it is resolved.
    pub address: String,
    /// `nuage_zone`
    pub zone: String,
}

/// A row of `Port`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SwitchPortRow {
    /// `name`
    pub name: String,
    /// `external_ids`
    pub stamps: BTreeMap<String, String>,
}

/// Everything that a switch has of anybody, at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    /// `Nuage_VM_Table`
    pub entities: Vec<EntityRow>,
    /// `Nuage_Port_Table`
    pub nuage_ports: Vec<NuagePortRow>,
    /// `Port`
    pub switch_ports: Vec<SwitchPortRow>,
    /// Whether the bridge is there.
    pub bridge: bool,
}

impl Vrs {
    /// Reads it, in one transaction.
    ///
    /// # Errors
    /// The switch's refusal, or code 11.
    pub async fn survey(&self) -> Result<Survey, Error> {
        let bridge = [Condition::equals("name", self.bridge.as_str())];
        let asked = vec![
            Operation::select(
                "Nuage_VM_Table",
                &[],
                &["_uuid", "vm_uuid", "vm_name", "ports", "type", "domain"],
            ),
            Operation::select("Nuage_Port_Table", &[], &["name", "ip_addr", "nuage_zone"]),
            Operation::select("Port", &[], &["name", "external_ids"]),
            Operation::select("Bridge", &bridge, &["name"]),
        ];
        let results = self.transact("reading all rows", asked).await?;
        Ok(Survey {
            entities: results[0].rows().iter().map(entity).collect(),
            nuage_ports: results[1].rows().iter().map(nuage_port).collect(),
            switch_ports: results[2].rows().iter().map(switch_port).collect(),
            bridge: !results[3].rows().is_empty(),
        })
    }

    /// Writes what is missing of an attachment again, guarded as when it was made; `found` is what is there.
    ///
    /// # Errors
    /// The switch's refusal, or code 11.
    pub async fn restore(&self, call: &Call<'_>, making: &Making<'_>, found: &Found) -> Result<(), Error> {
        let identity = making.identity;
        let port = identity.port_name.as_str();
        let mut operations = Vec::new();
        if !found.switch_port {
            operations.extend(self.switch_port_guards(port));
            operations.extend(self.switch_port_rows(call, identity));
        }
        if found.port.is_none() {
            operations.extend([absent("Nuage_Port_Table", port), self.nuage_port_row(call, making)]);
        }
        match &found.entity_ports {
            None => operations.extend(entity_operations(call, making)),
            Some(ports) if !ports.iter().any(|listed| listed == port) => {
                operations.extend(join_operations(&identity.entity_uuid, port));
            }
            Some(_) => {}
        }
        if operations.is_empty() {
            return Ok(());
        }
        self.transact("writing rows again that were lost", operations).await.map(drop)
    }
}

fn text(row: &Row, column: &str) -> String {
    row.get(column).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn entity(row: &Row) -> EntityRow {
    EntityRow {
        uuid: text(row, "vm_uuid"),
        name: text(row, "vm_name"),
        ports: row.get("ports").map(rows::strings).unwrap_or_default(),
        is_container: row.get("type").and_then(Value::as_i64) == Some(rows::TYPE_CONTAINER)
            && row.get("domain").and_then(Value::as_i64) == Some(rows::DOMAIN_DOCKER),
    }
}

fn nuage_port(row: &Row) -> NuagePortRow {
    NuagePortRow { name: text(row, "name"), address: text(row, "ip_addr"), zone: text(row, "nuage_zone") }
}

fn switch_port(row: &Row) -> SwitchPortRow {
    let pairs = row.get("external_ids").and_then(|ids| ids[1].as_array()).map_or(&[][..], Vec::as_slice);
    let pair = |pair: &Value| Some((pair[0].as_str()?.to_owned(), pair[1].as_str()?.to_owned()));
    SwitchPortRow { name: text(row, "name"), stamps: pairs.iter().filter_map(pair).collect() }
}
