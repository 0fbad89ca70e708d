//! What the tests on a real kernel share: the executables as processes, network namespaces that are always
//! removed, and the rows of a switch as any OVSDB client sees them.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "shared by several test binaries"
)]

pub(crate) mod image;
pub(crate) mod site;

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use nuage_ovsdb::client::{Client, Limits};
use serde_json::{Value, json};
use tokio::net::UnixStream;

/// An executable of this workspace, beside the test's own.
pub(crate) fn executable(name: &str) -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let path = tests.parent().and_then(Path::parent).unwrap().join(name);
    assert!(path.is_file(), "{} is missing: cargo build --workspace --bins", path.display());
    path
}

/// Says so and returns true where the test cannot run.
pub(crate) fn lacks(test: &str, commands: &[&str]) -> bool {
    if !Command::new("id").arg("-u").output().is_ok_and(|id| id.stdout == b"0\n") {
        eprintln!("SKIPPED {test}: root");
        return true;
    }
    for command in commands {
        let found = Command::new("sh").args(["-c", &format!("command -v {command}")]).output();
        if !found.is_ok_and(|output| output.status.success()) {
            eprintln!("SKIPPED {test}: {command}");
            return true;
        }
    }
    false
}

/// Runs a command that must succeed and returns what it printed.
pub(crate) fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().expect(program);
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// A process that ends with the test, by its id.
pub(crate) struct Process {
    child: Child,
    name: String,
}

impl Process {
    /// Starts it and returns once a line of its standard output is `line`.
    pub(crate) fn start(mut command: Command, line: &str) -> Self {
        let name = format!("{command:?}");
        let mut child = command.stdout(Stdio::piped()).stdin(Stdio::null()).spawn().expect(&name);
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let found = lines.map_while(Result::ok).any(|found| found == line);
        assert!(found, "{name} ended without {line:?}");
        Self { child, name }
    }

    /// Starts a server that says nothing, and returns once it listens on `socket`.
    pub(crate) fn start_silent(mut command: Command, socket: &Path) -> Self {
        let name = format!("{command:?}");
        let mut child = command.stdout(Stdio::null()).stdin(Stdio::null()).spawn().expect(&name);
        let listens = || std::os::unix::net::UnixStream::connect(socket).is_ok();
        while !listens() {
            assert!(child.try_wait().unwrap().is_none(), "{name} ended");
            std::thread::yield_now();
        }
        Self { child, name }
    }

    /// Ends it as an operator does and checks that it ends well.
    pub(crate) fn terminate(mut self) {
        run("kill", &["-TERM", &self.child.id().to_string()]);
        let status = self.child.wait().unwrap();
        // ovsdb-server ends itself by the same signal once it has cleaned up.
        let by_signal = std::os::unix::process::ExitStatusExt::signal(&status) == Some(15);
        assert!(
            status.success() || (by_signal && self.name.contains("ovsdb-server")),
            "{}: {status}",
            self.name
        );
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A network namespace of this test's own.
pub(crate) struct Namespace {
    /// Its name.
    pub(crate) name: String,
}

impl Namespace {
    /// Makes one whose name no other test has.
    pub(crate) fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("nuage-test-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        run("ip", &["netns", "add", &name]);
        Self { name }
    }

    /// Where a runtime would say it is.
    pub(crate) fn path(&self) -> PathBuf {
        Path::new("/var/run/netns").join(&self.name)
    }

    /// What `ip -json` says inside.
    pub(crate) fn ip(&self, arguments: &[&str]) -> Value {
        let mut all = vec!["-json", "-n", &self.name];
        all.extend(arguments);
        let text = run("ip", &all);
        if text.trim().is_empty() { json!([]) } else { serde_json::from_str(&text).expect(&text) }
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.name]).status();
    }
}

/// Runs a test, and all that it starts, in a network namespace of its own with a loopback: it sees no link of another test, and no
/// other sees its.
#[cfg(target_os = "linux")]
pub(crate) fn isolated<F: Future<Output = ()>>(test: impl FnOnce() -> F + Send) {
    let host = Namespace::new();
    run("ip", &["-n", &host.name, "link", "set", "lo", "up"]);
    let enclosed = || {
        use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
        let namespace = std::fs::File::open(host.path()).unwrap();
        move_into_link_name_space(std::os::fd::AsFd::as_fd(&namespace), Some(LinkNameSpaceType::Network))
            .unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        runtime.unwrap().block_on(test());
    };
    // Of this thread nobody knows what it does next.
    let done = std::thread::scope(|scope| scope.spawn(enclosed).join());
    if let Err(panic) = done {
        std::panic::resume_unwind(panic);
    }
}

/// One call of the plugin, as a runtime makes it.
pub(crate) struct Plugin<'a> {
    /// The sandbox.
    pub(crate) container_id: &'a str,
    /// The pod's namespace and name.
    pub(crate) pod: (&'a str, &'a str),
    /// The network configuration.
    pub(crate) network: &'a Value,
}

impl Plugin<'_> {
    /// Calls it. `netns` of `None` is a runtime that has lost the namespace.
    pub(crate) fn call(&self, command: &str, netns: Option<&Path>) -> Output {
        self.call_under(&[], command, netns)
    }

    /// As [`Plugin::call`], started by a program that is given it as its last argument, like strace.
    pub(crate) fn call_under(&self, starter: &[&str], command: &str, netns: Option<&Path>) -> Output {
        let (namespace, name) = self.pod;
        let arguments = format!(
            "IgnoreUnknown=1;K8S_POD_NAMESPACE={namespace};K8S_POD_NAME={name};K8S_POD_INFRA_CONTAINER_ID={}",
            self.container_id
        );
        let plugin = executable("nuage-cni-k8s");
        let mut process = match starter {
            [] => Command::new(plugin),
            [program, arguments @ ..] => {
                let mut process = Command::new(program);
                process.args(arguments).arg(plugin);
                process
            }
        };
        let mut child = process
            .env_clear()
            .env("CNI_COMMAND", command)
            .env("CNI_CONTAINERID", self.container_id)
            .env("CNI_NETNS", netns.map_or(String::new(), |path| path.display().to_string()))
            .env("CNI_IFNAME", "eth0")
            .env("CNI_PATH", "/opt/cni/bin")
            .env("CNI_ARGS", arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        match child.stdin.take().unwrap().write_all(self.network.to_string().as_bytes()) {
            // A process that was killed on its way reads nothing.
            Err(error) if !starter.is_empty() && error.kind() == std::io::ErrorKind::BrokenPipe => {}
            written => written.unwrap(),
        }
        child.wait_with_output().unwrap()
    }

    /// ADD that must succeed: its result.
    pub(crate) fn add(&self, netns: &Path) -> Value {
        let output = self.call("ADD", Some(netns));
        assert!(output.status.success(), "{}", show(&output));
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", show(&output)))
    }

    /// DEL that must succeed and print nothing.
    pub(crate) fn del(&self, netns: Option<&Path>) {
        let output = self.call("DEL", netns);
        assert!(output.status.success() && output.stdout.is_empty(), "{}", show(&output));
    }
}

/// Both outputs of a process, for messages.
pub(crate) fn show(output: &Output) -> String {
    format!(
        "{}\nstdout: {}\nstderr: {}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// The network configuration that a runtime would make of the node's conflist for one version of the
/// specification.
pub(crate) fn network(node: &Path, version: &str) -> Value {
    let text = std::fs::read_to_string(node.join("10-nuage.conflist")).unwrap();
    let list: Value = serde_json::from_str(&text).unwrap();
    let mut network = list["plugins"][0].clone();
    network["cniVersion"] = json!(version);
    network["name"] = list["name"].clone();
    network
}

/// Makes a pod through the API with the real kubectl.
pub(crate) fn create_pod(kubeconfig: &Path, namespace: &str, name: &str) {
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": namespace, "name": name},
        "spec": {"nodeName": "node-1", "containers": [{"name": "main", "image": "registry.example/none"}]}
    });
    let mut child = Command::new("kubectl")
        .arg("--kubeconfig")
        .arg(kubeconfig)
        .args(["create", "-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(pod.to_string().as_bytes()).unwrap();
    assert!(child.wait().unwrap().success(), "kubectl create");
}

/// All rows of a table, as objects.
pub(crate) async fn rows(socket: &Path, table: &str) -> Vec<Value> {
    let client = Client::spawn(UnixStream::connect(socket).await.unwrap(), Limits::default());
    let select = json!(["Open_vSwitch", {"op": "select", "table": table, "where": []}]);
    let answer = client.call("transact", select, Duration::from_secs(10)).await.unwrap();
    answer[0]["rows"].as_array().unwrap_or_else(|| panic!("{answer}")).clone()
}

/// The names in a column of a table.
pub(crate) async fn names(socket: &Path, table: &str) -> Vec<String> {
    let mut names: Vec<String> =
        rows(socket, table).await.iter().map(|row| row["name"].as_str().unwrap_or("?").to_owned()).collect();
    names.sort();
    names
}
