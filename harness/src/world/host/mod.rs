//! Nodes on this machine's own kernel: the shipped executables as processes, real namespaces and links, and the emulators on
//! their sockets, in this process, so that invariants see every row the moment it changes. Leaves nothing behind, however a
//! run ends: what it made is named after this process, and what a killed one left is swept by the next.

mod cluster;
pub(crate) mod containers;
pub mod kernel;
pub(crate) mod process;

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use nuage_emulator::up::{Component, Options, Parts, Ports, Reach, Site as EmulatedSite};
use tokio::runtime::Runtime;

use crate::error::Error;
use crate::scenario::{Cluster, Scenario};
use kernel::Machine;

/// What everything of a run on this machine is named by, before the process and the run.
const PREFIX: &str = "nuage-run";
/// No process makes more runs on a machine at once.
const MOST_RUNS: usize = 1000;
/// How long a scenario may take by the simulation: here it takes as long for real.
const LONGEST: Duration = Duration::from_mins(10);
/// How many pods and nodes one machine is good for.
const MOST_PODS: usize = 500;
const MOST_NODES: usize = 50;
/// The plugin that scenarios call.
const PLUGIN: &str = "nuage-cni-k8s";

/// What makes a run on this machine possible.
#[derive(Clone, Debug)]
pub struct HostOptions {
    /// Where the executables are; those of an image are installed anew for each node.
    pub bin_dir: PathBuf,
    /// The image that nodes are, in the world `containers`.
    pub image: Option<String>,
    /// Whether what happens where is kept, for a report.
    pub reported: bool,
}

impl HostOptions {
    /// With the executables in `bin_dir`, or beside this one.
    ///
    /// # Errors
    /// [`Error::Lacking`]: they are not there.
    pub fn new(bin_dir: Option<&Path>) -> Result<Self, Error> {
        let own = || Some(std::env::current_exe().ok()?.parent()?.to_owned());
        let bin_dir = bin_dir.map(Path::to_owned).or_else(own).unwrap_or_default();
        // Plugins run in another directory than this process.
        if let Ok(bin_dir) = fs::canonicalize(&bin_dir)
            && bin_dir.join(PLUGIN).is_file()
        {
            return Ok(Self { bin_dir, image: None, reported: false });
        }
        let place = bin_dir.display();
        Err(Error::Lacking(format!("{place} has no {PLUGIN}: build it, or say where it is with --bin-dir")))
    }

    /// With nodes that are containers of an image.
    ///
    /// # Errors
    /// [`Error::Lacking`]: no engine answers, or it has no such image.
    pub fn of_image(image: &str) -> Result<Self, Error> {
        containers::look(image)?;
        Ok(Self { bin_dir: PathBuf::new(), image: Some(image.to_owned()), reported: false })
    }

    /// As the command line calls the world.
    pub(crate) fn world(&self) -> &'static str {
        if self.image.is_some() { "containers" } else { "host" }
    }
}

/// Whether a scenario can be carried out here: asked before anything is begun. `simulated` is how long it takes by the
/// simulation, `pods` how many it makes.
///
/// # Errors
/// [`Error::Lacking`] with the reason.
pub(crate) fn can_carry_out(
    scenario: &Scenario,
    cluster: &Cluster,
    simulated: Duration,
    pods: usize,
) -> Result<(), Error> {
    let refused = |why: String| Err(Error::Lacking(format!("{}: {why}", scenario.path)));
    let loads =
        scenario.loads.iter().filter_map(|load| Some((format!("{load:?}"), load.needs_simulation()?)));
    let faults =
        scenario.faults.iter().filter_map(|fault| Some((fault.name().to_owned(), fault.needs_simulation()?)));
    if let Some((what, why)) = loads.chain(faults).next() {
        return refused(format!("{what} needs --world sim: {why}"));
    }
    if cluster.has_own_addresses() {
        return refused("its subnets need --world sim: here they are the emulator's".to_owned());
    }
    if simulated > LONGEST {
        return refused(format!(
            "it takes {simulated:.0?} of virtual time; here, where it is real, at most {LONGEST:?}"
        ));
    }
    if pods > MOST_PODS || cluster.nodes > MOST_NODES {
        let nodes = cluster.nodes;
        return refused(format!(
            "it has {nodes} nodes and {pods} pods; a machine takes {MOST_NODES} and {MOST_PODS}"
        ));
    }
    Ok(())
}

/// A site on this machine.
#[derive(Debug)]
pub(crate) struct Site {
    /// What the emulators run on.
    pub(crate) runtime: Runtime,
    emulators: Option<EmulatedSite>,
    directory: PathBuf,
    /// The machine's kernel.
    pub(crate) machine: Machine,
    /// The parts of the emulators.
    pub(crate) parts: Parts,
    /// Where each node's files lie.
    pub(crate) directories: Vec<PathBuf>,
    /// What tells this run from others, for its randomness.
    pub(crate) number: u64,
}

impl Site {
    /// Sets up the site of a cluster.
    ///
    /// # Errors
    /// [`Error::Lacking`]: no root, no way to make namespaces. [`Error::Site`]: the emulators do not start.
    pub(crate) fn start(cluster: &Cluster) -> Result<Self, Error> {
        let lacking = |error: io::Error| Error::Lacking(error.to_string());
        if fs::metadata("/proc/self").map_err(lacking)?.uid() != 0 {
            return Err(Error::Lacking("--world host needs root: it makes network namespaces".to_owned()));
        }
        sweep();
        let (directory, number) = own_directory()?;
        let name = format!("{PREFIX}-{}-{number}", std::process::id());
        let machine = Machine::new(&name, std::process::id(), number);
        let started = machine.and_then(|machine| Ok((machine, emulate(&directory, cluster)?)));
        let (machine, (runtime, emulators, directories)) =
            started.inspect_err(|_| drop(fs::remove_dir_all(&directory)))?;
        let (parts, number) =
            (emulators.parts().clone(), (u64::from(std::process::id()) << 16) + number as u64);
        let emulators = Some(emulators);
        Ok(Self { runtime, emulators, directory, machine, parts, directories, number })
    }
}

// However a run ends, a panic included.
impl Drop for Site {
    fn drop(&mut self) {
        if let Some(emulators) = self.emulators.take() {
            self.runtime.block_on(emulators.stop());
        }
        self.machine.clear();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// A directory that nobody else has, and which number it got.
fn own_directory() -> Result<(PathBuf, usize), Error> {
    for number in 0..MOST_RUNS {
        let path = std::env::temp_dir().join(format!("{PREFIX}-{}-{number}", std::process::id()));
        match fs::DirBuilder::new().mode(0o700).create(&path) {
            Ok(()) => return Ok((path, number)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(source) => return Err(Error::File { path, source }),
        }
    }
    Err(Error::Lacking(format!("{MOST_RUNS} runs of this process have left their directories")))
}

/// The emulators of a site, on threads of their own: they answer while this one waits.
fn emulate(directory: &Path, cluster: &Cluster) -> Result<(Runtime, EmulatedSite, Vec<PathBuf>), Error> {
    let failed = |error: &dyn std::fmt::Display| Error::Site(error.to_string());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(|error| failed(&error))?;
    let options = Options {
        directory: directory.to_owned(),
        ports: Ports::Auto,
        bind: IpAddr::V4(Ipv4Addr::LOCALHOST),
        components: Component::ALL.into(),
        empty: false,
        nodes: u16::try_from(cluster.nodes).unwrap_or(u16::MAX),
        standby: cluster.standby,
        persist: false,
        vrs_tcp: false,
        vrs_tls: false,
        reach: Reach::default(),
    };
    let site = runtime.block_on(EmulatedSite::start(&options)).map_err(|error| failed(&error))?;
    let names = (1..=cluster.nodes).map(|number| format!("node-{number}"));
    let directories = names.map(|name| site.node_files(&options, &name)).collect();
    Ok((runtime, site, directories))
}

/// Takes away what runs have left whose process is gone: only a SIGKILL can have kept them from it.
fn sweep() {
    for name in kernel::names_in(Path::new(super::kernel::NAMESPACES)) {
        if is_of_the_dead(&name) {
            let _ = kernel::ip(&["netns", "del", &name]);
        }
    }
    let temporary = std::env::temp_dir();
    for name in kernel::names_in(&temporary) {
        if is_of_the_dead(&name) {
            let _ = fs::remove_dir_all(temporary.join(name));
        }
    }
}

/// Whether a name is of a run whose process is gone.
fn is_of_the_dead(name: &str) -> bool {
    let process =
        || -> Option<u32> { name.strip_prefix(PREFIX)?.strip_prefix('-')?.split('-').next()?.parse().ok() };
    process().is_some_and(|process| !Path::new("/proc").join(process.to_string()).exists())
}

/// What the nodes' calls have logged, as far as nobody has looked at it.
#[derive(Debug)]
pub(crate) struct Ground {
    /// As the command line calls the world.
    pub(crate) world: &'static str,
    bin_dirs: Vec<PathBuf>,
    logs: Mutex<Vec<(PathBuf, usize)>>,
}

impl Ground {
    /// `bin_dirs`: where each node's executables are, if not in one place.
    pub(crate) fn new(options: &HostOptions, bin_dirs: &[PathBuf], directories: &[PathBuf]) -> Self {
        let logs = directories.iter().map(|directory| (directory.join("log/nuage-cni.log"), 0)).collect();
        let mut bin_dirs = bin_dirs.to_vec();
        bin_dirs.resize(directories.len(), options.bin_dir.clone());
        Self { world: options.world(), bin_dirs, logs: Mutex::new(logs) }
    }

    /// Where a node's executables are.
    pub(crate) fn bin_dir(&self, node: usize) -> &Path {
        &self.bin_dirs[node]
    }

    /// The lines of a node's log since this was last asked.
    pub(crate) fn take_told(&self, node: usize) -> Vec<String> {
        let mut logs = self.logs.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let (path, seen) = &mut logs[node];
        let text = fs::read(path).unwrap_or_default();
        // One that was put away began anew.
        let fresh = text.get(*seen..).unwrap_or(&text);
        let lines = String::from_utf8_lossy(fresh).lines().map(str::to_owned).collect();
        *seen = text.len();
        lines
    }
}

/// What must never be told, of the files that a node got: its token, and each line of its key.
pub(crate) fn secrets(directory: &Path) -> Vec<String> {
    let read = |name: &str| fs::read_to_string(directory.join(name)).unwrap_or_default();
    let token = read("nuage.kubeconfig")
        .lines()
        .find_map(|line| Some(line.trim().strip_prefix("token: ")?.to_owned()));
    let key = read("monitor-client.key");
    let lines = key.lines().filter(|line| !line.starts_with("-----") && line.len() >= 16).map(str::to_owned);
    token.into_iter().chain(lines).collect()
}

/// The files below `directory` that have `text` in them.
pub(crate) fn mentioning(directory: &Path, text: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for name in kernel::names_in(directory) {
        let path = directory.join(name);
        if path.is_dir() {
            found.extend(mentioning(&path, text));
        } else if fs::read_to_string(&path).is_ok_and(|content| content.contains(text)) {
            found.push(path);
        }
    }
    found
}
