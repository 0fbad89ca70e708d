//! A call of the plugin as a process of its own, which can be killed. A SIGKILL runs no destructor: so its seams are cut
//! first (streams close, links and files take no more calls), and only then its future is dropped.

use std::future::poll_fn;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use async_trait::async_trait;
use ipnet::IpNet;
use nuage_cni::config::Memo;
use nuage_cni::host::{Files, Host, Link, LinkError, Links, LockGuard, Namespaces, Netns, Route, VethPair};
use nuage_cni::{Invocation, Outcome, invoke};
use nuage_emulator::tally::Tally;
use tokio::time::timeout;

/// When a process is killed, if it has not ended by itself before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kill {
    /// After this time.
    After(Duration),
    /// When it would be polled again after this many polls: every point at which it waits has such a number.
    AtPoll(u64),
}

/// How a life is over; nought while it is not.
const KILLED: u64 = 1;
const ENDED: u64 = 2;

/// Whether a process lives.
#[derive(Clone)]
pub(super) struct Life(Tally);

impl Life {
    /// One that nobody can end.
    pub(super) fn endless() -> Self {
        Self(Tally::default())
    }

    pub(super) fn is_over(&self) -> bool {
        self.0.get() == KILLED
    }

    /// Ends when the process is killed, and also when it has ended by itself.
    pub(super) fn end(&self) -> impl Future<Output = ()> + Send + use<> {
        let life = self.0.clone();
        async move { life.beyond_nought().await }
    }

    fn check(&self) -> io::Result<()> {
        if self.is_over() { Err(io::Error::other("the process was killed")) } else { Ok(()) }
    }
}

/// Carries out one call on a node, whose seams are made by `host` for this process alone. `None`: it was killed, as planned
/// or because its node has lost its power.
pub(super) async fn run(
    host: impl FnOnce(&Life) -> Host,
    call: Invocation,
    kill: Kill,
    power_lost: impl Future<Output = ()>,
) -> Option<Outcome> {
    let life = Life(Tally::default());
    let host = guarded(host(&life), &life);
    let mut plugin = Box::pin(async move { invoke(&host, call).await });
    let ended = async {
        match kill {
            Kill::After(limit) => timeout(limit, plugin.as_mut()).await.ok(),
            Kill::AtPoll(last) => {
                let mut polls = 0;
                poll_fn(|context| {
                    if polls == last {
                        return Poll::Ready(None);
                    }
                    polls += 1;
                    plugin.as_mut().poll(context).map(Some)
                })
                .await
            }
        }
    };
    let outcome = tokio::select! {
        biased;
        () = power_lost => None,
        outcome = ended => outcome,
    };
    life.0.set(if outcome.is_none() { KILLED } else { ENDED });
    drop(plugin);
    outcome
}

/// Streams know of the life themselves, and a request is on its way or it is not: what is left are the seams whose calls
/// do something at once.
fn guarded(host: Host, life: &Life) -> Host {
    Host {
        switch: host.switch,
        http: host.http,
        links: Arc::new(Guarded { inner: host.links, life: life.clone() }),
        files: Arc::new(Guarded { inner: host.files, life: life.clone() }),
        clock: host.clock,
        log: host.log,
    }
}

/// A seam that takes no more calls once its process is dead.
struct Guarded<T: ?Sized> {
    inner: Arc<T>,
    life: Life,
}

impl<T: ?Sized> Guarded<T> {
    fn link_check(&self) -> Result<(), LinkError> {
        let refused = |source| LinkError::Kernel { operation: "any".to_owned(), source };
        self.life.check().map_err(refused)
    }
}

#[async_trait]
impl Links for Guarded<dyn Links> {
    async fn open_netns(&self, path: &Path) -> Result<Netns, LinkError> {
        self.link_check()?;
        self.inner.open_netns(path).await
    }

    async fn find(&self, netns: Option<&Netns>, name: &str) -> Result<Option<Link>, LinkError> {
        self.link_check()?;
        self.inner.find(netns, name).await
    }

    async fn create_veth(&self, netns: &Netns, pair: &VethPair) -> Result<String, LinkError> {
        self.link_check()?;
        self.inner.create_veth(netns, pair).await
    }

    async fn configure(
        &self,
        netns: &Netns,
        name: &str,
        addresses: &[IpNet],
        routes: &[Route],
    ) -> Result<(), LinkError> {
        self.link_check()?;
        self.inner.configure(netns, name, addresses, routes).await
    }

    async fn delete(&self, name: &str) -> Result<bool, LinkError> {
        self.link_check()?;
        self.inner.delete(name).await
    }

    async fn underlay_mtu(&self) -> Result<Option<(u32, bool)>, LinkError> {
        self.link_check()?;
        self.inner.underlay_mtu().await
    }

    async fn names(&self) -> Result<Vec<String>, LinkError> {
        self.link_check()?;
        self.inner.names().await
    }

    async fn namespaces(&self) -> Result<Namespaces, LinkError> {
        self.link_check()?;
        self.inner.namespaces().await
    }
}

impl Files for Guarded<dyn Files> {
    fn read(&self, path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>> {
        self.life.check()?;
        self.inner.read(path, limit)
    }

    fn write(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        self.life.check()?;
        self.inner.write(path, content)
    }

    fn remove(&self, path: &Path) -> io::Result<bool> {
        self.life.check()?;
        self.inner.remove(path)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        self.life.check()?;
        self.inner.list(directory)
    }

    fn try_lock(&self, path: &Path) -> io::Result<Option<Box<dyn LockGuard>>> {
        self.life.check()?;
        self.inner.try_lock(path)
    }

    fn memo(&self) -> Option<&Memo> {
        self.inner.memo()
    }
}
