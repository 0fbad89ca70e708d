//! The kernel of a node, simulated or real, as runtimes use it and as invariants look at it: namespaces, links, and for which
//! sandbox each was made. The plugin never comes through here.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use nuage_cni::host::Link;

#[cfg(target_os = "linux")]
use super::host::kernel::RealKernel;
use super::sim::kernel::SimulatedKernel;

/// Where namespaces have their names.
pub(crate) const NAMESPACES: &str = "/var/run/netns";

/// The kernel of a node.
#[derive(Clone, Debug)]
pub enum Kernel {
    /// One in memory.
    Simulated(SimulatedKernel),
    /// The machine's own, as far as it was made for this run.
    #[cfg(target_os = "linux")]
    Real(RealKernel),
}

macro_rules! both {
    ($self:ident, $kernel:ident => $does:expr) => {
        match $self {
            Self::Simulated($kernel) => $does,
            #[cfg(target_os = "linux")]
            Self::Real($kernel) => $does,
        }
    };
}

impl Kernel {
    /// Where a runtime makes the namespace of a sandbox.
    pub fn namespace_of(&self, sandbox: &str) -> PathBuf {
        both!(self, kernel => kernel.namespace_of(sandbox))
    }

    /// Makes a namespace, as a runtime does for a sandbox.
    pub fn add_namespace(&self, path: &Path, sandbox: &str) {
        both!(self, kernel => kernel.add_namespace(path, sandbox));
    }

    /// Removes a namespace and with it both ends of its pairs.
    pub fn remove_namespace(&self, path: &Path) {
        both!(self, kernel => kernel.remove_namespace(path));
    }

    /// The system goes down: every namespace goes with it. A real one never does: who asks for it is refused.
    pub fn power_off(&self) {
        match self {
            Self::Simulated(kernel) => kernel.power_off(),
            #[cfg(target_os = "linux")]
            Self::Real(_) => {}
        }
    }

    /// Whether a namespace is there.
    pub fn has_namespace(&self, path: &Path) -> bool {
        both!(self, kernel => kernel.has_namespace(path))
    }

    /// The names of the host's links that were made for sandboxes of this node.
    pub fn host_links(&self) -> Vec<String> {
        both!(self, kernel => kernel.host_links())
    }

    /// Whether the host has a link of this name.
    pub fn has_host_link(&self, name: &str) -> bool {
        both!(self, kernel => kernel.has_host_link(name))
    }

    /// The names of the host's links that have changed since this was last asked.
    pub fn take_touched(&self) -> BTreeSet<String> {
        both!(self, kernel => kernel.take_touched())
    }

    /// The sandbox that a link of the host of this name was made for, if there ever was one.
    pub fn made_for(&self, name: &str) -> Option<String> {
        both!(self, kernel => kernel.made_for(name))
    }

    /// The names of all links of the host that were ever made for a sandbox.
    pub fn names_of(&self, sandbox: &str) -> BTreeSet<String> {
        both!(self, kernel => kernel.names_of(sandbox))
    }

    /// Forgets what was made for a sandbox that is gone for good.
    pub fn forget(&self, sandbox: &str) {
        both!(self, kernel => kernel.forget(sandbox));
    }

    /// All links inside a namespace but the loopback, each after the name of its other end.
    pub fn links_in(&self, path: &Path) -> Vec<(String, Link)> {
        both!(self, kernel => kernel.links_in(path))
    }

    /// A link inside a namespace.
    pub fn link(&self, path: &Path, name: &str) -> Option<Link> {
        both!(self, kernel => kernel.link(path, name))
    }

    /// What has become of the namespace of another driver's pod, if it is not as it was.
    pub fn bystander_changed(&self) -> Option<String> {
        both!(self, kernel => kernel.bystander_changed())
    }
}
