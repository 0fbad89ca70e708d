//! A namespace's place in the VSD: a zone of its name, and subnets `<namespace>-<n>` as its pods need them, made only where
//! missing. Takes away what it made itself, and nothing that something is attached to.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ipnet::Ipv4Net;
use serde_json::{Value, json};
use tokio::sync::Mutex as Gate;
use tokio::time::sleep;

use super::blocks::Blocks;
use super::cluster::Cluster;
use super::slots::{Pod, Slots, Subnet, number};
use crate::faults::{Caller, Faults};
use crate::vsd::client::{Client, Error, id};
use crate::vsd::error::code;

/// The most namespaces that are remembered; the Kubernetes project tests up to 10,000 in a cluster.
const MOST_NAMESPACES: usize = 65_536;
/// How often, and how long after each other, what is not needed any more is tried to be removed from the VSD: the real
/// monitor gives up after five seconds, in which a controller may not have let the last pod go.
const REMOVALS: u32 = 60;
const BETWEEN_REMOVALS: Duration = Duration::from_secs(5);

/// The code with which the VSD refuses a second object of a name.
pub(super) const EXISTS: [u32; 3] = [2505, 2510, 9501];
/// What tells the monitor's objects in the VSD from those of others.
pub(super) const OURS: &str = "nuage-monitor";

/// Where namespaces have their places.
#[derive(Debug)]
pub(super) struct Places {
    pub(super) client: Client,
    pub(super) cluster: Option<Cluster>,
    enterprise: String,
    domain: String,
    pub(super) faults: Option<Faults>,
    /// Whether subnets follow the number of pods; else each namespace has one.
    autoscale: bool,
    blocks: Blocks,
    /// Whether the domain's present subnets were marked in `blocks`.
    surveyed: Gate<bool>,
    namespaces: Mutex<BTreeMap<String, Arc<Space>>>,
}

/// What is known of a namespace.
#[derive(Debug, Default)]
pub(super) struct Space {
    /// Held by whoever makes or removes the namespace's place; others of the same namespace wait, the rest does not.
    gate: Gate<()>,
    /// Held by whoever makes another subnet.
    growth: Gate<()>,
    made: Mutex<Option<Made>>,
    /// The namespace was deleted.
    doomed: AtomicBool,
}

/// A namespace that has its place.
#[derive(Debug)]
struct Made {
    zone: String,
    slots: Slots,
}

impl Space {
    fn made(&self) -> MutexGuard<'_, Option<Made>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What `work` finds out; nothing where the place is not made (any more).
    fn with<T>(&self, work: impl FnOnce(&mut Slots) -> T) -> Option<T> {
        self.made().as_mut().map(|made| work(&mut made.slots))
    }

    fn zone(&self) -> Option<String> {
        self.made().as_ref().map(|made| made.zone.clone())
    }
}

impl Places {
    pub(super) fn new(
        client: Client,
        cluster: Option<Cluster>,
        (enterprise, domain): (String, String),
        (faults, autoscale): (Option<Faults>, bool),
        blocks: Blocks,
    ) -> Self {
        let (surveyed, namespaces) = (Gate::new(false), Mutex::default());
        Self { client, cluster, enterprise, domain, faults, autoscale, blocks, surveyed, namespaces }
    }

    /// Whether a fault of the monitor's is on and strikes `caller` now.
    pub(super) fn strikes(&self, fault: &str, caller: &Caller) -> bool {
        let faults = self.faults.as_ref().filter(|faults| !faults.quiet());
        faults.is_some_and(|faults| faults.ask(fault, caller).is_some())
    }

    fn namespaces(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Space>>> {
        self.namespaces.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn known(&self, namespace: &str) -> Option<Arc<Space>> {
        self.namespaces().get(namespace).cloned()
    }

    /// Whether the namespace has its place.
    pub(super) fn knows(&self, namespace: &str) -> bool {
        self.known(namespace).is_some_and(|space| space.made().is_some())
    }

    /// The namespaces that have their place.
    pub(super) fn all(&self) -> Vec<String> {
        let namespaces = self.namespaces();
        namespaces.iter().filter(|(_, space)| space.made().is_some()).map(|(name, _)| name.clone()).collect()
    }

    /// The zone of a namespace that has its place.
    pub(super) fn zone(&self, namespace: &str) -> Option<String> {
        self.known(namespace)?.zone()
    }

    /// Forgets all of it, as a process does that ends.
    pub(super) async fn forget(&self) {
        self.namespaces().clear();
        self.blocks.clear();
        *self.surveyed.lock().await = false;
    }

    /// Makes the namespace's place unless it has one. Calls for one namespace do it once.
    ///
    /// # Errors
    /// What the VSD said, or that the pool is used up.
    pub(super) async fn ensure(&self, namespace: &str, caller: &Caller) -> Result<Arc<Space>, Error> {
        let space = self.space(namespace)?;
        if space.made().is_none() {
            let _held = space.gate.lock().await;
            if space.made().is_none() {
                let made = self.make(namespace, caller).await?;
                *space.made() = Some(made);
            }
        }
        Ok(space)
    }

    fn space(&self, namespace: &str) -> Result<Arc<Space>, Error> {
        let mut namespaces = self.namespaces();
        if namespaces.len() >= MOST_NAMESPACES && !namespaces.contains_key(namespace) {
            return Err(Error::Missing("room for another namespace".to_owned()));
        }
        Ok(Arc::clone(namespaces.entry(namespace.to_owned()).or_default()))
    }

    /// The subnet for a pod: the one where it has its place, or one with room, which is made if there is none.
    ///
    /// # Errors
    /// What the VSD said, or that the pool is used up.
    pub(super) async fn seat(
        self: &Arc<Self>,
        namespace: &str,
        pod: Pod,
        caller: &Caller,
    ) -> Result<String, Error> {
        let space = self.ensure(namespace, caller).await?;
        if !self.autoscale {
            return Ok(format!("{namespace}-0"));
        }
        for _ in 0..2 {
            let taken = space.with(|slots| {
                let crowded = slots.held(&pod).is_none() && slots.crowded();
                (slots.take(pod.clone()), crowded)
            });
            let Some((taken, crowded)) = taken else { break };
            if let Some(subnet) = taken {
                if crowded {
                    self.grow_soon(namespace, &space);
                }
                return Ok(subnet);
            }
            self.grow(namespace, &space, Slots::full).await?;
        }
        Err(Error::Missing("place that lasts".to_owned()))
    }

    /// Takes a pod's place away; subnets that are not needed any more go after a while.
    pub(super) async fn leave(self: &Arc<Self>, namespace: &str, name: &str, by_name: bool) {
        let Some(space) = self.known(namespace).filter(|_| self.autoscale) else { return };
        let pod = if by_name { None } else { self.pod(namespace, name).await };
        let living = pod.as_ref().and_then(uid);
        let empty = space.with(|slots| {
            let sparse = slots.sparse();
            slots.release(name, living);
            if sparse { slots.take_empty() } else { Vec::new() }
        });
        for (name, subnet) in empty.into_iter().flatten() {
            let (places, space) = (Arc::clone(self), Arc::clone(&space));
            tokio::spawn(async move { places.remove_subnet(&space, name, subnet).await });
        }
    }

    /// A pod, as far as the API server tells.
    pub(super) async fn pod(&self, namespace: &str, name: &str) -> Option<Value> {
        self.cluster.as_ref()?.pod(namespace, name).await
    }

    fn grow_soon(self: &Arc<Self>, namespace: &str, space: &Arc<Space>) {
        if space.growth.try_lock().is_err() || self.blocks.exhausted() {
            return;
        }
        let (places, space, namespace) = (Arc::clone(self), Arc::clone(space), namespace.to_owned());
        tokio::spawn(async move {
            if let Err(error) = places.grow(&namespace, &space, Slots::crowded).await {
                tracing::info!(namespace, %error, "no further subnet");
            }
        });
    }

    /// Makes another subnet if it is still `needed` when it is our turn, and after what is there was compared with what
    /// there should be.
    async fn grow(&self, namespace: &str, space: &Space, needed: fn(&Slots) -> bool) -> Result<(), Error> {
        let _held = space.growth.lock().await;
        if !space.with(|slots| needed(slots)).unwrap_or(false) {
            return Ok(());
        }
        self.compare(namespace, space).await?;
        let next = space.with(|slots| needed(slots).then(|| slots.next(namespace))).flatten();
        let (Some(name), Some(zone)) = (next, space.zone()) else { return Ok(()) };
        let subnet = self.make_subnet(&zone, &name).await?;
        space.with(|slots| slots.add(name, subnet));
        Ok(())
    }

    /// Finds pods whose DEL nobody heard of, and such as have an address that no place was counted for: those of before a
    /// restart.
    async fn compare(&self, namespace: &str, space: &Space) -> Result<(), Error> {
        let before = space.with(|slots| slots.pods()).unwrap_or_default();
        let subnets = space.with(|slots| {
            slots.subnets().map(|(name, subnet)| (name.to_owned(), subnet.id.clone())).collect::<Vec<_>>()
        });
        let mut attached: BTreeSet<String> = BTreeSet::new();
        for (subnet, id) in subnets.into_iter().flatten() {
            for pod in self.attached(&id).await? {
                attached.insert(pod.clone());
                let found = Pod { name: pod, uid: None };
                space.with(|slots| {
                    if slots.held(&found).is_none() {
                        slots.put(found, &subnet);
                    }
                });
            }
        }
        let Some(cluster) = &self.cluster else { return Ok(()) };
        // Somebody asks for a pod: a list without any is none.
        let Some(pods) = cluster.pods(namespace).await.ok().filter(|pods| !pods.is_empty()) else {
            return Ok(());
        };
        let living: BTreeSet<(&str, &str)> = pods
            .iter()
            .filter_map(|pod| Some((pod["metadata"]["name"].as_str()?, pod["metadata"]["uid"].as_str()?)))
            .collect();
        let lives = |pod: &Pod| match &pod.uid {
            Some(uid) => living.contains(&(pod.name.as_str(), uid.as_str())),
            None => living.range((pod.name.as_str(), "")..).next().is_some_and(|(name, _)| *name == pod.name),
        };
        for gone in before.iter().filter(|pod| !attached.contains(&pod.name) && !lives(pod)) {
            space.with(|slots| slots.drop_pod(gone));
        }
        Ok(())
    }

    /// The names of the pods that have an address in a subnet.
    async fn attached(&self, subnet: &str) -> Result<Vec<String>, Error> {
        let containers = self.client.list(&format!("subnets/{subnet}/containers"), None).await?;
        let names = containers.iter().filter_map(|container| container["name"].as_str());
        Ok(names.map(str::to_owned).collect())
    }

    async fn make(&self, namespace: &str, caller: &Caller) -> Result<Made, Error> {
        let domain = self.domain().await?;
        if !self.strikes("monitor.forgets_pool", caller) {
            self.survey(&domain).await?;
        }
        let zone = json!({
            "name": namespace, "description": "Zone of a Kubernetes namespace", "externalID": OURS,
        });
        let zone = self.found_or_made(&format!("domains/{domain}/zones"), namespace, &zone).await?;
        let mut slots = Slots::default();
        for subnet in self.client.list(&format!("zones/{zone}/subnets"), None).await? {
            let name = subnet["name"].as_str().unwrap_or_default();
            let Some(block) = range(&subnet).filter(|_| number(namespace, name).is_some()) else { continue };
            let found = Subnet { id: id(&subnet)?.to_owned(), block };
            let pods = if self.autoscale { self.attached(&found.id).await? } else { Vec::new() };
            slots.add(name.to_owned(), found);
            for pod in pods {
                slots.put(Pod { name: pod, uid: None }, name);
            }
        }
        if slots.subnets().next().is_none() {
            let name = slots.next(namespace);
            let subnet = self.make_subnet(&zone, &name).await?;
            slots.add(name, subnet);
        }
        Ok(Made { zone, slots })
    }

    async fn make_subnet(&self, zone: &str, name: &str) -> Result<Subnet, Error> {
        let subnets = format!("zones/{zone}/subnets");
        loop {
            let claim = self.blocks.claim().ok_or_else(|| Error::Missing("free address block".to_owned()))?;
            let block = claim.block;
            let subnet = json!({
                "name": name,
                "IPType": "IPV4",
                "address": block.addr().to_string(),
                "netmask": block.netmask().to_string(),
                "underlayEnabled": "INHERITED",
                "externalID": OURS,
            });
            match self.client.create(&subnets, &subnet).await {
                Ok(made) => {
                    claim.keep();
                    return Ok(Subnet { id: id(&made)?.to_owned(), block });
                }
                // Somebody else's subnet lies there: the block is not ours to give.
                Err(error) if error.code() == Some(code::OVERLAP) => claim.keep(),
                Err(error) if error.code().is_some_and(|code| EXISTS.contains(&code)) => {
                    let found = self.client.find(&subnets, "name", name).await?.ok_or(error)?;
                    let block = range(&found).ok_or_else(|| Error::Malformed("a subnet".to_owned()))?;
                    return Ok(Subnet { id: id(&found)?.to_owned(), block });
                }
                Err(error) => return Err(error),
            }
        }
    }

    pub(super) async fn enterprise(&self) -> Result<String, Error> {
        let found = self.client.find("enterprises", "name", &self.enterprise).await?;
        let found = found.ok_or_else(|| Error::Missing(format!("enterprise {}", self.enterprise)))?;
        id(&found).map(str::to_owned)
    }

    pub(super) async fn domain(&self) -> Result<String, Error> {
        let domains = format!("enterprises/{}/domains", self.enterprise().await?);
        let found = self.client.find(&domains, "name", &self.domain).await?;
        let found = found.ok_or_else(|| Error::Missing(format!("domain {}", self.domain)))?;
        id(&found).map(str::to_owned)
    }

    /// Marks what the domain has already, once.
    async fn survey(&self, domain: &str) -> Result<(), Error> {
        let mut surveyed = self.surveyed.lock().await;
        if !*surveyed {
            for subnet in self.client.list(&format!("domains/{domain}/subnets"), None).await? {
                if let Some(range) = range(&subnet) {
                    self.blocks.mark(range);
                }
            }
            *surveyed = true;
        }
        Ok(())
    }

    pub(super) async fn found_or_made(
        &self,
        path: &str,
        name: &str,
        object: &Value,
    ) -> Result<String, Error> {
        let mut found = self.client.find(path, "name", name).await?;
        if found.is_none() {
            found = match self.client.create(path, object).await {
                Ok(made) => Some(made),
                Err(error) if error.code().is_some_and(|code| EXISTS.contains(&code)) => {
                    self.client.find(path, "name", name).await?
                }
                Err(error) => return Err(error),
            };
        }
        let found = found.ok_or_else(|| Error::Missing(format!("object {name}")))?;
        id(&found).map(str::to_owned)
    }

    /// Removes a subnet that was taken out; it comes back where that cannot be done.
    async fn remove_subnet(&self, space: &Space, name: String, subnet: Subnet) {
        for _ in 0..REMOVALS {
            match self.client.delete(&format!("subnets/{}", subnet.id)).await {
                Ok(_) => return self.blocks.free(subnet.block),
                Err(error) => tracing::debug!(name, %error, "a subnet stays for now"),
            }
            sleep(BETWEEN_REMOVALS).await;
        }
        space.with(|slots| slots.add(name, subnet));
    }

    /// The namespace is there (again).
    pub(super) fn spare(&self, namespace: &str) {
        if let Some(space) = self.known(namespace) {
            space.doomed.store(false, Ordering::Relaxed);
        }
    }

    /// The namespace has gone: its zone and subnets go as soon as nothing is attached to them.
    pub(super) fn doom(self: &Arc<Self>, namespace: &str) {
        // Also one of before a restart, which may have its zone all the same.
        let Ok(space) = self.space(namespace) else { return };
        if space.doomed.swap(true, Ordering::Relaxed) {
            return;
        }
        let (places, namespace) = (Arc::clone(self), namespace.to_owned());
        tokio::spawn(async move {
            for _ in 0..REMOVALS {
                if !space.doomed.load(Ordering::Relaxed) || places.remove_zone(&namespace, &space).await {
                    return;
                }
                sleep(BETWEEN_REMOVALS).await;
            }
            space.doomed.store(false, Ordering::Relaxed);
        });
    }

    /// Whether the zone of a namespace has gone; not, where it is somebody else's.
    async fn try_remove_zone(&self, namespace: &str) -> Result<bool, Error> {
        let zones = format!("domains/{}/zones", self.domain().await?);
        let Some(found) = self.client.find(&zones, "name", namespace).await? else { return Ok(true) };
        if found["externalID"] != OURS {
            return Ok(false);
        }
        self.client.delete(&format!("zones/{}", id(&found)?)).await?;
        Ok(true)
    }

    /// The namespaces that have a zone of ours in the VSD.
    pub(super) async fn left_over(&self) -> Result<Vec<String>, Error> {
        let zones = format!("domains/{}/zones", self.domain().await?);
        let zones = self.client.list(&zones, Some(("externalID", OURS))).await?;
        Ok(zones.iter().filter_map(|zone| zone["name"].as_str()).map(str::to_owned).collect())
    }

    /// Whether the zone is gone, or is not ours to remove.
    async fn remove_zone(&self, namespace: &str, space: &Space) -> bool {
        let _held = space.gate.lock().await;
        let removed = self.try_remove_zone(namespace).await;
        match removed {
            Ok(true) => {}
            Ok(false) => return true,
            Err(error) => {
                tracing::debug!(namespace, %error, "a zone stays for now");
                return false;
            }
        }
        for (_, subnet) in space.made().take().iter().flat_map(|made| made.slots.subnets()) {
            self.blocks.free(subnet.block);
        }
        true
    }
}

/// The identity of a pod.
pub(super) fn uid(pod: &Value) -> Option<&str> {
    pod["metadata"]["uid"].as_str()
}

fn range(subnet: &Value) -> Option<Ipv4Net> {
    let address = |attribute| subnet.get(attribute)?.as_str()?.parse::<Ipv4Addr>().ok();
    Ipv4Net::with_netmask(address("address")?, address("netmask")?).ok()
}
