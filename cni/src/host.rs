//! The seams: everything a CNI call may touch outside its own memory. A real node stands behind them in the
//! shipped binaries ([`crate::node`]), a simulated one in the harness; all code above them is the same.
//! Nothing here may decide anything.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use ipnet::IpNet;
use tokio::io::{AsyncRead, AsyncWrite};
use tower::util::BoxCloneSyncService;

use crate::config::Memo;

/// An error from below a seam whose type does not matter above it.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
/// A response body that can be read in pieces (a watch never ends).
pub type BoxBody = UnsyncBoxBody<Bytes, BoxError>;
/// An HTTP client bound to one TLS identity. Requests carry absolute URLs.
pub type HttpService = BoxCloneSyncService<http::Request<Bytes>, http::Response<BoxBody>, BoxError>;

/// The seams of one node, handed down; cheap to clone.
#[derive(Clone)]
pub struct Host {
    /// Opens streams to the VRS.
    pub switch: Arc<dyn Switch>,
    /// Makes HTTP clients.
    pub http: Arc<dyn Http>,
    /// Network namespaces and links.
    pub links: Arc<dyn Links>,
    /// Configuration, journal and locks.
    pub files: Arc<dyn Files>,
    /// The time of day, for what outlives a call. All waiting is tokio's, which virtual time drives.
    pub clock: Arc<dyn Clock>,
    /// What calls say about themselves.
    pub log: Arc<dyn Log>,
}

impl fmt::Debug for Host {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Host")
    }
}

/// A log, and when it is full.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFile {
    /// Where it is.
    pub path: PathBuf,
    /// How long it gets before it is put away, in bytes.
    pub bytes: u64,
    /// How many that were put away are kept.
    pub count: u32,
}

/// Takes what calls say about themselves. Never fails and never waits: what cannot be written is lost.
pub trait Log: Send + Sync {
    /// Writes a line; it comes without its end.
    fn write(&self, file: &LogFile, line: &str);

    /// Hands the figures of a call to whoever listens on `socket`.
    fn report(&self, socket: &Path, datagram: &[u8]);
}

/// Tells the time of day.
pub trait Clock: Send + Sync {
    /// How long ago 1970-01-01T00:00:00Z was.
    fn now(&self) -> Duration;

    /// Which bug of the original there is again, by its name. It is handed down here because whoever wraps the seams of a
    /// process hands on its clock as it is.
    #[cfg(feature = "mutants")]
    fn mutant(&self) -> Option<&'static str> {
        None
    }
}

/// A byte stream to the VRS.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Opens streams to the VRS's OVSDB.
#[async_trait]
pub trait Switch: Send + Sync {
    /// Connects to `endpoint`: a path, `unix:PATH` or `tcp:HOST:PORT`. The caller bounds the time.
    ///
    /// # Errors
    /// Whatever the operating system says, unchanged.
    async fn connect(&self, endpoint: &str) -> io::Result<Box<dyn Stream>>;
}

/// Whom an HTTP client trusts and who it says it is. All of it PEM text; nothing is loaded from the system.
#[derive(Clone, Default)]
pub struct TlsIdentity {
    /// Certificates of the authorities that may have signed the server's certificate.
    pub authorities: Vec<u8>,
    /// The client's certificate chain and its key, if it presents one.
    pub client: Option<(Vec<u8>, Vec<u8>)>,
    /// SHA-256 of the one server certificate that is accepted, instead of a name check.
    pub pinned_sha256: Option<[u8; 32]>,
}

impl fmt::Debug for TlsIdentity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Never the key.
        formatter.debug_struct("TlsIdentity").field("client", &self.client.is_some()).finish_non_exhaustive()
    }
}

/// Makes HTTP clients: no proxy from the environment, no redirects, HTTP/1.1, always verified.
pub trait Http: Send + Sync {
    /// A client with this identity. Built late: a call that needs no HTTP never pays for it.
    ///
    /// # Errors
    /// PEM text that cannot be used.
    fn client(&self, identity: &TlsIdentity) -> Result<HttpService, BoxError>;

    /// A client whose first request will go to `server`, a URL: its connection is opened now, while its caller does
    /// something else. Called within a tokio runtime.
    ///
    /// # Errors
    /// PEM text or a URL that cannot be used. A server that cannot be reached fails the request.
    fn open(&self, identity: &TlsIdentity, server: &str) -> Result<HttpService, BoxError> {
        let _ = server;
        self.client(identity)
    }

    /// A client for `http://` alone: agents of Mesos speak without TLS unless a site has turned it on. Nobody else is
    /// asked so, and no plugin can.
    ///
    /// # Errors
    /// There is nothing of the kind behind this seam.
    #[cfg(feature = "audit")]
    fn plain(&self) -> Result<HttpService, BoxError> {
        Err("nobody is asked without TLS here".into())
    }
}

/// An open network namespace. It is opened once, checked, and used by descriptor from then on, so that a path
/// that is re-used meanwhile cannot redirect the call.
#[derive(Clone, Debug)]
pub struct Netns {
    /// The path it was opened by, for messages and results only.
    pub path: PathBuf,
    /// The inode of the namespace: its identity on this boot.
    pub inode: u64,
    /// The open namespace; absent in a simulation.
    pub descriptor: Option<Arc<OwnedFd>>,
}

/// The network namespaces that were found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Namespaces {
    /// Whether a process is in it, by the inode that is its identity on this boot.
    pub inhabited: BTreeMap<u64, bool>,
    /// Whether these are all: there may be processes that this one may not look at.
    pub whole: bool,
}

/// A veth pair to make: its peer is created inside the pod's namespace, never moved there (a move costs an RCU
/// grace period, tens of milliseconds).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VethPair {
    /// Name of the end that stays on the host (the VRS port's name), at most 15 bytes.
    pub host_name: String,
    /// Name of the end in the pod (`CNI_IFNAME`), at most 15 bytes.
    pub pod_name: String,
    /// MTU of both ends, in bytes.
    pub mtu: u32,
    /// The pod end's MAC address where one is asked for; otherwise the kernel draws one.
    pub pod_mac: Option<String>,
}

/// A link as it is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its name.
    pub name: String,
    /// Its MAC address: lower-case hex with colons.
    pub mac: String,
    /// Its MTU in bytes.
    pub mtu: u32,
    /// Whether it is administratively up.
    pub up: bool,
    /// Its addresses; link-local IPv6 addresses are left out.
    pub addresses: Vec<IpNet>,
    /// Routes that leave by it; connected routes the kernel made itself are left out.
    pub routes: Vec<Route>,
}

/// A route in a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Where it leads.
    pub destination: IpNet,
    /// The next hop; absent for a route to a neighbour on the link (scope link).
    pub gateway: Option<IpAddr>,
}

/// Why an operation on a namespace or link failed.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The path is not there.
    #[error("{0} does not exist")]
    NoSuchNetns(PathBuf),
    /// The path is there, but it is no network namespace.
    #[error("{0} is not a network namespace")]
    NotANetns(PathBuf),
    /// The namespace is the one this process runs in.
    #[error("{0} is the host's own network namespace")]
    OwnNetns(PathBuf),
    /// A link of that name exists already.
    #[error("link {0} exists already")]
    Exists(String),
    /// The link is not there.
    #[error("link {0} does not exist")]
    NoSuchLink(String),
    /// The kernel takes no IPv6 address for the link.
    #[error("link {0} takes no IPv6 address: IPv6 is disabled there (sysctl net.ipv6.conf.all.disable_ipv6)")]
    NoIpv6(String),
    /// A route of the same destination leaves by another link.
    #[error("a route to {destination} leaves by another link than {name} already")]
    RouteTaken {
        /// Where the route leads.
        destination: IpNet,
        /// The link that it was to leave by.
        name: String,
    },
    /// The platform has no such thing.
    #[error("links need Linux")]
    Unsupported,
    /// The kernel refused.
    #[error("{operation}: {source}")]
    Kernel {
        /// What was tried.
        operation: String,
        /// What the kernel said.
        source: io::Error,
    },
}

/// Network namespaces and links.
#[async_trait]
pub trait Links: Send + Sync {
    /// Opens a namespace by path; refuses what is no network namespace and the caller's own.
    ///
    /// # Errors
    /// [`LinkError::NoSuchNetns`], [`LinkError::NotANetns`], [`LinkError::OwnNetns`], or the kernel's refusal.
    async fn open_netns(&self, path: &Path) -> Result<Netns, LinkError>;

    /// Finds a link in `netns`, or on the host where that is `None`.
    ///
    /// # Errors
    /// The kernel's refusal; that the link is absent is `Ok(None)`.
    async fn find(&self, netns: Option<&Netns>, name: &str) -> Result<Option<Link>, LinkError>;

    /// Makes a veth pair, both ends up, and returns the pod end's MAC address.
    ///
    /// # Errors
    /// [`LinkError::Exists`] where either name is taken (nothing is made then), or the kernel's refusal.
    async fn create_veth(&self, netns: &Netns, pair: &VethPair) -> Result<String, LinkError>;

    /// Adds addresses, then routes (in order), to a link inside `netns`, and tells its neighbours of the addresses. What
    /// is there already is no error; an IPv6 address can be used at once (no duplicate address detection: the
    /// controller has handed it out once).
    ///
    /// # Errors
    /// [`LinkError::NoSuchLink`], [`LinkError::NoIpv6`], [`LinkError::RouteTaken`] or the kernel's refusal.
    async fn configure(
        &self,
        netns: &Netns,
        name: &str,
        addresses: &[IpNet],
        routes: &[Route],
    ) -> Result<(), LinkError>;

    /// Deletes a link of the host (and with it its peer). Returns whether it was there.
    ///
    /// # Errors
    /// The kernel's refusal.
    async fn delete(&self, name: &str) -> Result<bool, LinkError>;

    /// The MTU of the device that the default route leaves by and whether that route is IPv6 only.
    ///
    /// # Errors
    /// The kernel's refusal; no default route is `Ok(None)`.
    async fn underlay_mtu(&self) -> Result<Option<(u32, bool)>, LinkError>;

    /// The names of all links of the host.
    ///
    /// # Errors
    /// The kernel's refusal. What cannot be told whole is not told.
    async fn names(&self) -> Result<Vec<String>, LinkError> {
        Err(LinkError::Unsupported)
    }

    /// All network namespaces that have a name or a process, as far as this process may look.
    ///
    /// # Errors
    /// The kernel's refusal.
    async fn namespaces(&self) -> Result<Namespaces, LinkError> {
        Err(LinkError::Unsupported)
    }
}

/// A lock that is held until it is dropped. The kernel drops it for a process that dies.
pub trait LockGuard: Send {}

/// Small local files, whole at a time.
#[async_trait]
pub trait Files: Send + Sync {
    /// Reads a file of at most `limit` bytes; `None` where there is none.
    ///
    /// # Errors
    /// The operating system's refusal, or `InvalidData` for a longer file.
    fn read(&self, path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>>;

    /// Writes a file so that a crash leaves the old or the new content, never a mixture: a temporary file of
    /// mode 0600, synced, renamed, its directory synced. Missing directories are made with mode 0700.
    ///
    /// # Errors
    /// The operating system's refusal; the old content is then still there.
    fn write(&self, path: &Path, content: &[u8]) -> io::Result<()>;

    /// Makes a file that is on the disk when this returns, while its caller goes on: a disk takes milliseconds. Once begun
    /// it is carried out, whether or not somebody still waits. A crash may leave it cut short, so its reader has to make
    /// something of that. One that is there already is replaced as by [`Files::write`].
    ///
    /// # Errors
    /// As [`Files::write`].
    async fn create(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        self.write(path, content)
    }

    /// Writes a file without waiting for the disk, white space at its end to the length that it had. A crash may leave the
    /// old content, a mixture or nothing: for what means nothing once the machine has started anew.
    ///
    /// # Errors
    /// As [`Files::write`].
    fn write_lightly(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        self.write(path, content)
    }

    /// Removes a file. Returns whether it was there.
    ///
    /// # Errors
    /// The operating system's refusal.
    fn remove(&self, path: &Path) -> io::Result<bool>;

    /// The names in a directory, sorted; empty where there is none.
    ///
    /// # Errors
    /// The operating system's refusal.
    fn list(&self, directory: &Path) -> io::Result<Vec<String>>;

    /// Tries to take an exclusive lock without waiting; `None` while another holds it.
    ///
    /// # Errors
    /// The operating system's refusal.
    fn try_lock(&self, path: &Path) -> io::Result<Option<Box<dyn LockGuard>>>;

    /// Where it is remembered what configuration files meant, for who reads them again and again; the executables do not.
    fn memo(&self) -> Option<&Memo> {
        None
    }
}
