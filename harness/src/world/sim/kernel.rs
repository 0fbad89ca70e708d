//! A simulated kernel: network namespaces, veth pairs, addresses and routes of one node, as far as the plugin can tell. It
//! refuses what a real one refuses.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use ipnet::IpNet;
use nuage_cni::host::{Link, LinkError, Links, Netns, Route, VethPair};
use tokio::time::sleep;

use crate::random::Random;

/// MTU of the node's own device.
const UNDERLAY_MTU: u32 = 1500;
/// How long an operation on a link takes, in milliseconds: from one to this many.
const SLOWEST_MILLISECONDS: u64 = 4;

/// The kernel of one node.
#[derive(Clone, Debug)]
pub struct Kernel {
    state: Arc<Mutex<State>>,
    random: Random,
}

#[derive(Debug, Default)]
struct State {
    namespaces: BTreeMap<PathBuf, u64>,
    /// Links inside namespaces, by the namespace's inode.
    inside: BTreeMap<(u64, String), Link>,
    /// Links of the host, with the pod end of each.
    host: BTreeMap<String, HostLink>,
    inodes: u64,
    macs: u32,
}

#[derive(Clone, Debug)]
struct HostLink {
    link: Link,
    peer: (u64, String),
}

impl Kernel {
    /// A kernel without namespaces.
    pub fn new(random: Random) -> Self {
        Self { state: Arc::default(), random }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn take_time(&self) {
        sleep(Duration::from_millis(1 + self.random.below(SLOWEST_MILLISECONDS))).await;
    }

    /// Makes a namespace, as a runtime does for a sandbox.
    pub fn add_namespace(&self, path: &Path) {
        let mut state = self.state();
        state.inodes += 1;
        let inode = 4_026_532_000 + state.inodes;
        state.namespaces.insert(path.to_owned(), inode);
    }

    /// Removes a namespace and with it both ends of its pairs.
    pub fn remove_namespace(&self, path: &Path) {
        let mut state = self.state();
        let Some(inode) = state.namespaces.remove(path) else { return };
        state.inside.retain(|(inside, _), _| *inside != inode);
        state.host.retain(|_, link| link.peer.0 != inode);
    }

    /// The names of the host's links.
    pub fn host_links(&self) -> Vec<String> {
        self.state().host.keys().cloned().collect()
    }

    /// A link inside a namespace.
    pub fn link(&self, path: &Path, name: &str) -> Option<Link> {
        let state = self.state();
        let inode = *state.namespaces.get(path)?;
        state.inside.get(&(inode, name.to_owned())).cloned()
    }
}

impl State {
    fn delete(&mut self, name: &str) -> bool {
        let Some(link) = self.host.remove(name) else { return false };
        self.inside.remove(&link.peer);
        true
    }
}

#[async_trait]
impl Links for Kernel {
    async fn open_netns(&self, path: &Path) -> Result<Netns, LinkError> {
        let inode = self.state().namespaces.get(path).copied();
        let inode = inode.ok_or_else(|| LinkError::NoSuchNetns(path.to_owned()))?;
        Ok(Netns { path: path.to_owned(), inode, descriptor: None })
    }

    async fn find(&self, netns: Option<&Netns>, name: &str) -> Result<Option<Link>, LinkError> {
        let state = self.state();
        Ok(match netns {
            Some(netns) => state.inside.get(&(netns.inode, name.to_owned())).cloned(),
            None => state.host.get(name).map(|found| found.link.clone()),
        })
    }

    async fn create_veth(&self, netns: &Netns, pair: &VethPair) -> Result<String, LinkError> {
        self.take_time().await;
        let mut state = self.state();
        if !state.namespaces.values().any(|inode| *inode == netns.inode) {
            return Err(LinkError::NoSuchNetns(netns.path.clone()));
        }
        let peer = (netns.inode, pair.pod_name.clone());
        if state.host.contains_key(&pair.host_name) || state.inside.contains_key(&peer) {
            return Err(LinkError::Exists(pair.host_name.clone()));
        }
        state.macs += 2;
        let [_, b, c, d] = state.macs.to_be_bytes();
        let drawn = format!("02:00:00:{b:02x}:{c:02x}:{d:02x}");
        let mac = pair.pod_mac.clone().unwrap_or(drawn);
        let link = |name: &str, mac: &str| Link {
            name: name.to_owned(),
            mac: mac.to_owned(),
            mtu: pair.mtu,
            up: true,
            addresses: Vec::new(),
            routes: Vec::new(),
        };
        let host = HostLink { link: link(&pair.host_name, "02:ff:00:00:00:01"), peer: peer.clone() };
        state.host.insert(pair.host_name.clone(), host);
        state.inside.insert(peer, link(&pair.pod_name, &mac));
        Ok(mac)
    }

    async fn configure(
        &self,
        netns: &Netns,
        name: &str,
        addresses: &[IpNet],
        routes: &[Route],
    ) -> Result<(), LinkError> {
        self.take_time().await;
        let mut state = self.state();
        let link = state.inside.get_mut(&(netns.inode, name.to_owned()));
        let link = link.ok_or_else(|| LinkError::NoSuchLink(name.to_owned()))?;
        for address in
            addresses.iter().filter(|address| !link.addresses.contains(address)).copied().collect::<Vec<_>>()
        {
            link.addresses.push(address);
        }
        for route in routes {
            if !link.routes.contains(route) {
                link.routes.push(route.clone());
            }
        }
        Ok(())
    }

    async fn delete(&self, name: &str) -> Result<bool, LinkError> {
        self.take_time().await;
        Ok(self.state().delete(name))
    }

    async fn underlay_mtu(&self) -> Result<Option<(u32, bool)>, LinkError> {
        Ok(Some((UNDERLAY_MTU, false)))
    }
}
