//! Promises of the executable nuage-audit: the daemon's sockets, signals and health, and the verbs for people.
#![cfg(feature = "audit")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use assert_cmd::cargo::cargo_bin;
use serde_json::Value;
use tempfile::TempDir;

/// Far more than any of it takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// A node without a switch and without an API server that would answer.
fn node(metrics: Option<u16>) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    let listen = metrics.map(|port| format!("metricslisten: '127.0.0.1:{port}'\n")).unwrap_or_default();
    let node = format!(
        "vrsendpoint: unix:{}\nstatedir: {}\nrundir: {}\nlogdir: {}\nmonitorinterval: 1\n{listen}",
        path("no.sock"),
        path("state"),
        path("run"),
        path("log")
    );
    let authority = rcgen::generate_simple_self_signed(vec!["nobody.example".to_owned()]).unwrap().cert.pem();
    std::fs::write(directory.path().join("ca.pem"), authority).unwrap();
    let kubeconfig = "current-context: c\ncontexts: [{name: c, context: {cluster: k, user: u}}]\n\
        clusters: [{name: k, cluster: {server: 'https://127.0.0.1:1', certificate-authority: ca.pem}}]\n\
        users: [{name: u, user: {token: a-secret}}]\n";
    for (name, text) in [
        ("nuage-cni.yaml", node.as_str()),
        ("vsp-k8s.yaml", "vsdUser: u\n"),
        ("nuage.kubeconfig", kubeconfig),
    ] {
        std::fs::write(directory.path().join(name), text).unwrap();
    }
    directory
}

fn command(node: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(cargo_bin("nuage-audit"));
    command.arg("--config-dir").arg(node).args(arguments).env("KUBERNETES_NODE_NAME", "node-1");
    command
}

/// A daemon that has said that it is ready, and the socket on which it did.
struct Daemon {
    process: Child,
    manager: UnixDatagram,
}

impl Daemon {
    fn start(node: &Path) -> Self {
        let socket = node.join("notify.sock");
        let manager = UnixDatagram::bind(&socket).unwrap();
        manager.set_read_timeout(Some(PATIENCE)).unwrap();
        let process = command(node, &[])
            .env("NOTIFY_SOCKET", &socket)
            .env("WATCHDOG_USEC", "200000")
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let daemon = Self { process, manager };
        assert_eq!(daemon.heard_other_than("WATCHDOG=1"), "READY=1");
        daemon
    }

    fn heard(&self) -> String {
        let mut buffer = [0; 256];
        let length = self.manager.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    }

    fn heard_other_than(&self, known: &str) -> String {
        std::iter::repeat_with(|| self.heard()).find(|what| what != known).unwrap()
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let process = rustix::process::Pid::from_child(&self.process);
        rustix::process::kill_process(process, signal).unwrap();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn ask(node: &Path, request: &str) -> Value {
    let mut stream = UnixStream::connect(node.join("run/control.sock")).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    serde_json::from_str(&line).unwrap()
}

fn get(port: u16, path: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn the_daemon_says_when_it_is_up_reloads_on_hup_and_ends_on_term_with_code_nought() {
    let node = node(None);
    let mut daemon = Daemon::start(node.path());
    assert_eq!(daemon.heard(), "WATCHDOG=1");
    daemon.signal(rustix::process::Signal::HUP);
    assert_eq!(daemon.heard_other_than("WATCHDOG=1"), "READY=1", "it is up again");
    // A file that is being edited is no reason to end.
    std::fs::write(node.path().join("nuage-cni.yaml"), "mtu: [\n").unwrap();
    daemon.signal(rustix::process::Signal::HUP);
    assert_eq!(daemon.heard_other_than("WATCHDOG=1"), "READY=1");
    daemon.signal(rustix::process::Signal::TERM);
    assert_eq!(daemon.heard_other_than("WATCHDOG=1"), "STOPPING=1");
    assert_eq!(daemon.process.wait().unwrap().code(), Some(0));
    let log = std::fs::read_to_string(node.path().join("log/nuage-daemon.log")).unwrap();
    assert!(log.contains("cannot be reloaded") && !log.contains("a-secret"), "{log}");
}

#[test]
fn the_daemons_sockets_are_roots_alone_and_answer_whatever_is_asked() {
    let node = node(None);
    let _daemon = Daemon::start(node.path());
    for socket in ["control.sock", "audit.sock"] {
        let mode = std::fs::metadata(node.path().join("run").join(socket)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{socket}");
    }
    let status = ask(node.path(), "{\"verb\":\"status\"}\n");
    assert_eq!(status["ready"], false);
    assert!(status["trouble"].is_string(), "{status}");
    assert_eq!(ask(node.path(), "{\"verb\":\"confirm\"}\n")["confirmed"], true);
    for odd in ["\n", "{\n", "[]\n", "{\"verb\":7}\n"] {
        assert!(ask(node.path(), odd)["error"].is_string(), "{odd}");
    }
}

#[test]
fn who_is_away_is_written_down_for_status_and_forgotten_when_the_daemon_ends() {
    let node = node(None);
    let mut daemon = Daemon::start(node.path());
    let file = node.path().join("run/peers.json");
    // The watchdog is heard ten times a second.
    let look = || {
        daemon.heard();
        std::fs::read(&file).ok()
    };
    let written = std::iter::repeat_with(look).take(200).flatten();
    let away = written.map(|bytes| serde_json::from_slice::<Value>(&bytes)).find_map(Result::ok);
    let away = away.unwrap_or_else(|| panic!("nothing was written"));
    assert_eq!(away["away"][0]["peer"], "the API server", "{away}");
    assert!(away["away"][0]["why"].as_str().is_some_and(|why| !why.is_empty()), "{away}");
    assert!(away["away"].as_array().is_some_and(|away| away.len() == 1), "this site has no monitor: {away}");
    daemon.signal(rustix::process::Signal::TERM);
    assert!(daemon.process.wait().unwrap().success());
    assert!(!file.exists());
}

#[test]
fn figures_and_health_are_served_where_metricslisten_says() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let node = node(Some(port));
    let _daemon = Daemon::start(node.path());
    assert!(get(port, "/livez").starts_with("HTTP/1.1 200"));
    let ready = get(port, "/readyz");
    assert!(ready.starts_with("HTTP/1.1 503"), "{ready}");
    let plugin = UnixDatagram::unbound().unwrap();
    let call = br#"{"format":1,"verb":"DEL","code":0,"seconds":0.02,"phases":{}}"#;
    plugin.send_to(call, node.path().join("run/audit.sock")).unwrap();
    let wanted = "nuage_cni_calls_total{verb=\"DEL\",code=\"0\"} 1";
    let seen = std::iter::repeat_with(|| get(port, "/metrics")).take(100).any(|text| text.contains(wanted));
    assert!(seen, "{}", get(port, "/metrics"));
    assert!(get(port, "/elsewhere").starts_with("HTTP/1.1 404"));
}

#[test]
fn a_pass_by_hand_that_cannot_look_says_so_and_does_nothing() {
    let node = node(None);
    for arguments in
        [&["once"][..], &["once", "--dry-run", "--json"], &["status"], &["explain", "nu0123456789abc"]]
    {
        let output = command(node.path(), arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(error.contains("the VRS at unix:") && error.lines().count() == 1, "{error}");
    }
    let output = command(node.path(), &["once", "--dry-run", "--confirm"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "usage");
}
