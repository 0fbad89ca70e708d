//! What a benchmark of the plugin needs around it: the emulator as a process, pods, network namespaces, rows of other
//! drivers, and the bridge of the reference plugin. All of it goes with the [`Site`].

use std::io::{BufRead as _, BufReader};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use nuage_cni::config::load_kubeconfig;
use nuage_cni::host::HttpService;
use nuage_cni::node;
use nuage_ovsdb::client::{Client, Limits};
use nuage_ovsdb::operation::Operation;
use nuage_ovsdb::value::Row;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tower::ServiceExt as _;

use super::call::{Call, Plugin};
use crate::error::Error;

/// Where distributions put the reference plugins.
const REFERENCE: [&str; 2] = ["/usr/lib/cni", "/opt/cni/bin"];
const DATABASE: &str = "Open_vSwitch";
const PATIENCE: Duration = Duration::from_secs(30);
/// Rows of other drivers a transaction: one of all would be a long message.
const ROWS_AT_ONCE: usize = 500;
const FORWARDING: &str = "/proc/sys/net/ipv4/ip_forward";

pub(super) struct Site {
    directory: PathBuf,
    run: PathBuf,
    emulator: Child,
    runtime: Runtime,
    api: HttpService,
    api_server: String,
    api_token: String,
    rows: usize,
    pods: usize,
    namespaces: Vec<String>,
    executables: PathBuf,
    reference: PathBuf,
    audit: Option<UnixDatagram>,
    forwarding: Option<String>,
}

fn failed(what: &str) -> impl Fn(std::io::Error) -> Error {
    let path = PathBuf::from(what);
    move |source| Error::File { path: path.clone(), source }
}

fn ip(arguments: &[&str]) -> Result<(), Error> {
    let output = Command::new("ip").args(arguments).output().map_err(failed("ip"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Error::Site(format!("ip {}: {}", arguments.join(" "), said.trim())))
}

/// Puts the node's `rundir` where a node has it, below /run: in memory. What has to outlive the machine stays on the disk, as
/// the floor's addresses do.
fn in_memory(node: &Path, run: &Path) -> Result<(), Error> {
    let path = node.join("nuage-cni.yaml");
    let failed = |source| Error::File { path: path.clone(), source };
    let text = std::fs::read_to_string(&path).map_err(failed)?;
    let kept = text.lines().filter(|line| !line.starts_with("rundir:")).collect::<Vec<_>>().join("\n");
    std::fs::write(&path, format!("{kept}\nrundir: {}\n", run.display())).map_err(failed)
}

impl Site {
    /// Starts the emulator that lies beside this executable.
    pub(super) fn start() -> Result<Self, Error> {
        let own = std::env::current_exe().map_err(failed("the harness"))?;
        let executables = own.parent().unwrap_or(Path::new("/")).to_owned();
        let reference = REFERENCE.map(PathBuf::from).into_iter().find(|place| place.join("bridge").exists());
        let reference = reference.ok_or_else(|| {
            Error::Site("the reference plugins are not installed (containernetworking-plugins)".to_owned())
        })?;
        let directory = std::env::temp_dir().join(format!("nuage-bench-{}", std::process::id()));
        let mut command = Command::new(executables.join("emulator"));
        command.args(["up", "--dir"]).arg(&directory).stdout(Stdio::piped()).stdin(Stdio::null());
        let mut emulator = command.spawn().map_err(failed("emulator"))?;
        let lines = emulator.stdout.take().map(|pipe| BufReader::new(pipe).lines().map_while(Result::ok));
        let ready = lines.into_iter().flatten().any(|line| line == "ready");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let host = node::host();
        let kubeconfig = load_kubeconfig(&*host.files, &directory.join("admin.kubeconfig"));
        let api = kubeconfig.map_err(|error| Error::Site(format!("{error}: {}", error.details())));
        let forwarding = std::fs::read_to_string(FORWARDING).ok();
        let api = api.and_then(|found| {
            let service =
                host.http.client(&found.identity).map_err(|error| Error::Site(error.to_string()))?;
            Ok((service, found.server, found.token.unwrap_or_default()))
        });
        let run = PathBuf::from(format!("/run/nuage-bench-{}", std::process::id()));
        let api = api.and_then(|api| in_memory(&directory.join("node"), &run).map(|()| api));
        match (api, runtime) {
            (Ok((api, api_server, api_token)), Ok(runtime)) if ready => Ok(Self {
                run,
                directory,
                emulator,
                runtime,
                api,
                api_server,
                api_token,
                rows: 0,
                pods: 0,
                namespaces: Vec::new(),
                executables,
                reference,
                audit: None,
                forwarding,
            }),
            (api, _) => {
                let _ = emulator.kill();
                let _ = emulator.wait();
                let _ = std::fs::remove_dir_all(&directory);
                Err(api.err().unwrap_or_else(|| Error::Site("the emulator did not start".to_owned())))
            }
        }
    }

    fn node(&self) -> PathBuf {
        self.directory.join("node")
    }

    fn bridge() -> String {
        format!("nb{}", std::process::id())
    }

    /// Our plugin.
    pub(super) fn ours(&self) -> Plugin {
        Plugin {
            executable: self.executables.join("nuage-cni-k8s"),
            network: json!({
                "cniVersion": "1.0.0", "name": "nuage", "type": "nuage-cni-k8s", "configDir": self.node()
            }),
        }
    }

    /// What it is compared with.
    pub(super) fn floor(&self) -> Plugin {
        Plugin {
            executable: self.reference.join("bridge"),
            network: json!({
                "cniVersion": "1.0.0", "name": "floor", "type": "bridge", "bridge": Self::bridge(),
                "isGateway": true, "ipMasq": false, "ipam": {
                    "type": "host-local", "dataDir": self.directory.join("ipam"), "subnet": "10.88.0.0/16",
                    "routes": [{"dst": "0.0.0.0/0"}]
                }
            }),
        }
    }

    /// A new pod: its object, and its namespace.
    pub(super) fn pod(&mut self) -> Result<Call, Error> {
        self.pods += 1;
        let id = format!("bench-{}-{}", std::process::id(), self.pods);
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": id, "namespace": "default"},
            "spec": {"containers": [{"name": "c", "image": "i"}]}});
        let url = format!("{}/api/v1/namespaces/default/pods", self.api_server);
        let request = http::Request::post(url)
            .header("content-type", "application/json")
            .header("authorization", format!("Bearer {}", self.api_token))
            .body(Bytes::from(pod.to_string()))
            .map_err(|error| Error::Site(error.to_string()))?;
        let answer = self.runtime.block_on(self.api.clone().oneshot(request));
        let answer = answer.map_err(|error| Error::Site(format!("making a pod: {error}")))?;
        if !answer.status().is_success() {
            return Err(Error::Site(format!("making a pod: {}", answer.status())));
        }
        ip(&["netns", "add", &id])?;
        self.namespaces.push(id.clone());
        Ok(Call { namespace: id.clone(), id })
    }

    /// All namespaces go. Not between calls: the kernel takes a namespace away in the background, with a lock that every
    /// change of a link needs.
    pub(super) fn clear(&mut self) -> Result<(), Error> {
        self.namespaces.drain(..).try_for_each(|name| ip(&["netns", "delete", &name]))
    }

    /// Makes rows of other drivers until there are so many ports and so many entities.
    pub(super) fn foreign_rows(&mut self, wanted: usize) -> Result<(), Error> {
        let socket = format!("unix:{}", self.node().join("db.sock").display());
        let numbers: Vec<usize> = (self.rows..wanted).collect();
        self.rows = wanted;
        self.runtime.block_on(async {
            let site = |error: &dyn std::fmt::Display| Error::Site(format!("foreign rows: {error}"));
            let stream = node::host().switch.connect(&socket).await.map_err(|error| site(&error))?;
            let client = Client::spawn(stream, Limits::default());
            for some in numbers.chunks(ROWS_AT_ONCE) {
                let operations = some.iter().flat_map(|number| foreign(*number)).collect();
                client.transact(DATABASE, operations, PATIENCE).await.map_err(|error| site(&error))?;
            }
            Ok(())
        })
    }

    /// From now on calls are heard as the audit hears them.
    pub(super) fn listen(&mut self) {
        if self.audit.is_none() {
            let _ = std::fs::create_dir_all(&self.run);
            self.audit = UnixDatagram::bind(self.run.join("audit.sock")).ok();
            // A call reports before it answers: what is not there by then does not come.
            let _ = self.audit.as_ref().map(|audit| audit.set_nonblocking(true));
        }
    }

    /// What the last call reported.
    pub(super) fn report(&self) -> Option<Value> {
        let mut buffer = vec![0; 64 << 10];
        let length = self.audit.as_ref()?.recv(&mut buffer).ok()?;
        serde_json::from_slice(&buffer[..length]).ok()
    }
}

fn row<const N: usize>(columns: [(&str, Value); N]) -> Row {
    columns.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// A virtual machine that is defined and not started: no controller touches it.
fn foreign(number: usize) -> [Operation; 2] {
    let name = format!("tap{number:08}");
    let port = row([
        ("name", json!(name)),
        ("mac", json!(format!("02:00:01:{:02x}:{:02x}:01", number >> 8 & 255, number & 255))),
        ("ip_addr", json!("192.0.2.1")),
        ("bridge", json!("alubr0")),
        ("nuage_zone", json!("machines")),
    ]);
    let entity = row([("vm_uuid", json!(name)), ("vm_name", json!(name)), ("ports", json!(name))]);
    [Operation::insert("Nuage_Port_Table", &port, None), Operation::insert("Nuage_VM_Table", &entity, None)]
}

impl Drop for Site {
    fn drop(&mut self) {
        // Those of a run that failed half-way; the others are gone.
        for name in &self.namespaces {
            let _ = ip(&["netns", "delete", name]);
        }
        let _ = ip(&["link", "delete", &Self::bridge()]);
        // The reference plugin has turned it on for its bridge.
        if let Some(before) = &self.forwarding {
            let _ = std::fs::write(FORWARDING, before);
        }
        let _ = self.emulator.kill();
        let _ = self.emulator.wait();
        let _ = std::fs::remove_dir_all(&self.directory);
        let _ = std::fs::remove_dir_all(&self.run);
    }
}
