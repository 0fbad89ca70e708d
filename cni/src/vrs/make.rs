//! Making rows: the watch of the port's row, the port, then the entity, sent together and answered together. Guarded so
//! that nothing is made twice.

use std::collections::BTreeMap;

use nuage_ovsdb::client::OperationResult;
use nuage_ovsdb::operation::{Condition, Mutation, Operation, set};
use nuage_ovsdb::value::Row;
use serde_json::json;

use super::{DATABASE, Vrs, Watch, refusal, rows};
use crate::call::Call;
use crate::error::Error;
use crate::orchestrator::{Identity, Placement};

/// What is made of an attachment.
#[derive(Clone, Copy, Debug)]
pub struct Making<'a> {
    /// Whose it is.
    pub identity: &'a Identity,
    /// Where it goes.
    pub placement: &'a Placement,
    /// The pod end's MAC address.
    pub mac: &'a str,
}

/// What has been made.
#[derive(Debug)]
pub struct Made {
    /// The watch of the port's row, which began before there was one; absent where the connection went meanwhile.
    pub watch: Option<Watch>,
    /// Identifiers of the new rows by table.
    pub rows: BTreeMap<String, String>,
}

/// The place of the new rows in the answer to [`Vrs::port_operations`].
const PORT_INSERTS: [(usize, &str); 3] = [(3, "Interface"), (4, "Port"), (6, "Nuage_Port_Table")];

impl Vrs {
    /// Makes the port and its entity (or adds the port to the entity that another interface of the sandbox made), and
    /// begins to watch the port's row. The three requests are on their way before the first is answered; each answer is
    /// read. Fails rather than making a second one.
    ///
    /// # Errors
    /// The switch's refusal, or code 11. There may be rows then.
    pub async fn make(&self, call: &Call<'_>, making: &Making<'_>) -> Result<Made, Error> {
        let entity = making.identity.entity_uuid.as_str();
        // Polled in this order, they are sent in this order.
        let (watch, port, inserted) = tokio::join!(
            biased;
            Watch::begin(self, &making.identity.port_name),
            self.transact("creating the port", self.port_operations(call, making)),
            self.client.transact(DATABASE, entity_operations(call, making).into(), self.remaining()),
        );
        mutant!(call.host, "B10", let port = Ok(port.unwrap_or_default()));
        let port = port?;
        let mut made: BTreeMap<String, String> = PORT_INSERTS
            .iter()
            .filter_map(|(index, table)| Some(((*table).to_owned(), port.get(*index)?.uuid()?.to_string())))
            .collect();
        match inserted {
            Ok(results) => {
                let uuid = results.get(1).and_then(OperationResult::uuid);
                made.extend(uuid.map(|uuid| ("Nuage_VM_Table".to_owned(), uuid.to_string())));
            }
            // The guard: there is an entity already.
            Err(nuage_ovsdb::Error::Operation { index: 0, .. }) => {
                self.join_entity(entity, &making.identity.port_name).await?;
            }
            Err(nuage_ovsdb::Error::Operation { .. }) if mutant!(call.host, "B10") => {}
            Err(error) => return Err(refusal("creating the entity", &error)),
        }
        Ok(Made { watch: watch?, rows: made })
    }

    fn port_operations(&self, call: &Call<'_>, making: &Making<'_>) -> Vec<Operation> {
        let port = making.identity.port_name.as_str();
        let [bridge_there, port_absent] = self.switch_port_guards(port);
        let mut operations = vec![bridge_there, port_absent, absent("Nuage_Port_Table", port)];
        operations.extend(self.switch_port_rows(call, making.identity));
        operations.push(self.nuage_port_row(call, making));
        operations
    }

    /// That there is our bridge, and no port of this name.
    pub(super) fn switch_port_guards(&self, port: &str) -> [Operation; 2] {
        let this_bridge = Row::from([("name".to_owned(), json!(self.bridge))]);
        [
            Operation::require("Bridge", &self.this_bridge(), &["name"], true, &[this_bridge]),
            absent("Port", port),
        ]
    }

    /// The port of the switch with its interface, as a member of our bridge.
    pub(super) fn switch_port_rows(&self, call: &Call<'_>, identity: &Identity) -> [Operation; 3] {
        [
            Operation::insert("Interface", &rows::interface(call, identity), Some("interface")),
            Operation::insert("Port", &rows::port(call, identity, "interface"), Some("port")),
            Operation::mutate(
                "Bridge",
                &self.this_bridge(),
                &[Mutation::insert("ports", set([json!(["named-uuid", "port"])]))],
            ),
        ]
    }

    /// What the controller resolves.
    pub(super) fn nuage_port_row(&self, call: &Call<'_>, making: &Making<'_>) -> Operation {
        let Making { identity, placement, mac } = *making;
        let row = rows::nuage_port(call, identity, placement, mac, &self.bridge);
        Operation::insert("Nuage_Port_Table", &row, None)
    }

    fn this_bridge(&self) -> [Condition; 1] {
        [Condition::equals("name", self.bridge.as_str())]
    }

    /// Adds the port to the entity that is there. One that went meanwhile would make the mutation a silent nothing.
    async fn join_entity(&self, entity: &str, port: &str) -> Result<(), Error> {
        self.transact("adding the port to the entity", join_operations(entity, port).into()).await.map(drop)
    }
}

/// That a table has no row of this name.
pub(super) fn absent(table: &str, name: &str) -> Operation {
    Operation::require(table, &[Condition::equals("name", name)], &["name"], true, &[])
}

/// The port as one of the entity's, if that is there.
pub(super) fn join_operations(entity: &str, port: &str) -> [Operation; 2] {
    let this = [Condition::equals("vm_uuid", entity)];
    let row = Row::from([("vm_uuid".to_owned(), json!(entity))]);
    [
        Operation::require("Nuage_VM_Table", &this, &["vm_uuid"], true, &[row]),
        Operation::mutate("Nuage_VM_Table", &this, &[Mutation::insert("ports", set([json!(port)]))]),
    ]
}

/// The entity, unless there is one.
pub(super) fn entity_operations(call: &Call<'_>, making: &Making<'_>) -> [Operation; 2] {
    let this = [Condition::equals("vm_uuid", making.identity.entity_uuid.as_str())];
    [
        Operation::require("Nuage_VM_Table", &this, &["vm_uuid"], true, &[]),
        Operation::insert(
            "Nuage_VM_Table",
            &rows::nuage_entity(call, making.identity, making.placement),
            None,
        ),
    ]
}
