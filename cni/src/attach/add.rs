//! ADD: attaches a sandbox's interface. All or nothing: what fails half-way is taken away again within the time that is
//! kept for it, and what even that cannot reach is in the journal.

use std::net::IpAddr;
use std::time::Duration;

use ipnet::{IpNet, Ipv4Net};
use tokio::time::Instant;

use super::plan::{Situation, Step, plan};
use super::teardown::teardown;
use super::{debts, identity, lock};
use crate::call::Call;
use crate::error::Error;
use crate::host::{Netns, Route, VethPair};
use crate::journal::{Journal, Record, State, boot_id};
use crate::orchestrator::{Identity, Placement, placement};
use crate::protocol::Attachment;
use crate::vrs::{self, Resolution, Vrs};

/// Kept of the call's time for taking away what was made.
const UNDO_RESERVE: Duration = Duration::from_secs(5);
/// What a tunnel's headers take of the underlay's MTU: VXLAN over IPv4 and over IPv6.
const OVERHEAD_IPV4: u32 = 50;
const OVERHEAD_IPV6: u32 = 70;
/// The MTU where nothing tells the underlay's: Ethernet's less the headers.
const DEFAULT_MTU: u32 = 1450;

/// Attaches the interface of `call`.
///
/// # Errors
/// Any of the crate's; nothing is left behind then, or it is in the journal.
pub async fn add(call: &Call<'_>) -> Result<Attachment, Error> {
    let identity = identity(call)?;
    let path = call.request.netns.as_deref().unwrap_or_else(|| std::path::Path::new(""));
    let netns = call.host.links.open_netns(path).await?;
    let deadline = call.deadline.checked_sub(UNDO_RESERVE).unwrap_or(call.deadline);
    let work = Call { deadline, ..*call };
    let journal = Journal::new(call.host, call.node);
    let _guard = lock(&journal, identity, deadline).await?;

    let situation = Situation {
        entry: journal.load(&identity.port_name)?,
        pod_link: call.host.links.find(Some(&netns), &identity.ifname).await?.is_some(),
        host_link: call.host.links.find(None, &identity.port_name).await?.is_some(),
        boot_id: boot_id(&*call.host.files),
    };
    let Some(steps) = plan(&situation) else {
        return Err(Error::Exists { ifname: identity.ifname.clone() });
    };
    // Nothing has been made yet: these two can fail without an undo, and neither needs the other.
    let (placement, vrs) = tokio::try_join!(placement(&work), Vrs::connect(&work, deadline))?;

    let mut progress = Progress {
        call: work,
        identity,
        netns,
        placement,
        vrs,
        record: Record::intent(identity, &call.request.network.name, situation.boot_id, 0),
        mtu: mtu(&work).await,
        resolution: None,
    };
    progress.record.netns_inode = progress.netns.inode;
    for step in steps {
        if let Err(error) = progress.take(&journal, step).await {
            undo(call, identity, &journal, &mut progress.record, step).await;
            return Err(error);
        }
    }
    debts::deliver(call, &journal, &identity.port_name).await;
    Ok(progress.attachment())
}

/// Takes away what the steps before (and half of) `step` have made. What cannot be taken away stays written down.
async fn undo(call: &Call<'_>, identity: &Identity, journal: &Journal<'_>, record: &mut Record, step: Step) {
    if step == Step::WriteIntent {
        // Nothing was made, and perhaps not even that is on disk.
        let _ = journal.remove(&identity.port_name);
        return;
    }
    let deadline = call.deadline.min(Instant::now() + UNDO_RESERVE);
    let left = teardown(call, identity, true, deadline).await;
    if left.vrs.is_none() && left.link.is_none() && left.monitor.is_none() {
        let _ = journal.remove(&identity.port_name);
        return;
    }
    record.state = State::Owed;
    record.owes_vrs = left.vrs.is_some() || left.link.is_some();
    record.owes_monitor = left.monitor.is_some();
    // If even this fails, the intent is still on disk and says as much.
    let _ = journal.save(record);
}

/// The pod's MTU: the runtime's, the node's, or what the underlay leaves.
async fn mtu(call: &Call<'_>) -> u32 {
    if let Some(mtu) = call.request.network.mtu.or(call.node.mtu) {
        return mtu;
    }
    match call.host.links.underlay_mtu().await {
        Ok(Some((mtu, ipv6_only))) => {
            mtu.saturating_sub(if ipv6_only { OVERHEAD_IPV6 } else { OVERHEAD_IPV4 })
        }
        Ok(None) | Err(_) => DEFAULT_MTU,
    }
}

/// An ADD on its way.
struct Progress<'a> {
    call: Call<'a>,
    identity: &'a Identity,
    netns: Netns,
    placement: Placement,
    vrs: Vrs,
    record: Record,
    mtu: u32,
    resolution: Option<Resolution>,
}

impl Progress<'_> {
    async fn take(&mut self, journal: &Journal<'_>, step: Step) -> Result<(), Error> {
        let links = &self.call.host.links;
        let port = self.identity.port_name.as_str();
        match step {
            Step::ClearLeftovers => {
                let left = teardown(&self.call, self.identity, false, self.call.deadline).await;
                let mut errors = left.local_errors();
                if errors.len() > 1 { Err(Error::Several(errors)) } else { errors.pop().map_or(Ok(()), Err) }
            }
            Step::WriteIntent => journal.save(&self.record),
            Step::CreateLink => {
                let pair = VethPair {
                    host_name: port.to_owned(),
                    pod_name: self.identity.ifname.clone(),
                    mtu: self.mtu,
                    pod_mac: self.placement.mac.clone(),
                };
                self.record.mac = links.create_veth(&self.netns, &pair).await?;
                Ok(())
            }
            Step::CreatePort => {
                self.vrs.create_port(&self.call, self.identity, &self.placement, &self.record.mac).await
            }
            Step::CreateEntity => self.vrs.create_entity(&self.call, self.identity, &self.placement).await,
            Step::AwaitResolution => {
                let limit = self.call.node.resolve_timeout;
                let resolution = vrs::wait(&self.call, self.vrs.clone(), port, limit).await?;
                self.record.addresses = vec![resolution.address.to_string()];
                self.resolution = Some(resolution);
                Ok(())
            }
            Step::ConfigureLink => {
                let (addresses, routes) = (self.addresses(), self.routes());
                links
                    .configure(&self.netns, &self.identity.ifname, &addresses, &routes)
                    .await
                    .map_err(Error::from)
            }
            Step::WriteAttached => {
                self.record.state = State::Attached;
                journal.save(&self.record)
            }
        }
    }

    fn addresses(&self) -> Vec<IpNet> {
        self.resolution.iter().map(|resolution| resolution.address.into()).collect()
    }

    /// The gateway as a neighbour, then everything else through it: right for any mask.
    fn routes(&self) -> Vec<Route> {
        let Some(resolution) = &self.resolution else { return Vec::new() };
        let everywhere = IpNet::V4(Ipv4Net::default());
        vec![
            Route { destination: IpAddr::V4(resolution.gateway).into(), gateway: None },
            Route { destination: everywhere, gateway: Some(resolution.gateway.into()) },
        ]
    }

    fn attachment(self) -> Attachment {
        let gateway = self.resolution.map(|resolution| IpAddr::V4(resolution.gateway));
        Attachment {
            ips: self.addresses().into_iter().map(|address| (address, gateway)).collect(),
            routes: self.routes(),
            host_name: self.identity.port_name.clone(),
            host_mac: None,
            pod_name: self.identity.ifname.clone(),
            pod_mac: self.record.mac,
            netns: self.netns.path,
            mtu: self.mtu,
        }
    }
}
