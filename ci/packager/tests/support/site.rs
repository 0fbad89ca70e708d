//! A site and the containers of a node: the shipped emulator as a process, network namespaces of the test's own, and calls of a
//! plugin as a runtime makes them. All of it goes with its value.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use super::succeed;

/// A process that ends with the test, by its id.
pub(crate) struct Process(pub(crate) Child);

impl Process {
    /// Starts it and returns once it has printed this line.
    pub(crate) fn start(command: &mut Command, line: &str) -> Self {
        let mut child = command.stdout(Stdio::piped()).stdin(Stdio::null()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let found = lines.map_while(Result::ok).any(|found| found == line);
        let process = Self(child);
        assert!(found, "{command:?} ended without {line:?}");
        process
    }

    /// Ends it as an operator does; it has to end well.
    pub(crate) fn terminate(mut self) {
        succeed(Command::new("kill").arg("-TERM").arg(self.0.id().to_string()));
        let status = self.0.wait().unwrap();
        assert!(status.success(), "{status}");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A network namespace whose name no other test has.
pub(crate) struct Namespace(pub(crate) String);

impl Namespace {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("nuage-pkg-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        succeed(Command::new("ip").args(["netns", "add", &name]));
        Self(name)
    }

    pub(crate) fn path(&self) -> PathBuf {
        Path::new("/run/netns").join(&self.0)
    }

    /// What `ip` says inside.
    pub(crate) fn ip(&self, arguments: &[&str]) -> String {
        succeed(Command::new("ip").args(["-n", &self.0]).args(arguments))
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.0]).status();
    }
}

/// The network configuration of a container that is no pod, in the subnet that the emulator's VSD begins with.
pub(crate) fn network(directory: &Path) -> Value {
    json!({
        "cniVersion": "1.0.0", "name": "nuage", "type": "nuage-cni-k8s", "configDir": directory,
        "nuage": {
            "enterprise": "K8S-Enterprise", "domain": "K8S-Domain", "zone": "default", "network": "default-0",
        },
    })
}

/// The variables of a call; the namespace is the sandbox's name, too.
pub(crate) fn variables(verb: &str, namespace: &Namespace, interface: &str) -> Vec<(&'static str, String)> {
    vec![
        ("CNI_COMMAND", verb.to_owned()),
        ("CNI_CONTAINERID", namespace.0.clone()),
        ("CNI_NETNS", namespace.path().display().to_string()),
        ("CNI_IFNAME", interface.to_owned()),
        ("CNI_PATH", "/opt/cni/bin".to_owned()),
    ]
}

/// Runs a command with this on its standard input. What it says, or what has kept it from running.
pub(crate) fn feed(command: &mut Command, input: &str) -> std::io::Result<Output> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    // One that has ended already says why itself.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output()
}

/// Whether there is a command; says what is skipped without it.
pub(crate) fn has(test: &str, program: &str) -> bool {
    let there = Command::new("sh").args(["-c", &format!("command -v {program}")]).output();
    let there = there.is_ok_and(|output| output.status.success());
    if !there {
        eprintln!("SKIPPED {test}: {program}");
    }
    there
}
