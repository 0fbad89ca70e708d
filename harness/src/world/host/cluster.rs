//! The cluster of a world on this machine: what stands on the site, with the machine's kernel under each node.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use nuage_emulator::clock::Clock;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::kernel::RealKernel;
use super::{Ground, HostOptions, Site};
use crate::error::Error;
use crate::invariant;
use crate::invariant::rows::Mirror;
use crate::random::Random;
use crate::scenario::Cluster;
use crate::world::activity::Activity;
use crate::world::kernel::Kernel;
use crate::world::sim::files::MemoryFiles;
use crate::world::sim::seams::RecentLog;
use crate::world::sim::{Node, Parts, Tampering, World, observe};

impl World {
    /// The same cluster on this machine's kernel, with real processes, in real time.
    ///
    /// # Errors
    /// The site lacks a part.
    pub(crate) fn on_host(
        cluster: &Cluster,
        seed: u64,
        site: &Site,
        options: &HostOptions,
        bin_dirs: &[PathBuf],
    ) -> Result<Arc<Self>, Error> {
        let activity = if options.reported { Activity::kept() } else { Activity::default() };
        let missing = || Error::Site("a part does not run".to_owned());
        let emulators = site.parts.clone();
        let mirror = Arc::new(Mutex::new(Mirror::new(cluster.nodes)));
        let mut nodes = Vec::new();
        for (index, (name, vrs)) in emulators.switches.into_iter().enumerate() {
            observe(&mirror, index, &name, &vrs, &activity);
            invariant::foreign::plant(&vrs);
            let directory = site.directories[index].clone();
            nodes.push(Node {
                name,
                vrs,
                kernel: Kernel::Real(RealKernel::new(&site.machine, index)),
                files: MemoryFiles::default(),
                log: RecentLog::default(),
                slots: Semaphore::new(cluster.parallel),
                secrets: super::secrets(&directory),
                directory,
            });
        }
        let parts = Parts {
            nodes,
            kube: emulators.kube.ok_or_else(missing)?,
            vsd: emulators.vsd.ok_or_else(missing)?,
            monitor_up: Arc::new(AtomicBool::new(true)),
            // Sandboxes of two runs at once must not have the same names.
            random: Random::seeded(seed ^ (site.number << 16)),
            faults: emulators.faults,
            clock: Clock::System,
            services: BTreeMap::new(),
            mirror,
            controllers: JoinSet::new(),
            activity,
            ground: Some(Ground::new(options, bin_dirs, &site.directories)),
        };
        let world = Self::of(parts, Tampering::default());
        world.watch_notices(&emulators.monitor.ok_or_else(missing)?);
        Ok(world)
    }
}
