//! The shipped executable on a real kernel, killed at every system call of ADD and of DEL that can change anything outside
//! the process: strace kills it on its way into the call. Whatever it had come to, the next DEL leaves nothing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "a test")]

mod support;

use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use bytes::Bytes;
use nuage_emulator::http::{HttpService, TlsIdentity, remote};
use nuage_emulator::pki::Pki;
use nuage_ovsdb::client::{Client, Limits};
use serde_json::{Value, json};
use support::{Namespace, Plugin, Process, create_pod, executable, lacks, network, show};
use tokio::net::UnixStream;
use tower::ServiceExt as _;

/// Calls that change nothing outside the process, whatever becomes of it afterwards. What is not here is killed at: a call
/// that a later version begins to make is not forgotten.
const HARMLESS: &[&str] = &[
    "access",
    "arch_prctl",
    "brk",
    "clock_nanosleep",
    "close",
    "dup",
    "epoll_create1",
    "epoll_ctl",
    "epoll_pwait",
    "epoll_wait",
    "eventfd2",
    "exit",
    "faccessat",
    "fcntl",
    "fstat",
    "fstatfs",
    "futex",
    "getcwd",
    "getdents64",
    "getegid",
    "geteuid",
    "getgid",
    "getpeername",
    "getpid",
    "getrandom",
    "getsockname",
    "getsockopt",
    "gettid",
    "getuid",
    "lseek",
    "lstat",
    "madvise",
    "mmap",
    "mprotect",
    "mremap",
    "munmap",
    "nanosleep",
    "newfstatat",
    "poll",
    "ppoll",
    "pread64",
    "prlimit64",
    "read",
    "readlink",
    "readlinkat",
    "readv",
    "recvfrom",
    "recvmsg",
    "rseq",
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
    "sched_getaffinity",
    "sched_yield",
    "set_robust_list",
    "set_tid_address",
    "setsockopt",
    "sigaltstack",
    "stat",
    "statfs",
    "statx",
    "sysinfo",
    "uname",
];
/// No call is made more often; one that were would make the test endless.
const MOST: usize = 200;
const SANDBOX: &str = "5ac67fbb6c72850d236e378dd495934d13b386931f9d4e12942df653be4e5b";

/// An emulated site, and what a look at all of it needs.
struct Site {
    directory: tempfile::TempDir,
    emulator: Process,
    switch: Client,
    vsd: HttpService,
    containers: String,
    network: Value,
}

impl Site {
    async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("site");
        let mut command = Command::new(executable("emulator"));
        command.arg("up").arg("--dir").arg(&root);
        let emulator = Process::start(command, "ready");
        let endpoints: Value =
            serde_json::from_slice(&std::fs::read(root.join("endpoints.json")).unwrap()).unwrap();
        let socket = endpoints["vrs"].as_str().unwrap().strip_prefix("unix:").unwrap();
        let switch = Client::spawn(UnixStream::connect(socket).await.unwrap(), Limits::default());
        let pki = Pki::open(&root.join("pki")).unwrap();
        let client = pki.client("csproot", "csp").unwrap();
        let identity = TlsIdentity {
            authorities: pki.authority.clone().into_bytes(),
            client: Some((client.certificate.into_bytes(), client.key.into_bytes())),
        };
        create_pod(&root.join("admin.kubeconfig"), "default", "web");
        Self {
            vsd: remote(&identity).unwrap(),
            containers: format!("{}/v6/containers", endpoints["vsd_cert"].as_str().unwrap()),
            network: network(&root.join("node"), "1.0.0"),
            directory,
            emulator,
            switch,
        }
    }

    /// The containers that the VSD has; it answers an empty list with no body.
    async fn containers(&self) -> String {
        let request = http::Request::builder().uri(&self.containers).body(Bytes::new()).unwrap();
        let response = self.vsd.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), 200);
        let body = axum::body::Body::new(response.into_body());
        String::from_utf8(axum::body::to_bytes(body, 1 << 20).await.unwrap().to_vec()).unwrap()
    }

    /// What is left of any container on the switch, on the host, in the journal.
    async fn left(&self) -> Vec<String> {
        let select = |table: &str, column: &str| json!({"op": "select", "table": table, "where": [], "columns": [column]});
        let tables = [
            ("Interface", "name"),
            ("Port", "name"),
            ("Nuage_Port_Table", "name"),
            ("Nuage_VM_Table", "vm_uuid"),
        ];
        let mut asked = vec![json!("Open_vSwitch")];
        asked.extend(tables.iter().map(|(table, column)| select(table, column)));
        let answer =
            self.switch.call("transact", Value::Array(asked), Duration::from_secs(10)).await.unwrap();
        let mut left = Vec::new();
        for (index, (table, column)) in tables.iter().enumerate() {
            let rows = answer[index]["rows"].as_array().unwrap_or_else(|| panic!("{answer}"));
            let foreign = rows.iter().filter(|row| row[*column] != "alubr0");
            left.extend(foreign.map(|row| format!("{table} {}", row[*column])));
        }
        let journal = self.directory.path().join("site/node/state/attachments");
        let entries = std::fs::read_dir(journal).into_iter().flatten();
        left.extend(entries.map(|entry| format!("journal {}", entry.unwrap().file_name().display())));
        left
    }

    /// Nothing is left, in the VSD after a moment.
    async fn assert_clean(&self, port: Option<&str>, story: &str) {
        assert_eq!(self.left().await, Vec::<String>::new(), "{story}");
        if let Some(port) = port {
            assert!(!Path::new("/sys/class/net").join(port).exists(), "{story}: link {port}");
        }
        for _ in 0..500 {
            if matches!(self.containers().await.as_str(), "" | "[]") {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{story}: in the VSD: {}", self.containers().await);
    }
}

/// The name of the port that a sandbox has: what the plugin answers, once.
fn port_of(plugin: &Plugin<'_>, namespace: &Namespace) -> String {
    let result = plugin.add(&namespace.path());
    plugin.del(Some(&namespace.path()));
    result["interfaces"][0]["name"].as_str().unwrap().to_owned()
}

/// The calls that `command` makes and that can change anything.
fn calls(plugin: &Plugin<'_>, command: &str, namespace: &Namespace, trace: &Path) -> BTreeSet<String> {
    let output = plugin.call_under(
        &["strace", "-f", "-qq", "-o", trace.to_str().unwrap()],
        command,
        Some(&namespace.path()),
    );
    assert!(output.status.success(), "{}", show(&output));
    let text = std::fs::read_to_string(trace).unwrap();
    let names = text.lines().filter_map(|line| {
        let call = line.trim_start_matches(|c: char| c.is_ascii_digit()).trim_start();
        let name = call.split_once('(')?.0;
        name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_').then(|| name.to_owned())
    });
    names.filter(|name| !HARMLESS.contains(&name.as_str())).collect()
}

/// Kills `command` on its way into each of its calls in turn; how many there were.
async fn sweep(command: &str, prefix: &str) -> usize {
    let site = Site::start().await;
    let sandbox = format!("{SANDBOX}{prefix}");
    let plugin = Plugin { container_id: &sandbox, pod: ("default", "web"), network: &site.network };
    let first = Namespace::new();
    let port = port_of(&plugin, &first);
    let trace = site.directory.path().join("trace");
    if command == "DEL" {
        plugin.add(&first.path());
    }
    let calls = calls(&plugin, command, &first, &trace);
    plugin.del(Some(&first.path()));
    site.assert_clean(Some(&port), "without a kill").await;
    for wanted in ["writev", "sendto", "connect", "unlink", "exit_group"] {
        assert!(calls.contains(wanted), "{command} makes no {wanted}: {calls:?}");
    }
    let mut killed = 0;
    for call in &calls {
        let mut number = 0;
        loop {
            number += 1;
            assert!(number <= MOST, "{call} is made without an end");
            let story = format!("{command} killed at {call} number {number}");
            let namespace = Namespace::new();
            if command == "DEL" {
                plugin.add(&namespace.path());
            }
            let (traced, injected) =
                (format!("trace={call}"), format!("inject={call}:signal=KILL:when={number}"));
            let strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", &traced, "-e", &injected];
            let output = plugin.call_under(&strace, command, Some(&namespace.path()));
            let was_killed = output.status.signal() == Some(9);
            assert!(was_killed || output.status.success(), "{story}: {}", show(&output));
            plugin.del(Some(&namespace.path()));
            plugin.del(None);
            site.assert_clean(Some(&port), &story).await;
            if !was_killed {
                break;
            }
            killed += 1;
        }
    }
    site.emulator.terminate();
    eprintln!("{command} was killed at {killed} points in {} system calls: {calls:?}", calls.len());
    killed
}

const NEEDS: [&str; 4] = ["strace", "ip", "kubectl", "sh"];

#[tokio::test(flavor = "multi_thread")]
async fn an_add_that_is_killed_at_any_system_call_leaves_nothing_after_the_next_del() {
    if lacks("an_add_that_is_killed_at_any_system_call", &NEEDS) {
        return;
    }
    let points = sweep("ADD", "aa").await;
    assert!(points > 40, "{points}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_del_that_is_killed_at_any_system_call_is_made_good_by_the_next() {
    if lacks("a_del_that_is_killed_at_any_system_call", &NEEDS) {
        return;
    }
    let points = sweep("DEL", "dd").await;
    assert!(points > 25, "{points}");
}
