//! Whatever fails, and wherever the plugin is killed, a following DEL leaves nothing: every operation below the seams is
//! failed in turn, and the process is killed at every operation in turn.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "a test")]

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use ipnet::IpNet;
use nuage_cni::host::{
    BoxError, Files, Host, Http, HttpService, Link, LinkError, Links, LockGuard, Netns, Route, Stream,
    Switch, TlsIdentity, VethPair,
};
use nuage_cni::orchestrator::Orchestrator;
use nuage_cni::{Invocation, Outcome, invoke};
use nuage_harness::scenario::Cluster;
use nuage_harness::world::sim::{Tampering, World, config_directory};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::LocalSet;

/// What happens at the operation whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Mishap {
    /// It fails; everything after works.
    Fails,
    /// The process is killed before it: neither it nor anything after happens.
    Killed,
    /// The process is killed after it: it happens, nothing after does.
    KilledAfter,
    /// The process is killed when it would be polled again: every point at which it waits has such a turn.
    Dropped,
}

/// Counts operations and says what becomes of each.
#[derive(Debug)]
struct Fate {
    done: AtomicUsize,
    turn: usize,
    mishap: Mishap,
    severed: AtomicBool,
}

#[derive(Clone, Copy, PartialEq)]
enum Verdict {
    Goes,
    Fails,
    Never,
}

impl Fate {
    fn next(&self) -> Verdict {
        let number = self.done.fetch_add(1, Ordering::Relaxed);
        match self.mishap {
            Mishap::Fails if number == self.turn => Verdict::Fails,
            Mishap::Killed if number >= self.turn => Verdict::Never,
            Mishap::KilledAfter if number > self.turn => Verdict::Never,
            Mishap::Dropped if self.is_dead() => Verdict::Never,
            _ => Verdict::Goes,
        }
    }

    fn is_dead(&self) -> bool {
        let done = self.done.load(Ordering::Relaxed);
        match self.mishap {
            Mishap::Fails => false,
            Mishap::Killed => done > self.turn,
            Mishap::KilledAfter => done > self.turn + 1,
            Mishap::Dropped => self.severed.load(Ordering::Relaxed),
        }
    }

    /// A dead process does nothing more, not even fail: it just does not go on.
    async fn pass(&self) -> io::Result<()> {
        match self.next() {
            Verdict::Goes => Ok(()),
            Verdict::Fails => Err(io::Error::other("a mishap")),
            Verdict::Never => std::future::pending().await,
        }
    }

    /// For operations that cannot be suspended: whatever a dead process does has no effect.
    fn pass_now(&self) -> io::Result<()> {
        if self.next() == Verdict::Goes { Ok(()) } else { Err(io::Error::other("a mishap")) }
    }
}

fn kernel(source: io::Error) -> LinkError {
    LinkError::Kernel { operation: "a link".to_owned(), source }
}

struct FatedLinks(Arc<dyn Links>, Arc<Fate>);

#[async_trait]
impl Links for FatedLinks {
    async fn open_netns(&self, path: &Path) -> Result<Netns, LinkError> {
        self.1.pass().await.map_err(kernel)?;
        self.0.open_netns(path).await
    }
    async fn find(&self, netns: Option<&Netns>, name: &str) -> Result<Option<Link>, LinkError> {
        self.1.pass().await.map_err(kernel)?;
        self.0.find(netns, name).await
    }
    async fn create_veth(&self, netns: &Netns, pair: &VethPair) -> Result<String, LinkError> {
        self.1.pass().await.map_err(kernel)?;
        self.0.create_veth(netns, pair).await
    }
    async fn configure(
        &self,
        netns: &Netns,
        name: &str,
        addresses: &[IpNet],
        routes: &[Route],
    ) -> Result<(), LinkError> {
        self.1.pass().await.map_err(kernel)?;
        self.0.configure(netns, name, addresses, routes).await
    }
    async fn delete(&self, name: &str) -> Result<bool, LinkError> {
        self.1.pass().await.map_err(kernel)?;
        self.0.delete(name).await
    }
    async fn underlay_mtu(&self) -> Result<Option<(u32, bool)>, LinkError> {
        self.0.underlay_mtu().await
    }
}

struct FatedFiles(Arc<dyn Files>, Arc<Fate>);

impl Files for FatedFiles {
    fn read(&self, path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>> {
        self.0.read(path, limit)
    }
    fn write(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        self.1.pass_now()?;
        self.0.write(path, content)
    }
    fn remove(&self, path: &Path) -> io::Result<bool> {
        self.1.pass_now()?;
        self.0.remove(path)
    }
    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        self.0.list(directory)
    }
    fn try_lock(&self, path: &Path) -> io::Result<Option<Box<dyn LockGuard>>> {
        self.0.try_lock(path)
    }
}

struct FatedSwitch(Arc<dyn Switch>, Arc<Fate>);

#[async_trait]
impl Switch for FatedSwitch {
    async fn connect(&self, endpoint: &str) -> io::Result<Box<dyn Stream>> {
        self.1.pass().await?;
        let stream = self.0.connect(endpoint).await?;
        Ok(Box::new(FatedStream(stream, Arc::clone(&self.1))))
    }
}

/// Each message that is written is an operation. A dead process's stream is closed, as the kernel closes it.
struct FatedStream(Box<dyn Stream>, Arc<Fate>);

impl AsyncRead for FatedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.1.is_dead() {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for FatedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if let Err(error) = self.1.pass_now() {
            return Poll::Ready(Err(error));
        }
        Pin::new(&mut self.0).poll_write(context, bytes)
    }
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

struct FatedHttp(Arc<dyn Http>, Arc<Fate>);

impl Http for FatedHttp {
    fn client(&self, identity: &TlsIdentity) -> Result<HttpService, BoxError> {
        self.1.pass_now()?;
        self.0.client(identity)
    }
}

fn fated(host: &Host, fate: &Arc<Fate>) -> Host {
    Host {
        switch: Arc::new(FatedSwitch(Arc::clone(&host.switch), Arc::clone(fate))),
        http: Arc::new(FatedHttp(Arc::clone(&host.http), Arc::clone(fate))),
        links: Arc::new(FatedLinks(Arc::clone(&host.links), Arc::clone(fate))),
        files: Arc::new(FatedFiles(Arc::clone(&host.files), Arc::clone(fate))),
        clock: Arc::clone(&host.clock),
        log: Arc::clone(&host.log),
    }
}

const NETNS: &str = "/var/run/netns/cni-1";

/// What the call that meets the mishap is about.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Case {
    /// The first interface of its sandbox.
    First,
    /// Another one, which shares the entity of the first.
    Second,
    /// The first, after another plugin of the list.
    Chained,
}

impl Case {
    fn ifname(self) -> &'static str {
        if self == Self::Second { "net1" } else { "eth0" }
    }
}

fn invocation(case: Case, command: &str, netns: &str) -> Invocation {
    let variables = [
        ("CNI_COMMAND", command),
        ("CNI_CONTAINERID", "sandbox-1"),
        ("CNI_NETNS", netns),
        ("CNI_IFNAME", case.ifname()),
        ("CNI_ARGS", "K8S_POD_NAMESPACE=default;K8S_POD_NAME=web-0;K8S_POD_INFRA_CONTAINER_ID=sandbox-1"),
    ];
    let environment: BTreeMap<String, String> =
        variables.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let mut network = json!({
        "cniVersion": "1.0.0", "name": "nuage", "type": "nuage-cni-k8s", "configDir": config_directory("node-1")
    });
    if case == Case::Chained {
        let other = json!([{"name": "other0", "sandbox": NETNS}]);
        network["prevResult"] = json!({"cniVersion": "1.0.0", "interfaces": other, "ips": [], "dns": {}});
    }
    Invocation {
        orchestrator: Orchestrator::Kubernetes,
        environment,
        stdin: network.to_string().into_bytes(),
    }
}

/// A call of a process that may meet its end: `None` if it never answered.
async fn call(host: Host, invocation: Invocation) -> Option<Outcome> {
    let process = tokio::task::spawn_local(async move { invoke(&host, invocation).await });
    let abort = process.abort_handle();
    let answer = tokio::time::timeout(Duration::from_secs(200), process).await;
    abort.abort();
    answer.ok().map(|outcome| outcome.expect("no panic"))
}

/// A call that is polled so often, then cut from its seams and dropped.
async fn dropped(host: Host, invocation: Invocation, fate: &Fate) -> Option<Outcome> {
    let mut process = Box::pin(async move { invoke(&host, invocation).await });
    let mut polls = 0;
    std::future::poll_fn(|context| {
        if polls == fate.turn {
            fate.severed.store(true, Ordering::Relaxed);
            return Poll::Ready(None);
        }
        polls += 1;
        process.as_mut().poll(context).map(Some)
    })
    .await
}

fn journal(world: &World) -> Vec<String> {
    let directory: PathBuf = config_directory("node-1").join("state/attachments");
    world.nodes[0].files.list(&directory).unwrap()
}

/// One world, one pod, one mishap during `command`. Returns whether its turn came at all.
async fn survives(case: Case, command: &str, mishap: Mishap, turn: usize) -> bool {
    let story = format!("{case:?}, {command}, {mishap:?} at {turn}");
    let world = World::new(&Cluster { parallel: 1, ..Cluster::default() }, 1, Tampering::default()).unwrap();
    world
        .kube
        .create(json!({"kind": "Pod", "metadata": {"name": "web-0"}, "spec": {"nodeName": "node-1"}}))
        .unwrap();
    world.nodes[0].kernel.add_namespace(Path::new(NETNS), "sandbox-1");
    let host = world.host(0);
    let fate = Arc::new(Fate { done: AtomicUsize::new(0), turn, mishap, severed: AtomicBool::new(false) });
    let mut before = Vec::new();
    if case == Case::Second {
        before.push(Case::First);
    }
    if command == "DEL" {
        before.push(case);
    }
    for one in before {
        let added = call(host.clone(), invocation(one, "ADD", NETNS)).await.expect(&story);
        assert_eq!(added.exit_code, 0, "{story}: {added:?}");
    }
    let (rows, records) = (world.leftovers(), journal(&world));
    let (seams, what) = (fated(&host, &fate), invocation(case, command, NETNS));
    let met = match mishap {
        Mishap::Dropped => dropped(seams, what, &fate).await,
        _ => call(seams, what).await,
    };
    let happened = match mishap {
        Mishap::Dropped => met.is_none(),
        _ => fate.done.load(Ordering::Relaxed) > turn,
    };
    if let Some(outcome) = &met {
        // Whoever answers answers in one JSON text or, a DEL, in none.
        let json = serde_json::from_slice::<serde_json::Value>(&outcome.stdout).is_ok();
        assert!(json || (command == "DEL" && outcome.stdout.is_empty()), "{story}: {outcome:?}");
    }
    if command == "ADD"
        && mishap == Mishap::Fails
        && met.as_ref().is_some_and(|outcome| outcome.exit_code != 0)
    {
        // A failed ADD has cleaned up after itself, or its journal knows what it owes.
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert!(world.leftovers() == rows || journal(&world) != records, "{story}: {:?}", world.leftovers());
    }
    let all = if case == Case::Second { vec![case, Case::First] } else { vec![case] };
    for one in all {
        for netns in [NETNS, ""] {
            let outcome = call(host.clone(), invocation(one, "DEL", netns)).await.expect(&story);
            assert_eq!((outcome.exit_code, outcome.stdout.len()), (0, 0), "{story}: {outcome:?}");
        }
        if one == Case::Second {
            // The pod's first interface is as it was.
            let checked = call(host.clone(), invocation(Case::First, "CHECK", NETNS)).await.expect(&story);
            assert_eq!(checked.exit_code, 0, "{story}: {checked:?}");
        }
    }
    // The controller tells the VSD a moment later.
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(world.leftovers(), Vec::<String>::new(), "{story}");
    assert_eq!(journal(&world), Vec::<String>::new(), "{story}");
    world.end();
    happened
}

fn every_turn(command: &str, mishap: Mishap) {
    for case in [Case::First, Case::Second, Case::Chained] {
        let mut turns = 0;
        loop {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .start_paused(true)
                .build()
                .unwrap();
            if !LocalSet::new().block_on(&runtime, survives(case, command, mishap, turns)) {
                break;
            }
            turns += 1;
            assert!(turns < 500, "an end is expected");
        }
        eprintln!("{command}, {case:?}, {mishap:?}: {turns} turns, none skipped");
        assert!(turns > 4, "{command} has more operations than {turns}");
    }
}

#[test]
fn an_add_whose_every_operation_fails_in_turn_leaves_nothing_after_del() {
    every_turn("ADD", Mishap::Fails);
}

#[test]
fn an_add_that_is_killed_before_every_operation_in_turn_leaves_nothing_after_del() {
    every_turn("ADD", Mishap::Killed);
}

#[test]
fn an_add_that_is_killed_after_every_operation_in_turn_leaves_nothing_after_del() {
    every_turn("ADD", Mishap::KilledAfter);
}

#[test]
fn a_del_whose_every_operation_fails_in_turn_leaves_nothing_after_the_next() {
    every_turn("DEL", Mishap::Fails);
}

#[test]
fn a_del_that_is_killed_at_every_operation_in_turn_leaves_nothing_after_the_next() {
    every_turn("DEL", Mishap::Killed);
}

#[test]
fn an_add_that_is_dropped_at_every_poll_in_turn_leaves_nothing_after_del() {
    every_turn("ADD", Mishap::Dropped);
}

#[test]
fn a_del_that_is_dropped_at_every_poll_in_turn_leaves_nothing_after_the_next() {
    every_turn("DEL", Mishap::Dropped);
}
