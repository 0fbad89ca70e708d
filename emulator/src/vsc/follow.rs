//! What others change in the VSD, followed: one long poll for all controllers of a site hears of it, and each controller
//! looks at its entities that it is about. Only reads the VSD; never makes anew what somebody has deleted there.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;

use nuage_ovsdb::value::Row;
use serde_json::{Value, json};
use tokio::sync::broadcast::{self, error::RecvError};

use super::queue;
use super::rows::{Answer, Entity, Port};
use super::settle::{answer, of_port, place_of};
use crate::http::HttpService;
use crate::vsd::client::{Client, Error, Event};

/// Changes that a controller may be behind; one that is further looks at everything.
const BEHIND: usize = 256;

/// What may have changed.
#[derive(Clone, Debug)]
pub(super) enum Change {
    /// Interfaces of these entities, by their UUID.
    Entities(Arc<BTreeSet<String>>),
    /// Anything: something may have been missed.
    Anything,
}

/// Where changes come from.
#[derive(Clone, Debug)]
pub(super) struct Changes(broadcast::Sender<Change>);

impl Changes {
    pub(super) fn subscribe(&self) -> Subscription {
        Subscription(self.0.subscribe())
    }
}

/// The changes that one controller hears of.
#[derive(Debug)]
pub(super) struct Subscription(broadcast::Receiver<Change>);

impl Subscription {
    /// The next change; never, once nobody listens to the VSD any more.
    pub(super) async fn next(&mut self) -> Change {
        match self.0.recv().await {
            Ok(change) => change,
            Err(RecvError::Lagged(_)) => Change::Anything,
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}

/// Listens to the VSD for the controllers of a site.
#[derive(Debug)]
pub struct Follower {
    vsd: Client,
    changes: broadcast::Sender<Change>,
}

impl Follower {
    /// One that reaches the VSD by `vsd`, with the identity of a user who may see the machines. `url` is the base of its
    /// API, for instance `https://vsd:7443/nuage/api/v6`.
    pub fn new(vsd: HttpService, url: &str) -> Self {
        Self { vsd: Client::new(vsd, url), changes: broadcast::Sender::new(BEHIND) }
    }

    pub(super) fn changes(&self) -> Changes {
        Changes(self.changes.clone())
    }

    /// Listens, and begins anew when the VSD does not answer, later and later (at most 10 s). Ends only by being dropped.
    pub async fn run(&self) -> Infallible {
        let (mut place, mut failures) = (None, 0);
        loop {
            match self.poll(place.take()).await {
                Ok((changed, next)) => {
                    if failures > 0 {
                        self.tell(Change::Anything);
                    } else if !changed.is_empty() {
                        self.tell(Change::Entities(Arc::new(changed)));
                    }
                    (place, failures) = (Some(next), 0);
                }
                Err(error) => {
                    failures += 1;
                    tracing::info!(%error, "changes of the VSD are not heard of");
                    tokio::time::sleep(queue::wait(failures)).await;
                }
            }
        }
    }

    fn tell(&self, change: Change) {
        // Nobody may be there to hear it.
        let _ = self.changes.send(change);
    }

    /// The entities that the events behind a place are about, and the place behind those.
    async fn poll(&self, place: Option<String>) -> Result<(BTreeSet<String>, String), Error> {
        let (events, next) = self.vsd.events(place.as_deref()).await?;
        Ok((events.into_iter().flat_map(about).collect(), next))
    }
}

/// The entities that an event is about. What is made is no change: who has it not waits for nothing, and who made it
/// knows.
fn about(event: Event) -> Vec<String> {
    let objects = event.entities.into_iter();
    match (event.kind.as_str(), event.entity.as_str()) {
        ("UPDATE" | "DELETE", "containerinterface") => {
            objects.filter_map(|object| object.container).collect()
        }
        ("UPDATE" | "DELETE", "vminterface") => objects.filter_map(|object| object.machine).collect(),
        ("DELETE", "container" | "vm") => objects.filter_map(|object| object.uuid).collect(),
        _ => Vec::new(),
    }
}

/// What the VSD has for a port: the answer, and the columns of the port's row that say something else.
pub(super) struct Found {
    pub(super) answer: Answer,
    pub(super) columns: Row,
}

/// Looks what the VSD has for the ports of an entity; nothing for a port whose interface has gone. `None` where another
/// VRS has the entity.
///
/// # Errors
/// Any of [`Error`].
pub(super) async fn look(
    vsd: &Client,
    vrs: &str,
    entity: &Entity,
    ports: Vec<Port>,
) -> Result<Option<Vec<(Port, Option<Found>)>>, Error> {
    let container = vsd.find(entity.kind.collection(), "UUID", &entity.uuid).await?;
    let owner = container.as_ref().and_then(|container| container.get("VRSID")).and_then(Value::as_str);
    if owner.is_some_and(|owner| owner != vrs) {
        return Ok(None);
    }
    let mut all = Vec::new();
    for port in ports {
        let interface = container.as_ref().and_then(|container| of_port(container, entity, &port));
        let found = match interface {
            Some(interface) => {
                let place = place_of(vsd, interface).await?;
                Some(Found {
                    answer: answer(interface, &place, &port)?,
                    columns: columns(entity, &port, interface),
                })
            }
            None => None,
        };
        all.push((port, found));
    }
    Ok(Some(all))
}

/// What a row must say so that its next reading asks for what is there: else the controller would undo the change when it
/// connects anew.
fn columns(entity: &Entity, port: &Port, interface: &Value) -> Row {
    let mut row = Row::new();
    if entity.split {
        return row;
    }
    let asked = &port.asked;
    for (column, asked, attribute) in [
        ("nuage_domain", &asked.domain, "domainName"),
        ("nuage_zone", &asked.zone, "zoneName"),
        ("nuage_network", &asked.network, "networkName"),
    ] {
        if let Some(name) = interface.get(attribute).and_then(Value::as_str).filter(|name| name != asked) {
            row.insert(column.to_owned(), json!(name));
        }
    }
    let address = interface.get("IPAddress").and_then(Value::as_str);
    if let (Some(fixed), Some(address)) = (asked.metadata("static-ip"), address)
        && fixed != address
    {
        let metadata = asked
            .metadata
            .iter()
            .map(|(key, value)| if key == "static-ip" { json!([key, address]) } else { json!([key, value]) });
        row.insert("metadata".to_owned(), json!(["map", metadata.collect::<Value>()]));
    }
    row
}
