//! The client of the VRS: the rows that make a port and an entity, and the wait until the controller has resolved it.
//! Works by names and stamps only, so that every operation can be repeated.

mod resolution;
pub mod rows;

use std::time::Duration;

use nuage_ovsdb::client::{Client, Limits, OperationResult};
use nuage_ovsdb::operation::{Condition, Mutation, Operation, set, uuid_json};
use nuage_ovsdb::value::Row;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout_at};

use crate::call::Call;
use crate::error::Error;
use crate::orchestrator::{Identity, Placement};
pub use resolution::{Resolution, wait};

/// The database of a VRS.
pub const DATABASE: &str = "Open_vSwitch";
/// Rows of a node are a few hundred bytes each; this is thousands of ports.
const MAX_MESSAGE_BYTES: usize = 16 << 20;
/// How long the switch may take to listen, or to find its controller, before the call gives up: a restart takes a
/// few seconds.
const SETTLE: Duration = Duration::from_secs(20);
/// The first pause between two tries; it doubles up to [`MAX_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const MAX_PAUSE: Duration = Duration::from_secs(2);

/// A connection to the VRS.
#[derive(Clone, Debug)]
pub struct Vrs {
    client: Client,
    bridge: String,
    deadline: Instant,
}

/// What is on the switch of an attachment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The address in the port's row, if it is there; empty until it is resolved.
    pub address: Option<String>,
    /// The ports that the entity's row lists, if it is there.
    pub entity_ports: Option<Vec<String>>,
    /// Whether the switch has a port of that name.
    pub switch_port: bool,
}

/// Whether a switch can take ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// It can.
    Ready,
    /// The bridge is not there, so what is attached suffers, too.
    NoBridge,
    /// Not one but this many controllers are master: nothing would be resolved.
    Masters(usize),
}

impl Vrs {
    /// Connects once, by `deadline`.
    ///
    /// # Errors
    /// Code 11 where the switch cannot be reached.
    pub async fn connect_once(call: &Call<'_>, deadline: Instant) -> Result<Self, Error> {
        let endpoint = &call.node.vrs_endpoint;
        let unreachable = |details: String| Error::TryAgain {
            what: format!("the VRS at {endpoint} cannot be reached"),
            details,
            hint: Some(
                "is Open vSwitch running, and is vrsendpoint in nuage-cni.yaml its socket?".to_owned(),
            ),
        };
        let connected = timeout_at(deadline, call.host.switch.connect(endpoint)).await;
        let stream = connected
            .map_err(|_| unreachable("no answer in time".to_owned()))?
            .map_err(|error| unreachable(error.to_string()))?;
        let client = Client::spawn(stream, Limits { message_bytes: MAX_MESSAGE_BYTES });
        Ok(Self { client, bridge: call.node.bridge.clone(), deadline })
    }

    /// Connects and makes sure that the bridge is there and exactly one controller is master, which may take a moment
    /// after a restart.
    ///
    /// # Errors
    /// Code 11 where that is not so by the deadline or after 20 s.
    pub async fn connect(call: &Call<'_>, deadline: Instant) -> Result<Self, Error> {
        let deadline = deadline.min(Instant::now() + SETTLE);
        let mut pause = FIRST_PAUSE;
        loop {
            let attempt = async {
                let vrs = Self::connect_once(call, deadline).await?;
                vrs.check_ready().await.map(|()| vrs)
            };
            match attempt.await {
                Err(error) if Instant::now() + pause >= deadline || error.code() != 11 => return Err(error),
                Err(_) => sleep(pause).await,
                // The time to settle is over; the call's own budget counts from here on.
                Ok(vrs) => return Ok(Self { deadline: call.deadline, ..vrs }),
            }
            pause = (pause * 2).min(MAX_PAUSE);
        }
    }

    fn remaining(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    async fn transact(&self, what: &str, operations: Vec<Operation>) -> Result<Vec<OperationResult>, Error> {
        let result = self.client.transact(DATABASE, operations, self.remaining()).await;
        result.map_err(|error| refusal(what, &error))
    }

    /// The bridge is there, and exactly one controller is master.
    ///
    /// # Errors
    /// Code 11 where that is not so.
    pub async fn check_ready(&self) -> Result<(), Error> {
        let not_ready = |details: String, hint: &str| {
            let what = "the VRS is not ready".to_owned();
            Err(Error::TryAgain { what, details, hint: Some(hint.to_owned()) })
        };
        match self.readiness().await? {
            Readiness::Ready => Ok(()),
            Readiness::NoBridge => {
                not_ready(format!("it has no bridge {}", self.bridge), "is this switch a Nuage VRS?")
            }
            Readiness::Masters(count) => not_ready(
                format!("{count} controllers are master"),
                "does ovs-vsctl list controller show a connected VSC?",
            ),
        }
    }

    /// Whether ports can be made and resolved.
    ///
    /// # Errors
    /// Code 11 where the switch does not answer, or its refusal.
    pub async fn readiness(&self) -> Result<Readiness, Error> {
        let bridge = [Condition::equals("name", self.bridge.as_str())];
        let master = [Condition::equals("role", "master")];
        // A select gives equal rows once, so masters are told apart by their identifiers.
        let asked = vec![
            Operation::select("Bridge", &bridge, &["name"]),
            Operation::select("Controller", &master, &["_uuid"]),
        ];
        let results = self.transact("asking for the bridge and its controller", asked).await?;
        Ok(match (results[0].rows().len(), results[1].rows().len()) {
            (0, _) => Readiness::NoBridge,
            (_, 1) => Readiness::Ready,
            (_, masters) => Readiness::Masters(masters),
        })
    }

    async fn count(&self, table: &str, wheres: &[Condition]) -> Result<usize, Error> {
        let results =
            self.transact("counting rows", vec![Operation::select(table, wheres, &["_uuid"])]).await?;
        Ok(results[0].rows().len())
    }

    /// What is there of an attachment.
    ///
    /// # Errors
    /// The switch's refusal, or code 11.
    pub async fn find(&self, identity: &Identity) -> Result<Found, Error> {
        let port = [Condition::equals("name", identity.port_name.as_str())];
        let entity = [Condition::equals("vm_uuid", identity.entity_uuid.as_str())];
        let results = self
            .transact(
                "looking for the port",
                vec![
                    Operation::select("Nuage_Port_Table", &port, &["ip_addr"]),
                    Operation::select("Nuage_VM_Table", &entity, &["ports"]),
                    Operation::select("Port", &port, &["name"]),
                ],
            )
            .await?;
        let address = |row: &Row| row.get("ip_addr").and_then(Value::as_str).unwrap_or_default().to_owned();
        let ports = |row: &Row| row.get("ports").map(rows::strings).unwrap_or_default();
        Ok(Found {
            address: results[0].rows().first().map(address),
            entity_ports: results[1].rows().first().map(ports),
            switch_port: !results[2].rows().is_empty(),
        })
    }

    /// Makes the port: in the switch, and its row. Fails rather than making a second one.
    ///
    /// # Errors
    /// The switch's refusal, or code 11.
    pub async fn create_port(
        &self,
        call: &Call<'_>,
        identity: &Identity,
        placement: &Placement,
        mac: &str,
    ) -> Result<(), Error> {
        let port = identity.port_name.as_str();
        let absent =
            |table: &str| Operation::require(table, &[Condition::equals("name", port)], &["name"], true, &[]);
        let bridge = [Condition::equals("name", self.bridge.as_str())];
        let this_bridge = Row::from([("name".to_owned(), json!(self.bridge))]);
        let operations = vec![
            Operation::require("Bridge", &bridge, &["name"], true, &[this_bridge]),
            absent("Port"),
            absent("Nuage_Port_Table"),
            Operation::insert("Interface", &rows::interface(call, identity), Some("interface")),
            Operation::insert("Port", &rows::port(call, identity, "interface"), Some("port")),
            Operation::mutate(
                "Bridge",
                &bridge,
                &[Mutation::insert("ports", set([json!(["named-uuid", "port"])]))],
            ),
            Operation::insert(
                "Nuage_Port_Table",
                &rows::nuage_port(call, identity, placement, mac, &self.bridge),
                None,
            ),
        ];
        self.transact("creating the port", operations).await.map(drop)
    }

    /// Makes the entity, or adds the port to the entity that another interface of the sandbox has made.
    ///
    /// # Errors
    /// The switch's refusal, or code 11.
    pub async fn create_entity(
        &self,
        call: &Call<'_>,
        identity: &Identity,
        placement: &Placement,
    ) -> Result<(), Error> {
        let port = identity.port_name.as_str();
        let this = [Condition::equals("vm_uuid", identity.entity_uuid.as_str())];
        let there = !self.count("Nuage_VM_Table", &this).await?.eq(&0);
        let operations = if there {
            // A row that went meanwhile would make the mutation a silent nothing.
            let row = Row::from([("vm_uuid".to_owned(), json!(identity.entity_uuid))]);
            vec![
                Operation::require("Nuage_VM_Table", &this, &["vm_uuid"], true, &[row]),
                Operation::mutate("Nuage_VM_Table", &this, &[Mutation::insert("ports", set([json!(port)]))]),
            ]
        } else {
            let absent = Operation::require("Nuage_VM_Table", &this, &["vm_uuid"], true, &[]);
            vec![
                absent,
                Operation::insert("Nuage_VM_Table", &rows::nuage_entity(call, identity, placement), None),
            ]
        };
        self.transact("creating the entity", operations).await.map(drop)
    }

    /// Takes everything of an attachment away: first the entity (or its port out of it), which detaches it from the
    /// overlay, then the port's row and the port. What is not there is no error. Returns whether there were rows.
    ///
    /// # Errors
    /// The switch's refusal, or code 11.
    pub async fn remove(&self, identity: &Identity) -> Result<bool, Error> {
        let port = identity.port_name.as_str();
        let lists = [Condition::new("ports", "includes", port)];
        let named = [Condition::equals("name", port)];
        let empty = |which: Condition| [which, Condition::equals("ports", set([]))];
        let own = Condition::equals("vm_uuid", identity.entity_uuid.as_str());
        let entity_first = vec![
            Operation::select("Nuage_VM_Table", &lists, &["_uuid"]),
            Operation::select("Nuage_Port_Table", &named, &["name"]),
            Operation::select("Port", &named, &["_uuid"]),
            Operation::mutate("Nuage_VM_Table", &lists, &[Mutation::delete("ports", port)]),
            Operation::delete("Nuage_VM_Table", &empty(own)),
        ];
        let results = self.transact("removing the entity", entity_first).await?;
        let uuids = |result: &OperationResult| -> Vec<Value> {
            let uuids = result.rows().into_iter().filter_map(|row| rows::uuid(row.get("_uuid")?));
            uuids.map(uuid_json).collect()
        };

        let mut operations = vec![Operation::delete("Nuage_Port_Table", &named)];
        for entity in uuids(&results[0]) {
            // Of another key than this call's arguments give it: it is known by its port.
            let this = empty(Condition::equals("_uuid", entity));
            operations.push(Operation::delete("Nuage_VM_Table", &this));
        }
        for uuid in uuids(&results[2]) {
            // A port without a bridge is collected by the database itself.
            let holder = Condition::new("ports", "includes", uuid.clone());
            operations.push(Operation::mutate("Bridge", &[holder], &[Mutation::delete("ports", uuid)]));
        }
        self.transact("removing the port", operations).await?;
        Ok(results[..3].iter().any(|result| !result.rows().is_empty()))
    }
}

/// A failure of the switch as the caller's error: what may pass by itself, and what the switch refuses.
fn refusal(what: &str, error: &nuage_ovsdb::Error) -> Error {
    use nuage_ovsdb::Error as Ovsdb;
    match error {
        Ovsdb::Closed | Ovsdb::Timeout(_) | Ovsdb::Malformed(_) => Error::TryAgain {
            what: "the VRS went away".to_owned(),
            details: format!("{what}: {error}"),
            hint: None,
        },
        _ => Error::Vrs { operation: what.to_owned(), details: error.to_string() },
    }
}
