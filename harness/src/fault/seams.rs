//! Faults of a node as wrappers of the plugin's seams: a network namespace that goes away, a disk that is full. They strike
//! where a real node would fail, and leave what a real node would leave.

use std::io;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use ipnet::IpNet;
use nuage_cni::config::Memo;
use nuage_cni::host::{Files, Host, Link, LinkError, Links, LockGuard, Namespaces, Netns, Route, VethPair};
use nuage_emulator::faults::{Caller, Faults};

use crate::world::sim::kernel::SimulatedKernel;

/// What the system says when the disk is full.
const ENOSPC: i32 = 28;

/// The seams of a process on a node, with the faults that strike there.
pub(crate) fn wrapped(host: Host, faults: &Faults, kernel: &SimulatedKernel, caller: &Caller) -> Host {
    if faults.quiet() {
        return host;
    }
    let struck = Struck { faults: faults.clone(), caller: caller.clone() };
    Host {
        links: Arc::new(VanishingLinks { inner: host.links, kernel: kernel.clone(), struck: struck.clone() }),
        files: Arc::new(FullDisk { inner: host.files, struck }),
        ..host
    }
}

#[derive(Clone)]
struct Struck {
    faults: Faults,
    caller: Caller,
}

struct VanishingLinks {
    inner: Arc<dyn Links>,
    kernel: SimulatedKernel,
    struck: Struck,
}

impl VanishingLinks {
    /// Takes the namespace away, if now is the time.
    fn vanish(&self, when: &str, path: &Path) {
        let now = |values: &nuage_emulator::faults::Values| values.text("when") == when;
        if self.struck.faults.ask_where("node.netns_gone", &self.struck.caller, now).is_some() {
            self.kernel.remove_namespace(path);
        }
    }
}

#[async_trait]
impl Links for VanishingLinks {
    async fn open_netns(&self, path: &Path) -> Result<Netns, LinkError> {
        self.vanish("before", path);
        self.inner.open_netns(path).await
    }

    async fn find(&self, netns: Option<&Netns>, name: &str) -> Result<Option<Link>, LinkError> {
        self.inner.find(netns, name).await
    }

    async fn create_veth(&self, netns: &Netns, pair: &VethPair) -> Result<String, LinkError> {
        self.vanish("create", &netns.path);
        self.inner.create_veth(netns, pair).await
    }

    async fn configure(
        &self,
        netns: &Netns,
        name: &str,
        addresses: &[IpNet],
        routes: &[Route],
    ) -> Result<(), LinkError> {
        self.vanish("configure", &netns.path);
        self.inner.configure(netns, name, addresses, routes).await
    }

    async fn delete(&self, name: &str) -> Result<bool, LinkError> {
        self.inner.delete(name).await
    }

    async fn underlay_mtu(&self) -> Result<Option<(u32, bool)>, LinkError> {
        self.inner.underlay_mtu().await
    }

    async fn names(&self) -> Result<Vec<String>, LinkError> {
        self.inner.names().await
    }

    async fn namespaces(&self) -> Result<Namespaces, LinkError> {
        self.inner.namespaces().await
    }
}

struct FullDisk {
    inner: Arc<dyn Files>,
    struck: Struck,
}

impl Files for FullDisk {
    fn read(&self, path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>> {
        self.inner.read(path, limit)
    }

    fn write(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        let Struck { faults, caller } = &self.struck;
        let concerns = |values: &nuage_emulator::faults::Values| {
            ["any", &*caller.operation].contains(&values.text("op"))
        };
        match faults.ask_where("node.disk_full", caller, concerns) {
            Some(_) => Err(io::Error::from_raw_os_error(ENOSPC)),
            None => self.inner.write(path, content),
        }
    }

    fn remove(&self, path: &Path) -> io::Result<bool> {
        self.inner.remove(path)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        self.inner.list(directory)
    }

    fn try_lock(&self, path: &Path) -> io::Result<Option<Box<dyn LockGuard>>> {
        self.inner.try_lock(path)
    }

    fn memo(&self) -> Option<&Memo> {
        self.inner.memo()
    }
}
