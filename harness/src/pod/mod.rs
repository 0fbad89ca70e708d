//! The interactive kubelet: pods of a running `emulator up`, made, attached by the shipped plugin, asked for echoes and taken away again,
//! each verb in a process of its own. What a verb has to know of another lies in the site's directory. Never a part of a run.

mod api;
mod attachment;
pub mod echo;
mod policy;
mod record;
mod site;
pub mod trace;

use std::net::Ipv4Addr;
use std::time::Duration;

pub use attachment::Refusal;
pub use policy::Verdict;
pub use record::{Record, Records, split};
pub use site::{Node, Site};

use crate::error::Error;
use crate::stopwatch::Stopwatch;
use crate::world::host::HostOptions;
use crate::world::host::kernel::ip;

/// Where a pod is wanted.
#[derive(Clone, Debug)]
pub struct Wish {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its node; the first one where none is named.
    pub node: Option<String>,
    /// Its labels, which the plugin reads.
    pub labels: Vec<(String, String)>,
}

/// Makes a pod's object where there is none, and its network namespace, and has the plugin attach it.
///
/// # Errors
/// It is there already, the emulator or the machine does not let it be made, or the plugin refuses: then nothing of it is left.
pub async fn add(site: &Site, wish: &Wish, options: &HostOptions) -> Result<Record, Error> {
    site.needs_root()?;
    let node = site.node(wish.node.as_deref())?;
    let records = Records::of(site);
    let mut record = Record::new(&site.netns_name(&wish.namespace, &wish.name), wish, &node.name)?;
    records.claim(&record)?;
    let made = make(site, node, &mut record, wish, options).await;
    if let Err(error) = made {
        // As a runtime does after a failed ADD.
        remove(site, &record, options)
            .await
            .map_err(|left| Error::Pod(format!("{error}; and it could not be taken away: {left}")))?;
        return Err(error);
    }
    Ok(record)
}

async fn make(
    site: &Site,
    node: &Node,
    record: &mut Record,
    wish: &Wish,
    options: &HostOptions,
) -> Result<(), Error> {
    let api = api::Api::of(site)?;
    (record.uid, record.is_object_ours) = api.create(wish, &node.name).await?;
    Records::of(site).keep(record)?;
    let lacking = |why: String| Error::Lacking(format!("a network namespace: {why}"));
    ip(&["netns", "add", &record.netns]).map_err(lacking)?;
    ip(&["-n", &record.netns, "link", "set", "lo", "up"]).map_err(lacking)?;
    let watch = Stopwatch::start();
    let result = attachment::call(site, node, record, "ADD", options)?;
    record.took = watch.elapsed();
    record.read(&result);
    Records::of(site).keep(record)?;
    api.is_running(record).await
}

/// Has the plugin detach a pod, and takes away what was made for it: its namespace, and its object where that was made here.
///
/// # Errors
/// It is not there, or the plugin does not let it go: then it can be tried again.
pub async fn del(site: &Site, namespace: &str, name: &str, options: &HostOptions) -> Result<Record, Error> {
    site.needs_root()?;
    let record = Records::of(site).get(namespace, name)?;
    remove(site, &record, options).await?;
    Ok(record)
}

async fn remove(site: &Site, record: &Record, options: &HostOptions) -> Result<(), Error> {
    // A node that is gone has taken its switch along; what is left is the namespace.
    if let Ok(node) = site.node(Some(&record.node)) {
        attachment::call(site, node, record, "DEL", options)?;
    }
    if record.netns_path().exists() {
        ip(&["netns", "del", &record.netns])
            .map_err(|why| Error::Pod(format!("its namespace stays: {why}")))?;
    }
    if record.is_object_ours {
        api::Api::of(site)?.delete(record).await?;
    }
    Records::of(site).forget(record)
}

/// What came of echoes.
#[derive(Clone, Debug)]
pub struct Echoes {
    /// Whom they were sent to.
    pub target: Ipv4Addr,
    /// What the policy says, and why.
    pub verdict: Verdict,
    /// How long each took to come back, if it did.
    pub answers: Vec<Option<Duration>>,
}

impl Echoes {
    /// Whether packets did what the policy says: all came back, or none.
    pub fn agree(&self) -> bool {
        let came = self.answers.iter().flatten().count();
        if self.verdict.is_allowed { came == self.answers.len() } else { came == 0 }
    }
}

/// How many echoes are sent, and how long each is waited for.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// So many.
    pub count: u16,
    /// So long.
    pub patience: Duration,
}

/// Sends echoes from one pod to another one, or to an address, and says what decides whether they pass.
///
/// # Errors
/// A pod is not there or has no address, the VSD cannot be asked, or nothing carries packets here.
pub async fn ping(site: &Site, from: (&str, &str), to: &str, effort: Effort) -> Result<Echoes, Error> {
    site.needs_root()?;
    let records = Records::of(site);
    let from = records.get(from.0, from.1)?;
    let source = from.address()?;
    let target = if let Ok(address) = to.parse() {
        address
    } else {
        let (namespace, name) = split(to, &from.namespace);
        records.get(namespace, name)?.address()?
    };
    let verdict = policy::ask(site, source, target).await?;
    if !site.carries_packets() {
        return Err(Error::Lacking(format!(
            "{}\nno echo was sent: this emulator carries no packets; start it with --dataplane",
            verdict.text
        )));
    }
    let failed = |error: std::io::Error| Error::Pod(format!("echoes from {}: {error}", from.full_name()));
    let answers = echo::echo(&from.netns_path(), target, effort.count, effort.patience).map_err(failed)?;
    Ok(Echoes { target, verdict, answers })
}
