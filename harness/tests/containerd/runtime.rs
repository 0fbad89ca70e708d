//! A containerd of a test's own, asked by its CRI: gRPC over its socket, messages in protobuf's notation, the few fields that tests
//! need. What it runs ends with it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::UnixStream;

use super::support::{Process, executable, image, run};

/// Before a message of gRPC: whether it is compressed, and its length.
const PREFIX: usize = 5;

pub(crate) struct Containerd {
    directory: PathBuf,
    pub(crate) socket: PathBuf,
    cgroup: String,
    process: Option<Process>,
}

/// A pod's sandbox: its id, and what its containers have to be told of it.
pub(crate) struct Sandbox {
    pub(crate) id: String,
    config: Vec<u8>,
}

impl Containerd {
    /// Starts one with a node's files, in the network namespace that the node is, if it is one.
    pub(crate) fn start(directory: &Path, node: &Path, netns: Option<&str>) -> Self {
        let path = |name: &str| directory.join(name).display().to_string();
        for name in ["bin", "net.d", "logs"] {
            std::fs::create_dir_all(directory.join(name)).unwrap();
        }
        for plugin in ["nuage-cni-k8s", "loopback"] {
            std::os::unix::fs::symlink(executable(plugin), directory.join("bin").join(plugin)).unwrap();
        }
        std::fs::copy(node.join("10-nuage.conflist"), directory.join("net.d/10-nuage.conflist")).unwrap();
        let config = format!(
            r#"version = 2
root = "{}"
state = "{}"
[grpc]
  address = "{}"
[plugins."io.containerd.internal.v1.opt"]
  path = "{}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{}"
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
            image::NAME,
            path("bin"),
            path("net.d")
        );
        std::fs::write(directory.join("config.toml"), config).unwrap();
        let socket = directory.join("containerd.sock");
        let mut command = match netns {
            None => Command::new("containerd"),
            Some(netns) => {
                let mut command = Command::new("nsenter");
                command.arg(format!("--net={netns}")).arg("containerd");
                command
            }
        };
        command.arg("-c").arg(directory.join("config.toml")).stderr(Stdio::null());
        let process = Process::start_silent(command, &socket);
        let cgroup =
            format!("/nuage-test-{}-{}", std::process::id(), directory.file_name().unwrap().display());
        let this = Self { directory: directory.to_owned(), socket, cgroup, process: Some(process) };
        let archive = image::make(directory);
        let socket = this.socket.display().to_string();
        run("ctr", &["-a", &socket, "-n", "k8s.io", "images", "import", archive.to_str().unwrap()]);
        this
    }

    /// A call of its CRI; the message that it answers.
    async fn call(&self, name: &str, message: &[u8]) -> Result<Vec<u8>, String> {
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
            return Err(format!("{name}: {:?}", trailers.get("grpc-message")));
        }
        Ok(body.to_bytes().get(PREFIX..).unwrap_or_default().to_vec())
    }

    /// Runs a sandbox of a pod in the namespace `default`.
    pub(crate) async fn run(&self, name: &str, uid: &str) -> Result<Sandbox, String> {
        let metadata = [field(1, name.as_bytes()), field(2, uid.as_bytes()), field(3, b"default")].concat();
        let linux = field(1, self.cgroup.as_bytes());
        let logs = self.directory.join("logs").display().to_string();
        let config =
            [field(1, &metadata), field(2, name.as_bytes()), field(3, logs.as_bytes()), field(8, &linux)]
                .concat();
        let answer = self.call("RunPodSandbox", &field(1, &config)).await?;
        Ok(Sandbox { id: text(&answer, &[1]), config })
    }

    /// The address that the runtime tells of a sandbox.
    pub(crate) async fn address(&self, sandbox: &Sandbox) -> String {
        let answer = self.call("PodSandboxStatus", &field(1, sandbox.id.as_bytes())).await.unwrap();
        text(&answer, &[1, 5, 1])
    }

    /// Starts a container in a sandbox that waits; its id.
    pub(crate) async fn start_container(&self, sandbox: &Sandbox) -> String {
        let config = [
            field(1, &field(1, b"main")),
            field(2, &field(1, image::NAME.as_bytes())),
            field(3, b"/bin/busybox"),
            field(3, b"sleep"),
            field(3, b"600"),
            field(11, b"main.log"),
            field(15, b""),
        ];
        let request =
            [field(1, sandbox.id.as_bytes()), field(2, &config.concat()), field(3, &sandbox.config)];
        let container = text(&self.call("CreateContainer", &request.concat()).await.unwrap(), &[1]);
        self.call("StartContainer", &field(1, container.as_bytes())).await.unwrap();
        container
    }

    /// Runs busybox in a container; what it printed.
    pub(crate) async fn exec(&self, container: &str, arguments: &[&str]) -> String {
        let words = ["/bin/busybox"].iter().chain(arguments);
        let mut request = field(1, container.as_bytes());
        request.extend(words.flat_map(|word| field(2, word.as_bytes())));
        let answer = self.call("ExecSync", &request).await.unwrap();
        [text(&answer, &[1]), text(&answer, &[2])].concat()
    }

    /// A call about one sandbox.
    pub(crate) async fn of(&self, call: &str, sandbox: &Sandbox) -> Result<(), String> {
        self.call(call, &field(1, sandbox.id.as_bytes())).await.map(drop)
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

/// The text at a path of fields of a message; empty where there is none.
fn text(message: &[u8], path: &[u64]) -> String {
    let Some((wanted, rest)) = path.split_first() else {
        return String::from_utf8(message.to_vec()).unwrap();
    };
    let mut left = message;
    while !left.is_empty() {
        let key = varint(&mut left);
        match key & 7 {
            0 => drop(varint(&mut left)),
            1 => left = &left[8..],
            2 => {
                let length = usize::try_from(varint(&mut left)).unwrap();
                let (value, after) = left.split_at(length);
                if key >> 3 == *wanted {
                    return text(value, rest);
                }
                left = after;
            }
            5 => left = &left[4..],
            other => panic!("a field of the kind {other}"),
        }
    }
    String::new()
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut number = 0;
    for place in 0.. {
        let (first, rest) = bytes.split_first().unwrap();
        *bytes = rest;
        number |= u64::from(first & 0x7f) << (7 * place);
        if first & 0x80 == 0 {
            break;
        }
    }
    number
}
