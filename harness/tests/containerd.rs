//! A real containerd runs sandboxes with the shipped plugin, and the shipped audit asks it over its CRI: whom it calls ready stays,
//! whom it does not goes, whatever the API server says.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "a test")]

mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use support::site::Site;
use support::{Process, create_pod, executable, lacks, names, run, show};
use tokio::net::UnixStream;

const IMAGE: &str = "registry.example/pause:1";
/// An image of busybox alone, in docker's form, whose entry point waits to be ended.
const MAKE_IMAGE: &str = r#"set -e
mkdir -p "$1/layer/bin" && cp /bin/busybox "$1/layer/bin/"
tar -C "$1/layer" -cf "$1/layer.tar" bin
sum=$(sha256sum "$1/layer.tar" | cut -d' ' -f1)
printf '{"architecture":"amd64","os":"linux","config":{"Entrypoint":["/bin/busybox","sleep","600"]},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]},"history":[{"created_by":"test"}]}' "$sum" > "$1/config.json"
printf '[{"Config":"config.json","RepoTags":["registry.example/pause:1"],"Layers":["layer.tar"]}]' > "$1/manifest.json"
tar -C "$1" -cf "$1/image.tar" manifest.json config.json layer.tar"#;

/// A containerd of this test's own; what it runs ends with it.
struct Containerd {
    directory: PathBuf,
    socket: PathBuf,
    cgroup: String,
    process: Option<Process>,
}

impl Containerd {
    fn start(directory: &Path, site: &Site) -> Self {
        let path = |name: &str| directory.join(name).display().to_string();
        for name in ["bin", "net.d"] {
            std::fs::create_dir_all(directory.join(name)).unwrap();
        }
        for plugin in ["nuage-cni-k8s", "loopback"] {
            std::os::unix::fs::symlink(executable(plugin), directory.join("bin").join(plugin)).unwrap();
        }
        std::fs::copy(site.node().join("10-nuage.conflist"), directory.join("net.d/10-nuage.conflist"))
            .unwrap();
        let config = format!(
            r#"version = 2
root = "{}"
state = "{}"
[grpc]
  address = "{}"
[plugins."io.containerd.internal.v1.opt"]
  path = "{}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{IMAGE}"
  restrict_oom_score_adj = true
  disable_apparmor = true
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{}"
    conf_dir = "{}"
    max_conf_num = 1
"#,
            path("root"),
            path("state"),
            path("containerd.sock"),
            path("opt"),
            path("bin"),
            path("net.d")
        );
        std::fs::write(directory.join("config.toml"), config).unwrap();
        let socket = directory.join("containerd.sock");
        let mut command = Command::new("containerd");
        command.arg("-c").arg(directory.join("config.toml")).stderr(Stdio::null());
        let process = Process::start_silent(command, &socket);
        let cgroup = format!("/nuage-test-{}", std::process::id());
        let this = Self { directory: directory.to_owned(), socket, cgroup, process: Some(process) };
        run("sh", &["-c", MAKE_IMAGE, "sh", &path("")]);
        this.ctr(&["images", "import", &path("image.tar")]);
        this
    }

    fn ctr(&self, arguments: &[&str]) -> String {
        let socket = self.socket.display().to_string();
        run("ctr", &[&["-a", &socket, "-n", "k8s.io"], arguments].concat())
    }

    /// A call of its CRI; the first text of the answer.
    async fn call(&self, name: &str, message: &[u8]) -> Result<String, String> {
        let stream = UnixStream::connect(&self.socket).await.unwrap();
        let (mut sender, connection) =
            http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        tokio::spawn(async move { drop(connection.await) });
        let length = u32::try_from(message.len()).unwrap().to_be_bytes();
        let request = Request::post(format!("http://localhost/runtime.v1.RuntimeService/{name}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(Full::new(Bytes::from([&[0], &length[..], message].concat())))
            .unwrap();
        let (head, body) = sender.send_request(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap();
        let trailers = body.trailers().cloned().unwrap_or(head.headers);
        if trailers["grpc-status"] != "0" {
            return Err(format!("{:?}", trailers.get("grpc-message")));
        }
        let bytes = body.to_bytes();
        let text = bytes.get(7..).unwrap_or_default();
        Ok(String::from_utf8_lossy(text).into_owned())
    }

    /// Runs a sandbox of a pod.
    async fn run(&self, name: &str, uid: &str) -> String {
        let metadata = [field(1, name.as_bytes()), field(2, uid.as_bytes()), field(3, b"default")].concat();
        let linux = field(1, self.cgroup.as_bytes());
        let config = [field(1, &metadata), field(2, name.as_bytes()), field(8, &linux)].concat();
        self.call("RunPodSandbox", &field(1, &config)).await.unwrap()
    }

    async fn of(&self, call: &str, sandbox: &str) -> Result<String, String> {
        self.call(call, &field(1, sandbox.as_bytes())).await
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        // A test that failed has left sandboxes: their processes, mounts and groups outlive containerd.
        let socket = self.socket.display().to_string();
        let ctr = |arguments: &[&str]| {
            let all = [&["-a", &socket, "-n", "k8s.io"], arguments].concat();
            let output = Command::new("ctr").args(all).stderr(Stdio::null()).output();
            output
                .map_or_else(|_| String::new(), |output| String::from_utf8_lossy(&output.stdout).into_owned())
        };
        for task in ctr(&["tasks", "ls", "-q"]).lines() {
            ctr(&["tasks", "rm", "-f", task]);
        }
        self.process = None;
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let own = self.directory.display().to_string();
        for place in
            mounts.lines().filter_map(|line| line.split(' ').nth(1)).filter(|at| at.starts_with(&own))
        {
            let _ = Command::new("umount").args(["-l", place]).status();
        }
        let script =
            format!("find /sys/fs/cgroup -depth -type d -path '*{}*' -exec rmdir {{}} +", self.cgroup);
        let _ = Command::new("sh").args(["-c", &script]).stderr(Stdio::null()).status();
    }
}

/// A field of a protobuf message whose value has a length.
fn field(number: u8, value: &[u8]) -> Vec<u8> {
    let mut field = vec![number << 3 | 2];
    let mut length = value.len();
    while length > 0x7f {
        field.push(u8::try_from(length & 0x7f).unwrap() | 0x80);
        length >>= 7;
    }
    field.push(u8::try_from(length).unwrap());
    field.extend_from_slice(value);
    field
}

fn audit(site: &Site) -> Value {
    let mut command = Command::new(executable("nuage-audit"));
    command
        .env("KUBERNETES_NODE_NAME", "node-1")
        .arg("--config-dir")
        .arg(site.node())
        .args(["once", "--json"]);
    let output = command.output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", show(&output)))
}

/// Passes until one has done something; that.
async fn audit_until_it_acts(site: &Site) -> Value {
    for _ in 0..20 {
        let report = audit(site);
        if report["actions"] != json!([]) {
            return report["actions"].clone();
        }
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    }
    panic!("the audit has done nothing");
}

async fn ports(site: &Site) -> usize {
    names(&site.switch, "Nuage_Port_Table").await.iter().filter(|name| name.starts_with("nu")).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn whom_containerd_calls_ready_stays_and_whom_it_does_not_goes() {
    let test = "whom_containerd_calls_ready_stays_and_whom_it_does_not_goes";
    if lacks(test, &["ip", "kubectl", "containerd", "ctr", "runc"]) {
        return;
    }
    // One that needs libraries could not start in an image that has none.
    if !Path::new("/bin/busybox").exists()
        || Command::new("ldd").arg("/bin/busybox").output().unwrap().status.success()
    {
        eprintln!("SKIPPED {test}: busybox-static");
        return;
    }
    let site = Site::emulated();
    let directory = tempfile::tempdir().unwrap();
    let containerd = Containerd::start(directory.path(), &site);
    let file = site.node().join("nuage-cni.yaml");
    let yaml = std::fs::read_to_string(&file).unwrap();
    let endpoint = format!("runtimeendpoint: unix://{}\n", containerd.socket.display());
    std::fs::write(&file, format!("{yaml}staleentrytimeout: 1\nmonitorinterval: 1\n{endpoint}")).unwrap();

    let kubeconfig = site.root().join("admin.kubeconfig");
    let kubectl = |arguments: &[&str]| {
        run("kubectl", &[&["--kubeconfig", kubeconfig.to_str().unwrap()], arguments].concat())
    };
    let mut sandboxes = Vec::new();
    for name in ["web", "other"] {
        create_pod(&kubeconfig, "default", name);
        let uid = kubectl(&["get", "pod", name, "-o", "jsonpath={.metadata.uid}"]);
        sandboxes.push(containerd.run(name, &uid).await);
    }
    let (web, other) = (&sandboxes[0], &sandboxes[1]);
    assert_eq!((web.len(), other.len(), ports(&site).await), (64, 64, 2));
    let report = audit(&site);
    assert_eq!((&report["attachments"], &report["doubts"]), (&json!({"keep": 2}), &json!([])), "{report}");

    // Its pod's object is gone before the sandbox is: it terminates.
    kubectl(&["delete", "pod", "web"]);
    for _ in 0..4 {
        assert_eq!(audit(&site)["actions"], json!([]));
        tokio::time::sleep(std::time::Duration::from_millis(600)).await;
    }
    // Its process is gone, and the plugin cannot be called.
    std::fs::rename(directory.path().join("bin/nuage-cni-k8s"), directory.path().join("bin/away")).unwrap();
    containerd.of("StopPodSandbox", web).await.unwrap_err();
    let released = audit_until_it_acts(&site).await;
    assert_eq!(released.as_array().map(Vec::len), Some(1), "{released}");
    assert_eq!(
        (&released[0]["sandbox"], &released[0]["reason"], &released[0]["result"]),
        (&json!(web), &json!("sandbox_not_ready"), &json!("done")),
        "{released}"
    );
    assert_eq!(ports(&site).await, 1);

    // What the audit has taken away is no error to containerd.
    std::fs::rename(directory.path().join("bin/away"), directory.path().join("bin/nuage-cni-k8s")).unwrap();
    for sandbox in &sandboxes {
        containerd.of("StopPodSandbox", sandbox).await.unwrap();
        containerd.of("RemovePodSandbox", sandbox).await.unwrap();
    }
    assert_eq!(ports(&site).await, 0);
    drop(containerd);
    let report = audit(&site);
    assert!(report["doubts"].to_string().contains("the sandboxes of this node are not known"), "{report}");
    site.terminate();
}
