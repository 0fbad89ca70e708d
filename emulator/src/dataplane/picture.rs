//! What the VSD says of a domain, as far as packets are concerned: its subnets, their gateways, and the policy that its
//! evaluator decides by. Read over the REST API alone, never kept anywhere but in memory.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde_json::Value;

use super::mac::Mac;
use crate::vsd::client::{Client, Error, id};
use crate::vsd::policy::{self, Domain, Endpoint};

/// A domain.
#[derive(Clone, Debug)]
pub(super) struct Picture {
    /// Where it is in the API.
    path: String,
    /// Its number (`serviceID`).
    pub(super) number: u32,
    /// Its subnets by their ID.
    pub(super) subnets: BTreeMap<String, Subnet>,
    /// The numbers of its zones (`policyGroupID`) by their ID.
    pub(super) zones: BTreeMap<String, u32>,
    /// Who may talk to whom, and who is there.
    pub(super) policy: Domain,
}

/// A subnet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Subnet {
    /// Its number (`serviceID`).
    pub(super) number: u32,
    /// The addresses of its gateway, with the prefixes of the subnet.
    pub(super) gateways: Vec<IpNet>,
    /// The gateway's MAC address.
    pub(super) mac: Mac,
}

impl Picture {
    /// Reads the domain of a number; `None` where there is none.
    ///
    /// # Errors
    /// Any of [`Error`].
    pub(super) async fn read(vsd: &Client, number: u32) -> Result<Option<Self>, Error> {
        let domains = vsd.list("domains", None).await?;
        let Some(found) = domains.iter().find(|domain| number_of(domain, "serviceID") == Some(number)) else {
            return Ok(None);
        };
        let path = format!("domains/{}", id(found)?);
        let mut subnets = BTreeMap::new();
        for object in vsd.list(&format!("{path}/subnets"), None).await? {
            if let Some(subnet) = subnet(&object) {
                subnets.insert(id(&object)?.to_owned(), subnet);
            }
        }
        let mut zones = BTreeMap::new();
        for object in vsd.list(&format!("{path}/zones"), None).await? {
            if let Some(number) = number_of(&object, "policyGroupID") {
                zones.insert(id(&object)?.to_owned(), number);
            }
        }
        let policy = policy::read_at(vsd, &path, found).await?;
        Ok(Some(Self { path, number, subnets, zones, policy }))
    }

    /// Whether it knows of this port, at this address.
    pub(super) fn knows(&self, port: &str, address: Ipv4Addr) -> bool {
        let here = |end: &Endpoint| end.address == IpAddr::V4(address);
        self.policy.endpoints.iter().any(|end| here(end) && end.names.iter().any(|name| name == port))
    }

    /// Reads who has an address, in place of who has had it.
    ///
    /// # Errors
    /// Any of [`Error`].
    pub(super) async fn meet(&mut self, vsd: &Client, address: Ipv4Addr) -> Result<(), Error> {
        let met = policy::endpoints_at(vsd, &self.path, address).await?;
        let endpoints = &mut self.policy.endpoints;
        endpoints.retain(|known| met.iter().all(|one| one.address != known.address));
        endpoints.extend(met);
        Ok(())
    }

    /// All addresses of who has this one.
    pub(super) fn addresses(&self, address: Ipv4Addr) -> Vec<IpAddr> {
        let all = &self.policy.endpoints;
        let Some(known) = all.iter().find(|end| end.address == IpAddr::V4(address)) else {
            return vec![IpAddr::V4(address)];
        };
        all.iter().filter(|end| end.names == known.names).map(|end| end.address).collect()
    }

    /// The subnet of a number.
    pub(super) fn subnet(&self, number: u32) -> Option<&Subnet> {
        self.subnets.values().find(|subnet| subnet.number == number)
    }
}

fn number_of(object: &Value, attribute: &str) -> Option<u32> {
    u32::try_from(object.get(attribute)?.as_u64()?).ok()
}

fn subnet(object: &Value) -> Option<Subnet> {
    let text =
        |attribute: &str| object.get(attribute).and_then(Value::as_str).filter(|text| !text.is_empty());
    let four = || {
        let net =
            Ipv4Net::with_netmask(text("address")?.parse().ok()?, text("netmask")?.parse().ok()?).ok()?;
        Ipv4Net::new(text("gateway")?.parse().ok()?, net.prefix_len()).ok().map(IpNet::V4)
    };
    let six = || {
        let net: Ipv6Net = text("IPv6Address")?.parse().ok()?;
        Ipv6Net::new(text("IPv6Gateway")?.parse().ok()?, net.prefix_len()).ok().map(IpNet::V6)
    };
    Some(Subnet {
        number: number_of(object, "serviceID")?,
        gateways: [four(), six()].into_iter().flatten().collect(),
        mac: text("gatewayMACAddress")?.parse().ok()?,
    })
}
