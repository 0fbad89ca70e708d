//! A simulated kernel: network namespaces, veth pairs, addresses and routes of one node, as far as the plugin can tell. It
//! refuses what a real one refuses.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use ipnet::IpNet;
use nuage_cni::host::{Link, LinkError, Links, Namespaces, Netns, Route, VethPair};
use tokio::time::sleep;

use crate::invariant::FOREIGN;
use crate::random::Random;
use crate::world::kernel::NAMESPACES;

/// MTU of the node's own device.
const UNDERLAY_MTU: u32 = 1500;
/// How long an operation on a link takes before and after it has its effect, in milliseconds: from one to this many. A
/// process can be killed in between and never learn of it.
const SLOWEST_MILLISECONDS: u64 = 2;

/// The kernel of one node.
#[derive(Clone, Debug)]
pub struct SimulatedKernel {
    state: Arc<Mutex<State>>,
    random: Random,
}

#[derive(Debug, Default)]
struct State {
    namespaces: BTreeMap<PathBuf, Namespace>,
    /// The sandboxes of namespaces by their inodes.
    sandboxes: BTreeMap<u64, String>,
    /// Links inside namespaces, by the namespace's inode.
    inside: BTreeMap<(u64, String), InsideLink>,
    /// Links of the host, with the pod end of each.
    host: BTreeMap<String, HostLink>,
    /// The sandbox that a link of the host was made for, by the link's name, whether or not it is still there.
    made_for: BTreeMap<String, String>,
    /// The same the other way round.
    names_of: BTreeMap<String, BTreeSet<String>>,
    /// Names of the host's links that have changed, at either end, since somebody asked.
    touched: BTreeSet<String>,
    inodes: u64,
    macs: u32,
    /// The link of another driver's pod, as it was made.
    bystander: Option<Link>,
}

#[derive(Clone, Copy, Debug)]
struct Namespace {
    inode: u64,
}

#[derive(Clone, Debug)]
struct InsideLink {
    link: Link,
    /// The name of its other end.
    host_name: String,
}

#[derive(Clone, Debug)]
struct HostLink {
    link: Link,
    peer: (u64, String),
}

/// The namespace of another driver's pod, which stands on every node from the beginning.
pub const BYSTANDER: &str = "/var/run/netns/foreign";
const BYSTANDER_ADDRESS: IpNet =
    IpNet::V4(ipnet::Ipv4Net::new_assert(std::net::Ipv4Addr::new(192, 0, 2, 2), 24));

impl SimulatedKernel {
    /// A kernel with one namespace, of a pod of another driver.
    pub fn new(random: Random) -> Self {
        let kernel = Self { state: Arc::default(), random };
        kernel.plant();
        kernel
    }

    fn plant(&self) {
        self.add_namespace(Path::new(BYSTANDER), FOREIGN);
        let mut state = self.state();
        let Some(Namespace { inode }) = state.namespaces.get(Path::new(BYSTANDER)).copied() else { return };
        let pair = VethPair {
            host_name: FOREIGN.to_owned(),
            pod_name: "eth0".to_owned(),
            mtu: UNDERLAY_MTU,
            pod_mac: Some("02:00:00:00:00:98".to_owned()),
        };
        let netns = Netns { path: BYSTANDER.into(), inode, descriptor: None };
        // There is nothing yet that could stand in the way.
        let _ = state.create(&netns, &pair);
        let _ = state.configure(&(inode, pair.pod_name.clone()), &[BYSTANDER_ADDRESS], &[]);
        state.bystander = state.inside.get(&(inode, pair.pod_name)).map(|found| found.link.clone());
        state.touched.remove(FOREIGN);
    }

    /// What has become of the namespace of another driver's pod, if it is not as it was.
    pub fn bystander_changed(&self) -> Option<String> {
        let now = self.links_in(Path::new(BYSTANDER));
        let mut before = self.state().bystander.clone().into_iter();
        let same = now.len() == 1
            && now.iter().all(|(name, link)| name == FOREIGN && before.next().as_ref() == Some(link));
        (!same).then(|| format!("{now:?}"))
    }

    /// Whether a namespace is there.
    pub fn has_namespace(&self, path: &Path) -> bool {
        self.state().namespaces.contains_key(path)
    }

    /// All links inside a namespace, each after the name of its other end.
    pub fn links_in(&self, path: &Path) -> Vec<(String, Link)> {
        let state = self.state();
        let Some(Namespace { inode }) = state.namespaces.get(path).copied() else { return Vec::new() };
        let links = state.inside.range((inode, String::new())..(inode + 1, String::new()));
        links.map(|(_, found)| (found.host_name.clone(), found.link.clone())).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn take_time(&self) {
        sleep(Duration::from_millis(1 + self.random.below(SLOWEST_MILLISECONDS))).await;
    }

    /// Where a runtime makes the namespace of a sandbox.
    #[expect(clippy::unused_self, reason = "a real kernel's depends on the run")]
    pub(crate) fn namespace_of(&self, sandbox: &str) -> PathBuf {
        Path::new(NAMESPACES).join(format!("cni-{}", sandbox.get(..12).unwrap_or(sandbox)))
    }

    /// Makes a namespace, as a runtime does for a sandbox.
    pub fn add_namespace(&self, path: &Path, sandbox: &str) {
        let mut state = self.state();
        state.inodes += 1;
        let inode = 4_026_532_000 + state.inodes;
        state.namespaces.insert(path.to_owned(), Namespace { inode });
        state.sandboxes.insert(inode, sandbox.to_owned());
    }

    /// Removes a namespace and with it both ends of its pairs.
    pub fn remove_namespace(&self, path: &Path) {
        let mut state = self.state();
        let Some(Namespace { inode }) = state.namespaces.remove(path) else { return };
        state.sandboxes.remove(&inode);
        let links = state.inside.range((inode, String::new())..(inode + 1, String::new()));
        let names: Vec<String> = links.map(|(_, link)| link.host_name.clone()).collect();
        for name in names {
            state.delete(&name);
        }
    }

    /// The system goes down: every namespace goes with it. Another driver's pod is there again when it comes up.
    pub fn power_off(&self) {
        let paths: Vec<PathBuf> = self.state().namespaces.keys().cloned().collect();
        for path in &paths {
            self.remove_namespace(path);
        }
        self.plant();
    }

    /// The names of the host's links, but for the other driver's.
    pub fn host_links(&self) -> Vec<String> {
        self.state().host.keys().filter(|name| *name != FOREIGN).cloned().collect()
    }

    /// Whether the host has a link of this name.
    pub fn has_host_link(&self, name: &str) -> bool {
        self.state().host.contains_key(name)
    }

    /// The names of the host's links that have changed, at either end, since this was last asked.
    pub fn take_touched(&self) -> BTreeSet<String> {
        std::mem::take(&mut self.state().touched)
    }

    /// The sandbox that a link of the host of this name was made for, if there ever was one.
    pub fn made_for(&self, name: &str) -> Option<String> {
        self.state().made_for.get(name).cloned()
    }

    /// The names of all links of the host that were ever made for a sandbox.
    pub fn names_of(&self, sandbox: &str) -> BTreeSet<String> {
        self.state().names_of.get(sandbox).cloned().unwrap_or_default()
    }

    /// Forgets what was made for a sandbox that is gone for good.
    pub fn forget(&self, sandbox: &str) {
        let mut state = self.state();
        for name in state.names_of.remove(sandbox).unwrap_or_default() {
            if state.made_for.get(&name).is_some_and(|owner| owner == sandbox) {
                state.made_for.remove(&name);
            }
            // Whatever still has this name is nobody's now.
            state.touched.insert(name);
        }
    }

    /// A link inside a namespace.
    pub fn link(&self, path: &Path, name: &str) -> Option<Link> {
        let state = self.state();
        let inode = state.namespaces.get(path)?.inode;
        state.inside.get(&(inode, name.to_owned())).map(|found| found.link.clone())
    }
}

impl State {
    fn delete(&mut self, name: &str) -> bool {
        let Some(link) = self.host.remove(name) else { return false };
        self.inside.remove(&link.peer);
        self.touched.insert(name.to_owned());
        true
    }

    fn create(&mut self, netns: &Netns, pair: &VethPair) -> Result<String, LinkError> {
        let sandbox = self.sandboxes.get(&netns.inode).cloned();
        let Some(sandbox) = sandbox else { return Err(LinkError::NoSuchNetns(netns.path.clone())) };
        let peer = (netns.inode, pair.pod_name.clone());
        if self.host.contains_key(&pair.host_name) || self.inside.contains_key(&peer) {
            return Err(LinkError::Exists(pair.host_name.clone()));
        }
        self.made_for.insert(pair.host_name.clone(), sandbox.clone());
        self.names_of.entry(sandbox).or_default().insert(pair.host_name.clone());
        self.touched.insert(pair.host_name.clone());
        self.macs += 2;
        let [_, b, c, d] = self.macs.to_be_bytes();
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
        self.host.insert(pair.host_name.clone(), host);
        let inside = InsideLink { link: link(&pair.pod_name, &mac), host_name: pair.host_name.clone() };
        self.inside.insert(peer, inside);
        Ok(mac)
    }

    fn configure(
        &mut self,
        link: &(u64, String),
        addresses: &[IpNet],
        routes: &[Route],
    ) -> Result<(), LinkError> {
        let missing = || LinkError::NoSuchLink(link.1.clone());
        let others = self.inside.range((link.0, String::new())..(link.0 + 1, String::new()));
        let others = others.filter(|((_, name), _)| *name != link.1);
        let taken: BTreeSet<IpNet> =
            others.flat_map(|(_, other)| other.link.routes.iter().map(|route| route.destination)).collect();
        let InsideLink { link: found, host_name } = self.inside.get_mut(link).ok_or_else(missing)?;
        self.touched.insert(host_name.clone());
        for address in addresses {
            if !found.addresses.contains(address) {
                found.addresses.push(*address);
            }
        }
        for route in routes {
            // A next hop must be a neighbour by then, as a real kernel demands.
            let near = |gateway: &std::net::IpAddr| {
                found.addresses.iter().any(|address| address.contains(gateway))
                    || found
                        .routes
                        .iter()
                        .any(|route| route.gateway.is_none() && route.destination.contains(gateway))
            };
            if route.gateway.as_ref().is_some_and(|gateway| !near(gateway)) {
                let source = std::io::ErrorKind::NetworkUnreachable.into();
                return Err(LinkError::Kernel { operation: "adding a route".to_owned(), source });
            }
            if found.routes.contains(route) {
                continue;
            }
            if taken.contains(&route.destination) {
                let (destination, name) = (route.destination, link.1.clone());
                return Err(LinkError::RouteTaken { destination, name });
            }
            found.routes.push(route.clone());
        }
        Ok(())
    }
}

#[async_trait]
impl Links for SimulatedKernel {
    async fn open_netns(&self, path: &Path) -> Result<Netns, LinkError> {
        let inode = self.state().namespaces.get(path).map(|namespace| namespace.inode);
        let inode = inode.ok_or_else(|| LinkError::NoSuchNetns(path.to_owned()))?;
        Ok(Netns { path: path.to_owned(), inode, descriptor: None })
    }

    async fn find(&self, netns: Option<&Netns>, name: &str) -> Result<Option<Link>, LinkError> {
        let state = self.state();
        Ok(match netns {
            Some(netns) => state.inside.get(&(netns.inode, name.to_owned())).map(|found| found.link.clone()),
            None => state.host.get(name).map(|found| found.link.clone()),
        })
    }

    async fn create_veth(&self, netns: &Netns, pair: &VethPair) -> Result<String, LinkError> {
        self.take_time().await;
        let made = self.state().create(netns, pair);
        self.take_time().await;
        made
    }

    async fn configure(
        &self,
        netns: &Netns,
        name: &str,
        addresses: &[IpNet],
        routes: &[Route],
    ) -> Result<(), LinkError> {
        self.take_time().await;
        let done = self.state().configure(&(netns.inode, name.to_owned()), addresses, routes);
        self.take_time().await;
        done
    }

    async fn delete(&self, name: &str) -> Result<bool, LinkError> {
        self.take_time().await;
        let found = self.state().delete(name);
        self.take_time().await;
        Ok(found)
    }

    async fn underlay_mtu(&self) -> Result<Option<(u32, bool)>, LinkError> {
        Ok(Some((UNDERLAY_MTU, false)))
    }

    async fn names(&self) -> Result<Vec<String>, LinkError> {
        self.take_time().await;
        Ok(self.host_links())
    }

    async fn namespaces(&self) -> Result<Namespaces, LinkError> {
        // What runs in them is not simulated.
        let found = self.state().namespaces.values().map(|namespace| (namespace.inode, false)).collect();
        Ok(Namespaces { inhabited: found, whole: true })
    }
}
