//! CHECK: compares an attachment with what ADD made. Changes nothing and waits for nothing: a runtime calls it on the way
//! to a started container.

use super::identity;
use crate::call::Call;
use crate::error::Error;
use crate::journal::{Entry, Journal, State};
use crate::vrs::Vrs;

/// Checks the interface of `call`.
///
/// # Errors
/// Code 3 where there is no such attachment, code 105 where it differs, code 11 where it cannot be compared now.
pub async fn check(call: &Call<'_>) -> Result<(), Error> {
    let identity = identity(call)?;
    let path = call.request.netns.as_deref().unwrap_or_else(|| std::path::Path::new(""));
    let netns = call.host.links.open_netns(path).await?;
    let journal = Journal::new(call.host, call.node);
    let Entry::Record(record) = journal.load(&identity.port_name)? else {
        return Err(Error::UnknownContainer(identity.container_id.clone()));
    };
    if record.state != State::Attached {
        return Err(Error::Differs("it was never completed, or a DEL has begun".to_owned()));
    }
    let link = call.host.links.find(Some(&netns), &identity.ifname).await?;
    let link = link.ok_or_else(|| Error::Differs(format!("the pod has no link {}", identity.ifname)))?;
    if !link.up {
        return Err(Error::Differs(format!("link {} is down", identity.ifname)));
    }
    if link.mac != record.mac {
        return Err(Error::Differs(format!("link {} has address {}", identity.ifname, link.mac)));
    }
    let missing =
        record.addresses.iter().find(|wanted| !link.addresses.iter().any(|ip| ip.to_string() == **wanted));
    if let Some(missing) = missing {
        return Err(Error::Differs(format!("link {} has no address {missing}", identity.ifname)));
    }
    if !link.routes.iter().any(|route| route.gateway.is_some() && route.destination.prefix_len() == 0) {
        return Err(Error::Differs("the pod has no default route".to_owned()));
    }
    if call.host.links.find(None, &identity.port_name).await?.is_none() {
        return Err(Error::Differs(format!("the host has no link {}", identity.port_name)));
    }
    let found = Vrs::connect_once(call, call.deadline).await?.find(identity).await?;
    let address = record.addresses.first().and_then(|address| address.split('/').next()).unwrap_or_default();
    if found.address.as_deref() != Some(address) {
        return Err(Error::Differs(format!(
            "the VRS has no port {} with address {address}",
            identity.port_name
        )));
    }
    if !found.entity_ports.is_some_and(|ports| ports.contains(&identity.port_name)) {
        return Err(Error::Differs(format!("the VRS has no entity with port {}", identity.port_name)));
    }
    if !found.switch_port {
        return Err(Error::Differs(format!("{} has no port {}", call.node.bridge, identity.port_name)));
    }
    Ok(())
}
