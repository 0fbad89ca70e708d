//! The client of the VRS: the rows that make a port and an entity, and the wait until the controller has resolved it.
//! Works by names and stamps only, so that every operation can be repeated.

mod make;
mod original;
mod remove;
mod resolution;
pub mod rows;
#[cfg(feature = "audit")]
mod survey;

use std::time::Duration;

use nuage_ovsdb::client::{Client, Limits, OperationResult};
use nuage_ovsdb::operation::{Condition, Operation};
use nuage_ovsdb::value::Row;
use serde_json::Value;
use tokio::time::{Instant, sleep, timeout_at};

use crate::call::Call;
use crate::config::NodeConfig;
use crate::error::Error;
use crate::host::Host;
pub use make::{Made, Making};
pub use original::OriginalNames;
pub use remove::Detached;
pub use resolution::{Resolution, Watch, wait};
#[cfg(feature = "audit")]
pub use survey::{EntityRow, NuagePortRow, Survey, SwitchPortRow};

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
    /// Whether the port's row can tell a second address.
    ipv6: bool,
}

/// A port's row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PortRow {
    /// The pod end's MAC address.
    pub mac: String,
    /// Its addresses, empty until it is resolved: IPv4, then IPv6.
    pub addresses: Vec<String>,
    /// The dotted mask of the IPv4 address.
    pub mask: String,
}

/// What is on the switch of an attachment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The port's row, if it is there.
    pub port: Option<PortRow>,
    /// The ports that the entity's row lists, if it is there.
    pub entity_ports: Option<Vec<String>>,
    /// Whether the switch has a port of that name.
    pub switch_port: bool,
    /// Whether that port carries our stamps.
    pub stamped: bool,
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
        Self::open(call.host, call.node, deadline).await
    }

    /// The same for whoever is no call.
    ///
    /// # Errors
    /// Code 11 where the switch cannot be reached.
    pub async fn open(host: &Host, node: &NodeConfig, deadline: Instant) -> Result<Self, Error> {
        let endpoint = &node.vrs_endpoint;
        let unreachable = |details: String| Error::TryAgain {
            what: format!("the VRS at {endpoint} cannot be reached"),
            details,
            hint: Some(
                "is Open vSwitch running, and is vrsendpoint in nuage-cni.yaml its socket?".to_owned(),
            ),
        };
        mutant!(host, "B1" => crate::mutants::connect_for_ever(host, endpoint).await);
        let connected = timeout_at(deadline, host.switch.connect(endpoint)).await;
        let stream = connected
            .map_err(|_| unreachable("no answer in time".to_owned()))?
            .map_err(|error| unreachable(error.to_string()))?;
        let client = Client::spawn(stream, Limits { message_bytes: MAX_MESSAGE_BYTES });
        Ok(Self { client, bridge: node.bridge.clone(), deadline, ipv6: false })
    }

    /// Connects and makes sure that the bridge is there and exactly one controller is master, which may take a moment
    /// after a restart. Asks as well what its schema can tell.
    ///
    /// # Errors
    /// Code 11 where that is not so by the deadline or after 20 s.
    pub async fn connect(call: &Call<'_>, deadline: Instant) -> Result<Self, Error> {
        let deadline = deadline.min(Instant::now() + SETTLE);
        let mut pause = FIRST_PAUSE;
        loop {
            let attempt = async {
                let vrs = Self::connect_once(call, deadline).await?;
                let (ready, ipv6) = tokio::join!(biased; vrs.check_ready(), vrs.knows_ipv6());
                ready.map(|()| Self { ipv6, ..vrs })
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

    /// Whether the port's row can tell a second address.
    pub fn has_ipv6(&self) -> bool {
        self.ipv6
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

    /// Whether the port's row can tell a second address: the known schema cannot.
    async fn knows_ipv6(&self) -> bool {
        let nobody = [Condition::equals("name", "")];
        let asked = Operation::select("Nuage_Port_Table", &nobody, &resolution::IPV6_COLUMNS);
        self.client.transact(DATABASE, vec![asked], self.remaining()).await.is_ok()
    }

    /// What is there of the attachment whose port has this name.
    ///
    /// # Errors
    /// The switch's refusal, or code 11.
    pub async fn find(&self, entity_uuid: &str, port_name: &str, ipv6: bool) -> Result<Found, Error> {
        let port = [Condition::equals("name", port_name)];
        let entity = [Condition::equals("vm_uuid", entity_uuid)];
        let columns = ["ip_addr", "subnet_mask", "mac", "ip6_addr"];
        let asked = vec![
            Operation::select("Nuage_Port_Table", &port, &columns[..if ipv6 { 4 } else { 3 }]),
            Operation::select("Nuage_VM_Table", &entity, &["ports"]),
            Operation::select("Port", &port, &["name", "external_ids"]),
        ];
        let results = self.transact("looking for the port", asked).await?;
        let text =
            |row: &Row, column: &str| row.get(column).and_then(Value::as_str).unwrap_or_default().to_owned();
        let port = |row: &Row| PortRow {
            mac: text(row, "mac"),
            addresses: ["ip_addr", "ip6_addr"].map(|column| text(row, column)).into(),
            mask: text(row, "subnet_mask"),
        };
        let ports = |row: &Row| row.get("ports").map(rows::strings).unwrap_or_default();
        let stamped = |row: &Row| row.get("external_ids").is_some_and(rows::has_our_stamp);
        Ok(Found {
            port: results[0].rows().first().map(port),
            entity_ports: results[1].rows().first().map(ports),
            switch_port: !results[2].rows().is_empty(),
            stamped: results[2].rows().iter().any(stamped),
        })
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
