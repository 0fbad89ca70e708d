//! A namespace's place in the VSD: a zone of its name and a subnet `<namespace>-0`, made on first sight and only
//! where missing. Never removes anything.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};

use ipnet::Ipv4Net;
use serde_json::{Value, json};
use tokio::sync::Mutex as Gate;

use super::blocks::Blocks;
use crate::vsd::client::{Client, Error, id};
use crate::vsd::error::code;

/// The most namespaces that are remembered; the Kubernetes project tests up to 10,000 in a cluster.
const MOST_NAMESPACES: usize = 65_536;

/// The code with which the VSD refuses a second object of a name.
const EXISTS: [u32; 2] = [2505, 2510];

#[derive(Debug)]
pub(super) struct Places {
    client: Client,
    enterprise: String,
    domain: String,
    blocks: Blocks,
    /// Whether the domain's present subnets were marked in `blocks`.
    surveyed: Gate<bool>,
    namespaces: Mutex<BTreeMap<String, Namespace>>,
}

#[derive(Clone, Debug, Default)]
struct Namespace {
    ready: bool,
    /// Held by whoever makes the namespace's place; others of the same namespace wait, the rest does not.
    gate: Arc<Gate<()>>,
}

impl Places {
    pub(super) fn new(client: Client, enterprise: String, domain: String, blocks: Blocks) -> Self {
        let (surveyed, namespaces) = (Gate::new(false), Mutex::default());
        Self { client, enterprise, domain, blocks, surveyed, namespaces }
    }

    /// Whether the namespace has its place.
    pub(super) fn knows(&self, namespace: &str) -> bool {
        let namespaces = self.namespaces.lock().unwrap_or_else(PoisonError::into_inner);
        namespaces.get(namespace).is_some_and(|namespace| namespace.ready)
    }

    /// Makes the namespace's place unless it has one. Calls for one namespace do it once.
    ///
    /// # Errors
    /// What the VSD said, or that the pool is used up.
    pub(super) async fn ensure(&self, namespace: &str) -> Result<(), Error> {
        if self.knows(namespace) {
            return Ok(());
        }
        let gate = self.gate(namespace)?;
        let _held = gate.lock().await;
        if self.knows(namespace) {
            return Ok(());
        }
        self.make(namespace).await?;
        let mut namespaces = self.namespaces.lock().unwrap_or_else(PoisonError::into_inner);
        namespaces.entry(namespace.to_owned()).or_default().ready = true;
        Ok(())
    }

    fn gate(&self, namespace: &str) -> Result<Arc<Gate<()>>, Error> {
        let mut namespaces = self.namespaces.lock().unwrap_or_else(PoisonError::into_inner);
        if namespaces.len() >= MOST_NAMESPACES && !namespaces.contains_key(namespace) {
            return Err(Error::Missing("room for another namespace".to_owned()));
        }
        Ok(Arc::clone(&namespaces.entry(namespace.to_owned()).or_default().gate))
    }

    async fn make(&self, namespace: &str) -> Result<(), Error> {
        let domain = self.domain().await?;
        self.survey(&domain).await?;
        let zone = json!({ "name": namespace, "description": "Zone of a Kubernetes namespace" });
        let zone = self.found_or_made(&format!("domains/{domain}/zones"), namespace, &zone).await?;
        let subnets = format!("zones/{zone}/subnets");
        let name = format!("{namespace}-0");
        if self.client.find(&subnets, "name", &name).await?.is_some() {
            return Ok(());
        }
        loop {
            let claim = self.blocks.claim().ok_or_else(|| Error::Missing("free address block".to_owned()))?;
            let subnet = json!({
                "name": name,
                "IPType": "IPV4",
                "address": claim.block.addr().to_string(),
                "netmask": claim.block.netmask().to_string(),
                "underlayEnabled": "INHERITED",
            });
            match self.client.create(&subnets, &subnet).await {
                Ok(_) => {
                    claim.keep();
                    return Ok(());
                }
                // Somebody else's subnet lies there: the block is not ours to give.
                Err(error) if error.code() == Some(code::OVERLAP) => claim.keep(),
                Err(error) if error.code().is_some_and(|code| EXISTS.contains(&code)) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    async fn domain(&self) -> Result<String, Error> {
        let missing = |what: &str, name: &str| Error::Missing(format!("{what} {name}"));
        let enterprise = self.client.find("enterprises", "name", &self.enterprise).await?;
        let enterprise = enterprise.ok_or_else(|| missing("enterprise", &self.enterprise))?;
        let domains = format!("enterprises/{}/domains", id(&enterprise)?);
        let domain = self.client.find(&domains, "name", &self.domain).await?;
        let domain = domain.ok_or_else(|| missing("domain", &self.domain))?;
        id(&domain).map(str::to_owned)
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

    async fn found_or_made(&self, path: &str, name: &str, object: &Value) -> Result<String, Error> {
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
}

fn range(subnet: &Value) -> Option<Ipv4Net> {
    let address = |attribute| subnet.get(attribute)?.as_str()?.parse::<Ipv4Addr>().ok();
    Ipv4Net::with_netmask(address("address")?, address("netmask")?).ok()
}
