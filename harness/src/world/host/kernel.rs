//! This machine's kernel as runtimes use it and as invariants look at it, by the command `ip`: another witness than the
//! plugin's own netlink. Touches only namespaces of its own making and the links into them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ipnet::IpNet;
use nuage_cni::host::{Link, Route};
use serde_json::Value;

use crate::error::Error;
use crate::world::kernel::NAMESPACES;

/// Where the kernel lists the links of the host.
const LINKS: &str = "/sys/class/net";

/// Runs `ip` and returns what it printed, as JSON where it was asked for that.
pub(crate) fn ip(arguments: &[&str]) -> Result<Value, String> {
    let output = Command::new("ip").args(arguments).output().map_err(|error| format!("ip: {error}"))?;
    if !output.status.success() {
        return Err(format!(
            "ip {}: {}",
            arguments.join(" "),
            String::from_utf8_lossy(&output.stderr).trim()
        ));
    }
    Ok(serde_json::from_slice(&output.stdout).unwrap_or_default())
}

/// The names in a directory; none where it is not there.
pub(crate) fn names_in(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

/// The machine's kernel. Clones are handles of the same one.
#[derive(Clone, Debug)]
pub(crate) struct Machine(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// What the names of namespaces begin with.
    name: String,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    namespaces: BTreeMap<PathBuf, Namespace>,
    /// Links into them that are there.
    links: BTreeMap<String, Seen>,
    /// Links of others, by their indices.
    others: BTreeMap<String, u64>,
    /// Whose a name is or was.
    made_for: BTreeMap<String, Owner>,
    names_of: BTreeMap<String, BTreeSet<String>>,
    touched: BTreeMap<usize, BTreeSet<String>>,
    /// The namespace of another driver's pod and what was in it.
    bystander: Option<(PathBuf, Vec<(String, Link)>)>,
}

#[derive(Clone, Debug)]
struct Owner {
    sandbox: String,
    node: usize,
}

#[derive(Clone, Debug)]
struct Namespace {
    name: String,
    owner: Owner,
}

#[derive(Clone, Debug)]
struct Seen {
    index: u64,
    owner: Owner,
}

impl Machine {
    /// With the namespace of another driver's pod.
    ///
    /// # Errors
    /// [`Error::Lacking`]: namespaces or links cannot be made here.
    pub(crate) fn new(name: &str, process: u32, number: usize) -> Result<Self, Error> {
        let machine = Self(Arc::new(Shared { name: name.to_owned(), state: Mutex::default() }));
        let (namespace, link) = (format!("{name}-other"), format!("no{process}x{number}"));
        let made = ip(&["netns", "add", &namespace])
            .and_then(|_| {
                ip(&["link", "add", &link, "type", "veth", "peer", "name", "eth0", "netns", &namespace])
            })
            .and_then(|_| ip(&["-n", &namespace, "address", "add", "192.0.2.2/24", "dev", "eth0"]))
            .and_then(|_| ip(&["-n", &namespace, "link", "set", "eth0", "up"]));
        let path = Path::new(NAMESPACES).join(&namespace);
        machine.state().bystander = Some((path.clone(), links_in(&namespace)));
        match made {
            Ok(_) => Ok(machine),
            Err(why) => {
                machine.clear();
                Err(Error::Lacking(format!("network namespaces: {why}")))
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes everything away that was made here.
    pub(crate) fn clear(&self) {
        let mut state = self.state();
        state.observe();
        let bystander = state.bystander.take();
        // The kernel takes links along with their namespaces, but some time later.
        let of_bystander = bystander.iter().flat_map(|(_, links)| links.iter().map(|(host, _)| host.clone()));
        for link in state.links.keys().cloned().chain(of_bystander).filter(|link| !link.is_empty()) {
            let _ = ip(&["link", "del", &link]);
        }
        let bystander = bystander.map(|(path, _)| path);
        let paths: Vec<PathBuf> = state.namespaces.keys().cloned().chain(bystander).collect();
        for path in paths {
            if let Some(name) = path.file_name().and_then(|name| name.to_str()) {
                let _ = ip(&["netns", "del", name]);
            }
        }
        *state = State::default();
    }
}

/// The kernel as one of the nodes on this machine knows it.
#[derive(Clone, Debug)]
pub struct RealKernel {
    machine: Machine,
    node: usize,
}

impl RealKernel {
    pub(crate) fn new(machine: &Machine, node: usize) -> Self {
        Self { machine: machine.clone(), node }
    }

    /// What is there now.
    fn observed(&self) -> MutexGuard<'_, State> {
        let mut state = self.machine.state();
        state.observe();
        state
    }

    pub(crate) fn namespace_of(&self, sandbox: &str) -> PathBuf {
        let short = sandbox.get(..12).unwrap_or(sandbox);
        Path::new(NAMESPACES).join(format!("{}-{short}", self.machine.0.name))
    }

    pub(crate) fn add_namespace(&self, path: &Path, sandbox: &str) {
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return };
        // If it cannot be made, the ADD says so.
        if ip(&["netns", "add", name]).is_ok() {
            let owner = Owner { sandbox: sandbox.to_owned(), node: self.node };
            self.machine
                .state()
                .namespaces
                .insert(path.to_owned(), Namespace { name: name.to_owned(), owner });
        }
    }

    pub(crate) fn remove_namespace(&self, path: &Path) {
        let mut state = self.observed();
        let Some(namespace) = state.namespaces.remove(path) else { return };
        // The kernel takes links along some time later; a runtime's next look is sooner.
        let names = state.names_of.get(&namespace.owner.sandbox).cloned().unwrap_or_default();
        for name in names.iter().filter(|name| state.links.contains_key(*name)) {
            let _ = ip(&["link", "del", name]);
        }
        let _ = ip(&["netns", "del", &namespace.name]);
        state.observe();
    }

    pub(crate) fn has_namespace(&self, path: &Path) -> bool {
        path.exists() && self.machine.state().namespaces.contains_key(path)
    }

    pub(crate) fn host_links(&self) -> Vec<String> {
        let state = self.observed();
        let here = state.links.iter().filter(|(_, seen)| seen.owner.node == self.node);
        here.map(|(name, _)| name.clone()).collect()
    }

    #[expect(clippy::unused_self, reason = "of all nodes the links are in one place")]
    pub(crate) fn has_host_link(&self, name: &str) -> bool {
        !name.is_empty() && Path::new(LINKS).join(name).exists()
    }

    pub(crate) fn take_touched(&self) -> BTreeSet<String> {
        self.observed().touched.remove(&self.node).unwrap_or_default()
    }

    pub(crate) fn made_for(&self, name: &str) -> Option<String> {
        let state = self.observed();
        let owner = state.made_for.get(name).filter(|owner| owner.node == self.node);
        owner.map(|owner| owner.sandbox.clone())
    }

    pub(crate) fn names_of(&self, sandbox: &str) -> BTreeSet<String> {
        self.observed().names_of.get(sandbox).cloned().unwrap_or_default()
    }

    pub(crate) fn forget(&self, sandbox: &str) {
        let mut state = self.machine.state();
        for name in state.names_of.remove(sandbox).unwrap_or_default() {
            if state.made_for.get(&name).is_some_and(|owner| owner.sandbox == sandbox) {
                state.made_for.remove(&name);
            }
            state.touched.entry(self.node).or_default().insert(name);
        }
    }

    pub(crate) fn links_in(&self, path: &Path) -> Vec<(String, Link)> {
        let name = self.machine.state().namespaces.get(path).map(|namespace| namespace.name.clone());
        name.map(|name| links_in(&name)).unwrap_or_default()
    }

    pub(crate) fn link(&self, path: &Path, name: &str) -> Option<Link> {
        self.links_in(path).into_iter().map(|(_, link)| link).find(|link| link.name == name)
    }

    pub(crate) fn bystander_changed(&self) -> Option<String> {
        let state = self.machine.state();
        let (path, before) = state.bystander.as_ref()?;
        let now = links_in(path.file_name()?.to_str()?);
        (now != *before).then(|| format!("{now:?}"))
    }
}

impl State {
    /// Looks which links have come and gone.
    fn observe(&mut self) {
        let indices: BTreeMap<String, u64> = host_indices();
        let gone = |name: &String, index: u64| indices.get(name) != Some(&index);
        self.others.retain(|name, index| !gone(name, *index));
        let lost: Vec<String> = self
            .links
            .iter()
            .filter(|(name, seen)| gone(name, seen.index))
            .map(|(name, _)| name.clone())
            .collect();
        for name in lost {
            if let Some(seen) = self.links.remove(&name) {
                self.touched.entry(seen.owner.node).or_default().insert(name);
            }
        }
        let known = |name: &String| self.links.contains_key(name) || self.others.contains_key(name);
        let fresh: Vec<(String, u64)> = indices.into_iter().filter(|(name, _)| !known(name)).collect();
        if !fresh.is_empty() {
            self.find_owners(fresh);
        }
    }

    /// Finds out into which namespaces links lead that were not there before.
    fn find_owners(&mut self, fresh: Vec<(String, u64)>) {
        let pairs = ip(&["-json", "link", "show", "type", "veth"]).unwrap_or_default();
        let namespaces = ip(&["-json", "netns", "list"]).unwrap_or_default();
        for (name, index) in fresh {
            let pair = list(&pairs).find(|pair| pair["ifname"] == name.as_str());
            let number = pair.map(|pair| &pair["link_netnsid"]).filter(|number| number.is_number());
            let into = number.and_then(|number| list(&namespaces).find(|found| found["id"] == *number));
            let owner = into.and_then(|into| {
                let mut ours = self.namespaces.values();
                ours.find(|ours| into["name"] == ours.name.as_str()).map(|ours| ours.owner.clone())
            });
            let Some(owner) = owner else {
                self.others.insert(name, index);
                continue;
            };
            self.made_for.insert(name.clone(), owner.clone());
            self.names_of.entry(owner.sandbox.clone()).or_default().insert(name.clone());
            self.touched.entry(owner.node).or_default().insert(name.clone());
            self.links.insert(name, Seen { index, owner });
        }
    }
}

/// The host's links by their names.
fn host_indices() -> BTreeMap<String, u64> {
    let index = |name: &String| {
        fs::read_to_string(Path::new(LINKS).join(name).join("ifindex")).ok()?.trim().parse().ok()
    };
    names_in(Path::new(LINKS)).into_iter().filter_map(|name| Some((name.clone(), index(&name)?))).collect()
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// All links of a namespace but the loopback, each after the name of its other end on the host.
fn links_in(namespace: &str) -> Vec<(String, Link)> {
    let links = ip(&["-json", "-n", namespace, "address", "show"]).unwrap_or_default();
    let indices = host_indices();
    let mut found = Vec::new();
    for link in list(&links).filter(|link| link["ifname"] != "lo") {
        let name = link["ifname"].as_str().unwrap_or_default();
        let other = link["link_index"].as_u64();
        let host = indices.iter().find(|(_, index)| Some(**index) == other).map(|(host, _)| host.clone());
        let global = list(&link["addr_info"]).filter(|address| address["scope"] != "link");
        let addresses: Vec<IpNet> = global.filter_map(address).collect();
        let both = addresses.iter().any(|address| address.addr().is_ipv6());
        let families: &[&str] = if both { &["-4", "-6"] } else { &["-4"] };
        let routes = families.iter().flat_map(|family| routes_of(namespace, name, family)).collect();
        found.push((
            host.unwrap_or_default(),
            Link {
                name: name.to_owned(),
                mac: link["address"].as_str().unwrap_or_default().to_owned(),
                mtu: link["mtu"].as_u64().and_then(|mtu| u32::try_from(mtu).ok()).unwrap_or(0),
                up: list(&link["flags"]).any(|flag| flag == "UP"),
                addresses,
                routes,
            },
        ));
    }
    found
}

fn address(told: &Value) -> Option<IpNet> {
    format!("{}/{}", told["local"].as_str()?, told["prefixlen"]).parse().ok()
}

/// Routes by a link that somebody has set.
fn routes_of(namespace: &str, link: &str, family: &str) -> Vec<Route> {
    let routes = ip(&["-json", "-n", namespace, family, "route", "show", "dev", link]).unwrap_or_default();
    let set = list(&routes).filter(|route| route["protocol"] != "kernel");
    let read = |route: &Value| {
        let destination = match route["dst"].as_str()? {
            "default" if family == "-6" => "::/0".parse().ok()?,
            "default" => "0.0.0.0/0".parse().ok()?,
            one => one.parse().or_else(|_| one.parse::<std::net::IpAddr>().map(IpNet::from)).ok()?,
        };
        let gateway = route["gateway"].as_str().and_then(|gateway| gateway.parse().ok());
        Some(Route { destination, gateway })
    };
    set.filter_map(read).collect()
}
