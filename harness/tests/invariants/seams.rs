//! What can be broken in the other seams: the disk, the log, HTTP and the way to the switch.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use nuage_cni::host::{
    BoxError, Files, Host, Http, HttpService, LockGuard, Log, LogFile, Stream, Switch, TlsIdentity,
};
use nuage_harness::world::sim::Node;
use tower::ServiceExt as _;
use tower::util::BoxCloneSyncService;

use super::Mutation;
use super::links::GARBAGE;

pub(super) const ALL: &[Mutation] = &[
    Mutation::of_seams("del_is_idempotent", "the disk dies with the first file that is removed", dying_disk),
    Mutation::of_seams(
        "no_residue_after_del",
        "a journal record is said to be removed, and left",
        |_, host| Host { files: Arc::new(Hoarder(Arc::clone(&host.files))), ..host },
    ),
    Mutation::of_seams("no_secret_in_logs_or_events", "the token is written to the log", |node, host| {
        let log = Gossip { log: Arc::clone(&host.log), secret: node.secrets[0].clone() };
        Host { log: Arc::new(log), ..host }
    }),
    Mutation::of_seams(
        "no_secret_in_logs_or_events",
        "an HTTP error tells the request's headers",
        |_, host| Host { http: Arc::new(Blabber), ..host },
    ),
    Mutation::of_seams(
        "gc_removes_exactly_the_complement",
        "a journal record is said to be removed, and left by a GC",
        |_, host| Host { files: Arc::new(Hoarder(Arc::clone(&host.files))), ..host },
    )
    .beside(GARBAGE),
    Mutation::of_seams(
        "monitor_told_exactly_once_per_delete",
        "each notice to the monitor is sent twice",
        |_, host| Host { http: Arc::new(Messenger { http: Arc::clone(&host.http), times: 2 }), ..host },
    ),
    Mutation::of_seams(
        "monitor_told_exactly_once_per_delete",
        "a notice to the monitor is said to be sent, and is not",
        |_, host| Host { http: Arc::new(Messenger { http: Arc::clone(&host.http), times: 0 }), ..host },
    ),
    Mutation::of_seams("no_fd_or_task_growth", "connections to the switch stay open", |_, host| Host {
        switch: Arc::new(Clinging(Arc::clone(&host.switch))),
        ..host
    }),
    Mutation::of_seams("no_fd_or_task_growth", "tasks are left running", |_, host| {
        for _ in 0..200 {
            tokio::spawn(std::future::pending::<()>());
        }
        host
    }),
    Mutation::of_seams("bounded_retries", "the switch is connected to again and again", |_, host| Host {
        switch: Arc::new(Stubborn(Arc::clone(&host.switch))),
        ..host
    }),
];

/// A disk that can neither be read nor written once something was removed from it.
struct DyingDisk {
    files: Arc<dyn Files>,
    dead: Mutex<bool>,
}

impl DyingDisk {
    fn check(&self) -> io::Result<()> {
        if *self.dead.lock().unwrap() { Err(io::Error::other("the disk is gone")) } else { Ok(()) }
    }
}

impl Files for DyingDisk {
    fn read(&self, path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>> {
        self.check()?;
        self.files.read(path, limit)
    }
    fn write(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        self.check()?;
        self.files.write(path, content)
    }
    fn remove(&self, path: &Path) -> io::Result<bool> {
        let removed = self.files.remove(path)?;
        if removed {
            let marker = PathBuf::from("/the-disk-is-dead");
            self.files.write(&marker, b"")?;
            *self.dead.lock().unwrap() = true;
        }
        Ok(removed)
    }
    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        self.files.list(directory)
    }
    fn try_lock(&self, path: &Path) -> io::Result<Option<Box<dyn LockGuard>>> {
        self.check()?;
        self.files.try_lock(path)
    }
}

fn dying_disk(_: &Node, host: Host) -> Host {
    // Each call is a process of its own: whether the disk is dead is written on the disk.
    let dead = host.files.read(Path::new("/the-disk-is-dead"), 1).unwrap().is_some();
    let files = Arc::new(DyingDisk { files: Arc::clone(&host.files), dead: Mutex::new(dead) });
    Host { files, ..host }
}

/// Keeps every record of the journal.
struct Hoarder(Arc<dyn Files>);

impl Files for Hoarder {
    fn read(&self, path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>> {
        self.0.read(path, limit)
    }
    fn write(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        self.0.write(path, content)
    }
    fn remove(&self, path: &Path) -> io::Result<bool> {
        if path.to_string_lossy().contains("/state/") { Ok(true) } else { self.0.remove(path) }
    }
    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        self.0.list(directory)
    }
    fn try_lock(&self, path: &Path) -> io::Result<Option<Box<dyn LockGuard>>> {
        self.0.try_lock(path)
    }
}

/// Adds a secret to each line.
struct Gossip {
    log: Arc<dyn Log>,
    secret: String,
}

impl Log for Gossip {
    fn write(&self, file: &LogFile, line: &str) {
        self.log.write(file, &format!("{line} token={}", self.secret));
    }
    fn report(&self, socket: &Path, datagram: &[u8]) {
        self.log.report(socket, datagram);
    }
}

/// Fails every request, and tells all of it in the error.
struct Blabber;

impl Http for Blabber {
    fn client(&self, _: &TlsIdentity) -> Result<HttpService, BoxError> {
        Ok(BoxCloneSyncService::new(tower::service_fn(async |request: http::Request<bytes::Bytes>| {
            let headers: Vec<String> = request
                .headers()
                .iter()
                .map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value.as_bytes())))
                .collect();
            Err(BoxError::from(format!("refused: {}", headers.join("; "))))
        })))
    }
}

/// Tells the monitor so many times that a pod is gone, where it is to be told once.
struct Messenger {
    http: Arc<dyn Http>,
    times: usize,
}

impl Http for Messenger {
    fn client(&self, identity: &TlsIdentity) -> Result<HttpService, BoxError> {
        let (client, times) = (self.http.client(identity)?, self.times);
        let send = move |request: http::Request<bytes::Bytes>| {
            let client = client.clone();
            async move {
                let text = String::from_utf8_lossy(request.body()).into_owned();
                let is_notice = request.method() == "POST" && text.contains("\"delete\"");
                if is_notice && times == 0 {
                    // A question in its place.
                    let question = text.replace("\"delete\"", "\"ask\"");
                    return client.oneshot(request.map(|_| question.into())).await;
                }
                let repeats = if is_notice { times - 1 } else { 0 };
                for _ in 0..repeats {
                    client.clone().oneshot(request.clone()).await?;
                }
                client.oneshot(request).await
            }
        };
        Ok(BoxCloneSyncService::new(tower::service_fn(send)))
    }
}

/// Keeps forty connections of each that is asked for.
struct Clinging(Arc<dyn Switch>);

#[async_trait]
impl Switch for Clinging {
    async fn connect(&self, endpoint: &str) -> io::Result<Box<dyn Stream>> {
        for _ in 0..40 {
            std::mem::forget(self.0.connect(endpoint).await?);
        }
        self.0.connect(endpoint).await
    }
}

/// Gives the first six hundred connections back.
struct Stubborn(Arc<dyn Switch>);

#[async_trait]
impl Switch for Stubborn {
    async fn connect(&self, endpoint: &str) -> io::Result<Box<dyn Stream>> {
        for _ in 0..600 {
            drop(self.0.connect(endpoint).await?);
        }
        self.0.connect(endpoint).await
    }
}
