//! One run of a scenario on this machine's kernel: first by the simulation, which tells how long it takes, then for real.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::task::LocalSet;

use super::{Report, carry_out, conclude, run};
use crate::error::Error;
use crate::scenario::{Cluster, Scenario};
use crate::world::host::containers::Containers;
use crate::world::host::{HostOptions, Site, can_carry_out};
use crate::world::sim::World;

/// A run that takes longer hangs: twice what the longest scenario takes by the simulation.
const LIMIT: Duration = Duration::from_mins(20);

/// Runs a scenario with real processes and links, and leaves nothing of it behind.
///
/// # Errors
/// [`Error::Lacking`]: the machine lacks something, or the scenario needs a simulation; nothing was begun then.
/// [`Error::Interrupted`]: by a signal.
pub fn run_on_host(scenario: &Scenario, seed: u64, options: &HostOptions) -> Result<Report, Error> {
    let cluster = scenario.cluster.draw(seed);
    can_carry_out(scenario, &cluster, Duration::ZERO, 0)?;
    let simulated = run(scenario, seed)?;
    can_carry_out(scenario, &cluster, simulated.simulated, simulated.pods)?;
    // Outlives all that works with it, and takes everything away when it goes.
    let site = Site::start(&cluster)?;
    let image = options.image.as_deref();
    let containers = image.map(|image| Containers::start(&site, image)).transpose()?;
    let bin_dirs = containers.as_ref().map(|containers| containers.bin_dirs.clone()).unwrap_or_default();
    let report = on_site(scenario, seed, &cluster, &site, options, &bin_dirs);
    let wrong = containers.as_ref().map(|containers| containers.end(&site.runtime)).unwrap_or_default();
    report.map(|mut report| {
        report.failures.extend(wrong);
        report
    })
}

fn on_site(
    scenario: &Scenario,
    seed: u64,
    cluster: &Cluster,
    site: &Site,
    options: &HostOptions,
    bin_dirs: &[PathBuf],
) -> Result<Report, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Error::Site(error.to_string()))?;
    LocalSet::new().block_on(&runtime, async {
        let world = World::on_host(cluster, seed, site, options, bin_dirs)?;
        tokio::select! {
            biased;
            () = interrupted() => Err(Error::Interrupted),
            failures = carry_out(scenario, seed, &world, LIMIT) => {
                Ok(conclude(scenario, seed, &Arc::clone(&world), failures))
            }
        }
    })
}

/// Ends when somebody wants this process to end.
async fn interrupted() {
    let (Ok(mut interrupt), Ok(mut terminate)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        biased;
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}
