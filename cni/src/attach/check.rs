//! CHECK: compares an attachment with what ADD made and with what the runtime was told. Changes nothing and waits for
//! nothing: a runtime calls it on the way to a started container.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::identity;
use crate::call::Call;
use crate::error::Error;
use crate::host::Link;
use crate::journal::{Entry, Journal, Record, State};
use crate::orchestrator::{FIRST_INTERFACE, Identity};
use crate::protocol::Previous;
use crate::vrs::{Found, OriginalNames, PortRow, Vrs};

/// Checks the interface of `call`.
///
/// # Errors
/// Code 3 where there is no such attachment, code 105 where it differs, code 11 where it cannot be compared now.
pub async fn check(call: &Call<'_>) -> Result<(), Error> {
    let identity = identity(call)?;
    let path = call.request.netns.as_deref().unwrap_or_else(|| std::path::Path::new(""));
    let netns = call.host.links.open_netns(path).await?;
    let record = match Journal::new(call.host, call.node).load(&identity.port_name)? {
        Entry::Record(record) if record.state == State::Attached => Some(*record),
        Entry::Record(_) => return differs("it was never completed, or a DEL has begun"),
        Entry::Absent | Entry::Unreadable => None,
    };
    let ipv6 = record.as_ref().is_some_and(|record| record.addresses.iter().any(|ip| ip.contains(':')));
    let vrs = async { Vrs::connect_once(call, call.deadline).await };
    let link = async { call.host.links.find(Some(&netns), &identity.ifname).await.map_err(Error::from) };
    let (vrs, link) = tokio::join!(biased; vrs, link);
    let link = link?;
    // What the link lacks is told even where the switch is away.
    if let (Some(record), Some(link)) = (&record, &link) {
        compare_link(call, &Expected::of_record(call, record), link)?;
    }
    let (port, found) = match &record {
        Some(_) => {
            (identity.port_name.clone(), vrs?.find(&identity.entity_uuid, &identity.port_name, ipv6).await?)
        }
        None => find_unwritten(call, &vrs?, identity).await?,
    };
    let Some(link) = link else { return differs(format!("the pod has no link {}", identity.ifname)) };
    let expected = match &record {
        Some(record) => Expected::of_record(call, record),
        None => Expected::of_row(call, found.port.as_ref()),
    };
    compare_link(call, &expected, &link)?;
    match call.host.links.find(None, &port).await? {
        None => return differs(format!("the host has no link {port}")),
        Some(host) if !host.up => return differs(format!("the host's link {port} is down")),
        Some(_) => {}
    }
    compare_rows(call, &expected, &port, &found)
}

fn differs<T>(what: impl Into<String>) -> Result<T, Error> {
    Err(Error::Differs(what.into()))
}

/// What of an attachment nobody has written down is on the switch: ours, if the journal was lost, or the original's.
async fn find_unwritten(call: &Call<'_>, vrs: &Vrs, identity: &Identity) -> Result<(String, Found), Error> {
    let names = OriginalNames::of(call.orchestrator, identity);
    let strange = vrs.find_originals(identity, &names, true).await?;
    for name in std::iter::once(&identity.port_name).chain(&strange) {
        let found = vrs.find(&identity.entity_uuid, name, false).await?;
        if found.port.is_some() {
            return Ok((name.clone(), found));
        }
    }
    Err(Error::UnknownContainer(identity.container_id.clone()))
}

/// What an attachment should be.
struct Expected {
    /// The MAC address of the pod's link, which a later plugin of the list may have changed.
    link_mac: Option<String>,
    /// The MAC address in the port's row.
    row_mac: Option<String>,
    mtu: Option<u64>,
    /// `ADDRESS/PREFIX`.
    addresses: BTreeSet<String>,
    /// Gateways of default routes.
    gateways: Vec<IpAddr>,
    /// Whether there has to be a default route, through whatever gateway.
    any_default: bool,
    /// The addresses in the port's row, without prefix.
    row_addresses: Vec<String>,
}

impl Expected {
    fn of_record(call: &Call<'_>, record: &Record) -> Self {
        let bare = |address: &String| address.split('/').next().unwrap_or_default().to_owned();
        let written = record.written.as_ref();
        Self {
            link_mac: Some(record.mac.clone()),
            row_mac: Some(record.mac.clone()),
            mtu: None,
            addresses: record.addresses.iter().cloned().collect(),
            gateways: written.map(|written| written.gateways.clone()).unwrap_or_default(),
            // Older records do not say.
            any_default: written.is_none() && record.ifname == FIRST_INTERFACE,
            row_addresses: record.addresses.iter().map(bare).collect(),
        }
        .with_previous(call)
    }

    /// Of a row alone: the link has its address and MAC.
    fn of_row(call: &Call<'_>, row: Option<&PortRow>) -> Self {
        let mac = row.map(|row| row.mac.to_ascii_lowercase());
        let address = row.and_then(|row| row.addresses.first().cloned()).unwrap_or_default();
        let mask = row.and_then(|row| row.mask.parse().ok());
        let net = mask.and_then(|mask| ipnet::Ipv4Net::with_netmask(address.parse().ok()?, mask).ok());
        Self {
            link_mac: mac.clone(),
            row_mac: mac,
            mtu: None,
            // An unresolved row matches no link.
            addresses: std::iter::once(net.map_or(address.clone(), |net| net.to_string())).collect(),
            gateways: Vec::new(),
            any_default: call.identity.is_some_and(|identity| identity.ifname == FIRST_INTERFACE),
            row_addresses: vec![address],
        }
        .with_previous(call)
    }

    /// What the runtime was told at the end of the list: later plugins may have changed the link, and added to it.
    fn with_previous(mut self, call: &Call<'_>) -> Self {
        let ifname = call.identity.map(|identity| identity.ifname.as_str()).unwrap_or_default();
        let Some(previous) = &call.request.network.previous else { return self };
        if let Some((_, interface)) = previous.inside(ifname) {
            self.link_mac = interface.mac.clone().or(self.link_mac);
            self.mtu = interface.mtu;
        }
        self.addresses.extend(previous.addresses(ifname).iter().map(ToString::to_string));
        self
    }
}

/// Whether the runtime's result is one of this interface at all.
fn compare_previous(call: &Call<'_>, previous: &Previous, ifname: &str) -> Result<(), Error> {
    let netns = call.request.netns.as_ref().map(|path| path.display().to_string());
    match previous.inside(ifname) {
        Some((_, interface)) if interface.sandbox != netns => {
            differs(format!("prevResult has {ifname} in another network namespace"))
        }
        None if !previous.interfaces.is_empty() => differs(format!("prevResult has no interface {ifname}")),
        _ => Ok(()),
    }
}

fn compare_link(call: &Call<'_>, expected: &Expected, link: &Link) -> Result<(), Error> {
    let ifname = &link.name;
    if let Some(previous) = &call.request.network.previous {
        compare_previous(call, previous, ifname)?;
    }
    if !link.up {
        return differs(format!("link {ifname} is down"));
    }
    if expected.link_mac.as_ref().is_some_and(|mac| *mac != link.mac) {
        return differs(format!("link {ifname} has address {}", link.mac));
    }
    if expected.mtu.is_some_and(|mtu| mtu != u64::from(link.mtu)) {
        return differs(format!("link {ifname} has MTU {}", link.mtu));
    }
    let there: BTreeSet<String> = link.addresses.iter().map(ToString::to_string).collect();
    if let Some(missing) = expected.addresses.difference(&there).next() {
        return differs(format!("link {ifname} has no address {missing}"));
    }
    let default = |gateway: Option<&IpAddr>| {
        link.routes.iter().any(|route| {
            let through = gateway.map_or(route.gateway.is_some(), |gateway| route.gateway == Some(*gateway));
            route.destination.prefix_len() == 0 && through
        })
    };
    match expected.gateways.iter().find(|gateway| !default(Some(gateway))) {
        Some(gateway) => differs(format!("the pod has no default route through {gateway}")),
        None if expected.any_default && !default(None) => differs("the pod has no default route"),
        None => Ok(()),
    }
}

fn compare_rows(call: &Call<'_>, expected: &Expected, port: &str, found: &Found) -> Result<(), Error> {
    let Some(row) = &found.port else { return differs(format!("the VRS has no row of port {port}")) };
    if let Some(missing) = expected.row_addresses.iter().find(|address| !row.addresses.contains(address)) {
        return differs(format!("the VRS has no port {port} with address {missing}"));
    }
    if expected.row_mac.as_ref().is_some_and(|mac| !mac.eq_ignore_ascii_case(&row.mac)) {
        return differs(format!("the VRS has port {port} with MAC address {}", row.mac));
    }
    if !found.entity_ports.as_ref().is_some_and(|ports| ports.iter().any(|listed| listed == port)) {
        return differs(format!("the VRS has no entity with port {port}"));
    }
    if !found.switch_port {
        return differs(format!("{} has no port {port}", call.node.bridge));
    }
    Ok(())
}
