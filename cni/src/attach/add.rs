//! ADD: attaches a sandbox's interface. All or nothing: what fails half-way is taken away again within the time that is
//! kept for it, and what even that cannot reach is in the journal.

use std::net::IpAddr;
use std::time::Duration;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use tokio::time::{Instant, sleep};

use super::plan::{Plan, Situation, Step, plan};
use super::teardown::{Scope, Tell, settle, teardown};
use super::{Manners, debts, identity, lock};
use crate::call::Call;
use crate::error::Error;
use crate::host::{Netns, Route, VethPair};
use crate::journal::{Entry, Journal, Record, State, Written, boot_id};
use crate::orchestrator::{Identity, Placement, placement};
use crate::protocol::Attachment;
use crate::vrs::{self, Making, Resolution, Vrs, Watch};

/// Kept of the call's time for taking away what was made.
const UNDO_RESERVE: Duration = Duration::from_secs(5);
/// Kept of that for writing down what is owed.
const WRITE_RESERVE: Duration = Duration::from_millis(250);
/// How often an ADD looks whether a DEL waits for it: well within the DEL's five seconds, and rarely enough to cost nothing.
const LOOK_BACK: Duration = Duration::from_millis(100);
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
    if call.request.network.previous.as_ref().is_some_and(|before| before.inside(&identity.ifname).is_some())
    {
        return Err(Error::Exists { ifname: identity.ifname.clone() });
    }
    let deadline = call.deadline.checked_sub(UNDO_RESERVE).unwrap_or(call.deadline);
    let work = Call { deadline, ..*call };
    let journal = Journal::new(call.host, call.node);
    let _guard = lock(&journal, identity, Manners::Queueing, deadline).await?;

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
    journal.exhume(&identity.port_name)?;
    let boot_id = situation.boot_id;
    let record = Record::intent(identity, &call.request.network.name, boot_id, netns.inode);
    if let Err(error) = journal.save(&record) {
        if situation.entry == Entry::Absent {
            // Perhaps it is on disk, and only its directory could not be synced. Nothing has been made.
            let _ = journal.remove(&identity.port_name);
        }
        return Err(error);
    }
    let place = match unless_overtaken(&journal, identity, find_place(&work)).await {
        Ok(place) => place,
        Err(NoPlace { error, counted }) => {
            let leftovers = plan == Plan::ClearAndMake;
            let tell = if counted { Tell::Yes } else { owed_before(&situation.entry) };
            undo(call, &journal, &record, Scope { rows: leftovers, link: leftovers, tell }).await;
            return Err(error);
        }
    };
    let mut progress = Progress { call: work, identity, netns, place, record, watch: None, resolution: None };
    for step in plan.steps() {
        let begun = Instant::now();
        let taken = unless_overtaken(&journal, identity, progress.take(&journal, step)).await;
        if let Err(error) = taken {
            undo(call, &journal, &progress.record, step.undo()).await;
            return Err(error);
        }
        call.log.phase(step.name(), begun);
    }
    debts::deliver(call, &journal, &identity.port_name).await;
    Ok(progress.attachment())
}

/// What the monitor has to be told of an attachment that this call has not come to yet: an earlier one counted the pod.
fn owed_before(entry: &Entry) -> Tell {
    match entry {
        Entry::Absent => Tell::No,
        Entry::Unreadable => Tell::Yes,
        Entry::Record(record) => Tell::of(record),
    }
}

/// Works until a DEL of the same attachment waits for its turn: then there is no use in going on. What is half done is
/// undone as after any failure.
async fn unless_overtaken<T, E: From<Overtaken>>(
    journal: &Journal<'_>,
    identity: &Identity,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let overtaken = async {
        loop {
            sleep(LOOK_BACK).await;
            if journal.is_asked_to_stop(&identity.port_name) {
                return Err(Overtaken { ifname: identity.ifname.clone() }.into());
            }
        }
    };
    tokio::select! {
        biased;
        done = work => done,
        overtaken = overtaken => overtaken,
    }
}

/// A DEL has come meanwhile.
struct Overtaken {
    ifname: String,
}

impl From<Overtaken> for Error {
    fn from(overtaken: Overtaken) -> Self {
        Self::Overtaken { ifname: overtaken.ifname }
    }
}

impl From<Overtaken> for NoPlace {
    fn from(overtaken: Overtaken) -> Self {
        Self { error: overtaken.into(), counted: true }
    }
}

/// Takes away what was made. What cannot be taken away stays written down.
async fn undo(call: &Call<'_>, journal: &Journal<'_>, record: &Record, scope: Scope) {
    let latest = call.deadline.checked_sub(WRITE_RESERVE).unwrap_or(call.deadline);
    let deadline = latest.min(Instant::now() + UNDO_RESERVE);
    let scope = Scope { tell: scope.tell.unless_others(journal, record), ..scope };
    let left = teardown(call, record, scope, deadline).await;
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
    let connecting = async { Ok(connect(call).await) };
    let measuring = async { Ok(mtu(call).await) };
    // The switch answers first, and the servers' certificates are checked while the kernel is asked.
    let (vrs, placement, mtu) = tokio::try_join!(biased; connecting, placing, measuring)?;
    let vrs = vrs.map_err(|error| NoPlace { error, counted: true })?;
    Ok(Place { placement, vrs, mtu })
}

/// Connects to a switch that can give the pod what it needs.
async fn connect(call: &Call<'_>) -> Result<Vrs, Error> {
    let vrs = Vrs::connect(call, call.deadline).await?;
    if call.request.network.needs_ipv6 && !vrs.has_ipv6() {
        return Err(Error::Config {
            what: "ipFamilies".to_owned(),
            details: "names IPv6, and the VRS's schema has no columns for an IPv6 address".to_owned(),
            hint: Some("take IPv6 out of ipFamilies in the network configuration".to_owned()),
        });
    }
    Ok(vrs)
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
    watch: Option<Watch>,
    resolution: Option<Resolution>,
}

impl Progress<'_> {
    async fn take(&mut self, journal: &Journal<'_>, step: Step) -> Result<(), Error> {
        let port = self.identity.port_name.as_str();
        match step {
            Step::ClearLeftovers => {
                let scope = Scope::local_and(Tell::No);
                teardown(&self.call, &self.record, scope, self.call.deadline).await.local_result()
            }
            Step::CreateLink => {
                let pair = VethPair {
                    host_name: port.to_owned(),
                    pod_name: self.identity.ifname.clone(),
                    mtu: self.place.mtu,
                    pod_mac: self.place.placement.mac.clone(),
                };
                self.record.mac = self.call.host.links.create_veth(&self.netns, &pair).await?;
                Ok(())
            }
            Step::CreateRows => self.make_rows().await,
            Step::AwaitResolution => {
                let limit = self.call.node.resolve_timeout;
                let watch = self.watch.take();
                let resolution = vrs::wait(&self.call, &self.place.vrs, watch, port, limit).await?;
                self.resolve(resolution);
                Ok(())
            }
            Step::ConfigureLink => {
                let addresses: Vec<IpNet> =
                    self.addresses().into_iter().map(|(address, _)| address).collect();
                let (links, ifname) = (&self.call.host.links, &self.identity.ifname);
                links.configure(&self.netns, ifname, &addresses, &self.routes()).await.map_err(Error::from)
            }
            Step::WriteAttached => {
                self.record.state = State::Attached;
                journal.save_attached(&self.record)
            }
        }
    }

    async fn make_rows(&mut self) -> Result<(), Error> {
        let Place { placement, vrs, mtu } = &self.place;
        let making = Making { identity: self.identity, placement, mac: &self.record.mac };
        let made = vrs.make(&self.call, &making).await?;
        self.watch = made.watch;
        self.record.written = Some(Written {
            bridge: self.call.node.bridge.clone(),
            mtu: *mtu,
            placement: placement.clone(),
            gateways: Vec::new(),
            rows: made.rows,
        });
        Ok(())
    }

    fn resolve(&mut self, resolution: Resolution) {
        let addresses = resolution.addresses();
        self.record.addresses = addresses.iter().map(|(address, _)| address.to_string()).collect();
        if let Some(written) = &mut self.record.written {
            written.gateways = addresses.into_iter().filter_map(|(_, gateway)| gateway).collect();
        }
        self.resolution = Some(resolution);
    }

    fn addresses(&self) -> Vec<(IpNet, Option<IpAddr>)> {
        self.resolution.map(|resolution| resolution.addresses()).unwrap_or_default()
    }

    /// Of each family the gateway as a neighbour, then everything else through it: right for any mask.
    fn routes(&self) -> Vec<Route> {
        let through = |gateway: IpAddr| {
            let everywhere = match gateway {
                IpAddr::V4(_) => IpNet::V4(Ipv4Net::default()),
                IpAddr::V6(_) => IpNet::V6(Ipv6Net::default()),
            };
            [
                Route { destination: gateway.into(), gateway: None },
                Route { destination: everywhere, gateway: Some(gateway) },
            ]
        };
        self.addresses().into_iter().filter_map(|(_, gateway)| gateway).flat_map(through).collect()
    }

    fn attachment(self) -> Attachment {
        Attachment {
            ips: self.addresses(),
            routes: self.routes(),
            host_name: self.identity.port_name.clone(),
            host_mac: None,
            pod_name: self.identity.ifname.clone(),
            pod_mac: self.record.mac,
            netns: self.netns.path,
            mtu: self.place.mtu,
            previous: self.call.request.network.previous.clone(),
        }
    }
}
