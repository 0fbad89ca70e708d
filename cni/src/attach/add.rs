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
use crate::orchestrator::{FIRST_INTERFACE, Identity, Peers, Placement, Wish, wish};
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

    let looking = Instant::now();
    let peers = Peers::open(&work);
    let situation = Situation {
        entry: journal.load(&identity.port_name)?,
        pod_link: call.host.links.find(Some(&netns), &identity.ifname).await?.is_some(),
        host_link: call.host.links.find(None, &identity.port_name).await?.is_some(),
        boot_id: boot_id(&*call.host.files),
    };
    call.log.phase("look", looking);
    let plan = plan(&situation);
    if plan == Plan::LeaveAlone {
        mutant!(call.host, "B9" => call.host.links.delete(&identity.port_name).await?);
        return Err(Error::Exists { ifname: identity.ifname.clone() });
    }
    journal.exhume(&identity.port_name)?;
    let record = Record::intent(identity, &call.request.network.name, situation.boot_id, netns.inode);
    let owed_before = owed_before(&situation.entry);
    let intent = begin(call, &journal, &record, situation.entry == Entry::Absent);
    // What is asked in the meantime changes nothing; how it went counts once the intent is on the disk.
    let preparing = async { Ok(unless_overtaken(&journal, identity, prepare(&work, peers)).await) };
    let ((), ready) = tokio::try_join!(biased; intent, Box::pin(preparing))?;
    let ready = match ready {
        Ok(ready) => ready,
        Err(error) => {
            let leftovers = plan == Plan::ClearAndMake;
            undo(call, &journal, &record, Scope { rows: leftovers, link: leftovers, tell: owed_before })
                .await;
            return Err(error);
        }
    };
    let Ready { vrs, wish, mtu } = ready;
    let mut progress = Progress {
        call: work,
        identity,
        netns,
        vrs,
        mtu,
        record,
        placement: wish.chosen().clone(),
        wish,
        asked: false,
        watch: None,
        resolution: None,
    };
    for step in plan.steps() {
        let begun = Instant::now();
        let taken = unless_overtaken(&journal, identity, progress.take(&journal, step)).await;
        if let Err(error) = taken {
            mutant!(call.host, "B2" => if step >= Step::CreateRows { return Err(error) });
            let tell = if progress.asked { step.undo().tell } else { owed_before };
            undo(call, &journal, &progress.record, Scope { tell, ..step.undo() }).await;
            return Err(error);
        }
        call.log.phase(step.name(), begun);
    }
    debts::deliver(call, &journal, &identity.port_name).await;
    Ok(progress.attachment())
}

/// Writes down that an ADD has begun.
async fn begin(call: &Call<'_>, journal: &Journal<'_>, record: &Record, is_new: bool) -> Result<(), Error> {
    let begun = Instant::now();
    let written = journal.begin(record).await;
    call.log.phase("intent", begun);
    if written.is_err() && is_new {
        // Perhaps it is on disk, and only its directory could not be synced. Nothing has been made.
        let _ = journal.remove(&record.port_name);
    }
    written
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
async fn unless_overtaken<T>(
    journal: &Journal<'_>,
    identity: &Identity,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let overtaken = async {
        loop {
            sleep(LOOK_BACK).await;
            if journal.is_asked_to_stop(&identity.port_name) {
                return Err(Error::Overtaken { ifname: identity.ifname.clone() });
            }
        }
    };
    tokio::select! {
        biased;
        done = work => done,
        overtaken = overtaken => overtaken,
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

/// What is known before anything is made.
struct Ready {
    vrs: Vrs,
    wish: Wish,
    mtu: u32,
}

/// Asks what the pod chose and connects to the switch; neither needs the other, and neither changes anything. A pod that is
/// not there fails at once; a switch that is away is waited for.
async fn prepare(call: &Call<'_>, peers: Peers) -> Result<Ready, Error> {
    // The switch answers first, and the servers' certificates are checked while the kernel is asked.
    let connecting = async {
        let begun = Instant::now();
        let vrs = connect(call).await;
        call.log.phase("switch", begun);
        vrs
    };
    let measuring = async { Ok(mtu(call).await) };
    let (vrs, wish, mtu) = tokio::try_join!(biased; connecting, wish(call, peers), measuring)?;
    Ok(Ready { vrs, wish, mtu })
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
    vrs: Vrs,
    mtu: u32,
    record: Record,
    wish: Wish,
    /// Whether the monitor may have counted the pod.
    asked: bool,
    /// Where it goes: as far as the pod chose, until the monitor has been asked.
    placement: Placement,
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
            Step::LinkAndPlace => self.link_and_place().await,
            Step::CreateRows => self.make_rows().await,
            Step::AwaitResolution => {
                let limit = self.call.node.resolve_timeout;
                let watch = self.watch.take();
                let resolution = vrs::wait(&self.call, &self.vrs, watch, port, limit).await?;
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

    /// The monitor decides while the kernel works. Both come to their end, whatever becomes of the other: a link that is
    /// being made cannot be taken away.
    async fn link_and_place(&mut self) -> Result<(), Error> {
        let pair = VethPair {
            host_name: self.identity.port_name.clone(),
            pod_name: self.identity.ifname.clone(),
            mtu: self.mtu,
            pod_mac: self.placement.mac.clone(),
        };
        self.asked = true;
        let linking = async {
            let begun = Instant::now();
            let mac = self.call.host.links.create_veth(&self.netns, &pair).await;
            self.call.log.phase("link", begun);
            mac
        };
        let (placement, mac) = tokio::join!(biased; Box::pin(self.wish.settle(&self.call)), linking);
        // What is refused has not been counted; what was answered oddly or not at all may have been.
        self.asked = !matches!(placement, Err(Error::Refused { .. } | Error::Config { .. }));
        self.record.mac = mac?;
        self.placement = placement?;
        Ok(())
    }

    async fn make_rows(&mut self) -> Result<(), Error> {
        let making = Making { identity: self.identity, placement: &self.placement, mac: &self.record.mac };
        let made = self.vrs.make(&self.call, &making).await?;
        self.watch = made.watch;
        self.record.written = Some(Written {
            bridge: self.call.node.bridge.clone(),
            mtu: self.mtu,
            placement: self.placement.clone(),
            gateways: Vec::new(),
            rows: made.rows,
        });
        Ok(())
    }

    fn resolve(&mut self, resolution: Resolution) {
        let addresses = resolution.addresses();
        self.record.addresses = addresses.iter().map(|(address, _)| address.to_string()).collect();
        if self.is_default()
            && let Some(written) = &mut self.record.written
        {
            written.gateways = addresses.into_iter().filter_map(|(_, gateway)| gateway).collect();
        }
        self.resolution = Some(resolution);
    }

    fn addresses(&self) -> Vec<(IpNet, Option<IpAddr>)> {
        self.resolution.map(|resolution| resolution.addresses()).unwrap_or_default()
    }

    /// Whether the pod's default routes leave by this interface.
    fn is_default(&self) -> bool {
        self.call.request.network.default_route.unwrap_or(self.identity.ifname == FIRST_INTERFACE)
    }

    /// Of each family the gateway as a neighbour, then everything else through it: right for any mask. Of another interface
    /// none: the pod's other routes are not its business, and its neighbours are reached without any.
    fn routes(&self) -> Vec<Route> {
        if !self.is_default() {
            return Vec::new();
        }
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
            mtu: self.mtu,
            previous: self.call.request.network.previous.clone(),
        }
    }
}
