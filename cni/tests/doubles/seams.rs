//! The seams of one process into a node in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use ipnet::IpNet;
use nuage_cni::host::{
    BoxError, Clock, Files, Http, HttpService, Link, LinkError, Links, LockGuard, Log, LogFile, Namespaces,
    Netns, Route, Stream, Switch, TlsIdentity, VethPair,
};
use serde_json::{Value, json};
use tokio::time::Instant;
use tower::util::BoxCloneSyncService;

use super::process::Process;
use super::switch::{Database, Presence};

/// Locks a mutex whatever has become of its last holder.
pub fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn io_error() -> io::Error {
    io::Error::other("broken on purpose")
}

/// What the calls on a node said about themselves.
#[derive(Clone, Debug, Default)]
pub struct Lines {
    pub log: Arc<Mutex<Vec<String>>>,
    pub reports: Arc<Mutex<Vec<Value>>>,
}

impl Log for Lines {
    fn write(&self, _file: &LogFile, line: &str) {
        held(&self.log).push(line.to_owned());
    }

    fn report(&self, _socket: &Path, datagram: &[u8]) {
        held(&self.reports).push(serde_json::from_slice(datagram).unwrap());
    }
}

/// The files of a node, and who holds which lock.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    pub files: Arc<Mutex<BTreeMap<PathBuf, Vec<u8>>>>,
    locks: Arc<Mutex<BTreeSet<PathBuf>>>,
    /// Writing is refused.
    pub full: Arc<Mutex<bool>>,
}

struct Lock(PathBuf, Arc<Mutex<BTreeSet<PathBuf>>>);
impl LockGuard for Lock {}
// As the kernel drops the locks of a process that ends, however it ends.
impl Drop for Lock {
    fn drop(&mut self) {
        held(&self.1).remove(&self.0);
    }
}

pub struct ProcessFiles(pub Disk, pub Process);

impl Files for ProcessFiles {
    fn read(&self, path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>> {
        let read = self.1.operate("files read", || held(&self.0.files).get(path).cloned());
        match read.map_err(|_| io_error())? {
            Some(content) if content.len() as u64 > limit => Err(io::ErrorKind::InvalidData.into()),
            content => Ok(content),
        }
    }

    fn write(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        if *held(&self.0.full) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let write = || drop(held(&self.0.files).insert(path.to_owned(), content.to_vec()));
        self.1.operate("files write", write).map_err(|_| io_error())
    }

    fn remove(&self, path: &Path) -> io::Result<bool> {
        let remove = || held(&self.0.files).remove(path).is_some();
        self.1.operate("files remove", remove).map_err(|_| io_error())
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        let list = || {
            let files = held(&self.0.files);
            let inside = files.keys().filter(|path| path.parent() == Some(directory));
            inside.filter_map(|path| path.file_name()?.to_str().map(str::to_owned)).collect()
        };
        self.1.operate("files list", list).map_err(|_| io_error())
    }

    fn try_lock(&self, path: &Path) -> io::Result<Option<Box<dyn LockGuard>>> {
        if *held(&self.0.full) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let take = || {
            let taken = held(&self.0.locks).insert(path.to_owned());
            taken.then(|| Box::new(Lock(path.to_owned(), Arc::clone(&self.0.locks))) as Box<dyn LockGuard>)
        };
        self.1.operate("files lock", take).map_err(|_| io_error())
    }
}

/// The time of day when a node is made.
const EPOCH: Duration = Duration::from_hours(490_896);

/// The time of day, which moves with the test's; it holds when the node was made.
pub struct VirtualClock(pub Instant);

impl Clock for VirtualClock {
    fn now(&self) -> Duration {
        EPOCH + self.0.elapsed()
    }
}

/// The namespaces and links of a node.
#[derive(Clone, Debug, Default)]
pub struct Kernel {
    /// Inodes by path.
    pub namespaces: Arc<Mutex<BTreeMap<PathBuf, u64>>>,
    /// The inodes of those that a process is in.
    pub inhabited: Arc<Mutex<BTreeSet<u64>>>,
    /// Pairs by the name of the host's end: where the other end is, and what it is like.
    pub pairs: Arc<Mutex<BTreeMap<String, (u64, Link)>>>,
}

pub struct ProcessLinks(pub Kernel, pub Process);

impl ProcessLinks {
    async fn operate<T>(
        &self,
        operation: &str,
        effect: impl FnOnce() -> Result<T, LinkError> + Send,
    ) -> Result<T, LinkError> {
        let broken = || LinkError::Kernel { operation: operation.to_owned(), source: io_error() };
        self.1.operate_or_hang(operation, effect).await.unwrap_or_else(|| Err(broken()))
    }
}

#[async_trait]
impl Links for ProcessLinks {
    async fn open_netns(&self, path: &Path) -> Result<Netns, LinkError> {
        let inode = held(&self.0.namespaces).get(path).copied();
        let inode = inode.ok_or_else(|| LinkError::NoSuchNetns(path.to_owned()))?;
        Ok(Netns { path: path.to_owned(), inode, descriptor: None })
    }

    async fn find(&self, netns: Option<&Netns>, name: &str) -> Result<Option<Link>, LinkError> {
        self.operate("links find", || {
            let pairs = held(&self.0.pairs);
            Ok(match netns {
                None => pairs.get(name).map(|(_, link)| Link { name: name.to_owned(), ..link.clone() }),
                Some(netns) => {
                    let mut inside = pairs.values().filter(|(inode, _)| *inode == netns.inode);
                    inside.find(|(_, link)| link.name == name).map(|(_, link)| link.clone())
                }
            })
        })
        .await
    }

    async fn create_veth(&self, netns: &Netns, pair: &VethPair) -> Result<String, LinkError> {
        self.operate("links create", || {
            let mut pairs = held(&self.0.pairs);
            let taken = |(inode, link): &(u64, Link)| *inode == netns.inode && link.name == pair.pod_name;
            if pairs.contains_key(&pair.host_name) || pairs.values().any(taken) {
                return Err(LinkError::Exists(pair.pod_name.clone()));
            }
            let mac = pair.pod_mac.clone().unwrap_or_else(|| format!("02:00:00:00:00:{:02x}", pairs.len()));
            let (name, mtu) = (pair.pod_name.clone(), pair.mtu);
            let link =
                Link { name, mac: mac.clone(), mtu, up: true, addresses: Vec::new(), routes: Vec::new() };
            pairs.insert(pair.host_name.clone(), (netns.inode, link));
            Ok(mac)
        })
        .await
    }

    async fn configure(
        &self,
        netns: &Netns,
        name: &str,
        addresses: &[IpNet],
        routes: &[Route],
    ) -> Result<(), LinkError> {
        self.operate("links configure", || {
            let mut pairs = held(&self.0.pairs);
            let mut inside = pairs.values_mut().filter(|(inode, _)| *inode == netns.inode);
            let found = inside.find(|(_, link)| link.name == name);
            let (_, link) = found.ok_or_else(|| LinkError::NoSuchLink(name.to_owned()))?;
            link.addresses.extend(
                addresses.iter().filter(|new| !link.addresses.contains(new)).copied().collect::<Vec<_>>(),
            );
            link.routes.extend(routes.iter().cloned());
            Ok(())
        })
        .await
    }

    async fn delete(&self, name: &str) -> Result<bool, LinkError> {
        self.operate("links delete", || Ok(held(&self.0.pairs).remove(name).is_some())).await
    }

    async fn underlay_mtu(&self) -> Result<Option<(u32, bool)>, LinkError> {
        self.operate("links underlay", || Ok(Some((1500, false)))).await
    }

    async fn names(&self) -> Result<Vec<String>, LinkError> {
        self.operate("links names", || Ok(held(&self.0.pairs).keys().cloned().collect())).await
    }

    async fn namespaces(&self) -> Result<Namespaces, LinkError> {
        self.operate("links namespaces", || {
            let (inodes, inhabited) = (held(&self.0.namespaces), held(&self.0.inhabited));
            let found = inodes.values().map(|inode| (*inode, inhabited.contains(inode))).collect();
            Ok(Namespaces { inhabited: found, whole: true })
        })
        .await
    }
}

pub struct ProcessSwitch(pub Database, pub Process);

#[async_trait]
impl Switch for ProcessSwitch {
    async fn connect(&self, _endpoint: &str) -> io::Result<Box<dyn Stream>> {
        if self.0.presence() == Presence::Away {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let connect = || {
            let (client, server) = tokio::io::duplex(64 << 10);
            tokio::spawn(self.0.clone().serve(server, self.1.clone()));
            client
        };
        let stream = self.1.operate_or_hang("switch connect", connect).await;
        stream.map(|stream| Box::new(stream) as Box<dyn Stream>).ok_or_else(io_error)
    }
}

/// The API server, where every pod exists, and the monitor, which counts pods by name.
#[derive(Clone)]
pub struct Services {
    pub counted: Arc<Mutex<BTreeSet<String>>>,
    /// How the monitor is.
    pub monitor: Arc<Mutex<Presence>>,
    /// Labels and annotations of every pod.
    pub metadata: Arc<Mutex<Value>>,
    /// Namespaces that the API server has beside the pods' own.
    pub namespaces: Arc<Mutex<BTreeSet<String>>>,
    /// What was asked: path, credentials and body.
    pub asked: Arc<Mutex<Vec<(String, String, Value)>>>,
}

/// The UID of every pod.
pub const POD_UID: &str = "5f0c0a52-0000-4000-8000-000000000001";

impl Services {
    pub fn new() -> Self {
        Self {
            counted: Arc::default(),
            monitor: Arc::new(Mutex::new(Presence::Up)),
            metadata: Arc::new(Mutex::new(json!({}))),
            namespaces: Arc::default(),
            asked: Arc::default(),
        }
    }

    fn answer(&self, request: &http::Request<Bytes>) -> Value {
        let credentials = request.headers().get("authorization").and_then(|value| value.to_str().ok());
        let body: Value = serde_json::from_slice(request.body()).unwrap_or_default();
        let asked = (request.uri().path().to_owned(), credentials.unwrap_or_default().to_owned(), body);
        held(&self.asked).push(asked);
        let path: Vec<&str> = request.uri().path().split('/').skip(1).collect();
        match path.as_slice() {
            ["api", "v1", "namespaces", namespace, "pods", name] => {
                let mut metadata = held(&self.metadata).clone();
                metadata["namespace"] = json!(namespace);
                metadata["name"] = json!(name);
                metadata["uid"] = json!(POD_UID);
                json!({"metadata": metadata})
            }
            ["api", "v1", "namespaces", namespace] => {
                if !held(&self.namespaces).contains(*namespace) {
                    return Value::Null;
                }
                json!({"metadata": {"name": namespace}})
            }
            ["namespaces", namespace, "pods"] => {
                let body: Value = serde_json::from_slice(request.body()).unwrap();
                let pod = format!("{namespace}/{}", body["podName"].as_str().unwrap());
                if body["action"] == "delete" {
                    held(&self.counted).remove(&pod);
                } else {
                    held(&self.counted).insert(pod);
                }
                let subnet = body["desiredSubnet"].as_str().map(str::to_owned);
                json!({"subnetName": subnet.unwrap_or_else(|| format!("{namespace}-0")), "policyGroups": null})
            }
            path => panic!("request to {path:?}"),
        }
    }
}

pub struct ProcessHttp(pub Services, pub Process);

impl Http for ProcessHttp {
    fn client(&self, _identity: &TlsIdentity) -> Result<HttpService, BoxError> {
        let (services, process) = (self.0.clone(), self.1.clone());
        Ok(BoxCloneSyncService::new(tower::service_fn(move |request: http::Request<Bytes>| {
            let (services, process) = (services.clone(), process.clone());
            async move {
                if request.uri().path().starts_with("/namespaces/") {
                    let presence = *held(&services.monitor);
                    match presence {
                        Presence::Up => {}
                        Presence::Away => return Err(BoxError::from("connection refused")),
                        Presence::Silent => std::future::pending().await,
                    }
                }
                let answer = process.operate_or_hang("http request", || services.answer(&request)).await;
                let answer = answer.ok_or("broken on purpose")?;
                let status = if answer.is_null() { 404 } else { 200 };
                let body = Full::new(Bytes::from(answer.to_string())).map_err(|never| match never {});
                let mut response = http::Response::new(body.boxed_unsync());
                *response.status_mut() = http::StatusCode::from_u16(status)?;
                Ok(response)
            }
        })))
    }
}
