//! The images in a real engine, as they are shipped: loaded from their archives, started, used; and the Dockerfile makes the same.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "a test")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use nuage_packager::image::{self, Image};
use nuage_packager::{Order, Stock, contents, library};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use support::site::{Namespace, feed, has, network, variables};
use support::{dist, order, succeed};
use tempfile::TempDir;
use testcontainers::core::{Mount, WaitFor};
use testcontainers::runners::AsyncRunner;
use testcontainers::{ContainerAsync, GenericImage, ImageExt};

/// The longest that a container may take to do what it is for.
const PATIENCE: Duration = Duration::from_mins(1);

const LOOPBACK: &str = r#"{"cniVersion": "1.0.0", "name": "lo", "type": "loopback"}"#;

fn docker(arguments: &[&str]) -> String {
    succeed(Command::new("docker").args(arguments))
}

/// How many have been loaded: no two have one tag.
static NEXT: AtomicUsize = AtomicUsize::new(0);

/// An image that the engine has from its archive, until this goes.
struct Loaded {
    image: &'static Image,
    order: Order,
    stock: Stock,
    scratch: TempDir,
    names: Vec<String>,
}

impl Loaded {
    /// Loads it; says what is skipped where that cannot be.
    fn new(test: &str, target: &str) -> Option<Self> {
        if dist().is_none() {
            eprintln!("SKIPPED {test}: NUAGE_DIST_DIR with a static build (ci/test makes it)");
            return None;
        }
        let answers = Command::new("docker").args(["version", "--format", "{{.Server.Version}}"]).output();
        if !answers.is_ok_and(|output| output.status.success()) {
            eprintln!("SKIPPED {test}: a Docker engine");
            return None;
        }
        let image = image::ALL.iter().find(|image| image.target == target).unwrap();
        let scratch = tempfile::tempdir().unwrap();
        // Nobody else's tag.
        let (process, next) = (std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let order = order(scratch.path(), &format!("v0.0.0-test{process}.{next}"), scratch.path());
        let stock = Stock::gather(&order).unwrap();
        let archive = scratch.path().join(image.file_name(&order.version));
        fs::write(&archive, image.archive(&order, &stock).unwrap()).unwrap();
        let name = format!("{}:{}", image.repository, order.version.given());
        let said = docker(&["load", "-i", archive.to_str().unwrap()]);
        let loaded = Self { image, order, stock, scratch, names: vec![name] };
        assert!(said.contains(&loaded.names[0]), "{said}");
        Some(loaded)
    }

    fn generic(&self) -> GenericImage {
        GenericImage::new(self.image.repository, self.order.version.given())
    }

    /// What the Dockerfile makes of the folder that `ci/package` makes; its name.
    fn built(&mut self) -> &str {
        let context = self.scratch.path().join("context");
        fs::create_dir_all(&context).unwrap();
        for name in contents::EXECUTABLES {
            fs::copy(self.order.executables.join(name), context.join(name)).unwrap();
        }
        fs::write(context.join("LICENSE"), contents::LICENSE).unwrap();
        let scenarios = library::archive(&self.order).unwrap();
        fs::write(context.join(library::file_name(&self.order.version)), scenarios).unwrap();
        let name = format!("{}-built", self.names[0]);
        let dockerfile = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Dockerfile");
        let mut build = Command::new("docker");
        // Without BuildKit, which is not in every engine. Then each step is an image, which goes with the others.
        build.env("DOCKER_BUILDKIT", "0").args(["build", "--no-cache", "--network", "none", "--tag", &name]);
        build.args(["--target", self.image.target, "--file"]).arg(dockerfile).arg(&context);
        let said = succeed(&mut build);
        let steps = said.lines().filter_map(|line| line.strip_prefix(" ---> "));
        self.names.extend(steps.filter(|step| !step.contains(' ')).map(str::to_owned));
        self.names.push(name);
        self.names.last().unwrap()
    }
}

impl Drop for Loaded {
    fn drop(&mut self) {
        for name in self.names.iter().rev() {
            let _ = Command::new("docker").args(["image", "rm", "--force", name]).output();
        }
    }
}

/// A directory of the host at a place of the container.
fn mount(from: &Path, to: &str) -> Mount {
    fs::create_dir_all(from).unwrap();
    Mount::bind_mount(from.to_str().unwrap(), to)
}

/// A site in a container, with its files in `directory`, which it sees as `place`.
async fn site(image: &Loaded, directory: &Path, place: &str) -> ContainerAsync<GenericImage> {
    let ready = image.generic().with_wait_for(WaitFor::message_on_stdout("ready"));
    let request = ready.with_network("host").with_mount(mount(directory, place));
    request.with_cmd(["up", "--dir", place]).start().await.expect("the emulator's container starts")
}

async fn end(container: ContainerAsync<GenericImage>) {
    container.stop_with_timeout(Some(30)).await.unwrap();
    assert_eq!(container.exit_code().await.unwrap(), Some(0));
    container.rm().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_emulators_container_serves_the_sdk_and_a_dump_of_its_switch() {
    let test = "the_emulators_container_serves_the_sdk_and_a_dump_of_its_switch";
    let Some(image) = Loaded::new(test, "emulator") else { return };
    let directory = tempfile::tempdir().unwrap();
    let container = site(&image, directory.path(), "/data").await;
    let endpoints = fs::read(directory.path().join("endpoints.json")).unwrap();
    let endpoints: Value = serde_json::from_slice(&endpoints).unwrap();
    if has(test, "ovsdb-client") {
        let inside = endpoints["vrs"].as_str().unwrap().strip_prefix("unix:/data/").unwrap();
        let socket = format!("unix:{}", directory.path().join(inside).display());
        let dump = succeed(Command::new("ovsdb-client").args(["dump", &socket]));
        assert!(dump.contains("Nuage_Port_Table table") && dump.contains("alubr0"), "{dump}");
    }
    let python = std::env::var("VSPK_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let sdk = Command::new(&python).args(["-c", "import vspk.v6"]).output();
    if sdk.is_ok_and(|output| output.status.success()) {
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../emulator/tests/vspk");
        let url = endpoints["vsd"].as_str().unwrap().trim_end_matches("/nuage/api");
        let login = "import sdk, sys; print([e.name for e in sdk.login(sys.argv[1]).user.enterprises.get()])";
        let mut script = Command::new(&python);
        script.env("PYTHONPATH", scripts).args(["-B", "-c", login, url]);
        let said = succeed(&mut script);
        assert!(said.contains("K8S-Enterprise"), "{said}");
    } else {
        eprintln!("SKIPPED {test} (the SDK): python3 with vspk");
    }
    end(container).await;
}

/// Runs an executable of the container with a call's variables, its network configuration on standard input.
fn call(
    container: &ContainerAsync<GenericImage>,
    plugin: &str,
    variables: &[(&str, String)],
    input: &str,
) -> Output {
    let mut command = Command::new("docker");
    command.args(["exec", "--interactive"]);
    for (name, value) in variables {
        command.args(["--env", &format!("{name}={value}")]);
    }
    feed(command.args([container.id(), plugin]), input).unwrap()
}

fn succeeded(output: &Output) -> String {
    let said = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).into_owned());
    assert!(output.status.success(), "{}: {}", output.status, said.concat());
    said[0].clone()
}

/// The node's container for the host whose root is `host`, which sees its files where the host has them.
async fn node(image: &Loaded, host: &Path) -> ContainerAsync<GenericImage> {
    let text = |name: &str| fs::read_to_string(host.join("site/node").join(name)).unwrap();
    let vsp = host.join("usr/share/vsp-k8s");
    fs::create_dir_all(&vsp).unwrap();
    for name in ["nuage.kubeconfig", "monitor-ca.pem", "monitor-client.pem", "monitor-client.key"] {
        fs::write(vsp.join(name), text(name)).unwrap();
    }
    let mut request = image
        .generic()
        .with_wait_for(WaitFor::message_on_stdout("wrote /etc/cni/net.d/nuage-net.conflist"))
        .with_network("host")
        .with_cap_add("NET_ADMIN")
        .with_cap_add("SYS_ADMIN")
        .with_env_var("NUAGE_CNI_YAML_CONFIG", text("nuage-cni.yaml"))
        .with_env_var("NUAGE_VSP_CONFIG", text("vsp-k8s.yaml"))
        .with_env_var("KUBERNETES_NODE_NAME", "node-1")
        .with_mount(Mount::bind_mount(host.to_str().unwrap(), "/host"))
        .with_mount(Mount::bind_mount("/run/netns", "/run/netns"));
    for (from, to) in [("site", "/site"), ("etc/default", "/etc/default"), ("usr/share", "/usr/share")] {
        request = request.with_mount(mount(&host.join(from), to));
    }
    // What it runs by itself, but for the packet filter of the machine that tests.
    let command = image.image.command.iter().copied().chain(["--no-firewall"]);
    request.with_cmd(command).start().await.expect("the node's container starts")
}

fn find(directory: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> =
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.sort();
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn the_nodes_container_installs_the_plugin_runs_the_audit_and_attaches_a_network_namespace() {
    let test = "the_nodes_container_installs_the_plugin_runs_the_audit_and_attaches_a_network_namespace";
    let Some(image) = Loaded::new(test, "node") else { return };
    let Some(emulator) = Loaded::new(test, "emulator") else { return };
    if !has(test, "ip") {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let host = root.path();
    let site = site(&emulator, &host.join("site"), "/site").await;
    let namespace = Namespace::new();
    let container = node(&image, host).await;

    let names: Vec<PathBuf> = find(&host.join("opt/cni/bin"));
    let expected =
        ["loopback", "nuage-audit", "nuage-cni-k8s"].map(|name| host.join("opt/cni/bin").join(name));
    assert_eq!(names, expected);
    for name in ["loopback", "nuage-cni-k8s"] {
        let there = fs::read(host.join("opt/cni/bin").join(name)).unwrap();
        assert!(there == image.stock.executable(name).unwrap(), "{name} is the image's");
    }
    let network = network(Path::new("/site/node")).to_string();
    succeeded(&call(&container, "loopback", &variables("ADD", &namespace, "lo"), LOOPBACK));
    assert!(namespace.ip(&["link", "show", "lo"]).contains("LOOPBACK,UP"));
    let added =
        succeeded(&call(&container, "nuage-cni-k8s", &variables("ADD", &namespace, "eth0"), &network));
    let result: Value = serde_json::from_str(&added).unwrap();
    let address = result["ips"][0]["address"].as_str().unwrap_or_else(|| panic!("{added}"));
    let shown = namespace.ip(&["address", "show", "dev", "eth0"]);
    assert!(shown.contains(&format!("inet {address} ")) && shown.contains("state UP"), "{shown}");
    succeeded(&call(&container, "nuage-cni-k8s", &variables("CHECK", &namespace, "eth0"), &network));

    let told = call_audit(&container, &["status"]).await;
    let port = result["interfaces"][0]["name"].as_str().unwrap();
    assert!(told.contains(port), "{told}");

    let gone = call(&container, "nuage-cni-k8s", &variables("DEL", &namespace, "eth0"), &network);
    assert_eq!(succeeded(&gone), "");
    assert!(!namespace.ip(&["link", "show"]).contains("eth0"));
    end(container).await;
    end(site).await;
}

/// What the running audit says, once it answers.
async fn call_audit(container: &ContainerAsync<GenericImage>, arguments: &[&str]) -> String {
    let begin = tokio::time::Instant::now();
    loop {
        let mut command = Command::new("docker");
        let output = command.args(["exec", container.id(), "nuage-audit"]).args(arguments).output().unwrap();
        if output.status.success() || begin.elapsed() > PATIENCE {
            return succeeded(&output);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_harnesss_container_runs_a_scenario_of_its_library() {
    let Some(image) = Loaded::new("the_harnesss_container_runs_a_scenario_of_its_library", "harness") else {
        return;
    };
    let scenario = format!("{}/everyday/one-pod.toml", library::PLACE);
    let said = docker(&["run", "--rm", "--network", "none", &image.names[0], "run", &scenario]);
    assert!(said.contains("one-pod"), "{said}");
    let all = docker(&["run", "--rm", "--network", "none", &image.names[0], "check", library::PLACE]);
    assert!(!all.contains("error"), "{all}");
}

/// Pods that come and go for some seconds.
const CHURN: &str = r#"title = "Churn on nodes that are containers"
why = "what a DaemonSet has installed is what runtimes call"

[cluster]
nodes = 2

[[load]]
kind = "churn"
rate = "1/s"
duration = "8s"
lifetime = "1s..4s"

[[fault]]
kind = "monitor.down"
at = "2s"
for = "2s"

[[expect]]
kind = "all_running"

[[expect]]
kind = "no_leaks"
within = "60s"
"#;

#[test]
fn scenarios_hold_on_nodes_that_are_containers_of_the_image() {
    let test = "scenarios_hold_on_nodes_that_are_containers_of_the_image";
    let Some(image) = Loaded::new(test, "node") else { return };
    if !has(test, "ip") {
        return;
    }
    let churn = image.scratch.path().join("churn.toml");
    fs::write(&churn, CHURN).unwrap();
    let one_pod = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scenarios/everyday/one-pod.toml");
    let harness = image.order.executables.join("harness");
    let mut run = Command::new(&harness);
    run.args(["run", "--world", "containers", "--image", &image.names[0]]).args([&one_pod, &churn]);
    let said = succeed(&mut run);
    assert!(said.contains("2 of 2 runs hold"), "{said}");
    let left = docker(&["ps", "--all", "--format", "{{.Names}}"]);
    assert!(!left.contains("nuage-run-"), "{left}");

    let mut without = Command::new(harness);
    let output =
        without.args(["run", "--world", "containers", "--image", "none/such:1"]).arg(one_pod).output();
    let output = output.unwrap();
    assert_eq!(output.status.code(), Some(4));
    assert!(String::from_utf8_lossy(&output.stderr).contains("docker load"), "{output:?}");
}

/// Every file of an image but those that an engine makes in a container: mode, owner and digest.
fn files(name: &str) -> BTreeMap<String, String> {
    let id = docker(&["create", name]).trim().to_owned();
    let exported = Command::new("docker").args(["export", &id]).output().unwrap();
    docker(&["rm", &id]);
    let mut found = BTreeMap::new();
    for entry in tar::Archive::new(&exported.stdout[..]).entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().display().to_string();
        if !entry.header().entry_type().is_file()
            || path == ".dockerenv"
            || path.starts_with("etc/")
            || path.starts_with("dev/")
        {
            continue;
        }
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        let header = entry.header();
        let (mode, owner) = (header.mode().unwrap(), (header.uid().unwrap(), header.gid().unwrap()));
        found.insert(path, format!("{mode:o} {owner:?} {:x}", Sha256::digest(&bytes)));
    }
    found
}

/// What containers of an image run, and where.
fn settings(name: &str) -> Vec<Value> {
    let inspected: Value = serde_json::from_str(&docker(&["image", "inspect", name])).unwrap();
    ["Env", "Cmd", "Entrypoint", "WorkingDir"].iter().map(|key| inspected[0]["Config"][key].clone()).collect()
}

#[test]
fn the_dockerfile_makes_the_images_that_the_archives_have_from_nothing() {
    for image in image::ALL {
        let test = "the_dockerfile_makes_the_images_that_the_archives_have_from_nothing";
        let Some(mut loaded) = Loaded::new(test, image.target) else { return };
        let archived = loaded.names[0].clone();
        let built = loaded.built().to_owned();
        assert_eq!(settings(&archived), settings(&built), "{}", image.target);
        let (one, other) = (files(&archived), files(&built));
        assert!(one.len() >= image.rows.len(), "{one:?}");
        assert_eq!(one, other, "{}", image.target);
    }
}
