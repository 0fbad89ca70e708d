//! `harness bench audit`: what a pass of the audit costs at so many attachments on a node, and how many bytes go over the switch's
//! socket. The pods, their rows and their records are made by the plugin's own ADDs. In one process with the emulators, on one
//! thread: what they do to answer is in the time, so it is an upper bound. Then the shipped daemon as a process: its processor
//! time, its memory, and what it costs while nothing happens.

mod process;

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use nuage_cni::audit::kubernetes::{ApiServer, WatchedPods};
use nuage_cni::audit::{Auditor, Mode};
use nuage_cni::config::{load_node, load_vsp};
use nuage_cni::host::{Host, Stream, Switch};
use nuage_cni::orchestrator::Orchestrator;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::sleep;

use super::{Figure, Figures, median};
use crate::error::Error;
use crate::load::pods::Pods;
use crate::run::simulate;
use crate::scenario::Scenario;
use crate::stopwatch::Stopwatch;
use crate::world::sim::{Tampering, World, config_directory};

/// What is attached by the plugin. A journal holds 1,024.
const SIZES: [usize; 3] = [110, 250, 1000];
/// What the original may have left beside that: rows without a record.
const ORIGINALS: usize = 4000;
/// The passes of which the median is told.
const PASSES: usize = 9;
/// A node that is not full by then, in virtual time, never will be.
const PATIENCE: Duration = Duration::from_hours(2);

/// Measures.
///
/// # Errors
/// The pods did not come up, or a pass failed.
pub fn run() -> Result<Figures, Error> {
    let mut figures = Figures::new("audit", "");
    for size in SIZES {
        measure(size, 0, &mut figures)?;
    }
    measure(1000, ORIGINALS, &mut figures)?;
    for (records, originals) in SIZES.map(|size| (size, 0)).into_iter().chain([(1000, ORIGINALS)]) {
        process::measure(records, originals, &mut figures)?;
    }
    Ok(figures)
}

fn measure(size: usize, originals: usize, figures: &mut Figures) -> Result<(), Error> {
    let text = format!(
        "title = \"audit\"\nwhy = \"figures\"\n[cluster]\nnodes = 1\nparallel = 64\n[[load]]\nkind = \"deployment\"\n\
         replicas = {size}\nhold = \"24h\"\n"
    );
    let scenario = Scenario::parse("audit", &text)?;
    let measured = simulate(async {
        let world = World::new(&scenario.cluster.draw(1), 1, Tampering::default())?;
        let pods = Pods::new(Arc::clone(&world));
        for load in scenario.loads.clone() {
            let pods = pods.clone();
            tokio::task::spawn_local(async move { load.run(&pods).await });
        }
        let mut waited = Duration::ZERO;
        while world.ledger().attached() < size {
            if waited > PATIENCE {
                return Err(Error::Site(format!("{} of {size} pods are up", world.ledger().attached())));
            }
            sleep(Duration::from_secs(1)).await;
            waited += Duration::from_secs(1);
        }
        plant(&world, originals);
        let passes = passes(&world).await;
        world.end();
        passes
    })??;
    let all = size + originals;
    let name = |what: &str| format!("{all} attachments: {what}");
    figures.push(Figure::new(name("a pass"), measured.milliseconds, "ms"));
    figures.push(Figure::new(name("on the switch's socket, a pass"), measured.kibibytes, "KiB"));
    Ok(())
}

struct Measured {
    milliseconds: f64,
    kibibytes: f64,
}

/// The two rows of one of them.
fn original(number: usize) -> [(&'static str, Value); 2] {
    let port = format!("nu{number:013x}");
    let entity = json!({
        "vm_uuid": format!("{number:064x}"), "vm_name": format!("old-{number}"), "ports": port, "type": 4, "domain": 4
    });
    [("Nuage_Port_Table", json!({"name": port})), ("Nuage_VM_Table", entity)]
}

/// Rows as the original wrote them, of containers that are gone.
fn plant(world: &World, count: usize) {
    let rows: Vec<Value> = (0..count)
        .flat_map(|number| {
            original(number).map(|(table, row)| json!({"op": "insert", "table": table, "row": row}))
        })
        .collect();
    if !rows.is_empty() {
        world.nodes[0].vrs.server().transact(nuage_emulator::vrs::DATABASE, &rows);
    }
}

async fn passes(world: &World) -> Result<Measured, Error> {
    let counted = Arc::new(AtomicU64::new(0));
    let host = world.audit_seams(0);
    let switch = Arc::new(CountingSwitch { inner: Arc::clone(&host.switch), bytes: Arc::clone(&counted) });
    let host = Host { switch, ..host };
    let name = world.nodes[0].name.clone();
    let directory = config_directory(&name);
    let failed = |error: nuage_cni::Error| Error::Site(format!("{error}: {}", error.details()));
    let node = load_node(&*host.files, Some(&directory)).map_err(failed)?;
    let vsp = load_vsp(&*host.files, Orchestrator::Kubernetes, Some(&directory)).map_err(failed)?;
    let pods = Arc::new(WatchedPods::start(ApiServer::new(host.clone(), vsp), Some(name)));
    let mut auditor = Auditor::new(host, Orchestrator::Kubernetes, node, Some(directory), pods);
    // The watch lists the pods meanwhile.
    sleep(Duration::from_secs(5)).await;
    let (mut times, mut bytes) = (Vec::new(), Vec::new());
    for _ in 0..PASSES {
        let before = counted.load(Ordering::Relaxed);
        let watch = Stopwatch::start();
        auditor.pass(Mode::default()).await.map_err(failed)?;
        times.push(watch.elapsed().as_secs_f64() * 1e3);
        #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
        bytes.push((counted.load(Ordering::Relaxed) - before) as f64 / 1024.0);
    }
    Ok(Measured { milliseconds: median(&times), kibibytes: median(&bytes) })
}

/// A switch whose streams are counted.
struct CountingSwitch {
    inner: Arc<dyn Switch>,
    bytes: Arc<AtomicU64>,
}

#[async_trait]
impl Switch for CountingSwitch {
    async fn connect(&self, endpoint: &str) -> io::Result<Box<dyn Stream>> {
        let inner = self.inner.connect(endpoint).await?;
        Ok(Box::new(CountingStream { inner, bytes: Arc::clone(&self.bytes) }))
    }
}

struct CountingStream {
    inner: Box<dyn Stream>,
    bytes: Arc<AtomicU64>,
}

impl CountingStream {
    fn count(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

impl AsyncRead for CountingStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.inner).poll_read(context, buffer);
        self.count(buffer.filled().len() - before);
        read
    }
}

impl AsyncWrite for CountingStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(context, bytes);
        if let Poll::Ready(Ok(length)) = &written {
            self.count(*length);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}
