//! One connection to the VRS: what it has at first and each change become tasks, and tasks are settled with the
//! VSD, several at a time. Ends with the connection; never with a task.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::time::Duration;

use futures_util::future::OptionFuture;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use nuage_ovsdb::Error;
use nuage_ovsdb::client::{Client, RowChange};
use nuage_ovsdb::operation::{Condition, Operation};
use nuage_ovsdb::value::Row;
use serde_json::Value;
use tokio::time::Instant;

use super::deliver::{Delivery, deliver};
use super::follow::{self, Change, Subscription};
use super::queue::{Queue, Task};
use super::rows::{self, Answer, DATABASE, Kind, PORTS, Port};
use super::settle;
use super::view::{View, Wanted};
use crate::vsd::client as vsd;

/// How long one exchange with the VRS may take.
pub(super) const DEADLINE: Duration = Duration::from_secs(10);
/// The most tasks at a time: a slow answer for one pod must not hold up the others.
const PARALLEL: usize = 16;

/// Serves one VRS until its connection ends. `ready` is called once its rows are known.
///
/// # Errors
/// Why it ended.
pub(super) async fn serve(
    client: Client,
    (vsd, delivery): (&vsd::Client, &Delivery),
    mut changes: Option<Subscription>,
    mut ready: impl FnMut(),
) -> Result<Infallible, Error> {
    let vrs = identity(&client).await?;
    let ipv6 = knows_ipv6(&client).await?;
    let mut monitor = client.monitor(DATABASE, rows::watched(ipv6), DEADLINE).await?;
    let (mut view, mut queue) = (View::default(), Queue::default());
    // The entities that a change in the VSD is about, and none of their rows.
    let mut followed = Followed::default();
    let now = Instant::now();
    // The view has all that is needed of them: a site has a controller for each of thousands of switches.
    for ((table, uuid), row) in monitor.hand_over() {
        let change = RowChange { table, uuid, old: None, new: Some(row) };
        touch(&mut queue, followed.by_rows(view.apply(&change)), now);
    }
    queue.touch(Task::Orphans, now);
    ready();
    let mut jobs = FuturesUnordered::new();
    loop {
        while jobs.len() < PARALLEL
            && let Some(task) = queue.take(Instant::now())
        {
            let only_looks = followed.take(&task);
            jobs.push(job(&client, (vsd, delivery), &vrs, &view, (task, only_looks)));
        }
        let due: OptionFuture<_> = queue.due().map(tokio::time::sleep_until).into();
        tokio::select! {
            biased;
            changes = monitor.next() => {
                for change in changes? {
                    touch(&mut queue, followed.by_rows(view.apply(&change)), Instant::now());
                }
            }
            change = next(&mut changes) => {
                touch(&mut queue, followed.by_vsd(&view, change), Instant::now());
            }
            Some(ended) = jobs.next(), if !jobs.is_empty() => {
                let Ended { task, only_looks, failed, orphans } = ended;
                let gone = orphans.into_iter().filter(|uuid| !view.has(uuid)).collect();
                touch(&mut queue, followed.by_rows(gone), Instant::now());
                if failed {
                    followed.put_back(&task, only_looks);
                }
                queue.done(&task, failed, Instant::now());
            }
            Some(()) = due, if jobs.len() < PARALLEL => {}
        }
    }
}

async fn next(changes: &mut Option<Subscription>) -> Change {
    match changes {
        Some(changes) => changes.next().await,
        None => std::future::pending().await,
    }
}

/// Why entities are to be settled: because of their rows, or only because of the VSD. In the first case what is missing
/// in the VSD is made, in the second it was taken away there.
#[derive(Debug, Default)]
struct Followed {
    rows: BTreeSet<String>,
    vsd: BTreeSet<String>,
}

impl Followed {
    fn by_rows(&mut self, entities: BTreeSet<String>) -> BTreeSet<String> {
        self.rows.extend(entities.iter().cloned());
        entities
    }

    fn by_vsd(&mut self, view: &View, change: Change) -> BTreeSet<String> {
        let known: BTreeSet<String> = match change {
            Change::Anything => view.entities().cloned().collect(),
            Change::Entities(changed) => changed.iter().filter(|uuid| view.has(uuid)).cloned().collect(),
        };
        self.vsd.extend(known.iter().cloned());
        known
    }

    /// Whether a task that begins now only looks.
    fn take(&mut self, task: &Task) -> bool {
        let Task::Entity(entity) = task else { return false };
        let (rows, vsd) = (self.rows.remove(entity), self.vsd.remove(entity));
        vsd && !rows
    }

    fn put_back(&mut self, task: &Task, only_looks: bool) {
        if let Task::Entity(entity) = task {
            let set = if only_looks { &mut self.vsd } else { &mut self.rows };
            set.insert(entity.clone());
        }
    }
}

fn touch(queue: &mut Queue, entities: BTreeSet<String>, now: Instant) {
    for entity in entities.into_iter().filter(|entity| !entity.is_empty()) {
        queue.touch(Task::Entity(entity), now);
    }
}

/// What identifies the VRS in the VSD: the system's ID, or the row's where it has none.
async fn identity(client: &Client) -> Result<String, Error> {
    let select = Operation::select("Open_vSwitch", &[], &["_uuid", "external_ids"]);
    let results = client.transact(DATABASE, vec![select], DEADLINE).await?;
    let rows = results.first().map(nuage_ovsdb::client::OperationResult::rows).unwrap_or_default();
    let row = rows.into_iter().next();
    let row = row.ok_or_else(|| Error::Unexpected {
        method: "transact".to_owned(),
        answer: "the VRS has no row in Open_vSwitch".to_owned(),
    })?;
    let system = rows::map(&row, "external_ids").remove("system-id").filter(|system| !system.is_empty());
    let own = || row.get("_uuid").and_then(|uuid| uuid.get(1)).and_then(Value::as_str).map(str::to_owned);
    Ok(system.or_else(own).unwrap_or_default())
}

/// Whether the switch's rows can tell a second address.
async fn knows_ipv6(client: &Client) -> Result<bool, Error> {
    let nobody = [Condition::equals("name", "")];
    let asked = Operation::select(PORTS, &nobody, &rows::IPV6_COLUMNS);
    match client.transact(DATABASE, vec![asked], DEADLINE).await {
        Ok(_) => Ok(true),
        Err(Error::Operation { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// How a task ended.
struct Ended {
    task: Task,
    /// It was to look, not to make anything.
    only_looks: bool,
    failed: bool,
    /// Entities that the VSD has of this VRS.
    orphans: Vec<String>,
}

/// A task with all it needs, so that it can run beside others. What is wanted is read when it begins.
fn job<'a>(
    client: &'a Client,
    (vsd, delivery): (&'a vsd::Client, &'a Delivery),
    vrs: &'a str,
    view: &View,
    (task, only_looks): (Task, bool),
) -> impl Future<Output = Ended> + Send + use<'a> {
    let wanted = match &task {
        Task::Entity(entity) => view.wanted(entity),
        Task::Orphans => Wanted::Unchanged,
    };
    async move {
        let mut orphans = Vec::new();
        let result = match &task {
            Task::Orphans => known(vsd, vrs).await.map(|known| orphans = known),
            Task::Entity(_) if only_looks => follow(client, (vsd, delivery), vrs, wanted).await,
            Task::Entity(entity) => settle(client, (vsd, delivery), vrs, entity, wanted).await,
        };
        if let Err(error) = &result {
            tracing::warn!(?task, %error, "not settled with the VSD");
        }
        Ended { task, only_looks, failed: result.is_err(), orphans }
    }
}

async fn known(client: &vsd::Client, vrs: &str) -> Result<Vec<String>, vsd::Error> {
    let mut known = Vec::new();
    for kind in Kind::ALL {
        let machines = client.list(kind.collection(), Some(("VRSID", vrs))).await?;
        let ours = machines.iter().filter(|machine| machine.get("VRSID").is_some_and(|id| id == vrs));
        known.extend(ours.filter_map(|machine| machine.get("UUID")?.as_str().map(str::to_owned)));
    }
    Ok(known)
}

async fn settle(
    client: &Client,
    (vsd, delivery): (&vsd::Client, &Delivery),
    vrs: &str,
    entity: &str,
    wanted: Wanted,
) -> Result<(), vsd::Error> {
    let (entity, ports) = match wanted {
        Wanted::Unchanged => return Ok(()),
        Wanted::Absent => return settle::remove(vsd, vrs, entity).await,
        Wanted::Elsewhere => return settle::give_up(vsd, vrs, entity).await,
        Wanted::Present(entity, ports) => (entity, ports),
    };
    if ports.is_empty() {
        // Neither rows to serve nor a reason to keep what was served.
        return settle::remove(vsd, vrs, &entity.uuid).await;
    }
    let mut result = Ok(());
    for (port, answer) in settle::provide(vsd, vrs, &entity, ports).await? {
        match answer {
            Ok(answer) if answer == port.answer => {}
            Ok(answer) => {
                if !deliver(client, delivery, &port, &answer).await {
                    result = Err(vsd::Error::Timeout);
                }
            }
            Err(error) => {
                tracing::warn!(port = port.asked.name, %error, "port not resolved");
                result = Err(error);
            }
        }
    }
    result
}

/// Brings the rows of an entity in line with what others have changed in the VSD. A port whose interface was deleted
/// there has its answer withdrawn; it gets a new one when its rows change.
async fn follow(
    client: &Client,
    (vsd, delivery): (&vsd::Client, &Delivery),
    vrs: &str,
    wanted: Wanted,
) -> Result<(), vsd::Error> {
    let Wanted::Present(entity, mut ports) = wanted else { return Ok(()) };
    // What was never answered is not followed: its rows are still being settled.
    ports.retain(|port| port.answer.is_given());
    let Some(found) = follow::look(vsd, vrs, &entity, ports).await? else { return Ok(()) };
    for (port, found) in found {
        let (answer, columns) = match found {
            Some(found) => (found.answer, found.columns),
            None => (port.answer.withdrawn(), Row::new()),
        };
        if answer != port.answer && !deliver(client, delivery, &port, &answer).await {
            return Err(vsd::Error::Timeout);
        }
        if !columns.is_empty() {
            guarded(client, &port, &columns).await;
        }
    }
    Ok(())
}

/// Writes the answer into the port's row, if that is still there and still asks for the same. If not, its change
/// is on its way here; if the connection is gone, the next one begins anew.
pub(super) async fn write(client: &Client, port: &Port, answer: &Answer) {
    guarded(client, port, &answer.row()).await;
}

async fn guarded(client: &Client, port: &Port, changes: &Row) {
    let row = [Condition::row(port.row)];
    let guard = port.asked.guard();
    let columns: Vec<&str> = guard.keys().map(String::as_str).collect();
    let operations = vec![
        Operation::require(PORTS, &row, &columns, true, std::slice::from_ref(&guard)),
        Operation::update(PORTS, &row, changes),
    ];
    if let Err(error) = client.transact(DATABASE, operations, DEADLINE).await {
        tracing::info!(port = port.asked.name, %error, "not written");
    }
}
