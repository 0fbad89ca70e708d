//! The parts of a simulated cluster and how they are put together: the emulators, the nodes with their switches and files, and a
//! controller for each. What happens in the cluster then is the world's business.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

use ipnet::Ipv4Net;
use nuage_cni::host::Files as _;
use nuage_emulator::clock::Clock;
use nuage_emulator::entropy::Entropy;
use nuage_emulator::faults::http::{Api, layered};
use nuage_emulator::faults::{Caller, Faults, SwitchFaults};
use nuage_emulator::kube::Kube;
use nuage_emulator::monitor::{Monitor, MonitorOptions};
use nuage_emulator::node::{self, NodeFiles};
use nuage_emulator::ovsdb::RowChange;
use nuage_emulator::pki::Identity;
use nuage_emulator::vrs::{CONTROLLERS, DATABASE, Vrs, VrsOptions};
use nuage_emulator::vsc::{Connecting, Controller, Stream};
use nuage_emulator::vsd::{Site, Vsd};
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::files::MemoryFiles;
use super::kernel::SimulatedKernel;
use super::seams::{Attempts, RecentLog, Service, SimulatedHttp};
use super::wire::Wire;
use super::{Node, Parts, Tampering, World};
use crate::error::Error;
use crate::invariant;
use crate::invariant::rows::Mirror;
use crate::random::Random;
use crate::scenario::Cluster;
use crate::world::activity::Activity;
use crate::world::kernel::Kernel;

/// When the simulated world begins: 2026-01-01T00:00:00Z, in milliseconds since 1970.
const EPOCH: u64 = 1_767_225_600_000;
const KUBE: &str = "kube.simulated:6443";
const MONITOR: &str = "monitor.simulated:9443";
const VSD: &str = "vsd.simulated:7443";
/// What controllers do, for faults that strike them.
const CONTROLLER: &str = "controller";
/// Where the range begins that subnets are cut from.
const POOL: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 0);
/// The certificate of every simulated node. Nothing reads it: there is no TLS inside one process.
const PEM: &str = "-----BEGIN CERTIFICATE-----\nc2ltdWxhdGVk\n-----END CERTIFICATE-----\n";

impl World {
    /// Sets the cluster up. Needs a runtime with a paused clock.
    ///
    /// # Errors
    /// The emulators could not be set up.
    pub fn new(cluster: &Cluster, seed: u64, tampering: Tampering) -> Result<Arc<Self>, Error> {
        let activity = if tampering.activity { Activity::kept() } else { Activity::default() };
        let random = Random::seeded(seed);
        let entropy = Entropy::seeded(random.next());
        let clock = Clock::starting_at(EPOCH);
        let pool = Ipv4Net::new(POOL, cluster.pool_prefix).map_err(|error| Error::Site(error.to_string()))?;
        let vsd = vsd(clock.clone(), &entropy, pool, cluster.subnet_prefix)?;
        let kube = Kube::new(clock.clone(), entropy.clone());
        let faults = Faults::new(entropy.clone());
        let service = |router, api, up: &Arc<AtomicBool>| Service {
            router: layered(router, api, &faults),
            api,
            up: Arc::clone(up),
        };
        let always = Arc::new(AtomicBool::new(true));
        let of_vsd = service(vsd.router(), Api::Vsd, &always);
        let of_kube = service(kube.router(), Api::Kube, &always);
        let inside = Arc::new(BTreeMap::from([(VSD.to_owned(), of_vsd), (KUBE.to_owned(), of_kube.clone())]));
        let internal = |caller| SimulatedHttp {
            services: Arc::clone(&inside),
            name: "csproot".to_owned(),
            caller,
            faults: faults.clone(),
            random: random.clone(),
            attempts: Attempts::default(),
            activity: activity.clone(),
        };
        let monitor_itself = Caller { node: None, operation: "monitor".into() };
        let of_monitor = internal(monitor_itself).service(true);
        let monitor = Monitor::new(MonitorOptions {
            vsd: of_monitor.clone(),
            vsd_url: format!("https://{VSD}/nuage/api/v6"),
            enterprise: node::ENTERPRISE.to_owned(),
            domain: node::DOMAIN.to_owned(),
            address_pool: pool,
            subnet_prefix: cluster.subnet_prefix,
            autoscale: true,
            kube: Some((of_monitor, format!("https://{KUBE}"))),
            faults: Some(faults.clone()),
        });
        let monitor_up = Arc::new(AtomicBool::new(true));
        let services = BTreeMap::from([
            (KUBE.to_owned(), of_kube),
            (MONITOR.to_owned(), service(monitor.router(), Api::Monitor, &monitor_up)),
        ]);
        let mut controllers = JoinSet::new();
        let following = monitor.clone();
        controllers.spawn(async move { following.run().await });
        let mut nodes = Vec::new();
        let mirror = Arc::new(Mutex::new(Mirror::new(cluster.nodes)));
        for number in 1..=cluster.nodes {
            let node = Node::new(number, cluster, nodes.first(), (&kube, &entropy, &random))?;
            observe(&mirror, number - 1, &node.name, &node.vrs, &activity);
            node.vrs.server().set_faults(SwitchFaults::new(faults.clone(), &node.name));
            let caller = Caller::new(&node.name, CONTROLLER);
            let turns = if cluster.standby { CONTROLLERS.map(Some).to_vec() } else { vec![None] };
            for turn in turns {
                controllers.spawn(control(&node, &internal(caller.clone()), &faults, random.clone(), turn));
            }
            nodes.push(node);
        }
        let world = Self::of(
            Parts {
                nodes,
                kube,
                vsd,
                monitor_up,
                random,
                faults,
                clock,
                services,
                mirror,
                controllers,
                activity,
                #[cfg(target_os = "linux")]
                ground: None,
            },
            tampering,
        );
        (0..world.nodes.len()).for_each(|node| world.begin_boot(node));
        world.watch_notices(&monitor);
        Ok(world)
    }
}

impl Node {
    /// One whose switch shares with the first one's what no switch changes.
    fn new(
        number: usize,
        cluster: &Cluster,
        first: Option<&Self>,
        (kube, entropy, random): (&Kube, &Entropy, &Random),
    ) -> Result<Self, Error> {
        let name = format!("node-{number}");
        let options = VrsOptions { empty: false, system_id: name.clone(), standby: cluster.standby };
        let vrs = match first {
            Some(first) => first.vrs.twin(entropy.clone(), &options),
            None => Vrs::new(entropy.clone(), &options).map_err(|error| Error::Site(error.to_string()))?,
        };
        invariant::foreign::plant(&vrs);
        let token = format!("token-of-{name}");
        kube.add_token(&token);
        kube.create(json!({"kind": "Node", "metadata": {"name": name}}))
            .map_err(|error| Error::Site(error.to_string()))?;
        // Characters that a key has, too, and that stand nowhere else.
        let key = format!("KeyOf{}", name.replace('-', "x"));
        let secrets = vec![token.clone(), key.clone()];
        let kernel = Kernel::Simulated(SimulatedKernel::new(random.clone()));
        let (log, slots) = (RecentLog::default(), Semaphore::new(cluster.parallel));
        let (directory, files) = (config_directory(&name), node_files(&name, token, &key));
        Ok(Self { name, vrs, kernel, files, log, slots, secrets, directory })
    }
}

/// Keeps the mirror, and what is reported, up with a switch.
pub(in crate::world) fn observe(
    mirror: &Arc<Mutex<Mirror>>,
    node: usize,
    name: &str,
    vrs: &Vrs,
    activity: &Activity,
) {
    let (mirror, name, activity) = (Arc::clone(mirror), name.to_owned(), activity.clone());
    let observer = move |change: &RowChange<'_>| {
        activity.committed(&name, change);
        mirror.lock().unwrap_or_else(PoisonError::into_inner).apply(node, change);
    };
    vrs.server().observe(DATABASE, Box::new(observer));
}

/// A VSD with the site that node files name.
fn vsd(clock: Clock, entropy: &Entropy, pool: Ipv4Net, subnet_prefix: u8) -> Result<Vsd, Error> {
    let vsd = Vsd::new(clock, entropy.clone());
    let first = pool.subnets(subnet_prefix).ok().and_then(|mut blocks| blocks.next()).unwrap_or(pool);
    vsd.bootstrap(&Site {
        enterprise: node::ENTERPRISE.to_owned(),
        domain: node::DOMAIN.to_owned(),
        zone: node::ZONE.to_owned(),
        subnet: node::SUBNET.to_owned(),
        address: first,
    })
    .map_err(|error| Error::Site(error.to_string()))?;
    Ok(vsd)
}

/// The controller of one switch, for ever; or one of its two, which take turns.
fn control(
    node: &Node,
    vsd: &SimulatedHttp,
    faults: &Faults,
    random: Random,
    turn: Option<&'static str>,
) -> impl Future<Output = ()> + Send + use<> {
    let mut controller = Controller::new(vsd.service(true), &format!("https://{VSD}/nuage/api/v6"))
        .with_faults(faults.clone(), &node.name);
    if let Some(target) = turn {
        controller = controller.taking_turns(target);
    }
    let vrs = node.vrs.clone();
    async move {
        let connect = || -> Connecting {
            let stream = vrs.connect_as(CONTROLLER).map(|stream| Wire::new(stream, None, random.clone()));
            Box::pin(async move {
                let stream = stream.ok_or(std::io::ErrorKind::ConnectionRefused)?;
                Ok(Box::new(stream) as Box<dyn Stream>)
            })
        };
        let _: std::convert::Infallible = controller.run(connect).await;
    }
}

/// Where a simulated node's files lie.
pub fn config_directory(node: &str) -> PathBuf {
    Path::new("/etc/nuage").join(node)
}

fn node_files(name: &str, token: String, key: &str) -> MemoryFiles {
    let files = MemoryFiles::default();
    let directory = config_directory(name);
    let texts = node::files(&NodeFiles {
        directory: directory.clone(),
        vrs: "unix:/var/run/openvswitch/db.sock".to_owned(),
        monitor: Some(format!("https://{MONITOR}")),
        kube: format!("https://{KUBE}"),
        token,
        authority: PEM.to_owned(),
        client: Identity {
            certificate: PEM.to_owned(),
            key: format!("-----BEGIN PRIVATE KEY-----\n{key}\n-----END PRIVATE KEY-----\n"),
        },
        agent: None,
    });
    for (file, text) in texts {
        // Memory refuses nothing.
        let _ = files.write(&directory.join(file), text.as_bytes());
    }
    files
}
