//! The real kubectl, with its default flags, against the emulated API server.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "a test")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use nuage_emulator::clock::Clock;
use nuage_emulator::entropy::Entropy;
use nuage_emulator::kube::Kube;
use nuage_emulator::node::kubeconfig;
use nuage_emulator::pki::Pki;
use nuage_emulator::serve::{ClientCertificate, acceptor, serve};
use serde_json::{Value, json};
use tokio::net::TcpListener;

struct Cluster {
    kube: Kube,
    config: PathBuf,
    directory: tempfile::TempDir,
}

impl Cluster {
    async fn start(test: &str) -> Option<Self> {
        if !Command::new("kubectl")
            .args(["version", "--client"])
            .output()
            .is_ok_and(|output| output.status.success())
        {
            eprintln!("SKIPPED {test}: kubectl");
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        let pki = Pki::open(&directory.path().join("pki")).unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let server = format!("https://{}", listener.local_addr().unwrap());
        let identity = pki.server(&[], &[Ipv4Addr::LOCALHOST.into()]).unwrap();
        let kube = Kube::new(Clock::System, Entropy::seeded(1));
        kube.add_token("secret");
        kube.create(json!({"kind": "Node", "metadata": {"name": "node-1"}})).unwrap();
        let tls = acceptor(&pki, &identity, ClientCertificate::Optional).unwrap();
        tokio::spawn(serve(listener, tls, kube.router()));
        let config = directory.path().join("kubeconfig");
        std::fs::write(&config, kubeconfig(&server, &pki.authority, "token: secret")).unwrap();
        Some(Self { kube, config, directory })
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("kubectl");
        command.arg("--kubeconfig").arg(&self.config);
        command.arg("--cache-dir").arg(self.directory.path().join("cache"));
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs kubectl on a thread that may block; its standard output, if it succeeds.
    async fn kubectl(&self, arguments: &[&str], stdin: &str) -> Result<String, String> {
        let mut command = self.command(arguments);
        let stdin = stdin.to_owned();
        let (sender, receiver) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            let mut child = command.spawn().unwrap();
            child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
            let _ = sender.send(child.wait_with_output().unwrap());
        });
        let output = receiver.await.unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
    }
}

fn pod(name: &str) -> String {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": "web"}},
        "spec": {"nodeName": "node-1", "containers": [{"name": "main", "image": "none"}]}
    })
    .to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_shows_a_pods_events() {
    let Some(cluster) = Cluster::start("kubectl_shows_a_pods_events").await else { return };
    let created = cluster.kube.create(serde_json::from_str(&pod("web-0")).unwrap()).unwrap();
    let event = json!({
        "apiVersion": "v1", "kind": "Event", "metadata": {"namespace": "default", "name": "web-0.17"},
        "involvedObject": {
            "apiVersion": "v1", "kind": "Pod", "namespace": "default", "name": "web-0", "uid": created["metadata"]["uid"]
        },
        "reason": "AttachmentRestored", "message": "it has its port again", "type": "Normal",
        "source": {"component": "nuage-audit", "host": "node-1"},
        "firstTimestamp": "2026-01-01T00:00:00Z", "lastTimestamp": "2026-01-01T00:00:00Z", "count": 1
    });
    cluster.kubectl(&["create", "-f", "-"], &event.to_string()).await.unwrap();
    for arguments in [&["get", "events"][..], &["describe", "pod", "web-0"]] {
        let shown = cluster.kubectl(arguments, "").await.unwrap();
        assert!(shown.contains("AttachmentRestored") && shown.contains("it has its port again"), "{shown}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_creates_gets_changes_and_deletes_pods() {
    let Some(cluster) = Cluster::start("kubectl_creates_gets_changes_and_deletes_pods").await else { return };
    assert_eq!(cluster.kubectl(&["create", "-f", "-"], &pod("web-0")).await.unwrap(), "pod/web-0 created\n");
    let error = cluster.kubectl(&["create", "-f", "-"], &pod("web-0")).await.unwrap_err();
    assert!(error.contains("AlreadyExists"), "{error}");

    let table = cluster.kubectl(&["get", "pods"], "").await.unwrap();
    assert!(table.starts_with("NAME") && table.contains("web-0") && table.contains("Pending"), "{table}");
    let wide = cluster.kubectl(&["get", "pods", "-o", "wide", "-l", "app in (web)"], "").await.unwrap();
    assert!(wide.contains("node-1"), "{wide}");
    assert!(cluster.kubectl(&["get", "nodes"], "").await.unwrap().contains("node-1"));
    assert!(cluster.kubectl(&["get", "ns"], "").await.unwrap().contains("kube-system"));
    let object: Value =
        serde_json::from_str(&cluster.kubectl(&["get", "pod", "web-0", "-o", "json"], "").await.unwrap())
            .unwrap();
    assert_eq!(object["metadata"]["uid"].as_str().unwrap().len(), 36);

    cluster.kubectl(&["label", "pod", "web-0", "tier=front"], "").await.unwrap();
    assert_eq!(cluster.kube.get("Pod", "default", "web-0").unwrap()["metadata"]["labels"]["tier"], "front");
    assert!(
        cluster.kubectl(&["apply", "-f", "-"], &pod("web-1")).await.unwrap().contains("pod/web-1 created")
    );

    let deleted = cluster.kubectl(&["delete", "pod", "web-0", "--timeout=20s"], "").await.unwrap();
    assert!(deleted.contains("deleted"), "{deleted}");
    let error = cluster.kubectl(&["get", "pod", "web-0"], "").await.unwrap_err();
    assert!(error.contains("NotFound"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_waits_for_what_happens_meanwhile() {
    let Some(cluster) = Cluster::start("kubectl_waits_for_what_happens_meanwhile").await else { return };
    cluster.kubectl(&["create", "-f", "-"], &pod("web-0")).await.unwrap();
    let wait = cluster
        .kubectl(&["wait", "pod/web-0", "--for=jsonpath={.status.phase}=Running", "--timeout=20s"], "");
    let change = async {
        cluster
            .kube
            .update("Pod", "default", "web-0", |pod| pod["status"]["phase"] = json!("Running"))
            .unwrap();
    };
    let (waited, ()) = tokio::join!(wait, change);
    assert!(waited.unwrap().contains("condition met"));
}

/// A kubectl that goes on telling; it ends with this.
struct Watching {
    child: std::process::Child,
    lines: tokio::sync::mpsc::UnboundedReceiver<String>,
}

impl Watching {
    fn start(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let (sender, lines) = tokio::sync::mpsc::unbounded_channel();
        let told = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || told.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { child, lines }
    }

    /// The words of its next line.
    async fn next(&mut self) -> Vec<String> {
        let line = tokio::time::timeout(std::time::Duration::from_secs(20), self.lines.recv()).await;
        let line = line.expect("it says nothing").expect("it has ended");
        line.split_whitespace().map(str::to_owned).collect()
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_watches_what_comes_changes_and_goes() {
    let Some(cluster) = Cluster::start("kubectl_watches_what_comes_changes_and_goes").await else { return };
    cluster.kubectl(&["create", "-f", "-"], &pod("web-0")).await.unwrap();
    let mut watching = Watching::start(cluster.command(&[
        "get",
        "pods",
        "--watch",
        "--output-watch-events",
        "-l",
        "app=web",
    ]));
    assert_eq!(watching.next().await[..2], ["EVENT", "NAME"]);
    assert_eq!(watching.next().await[..2], ["ADDED", "web-0"]);
    let running = |pod: &mut Value| pod["status"]["phase"] = json!("Running");
    cluster.kube.update("Pod", "default", "web-0", running).unwrap();
    let changed = watching.next().await;
    assert!(changed[..2] == ["MODIFIED", "web-0"] && changed.contains(&"Running".to_owned()), "{changed:?}");
    cluster.kubectl(&["create", "-f", "-"], &pod("web-1")).await.unwrap();
    assert_eq!(watching.next().await[..2], ["ADDED", "web-1"]);
    let gone = cluster.kubectl(&["wait", "pod/web-0", "--for=delete", "--timeout=20s"], "");
    let deleted = cluster.kubectl(&["delete", "pod", "web-0", "--wait=false"], "");
    let (gone, deleted) = tokio::join!(gone, deleted);
    assert!(gone.is_ok() && deleted.is_ok(), "{gone:?} {deleted:?}");
    assert_eq!(watching.next().await[..2], ["DELETED", "web-0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_makes_namespaces_and_what_is_in_them_and_describes_it() {
    let test = "kubectl_makes_namespaces_and_what_is_in_them_and_describes_it";
    let Some(cluster) = Cluster::start(test).await else { return };
    // Of these kubectl sends protobuf and nothing else.
    assert_eq!(
        cluster.kubectl(&["create", "namespace", "shop"], "").await.unwrap(),
        "namespace/shop created\n"
    );
    let error = cluster.kubectl(&["create", "namespace", "shop"], "").await.unwrap_err();
    assert!(error.contains("AlreadyExists"), "{error}");
    let made = cluster.kubectl(&["run", "web", "--image=none", "-n", "shop"], "").await.unwrap();
    assert_eq!(made, "pod/web created\n");
    let all = cluster.kubectl(&["get", "pods", "-A", "--no-headers"], "").await.unwrap();
    assert_eq!(all.split_whitespace().take(2).collect::<Vec<_>>(), ["shop", "web"]);
    for (kind, name, expected) in [
        ("pod", "web", &["Name: web", "Namespace: shop", "Status: Pending"][..]),
        ("node", "node-1", &["Name: node-1", "Non-terminated Pods:"]),
        ("namespace", "shop", &["Name: shop", "Status: Active"]),
    ] {
        let described = cluster.kubectl(&["describe", kind, name, "-n", "shop"], "").await.unwrap();
        let described = described.split_whitespace().collect::<Vec<_>>().join(" ");
        for line in expected {
            assert!(described.contains(line), "{line}: {described}");
        }
    }
    let deleted = cluster.kubectl(&["delete", "pod", "web", "-n", "shop"], "").await;
    assert!(deleted.as_ref().is_ok_and(|said| said.contains("\"web\"")), "{deleted:?}");
    let error = cluster.kubectl(&["get", "pod", "web", "-n", "shop"], "").await.unwrap_err();
    assert!(error.contains("NotFound"), "{error}");
}
