//! Follows the switches' rows, the nodes' links and the VSD, and has every node bring about what they say. Ends only by being
//! dropped; what fails is tried again with the next change, or after a while.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use nuage_ovsdb::client::{Client as Ovsdb, Limits, RowChange};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::kernel::{LinkChange, Namespace, Watch};
use super::node::Node;
use super::picture::Picture;
use super::view::{self, View};
use super::wanted::{Seen, Whole};
use crate::vrs::DATABASE;
use crate::vsc::{Connecting, Program, Resolved};
use crate::vsd::client::{Client, Event};

/// Opens a stream to the switch of a node.
pub(crate) type Connect = Arc<dyn Fn(&str) -> Connecting + Send + Sync>;

/// How long one exchange with a switch may take.
const DEADLINE: Duration = Duration::from_secs(10);
/// How long to wait before somebody who was not reached is tried again.
const AGAIN: Duration = Duration::from_millis(500);
/// News that may wait; who brings more waits himself.
const WAITING: usize = 1024;
/// Reading the VSD again takes at most this part of the time: a site with many domains must not be read all the time.
const REST: u32 = 4;
/// What in the VSD is about packets.
const WATCHED: [&str; 16] = [
    "containerinterface",
    "vminterface",
    "hostinterface",
    "policygroup",
    "pgexpression",
    "ingressacltemplate",
    "ingressaclentrytemplate",
    "egressacltemplate",
    "egressaclentrytemplate",
    "enterprisenetwork",
    "publicnetwork",
    "networkmacrogroup",
    "domain",
    "zone",
    "subnet",
    "job",
];

/// Something that has changed.
pub(super) enum News {
    /// Rows of a switch; all of them, if the connection is new.
    Rows { node: usize, changes: Vec<RowChange>, all: bool },
    /// A link of a node.
    Link { node: usize, change: LinkChange },
    /// Something in the VSD.
    Vsd,
    /// A port is about to be answered.
    Resolved { node: usize, resolved: Resolved, done: oneshot::Sender<()> },
}

/// Brings news.
pub(super) type Messenger = mpsc::Sender<News>;

/// News that come, and who brings them.
pub(super) fn news() -> (Messenger, mpsc::Receiver<News>) {
    mpsc::channel(WAITING)
}

/// Sets the switch of a node up for a port that is about to be answered.
pub(super) fn program(node: usize, news: Messenger) -> Program {
    Arc::new(move |resolved| {
        let news = news.clone();
        Box::pin(async move {
            let (done, carried) = oneshot::channel();
            if news.send(News::Resolved { node, resolved, done }).await.is_ok() {
                // Where nobody carries packets any more there is nothing to wait for.
                let _ = carried.await;
            }
        })
    })
}

/// What makes packets flow.
pub(crate) struct Plane {
    nodes: Vec<Node>,
    vsd: Client,
    connect: Connect,
    pictures: BTreeMap<u32, Picture>,
    /// Since when the pictures may be of the past, and from when on they may be read again.
    is_stale: bool,
    rested: Instant,
    news: (Messenger, mpsc::Receiver<News>),
    /// Ports that are about to be answered, and who waits for packets to pass there.
    waiting: Vec<(usize, String, oneshot::Sender<()>)>,
}

impl Plane {
    pub(super) fn new(
        nodes: Vec<Node>,
        vsd: Client,
        connect: Connect,
        news: (Messenger, mpsc::Receiver<News>),
    ) -> Self {
        let (pictures, rested) = (BTreeMap::new(), Instant::now());
        Self { nodes, vsd, connect, pictures, is_stale: false, rested, news, waiting: Vec::new() }
    }

    /// Runs.
    pub(crate) async fn run(mut self) -> Infallible {
        let sender = self.news.0.clone();
        let mut watchers = JoinSet::new();
        for (number, node) in self.nodes.iter().enumerate() {
            let (name, connect) = (node.name.clone(), Arc::clone(&self.connect));
            watchers.spawn(follow_rows(number, name, connect, sender.clone()));
            watchers.spawn(follow_links(number, node.namespace(), sender.clone()));
        }
        watchers.spawn(follow_vsd(self.vsd.clone(), sender));
        let mut failed = false;
        loop {
            // Without a watcher there is no news, and no watcher ends.
            let again = if failed { Instant::now() + AGAIN } else { self.rested };
            tokio::select! {
                biased;
                Some(one) = self.news.1.recv() => {
                    self.take(one);
                    while let Ok(more) = self.news.1.try_recv() {
                        self.take(more);
                    }
                }
                () = sleep_until(again), if failed || self.is_stale => {}
            }
            failed = !self.settle().await;
            let nodes = &self.nodes;
            let carried = |(node, port, _): &mut (usize, String, _)| nodes[*node].carries(port);
            for (_, _, done) in self.waiting.extract_if(.., carried) {
                // Nobody may wait any more.
                let _ = done.send(());
            }
            self.waiting.retain(|(_, _, done)| !done.is_closed());
        }
    }

    fn take(&mut self, news: News) {
        match news {
            News::Rows { node, changes, all } => {
                let view = &mut self.nodes[node].view;
                if all {
                    *view = View::default();
                }
                for change in &changes {
                    view.apply(change);
                }
            }
            News::Link { node, change } => self.nodes[node].link(&change),
            News::Vsd => self.is_stale = true,
            News::Resolved { node, resolved, done } => {
                if let Some(attachment) = view::attachment(&resolved) {
                    self.nodes[node].view.expect(resolved.port.clone(), attachment);
                    self.waiting.push((node, resolved.port, done));
                }
            }
        }
    }

    /// Has all nodes bring about what is known. Whether all of it was done.
    async fn settle(&mut self) -> bool {
        let looked = self.look().await;
        let nodes =
            self.nodes.iter().map(|node| Seen { name: &node.name, view: &node.view, host: node.host });
        let whole = Whole { nodes: nodes.collect(), pictures: &self.pictures };
        let wanted: Vec<_> = self.nodes.iter().map(|node| whole.of(&node.name, &node.links)).collect();
        let each = self.nodes.iter_mut().zip(wanted).map(async |(node, (items, ruleset))| {
            let result = node.bring_about(&items, ruleset).await;
            if let Err(error) = &result {
                tracing::warn!(node = node.name, %error, "the data plane is behind");
            }
            result.is_ok()
        });
        join_all(each).await.into_iter().all(|done| done) && looked
    }

    /// Looks in the VSD for what is not known of the domains in use. Whether it answered.
    async fn look(&mut self) -> bool {
        let nodes =
            self.nodes.iter().map(|node| Seen { name: &node.name, view: &node.view, host: node.host });
        let whole = Whole { nodes: nodes.collect(), pictures: &self.pictures };
        let domains = whole.domains();
        self.pictures.retain(|domain, _| domains.contains(domain));
        let mut answered = true;
        let anew = self.is_stale && Instant::now() >= self.rested;
        for domain in domains {
            if anew || !self.pictures.contains_key(&domain) {
                let begun = Instant::now();
                match Picture::read(&self.vsd, domain).await {
                    Ok(found) => {
                        self.pictures.remove(&domain);
                        self.pictures.extend(found.map(|picture| (domain, picture)));
                    }
                    Err(error) => {
                        answered = false;
                        tracing::warn!(domain, %error, "the VSD does not say what a domain is");
                    }
                }
                self.rested = Instant::now() + begun.elapsed() * REST;
            }
        }
        if anew && answered {
            self.is_stale = false;
        }
        self.meet().await && answered
    }

    /// Gets to know who has just been attached: the VSD tells of him only later.
    async fn meet(&mut self) -> bool {
        for node in &self.nodes {
            for (port, attachment) in node.view.attachments() {
                let Some(picture) = self.pictures.get_mut(&attachment.domain) else { continue };
                if picture.knows(port, attachment.address) {
                    continue;
                }
                if let Err(error) = picture.meet(&self.vsd, attachment.address).await {
                    tracing::warn!(port, %error, "the VSD does not say who this is");
                    return false;
                }
            }
        }
        true
    }
}

/// Tells of a switch's rows, over connections that are made anew.
async fn follow_rows(node: usize, name: String, connect: Connect, news: mpsc::Sender<News>) {
    loop {
        if let Ok(Ok(stream)) = timeout(DEADLINE, connect(&name)).await {
            let client = Ovsdb::spawn(stream, Limits::default());
            if let Ok(mut monitor) = client.monitor(DATABASE, view::watched(), DEADLINE).await {
                let rows = monitor.rows().iter().map(|((table, uuid), row)| RowChange {
                    table: table.clone(),
                    uuid: *uuid,
                    old: None,
                    new: Some(row.clone()),
                });
                let mut told = News::Rows { node, changes: rows.collect(), all: true };
                loop {
                    if news.send(told).await.is_err() {
                        return;
                    }
                    let Ok(changes) = monitor.next().await else { break };
                    told = News::Rows { node, changes, all: false };
                }
            }
        }
        sleep(AGAIN).await;
    }
}

async fn follow_links(node: usize, namespace: Namespace, news: mpsc::Sender<News>) {
    loop {
        match Watch::begin(&namespace).await {
            Ok(mut watch) => {
                while let Some(change) = watch.next().await {
                    if news.send(News::Link { node, change }).await.is_err() {
                        return;
                    }
                }
            }
            Err(error) => tracing::warn!(%error, "links are watched anew"),
        }
        sleep(AGAIN).await;
    }
}

/// Tells that something has changed in the VSD, over polls that follow each other.
async fn follow_vsd(vsd: Client, news: mpsc::Sender<News>) {
    let mut place: Option<String> = None;
    let mut missed = false;
    loop {
        match vsd.events(place.as_deref()).await {
            Ok((events, next)) => {
                let about = |event: &Event| WATCHED.contains(&event.entity.as_str());
                if (missed || events.iter().any(about)) && news.send(News::Vsd).await.is_err() {
                    return;
                }
                (place, missed) = (Some(next), false);
            }
            Err(error) => {
                tracing::info!(%error, "changes of the VSD are not heard of");
                (place, missed) = (None, true);
                sleep(AGAIN).await;
            }
        }
    }
}
