//! ADD: attaches a sandbox's interface. All or nothing: what fails half-way is taken away again within the time that is
//! kept for it, and what even that cannot reach is in the journal.

use std::net::IpAddr;
use std::time::Duration;

use ipnet::{IpNet, Ipv4Net};
use tokio::time::Instant;

use super::plan::{Plan, Situation, Step, plan};
use super::teardown::{Scope, is_last_of_pod, settle, teardown};
use super::{debts, identity, lock};
use crate::call::Call;
use crate::error::Error;
use crate::host::{Netns, Route, VethPair};
use crate::journal::{Entry, Journal, Record, State, boot_id};
use crate::orchestrator::{Identity, Placement, placement};
use crate::protocol::Attachment;
use crate::vrs::{self, Resolution, Vrs};

/// Kept of the call's time for taking away what was made.
const UNDO_RESERVE: Duration = Duration::from_secs(5);
/// Kept of that for writing down what is owed.
const WRITE_RESERVE: Duration = Duration::from_millis(250);
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
    let plan = plan(&situation);
    if plan == Plan::LeaveAlone {
        return Err(Error::Exists { ifname: identity.ifname.clone() });
    }
    let boot_id = situation.boot_id;
    let record = Record::intent(identity, &call.request.network.name, boot_id, netns.inode);
    if let Err(error) = journal.save(&record) {
        if situation.entry == Entry::Absent {
            // Perhaps it is on disk, and only its directory could not be synced. Nothing has been made.
            let _ = journal.remove(&identity.port_name);
        }
        return Err(error);
    }
    let place = match find_place(&work).await {
        Ok(place) => place,
        Err(NoPlace { error, counted }) => {
            let leftovers = plan == Plan::ClearAndMake;
            let scope = Scope { rows: leftovers, link: leftovers, monitor: counted };
            undo(call, &journal, &record, scope).await;
            return Err(error);
        }
    };
    let mut progress = Progress { call: work, identity, netns, place, record, resolution: None };
    for step in plan.steps() {
        let begun = Instant::now();
        if let Err(error) = progress.take(&journal, step).await {
            undo(call, &journal, &progress.record, step.undo()).await;
            return Err(error);
        }
        call.log.phase(step.name(), begun);
    }
    debts::deliver(call, &journal, &identity.port_name).await;
    Ok(progress.attachment())
}

/// Takes away what was made. What cannot be taken away stays written down.
async fn undo(call: &Call<'_>, journal: &Journal<'_>, record: &Record, scope: Scope) {
    let latest = call.deadline.checked_sub(WRITE_RESERVE).unwrap_or(call.deadline);
    let deadline = latest.min(Instant::now() + UNDO_RESERVE);
    let scope = Scope { monitor: scope.monitor && is_last_of_pod(journal, record), ..scope };
    let left = teardown(call, &record.identity(), scope, deadline).await;
    settle(journal, record, &left);
}

/// What an attachment needs from elsewhere.
struct Place {
    placement: Placement,
    vrs: Vrs,
    mtu: u32,
}

/// Why there is no place.
struct NoPlace {
    error: Error,
    /// Whether the monitor may have counted the pod.
    counted: bool,
}

/// Asks where the pod goes and connects to the switch; neither needs the other. A pod that has no place fails at once; a
/// switch that is away is waited for, and by then it is known whether the monitor has to be told.
async fn find_place(call: &Call<'_>) -> Result<Place, NoPlace> {
    // What is refused has not been counted; what was asked and not answered may have been.
    let no_place = |error: Error| NoPlace { counted: matches!(error, Error::TryAgain { .. }), error };
    let placing = async { placement(call).await.map_err(no_place) };
    let connecting = async { Ok(Vrs::connect(call, call.deadline).await) };
    let measuring = async { Ok(mtu(call).await) };
    let (placement, vrs, mtu) = tokio::try_join!(placing, connecting, measuring)?;
    let vrs = vrs.map_err(|error| NoPlace { error, counted: true })?;
    Ok(Place { placement, vrs, mtu })
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
    place: Place,
    record: Record,
    resolution: Option<Resolution>,
}

impl Progress<'_> {
    async fn take(&mut self, journal: &Journal<'_>, step: Step) -> Result<(), Error> {
        let links = &self.call.host.links;
        let Place { placement, vrs, mtu } = &self.place;
        let port = self.identity.port_name.as_str();
        match step {
            Step::ClearLeftovers => {
                let scope = Scope::local_and(false);
                teardown(&self.call, self.identity, scope, self.call.deadline).await.local_result()
            }
            Step::CreateLink => {
                let pair = VethPair {
                    host_name: port.to_owned(),
                    pod_name: self.identity.ifname.clone(),
                    mtu: *mtu,
                    pod_mac: placement.mac.clone(),
                };
                self.record.mac = links.create_veth(&self.netns, &pair).await?;
                Ok(())
            }
            Step::CreatePort => vrs.create_port(&self.call, self.identity, placement, &self.record.mac).await,
            Step::CreateEntity => vrs.create_entity(&self.call, self.identity, placement).await,
            Step::AwaitResolution => {
                let limit = self.call.node.resolve_timeout;
                let resolution = vrs::wait(&self.call, vrs.clone(), port, limit).await?;
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
            mtu: self.place.mtu,
        }
    }
}
