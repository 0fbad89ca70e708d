//! May one address talk to another, by the VSD's own rules, and which entry decides: its evaluator, asked over its REST API.

use std::net::Ipv4Addr;

use nuage_emulator::node::{DOMAIN, ENTERPRISE};
use nuage_emulator::vsd::client::Client;
use nuage_emulator::vsd::policy::{self, Domain, Endpoint, Traffic};
use serde_json::Value;

use super::Site;
use crate::error::Error;

/// ICMP.
const ECHO: Traffic = Traffic { protocol: 1, source_port: 0, destination_port: 0, dscp: 0 };
const API: &str = "v6";

/// What the policy says.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// Whether echoes arrive.
    pub is_allowed: bool,
    /// For people: the verdict, and what decides at each place.
    pub text: String,
    /// The same for programs.
    pub json: Value,
}

/// What becomes of echo requests of `from` to `to`.
///
/// # Errors
/// The VSD cannot be asked.
pub(super) async fn ask(site: &Site, from: Ipv4Addr, to: Ipv4Addr) -> Result<Verdict, Error> {
    let url = format!("{}/{API}", site.endpoint("vsd_cert")?.trim_end_matches('/'));
    let client = Client::new(site.vsd()?, &url);
    let domain = policy::read(&client, Some(ENTERPRISE), Some(DOMAIN)).await;
    let domain = domain.map_err(|error| Error::Pod(format!("the VSD at {url}: {error}")))?;
    let (from, to) = (end(&domain, from), end(&domain, to));
    let verdict = domain.may(&from, &to, ECHO);
    Ok(Verdict {
        is_allowed: verdict.allowed(),
        text: verdict.text(&from, &to),
        json: verdict.json(&from, &to),
    })
}

fn end(domain: &Domain, address: Ipv4Addr) -> Endpoint {
    let found = domain.find(&address.to_string()).into_iter().next().cloned();
    found.unwrap_or_else(|| Endpoint::outside(address.into()))
}
