//! The whole site in one process: switches, VSD, controllers, monitor, API server and Mesos agents on real sockets, with the files that a
//! node needs to use them.

pub mod directory;
mod site;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::PathBuf;

pub use site::{Parts, Site};

/// A part of the site.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Component {
    /// The switches.
    Vrs,
    /// The REST API.
    Vsd,
    /// The controllers.
    Vsc,
    /// The Nuage Kubernetes monitor.
    Monitor,
    /// The slice of the Kubernetes API.
    Kube,
    /// The slice of the Mesos agents' API.
    Mesos,
}

impl Component {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Vrs, Self::Vsd, Self::Vsc, Self::Monitor, Self::Kube, Self::Mesos];
}

/// Which TCP ports are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Ports {
    /// Whatever is free.
    Auto,
    /// The product's: 8443, 7443, 9443, 6443, 5051.
    Default,
}

/// What to run.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own; any combination makes sense")]
pub struct Options {
    /// The site's directory.
    pub directory: PathBuf,
    /// Which ports.
    pub ports: Ports,
    /// Which address.
    pub bind: IpAddr,
    /// Which parts.
    pub components: BTreeSet<Component>,
    /// Switches without their ready-made rows.
    pub empty: bool,
    /// How many nodes.
    pub nodes: u16,
    /// Whether each switch has a second controller, which takes over when the first is lost.
    pub standby: bool,
    /// Whether the switches' rows and the VSD's objects outlive the process, in `state` below the directory.
    pub persist: bool,
    /// Whether the switches listen on TCP, too.
    pub vrs_tcp: bool,
    /// Whether the switches listen on TLS, too, for clients with a certificate of the site's authority.
    pub vrs_tls: bool,
    /// How it is reached from elsewhere.
    pub reach: Reach,
}

/// What a site needs that clients of other machines use.
#[derive(Clone, Default)]
pub struct Reach {
    /// Names that its clients call it by, beside localhost: they stand in its certificates, the first one in its URLs.
    pub names: Vec<String>,
    /// The password of `csproot`, instead of the one that everybody knows.
    pub password: Option<String>,
    /// A folder with ca.pem and ca.key, copied to the site's `pki`: an authority that clients know already.
    pub authority: Option<PathBuf>,
}

impl std::fmt::Debug for Reach {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Reach").field("names", &self.names).finish_non_exhaustive()
    }
}
