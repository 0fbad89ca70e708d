//! Two controllers of one switch, of which one is master: the other stands by, and takes over when there is no master any
//! more. Only looks at the rows of the Controller table and changes its own; never resolves anything.

use std::time::Duration;

use nuage_ovsdb::Error;
use nuage_ovsdb::client::{Client, Monitor, MonitorTable};
use nuage_ovsdb::operation::{Condition, Operation};
use nuage_ovsdb::value::Row;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::rows::DATABASE;
use super::session::DEADLINE;

const CONTROLLERS: &str = "Controller";
/// How long nobody is master until the one that stands by is. How soon the product's does is not public.
const TAKEOVER: Duration = Duration::from_secs(3);

/// A controller's view of who is master.
#[derive(Debug)]
pub(super) struct Turn {
    monitor: Monitor,
    /// What its own row is known by.
    target: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Master,
    /// Nobody is master, and it could be.
    Vacant,
    /// Somebody else is master, or it is not connected.
    StandingBy,
}

impl Turn {
    /// Begins to look. `target` is the row's column of that name.
    pub(super) async fn begin(client: &Client, target: &str) -> Result<Self, Error> {
        let table = MonitorTable::new(CONTROLLERS, &["target", "role", "is_connected"]);
        let monitor = client.monitor(DATABASE, vec![table], DEADLINE).await?;
        Ok(Self { monitor, target: target.to_owned() })
    }

    fn state(&self) -> State {
        let rows = || self.monitor.rows().values();
        let is_master = |row: &Row| row.get("role").is_some_and(|role| role == "master");
        let own = rows().find(|row| row.get("target").is_some_and(|target| *target == self.target));
        match own {
            Some(own) if is_master(own) => State::Master,
            Some(own) if own.get("is_connected") == Some(&Value::Bool(true)) && !rows().any(is_master) => {
                State::Vacant
            }
            _ => State::StandingBy,
        }
    }

    /// Waits until it is the master, and becomes it where nobody is for long enough.
    pub(super) async fn mine(&mut self, client: &Client) -> Result<(), Error> {
        let mut vacant_since = None;
        loop {
            match self.state() {
                State::Master => return Ok(()),
                State::StandingBy => {
                    vacant_since = None;
                    self.monitor.next().await?;
                }
                State::Vacant => {
                    let since = *vacant_since.get_or_insert_with(Instant::now);
                    let waited = tokio::time::timeout_at(since + TAKEOVER, self.monitor.next()).await;
                    if let Ok(changes) = waited {
                        drop(changes?);
                    } else {
                        self.take_over(client).await?;
                        vacant_since = None;
                        self.monitor.next().await?;
                    }
                }
            }
        }
    }

    /// Becomes the master, unless somebody else was faster.
    async fn take_over(&self, client: &Client) -> Result<(), Error> {
        let master = [Condition::equals("role", "master")];
        let own = [Condition::equals("target", self.target.as_str())];
        let role = Row::from([("role".to_owned(), json!("master"))]);
        let operations = vec![
            Operation::require(CONTROLLERS, &master, &[], true, &[]),
            Operation::update(CONTROLLERS, &own, &role),
        ];
        match client.transact(DATABASE, operations, DEADLINE).await {
            Ok(_) => {
                tracing::info!(target = self.target, "takes over");
                Ok(())
            }
            Err(Error::Operation { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Waits until it is the master no more.
    pub(super) async fn lost(&mut self) -> Result<(), Error> {
        while self.state() == State::Master {
            self.monitor.next().await?;
        }
        Ok(())
    }
}
