//! The shipped daemon beside an emulator, both as processes. Records, rows and pods are planted and no link is there, so that it
//! takes every attachment for leaked, asks the last witness too and keeps a first sighting of each: more work than on a sound node.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use nuage_cni::config::{NodeConfig, load_kubeconfig, load_node};
use nuage_cni::host::Host;
use nuage_cni::journal::{Journal, Record, State, boot_id};
use nuage_cni::node;
use nuage_cni::orchestrator::{Identity, Pod};
use nuage_ovsdb::client::{Client, Limits};
use nuage_ovsdb::operation::Operation;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::{Figure, Figures, original};
use crate::error::Error;

/// Passes that are counted; those before fill caches.
const PASSES: u64 = 20;
const FIRST_PASSES: u64 = 3;
/// As often as the daemon passes while its passes are measured, in seconds.
const SHORT_INTERVAL: u64 = 1;
/// Longer than anything is measured.
const LONG_INTERVAL: u64 = 3600;
/// How long it is watched while nothing happens.
const QUIET: Duration = Duration::from_secs(30);
const PATIENCE: Duration = Duration::from_mins(1);
const ROWS_AT_ONCE: usize = 500;

/// Measures a node with so many records, and so many attachments that the original left.
pub(super) fn measure(records: usize, originals: usize, figures: &mut Figures) -> Result<(), Error> {
    let site = Site::start()?;
    site.plant(records, originals)?;
    let name = |what: &str| format!("{} attachments, the daemon's process: {what}", records + originals);
    let passing = site.daemon(SHORT_INTERVAL)?;
    passing.wait_for_passes(FIRST_PASSES)?;
    let (before, begun) = (passing.processor()?, passing.passes()?);
    passing.wait_for_passes(begun + PASSES)?;
    let (after, ended) = (passing.processor()?, passing.passes()?);
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    let per_pass = (after - before) * 1e3 / (ended - begun) as f64;
    figures.push(Figure::new(name("processor time a pass"), per_pass, "ms"));
    figures.push(Figure::new(name("most memory (VmHWM)"), passing.memory()?, "MiB"));
    drop(passing);
    let idle = site.daemon(LONG_INTERVAL)?;
    idle.wait_for_passes(1)?;
    let before = idle.processor()?;
    wait(QUIET)?;
    let quiet = (idle.processor()? - before) / QUIET.as_secs_f64() * 100.0;
    figures.push(Figure::new(name("of a core between passes"), quiet, "%"));
    figures.push(Figure::new(name("of a core, with a pass a minute"), quiet + per_pass / 600.0, "%"));
    Ok(())
}

/// Waits beside no runtime.
fn wait(duration: Duration) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().map_err(said)?;
    // The timer is made inside: outside it has no runtime.
    runtime.block_on(async { tokio::time::sleep(duration).await });
    Ok(())
}

fn failed(what: &Path) -> impl Fn(std::io::Error) -> Error {
    let path = what.to_owned();
    move |source| Error::File { path: path.clone(), source }
}

fn said(error: impl std::fmt::Display) -> Error {
    Error::Site(error.to_string())
}

fn ours(error: &nuage_cni::Error) -> Error {
    Error::Site(format!("{error}: {}", error.details()))
}

/// A process that ends with this.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

struct Site {
    directory: PathBuf,
    executables: PathBuf,
    _emulator: Running,
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

impl Site {
    fn start() -> Result<Self, Error> {
        let own = std::env::current_exe().map_err(failed(Path::new("the harness")))?;
        let executables = own.parent().unwrap_or(Path::new("/")).to_owned();
        let directory = std::env::temp_dir().join(format!("nuage-bench-audit-{}", std::process::id()));
        let path = executables.join("emulator");
        let mut command = Command::new(&path);
        command.args(["up", "--only", "vrs,kube", "--dir"]).arg(&directory);
        let child = command.stdout(Stdio::piped()).stdin(Stdio::null()).spawn().map_err(failed(&path))?;
        let mut emulator = Running(child);
        let lines = emulator.0.stdout.take().map(|pipe| BufReader::new(pipe).lines().map_while(Result::ok));
        if !lines.into_iter().flatten().any(|line| line == "ready") {
            return Err(Error::Site("the emulator did not start".to_owned()));
        }
        Ok(Self { directory, executables, _emulator: emulator })
    }

    fn node(&self) -> PathBuf {
        self.directory.join("node")
    }

    fn plant(&self, records: usize, originals: usize) -> Result<(), Error> {
        let host = node::host();
        let config = load_node(&*host.files, Some(&self.node())).map_err(|error| ours(&error))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(said)?;
        runtime.block_on(async {
            let attached = attached(&host, &config, &self.directory, records).await?;
            let rows = attached.into_iter().chain((0..originals).flat_map(original));
            rows_on_the_switch(&host, &config, &rows.collect::<Vec<_>>()).await
        })
    }

    fn daemon(&self, interval: u64) -> Result<Daemon, Error> {
        let file = self.node().join("nuage-cni.yaml");
        let text = std::fs::read_to_string(&file).map_err(failed(&file))?;
        let kept: Vec<&str> = text.lines().filter(|line| !line.starts_with("monitorinterval")).collect();
        let text = format!("{}\nmonitorinterval: {interval}\n", kept.join("\n"));
        std::fs::write(&file, text).map_err(failed(&file))?;
        let path = self.executables.join("nuage-audit");
        let mut command = Command::new(&path);
        command.env("KUBERNETES_NODE_NAME", "node-1").arg("--config-dir").arg(self.node()).arg("run");
        let child = command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().map_err(failed(&path))?;
        Ok(Daemon { process: Running(child), control: self.node().join("run/control.sock") })
    }
}

/// A running daemon.
struct Daemon {
    process: Running,
    control: PathBuf,
}

impl Daemon {
    fn place(&self, what: &str) -> PathBuf {
        Path::new("/proc").join(self.process.0.id().to_string()).join(what)
    }

    /// Seconds on processors, of all its threads.
    fn processor(&self) -> Result<f64, Error> {
        let tasks = self.place("task");
        let mut nanoseconds = 0.0;
        for task in std::fs::read_dir(&tasks).map_err(failed(&tasks))? {
            let path = task.map_err(failed(&tasks))?.path().join("schedstat");
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            nanoseconds += text.split(' ').next().and_then(|first| first.parse::<f64>().ok()).unwrap_or(0.0);
        }
        Ok(nanoseconds / 1e9)
    }

    /// Its most memory, in MiB.
    fn memory(&self) -> Result<f64, Error> {
        let path = self.place("status");
        let text = std::fs::read_to_string(&path).map_err(failed(&path))?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<f64>().ok());
        kib.map(|kib| kib / 1024.0).ok_or_else(|| said("the kernel tells no VmHWM"))
    }

    fn passes(&self) -> Result<u64, Error> {
        use std::io::Write as _;
        let mut stream =
            std::os::unix::net::UnixStream::connect(&self.control).map_err(failed(&self.control))?;
        stream.write_all(b"{\"verb\":\"status\"}\n").map_err(failed(&self.control))?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).map_err(failed(&self.control))?;
        let status: Value = serde_json::from_str(&line).map_err(said)?;
        Ok(status["passes"].as_u64().unwrap_or(0))
    }

    fn wait_for_passes(&self, wanted: u64) -> Result<(), Error> {
        let pause = Duration::from_millis(100);
        let tries = PATIENCE.as_millis() / pause.as_millis();
        for _ in 0..tries {
            if self.passes().is_ok_and(|passes| passes >= wanted) {
                return Ok(());
            }
            wait(pause)?;
        }
        Err(Error::Site(format!("the daemon did not come to {wanted} passes")))
    }
}

/// Pods, and the records of their attachments; the rows that belong to them.
async fn attached(
    host: &Host,
    config: &NodeConfig,
    directory: &Path,
    count: usize,
) -> Result<Vec<(&'static str, Value)>, Error> {
    let api =
        load_kubeconfig(&*host.files, &directory.join("admin.kubeconfig")).map_err(|error| ours(&error))?;
    let service = host.http.client(&api.identity).map_err(said)?;
    let journal = Journal::new(host, config);
    let mut rows = Vec::new();
    for number in 0..count {
        let name = format!("pod-{number}");
        let object = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default"},
            "spec": {"nodeName": "node-1", "containers": [{"name": "c", "image": "i"}]},
            "status": {"phase": "Running"}
        });
        let request = http::Request::post(format!("{}/api/v1/namespaces/default/pods", api.server))
            .header("content-type", "application/json")
            .header("authorization", format!("Bearer {}", api.token.clone().unwrap_or_default()))
            .body(Bytes::from(object.to_string()))
            .map_err(said)?;
        let answer = service.clone().oneshot(request).await.map_err(said)?;
        if !answer.status().is_success() {
            return Err(Error::Site(format!("making a pod: {}", answer.status())));
        }
        let (port, id) = (format!("nuf{number:012x}"), format!("f{number:063x}"));
        let identity = Identity {
            container_id: id.clone(),
            ifname: "eth0".to_owned(),
            port_name: port.clone(),
            entity_uuid: id.clone(),
            entity_name: name.clone(),
            pod: Some(Pod { namespace: "default".to_owned(), name: name.clone(), uid: None }),
        };
        let mut record = Record::intent(&identity, "nuage", boot_id(&*host.files), 4_000_000_000);
        record.state = State::Attached;
        journal.save(&record).map_err(|error| ours(&error))?;
        let address = format!("10.20.{}.{}", number >> 8 & 255, number & 255);
        rows.push(("Nuage_Port_Table", json!({"name": port, "ip_addr": address, "bridge": "alubr0"})));
        let entity = json!({"vm_uuid": id, "vm_name": name, "ports": port, "type": 4, "domain": 4});
        rows.push(("Nuage_VM_Table", entity));
    }
    Ok(rows)
}

async fn rows_on_the_switch(
    host: &Host,
    config: &NodeConfig,
    rows: &[(&'static str, Value)],
) -> Result<(), Error> {
    let stream = host.switch.connect(&config.vrs_endpoint).await.map_err(said)?;
    let client = Client::spawn(stream, Limits::default());
    for some in rows.chunks(ROWS_AT_ONCE) {
        let operations = some.iter().map(|(table, row)| {
            let columns: BTreeMap<String, Value> =
                row.as_object().cloned().unwrap_or_default().into_iter().collect();
            Operation::insert(table, &columns, None)
        });
        client.transact("Open_vSwitch", operations.collect(), PATIENCE).await.map_err(said)?;
    }
    Ok(())
}
