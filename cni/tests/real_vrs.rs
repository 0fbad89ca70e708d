//! The plugin's own flow on a real kernel and against the real ovsdb-server, which carries Open vSwitch's schema and the
//! two Nuage tables; a few lines play the controller. Everything is made in namespaces and directories of this test.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "a test")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use nuage_cni::call::Call;
use nuage_cni::config::{NodeConfig, load_node};
use nuage_cni::host::Host;
use nuage_cni::log::CallLog;
use nuage_cni::orchestrator::{Identity, Orchestrator, Placement, identity};
use nuage_cni::protocol::{Command as Verb, NetworkConfig, Request};
use nuage_cni::vrs::{Making, Vrs};
use nuage_cni::{Invocation, Outcome, invoke, node};
use nuage_ovsdb::client::{Client, Limits, MonitorTable};
use nuage_ovsdb::operation::{Condition, Operation, named_uuid};
use nuage_ovsdb::value::Row;
use serde_json::{Value, json};
use tokio::net::UnixStream;
use tokio::time::Instant;

const SCHEMA: &str = "/usr/share/openvswitch/vswitch.ovsschema";
const DATABASE: &str = "Open_vSwitch";
const PATIENCE: Duration = Duration::from_secs(20);

/// Whether this machine can run the test; says what it lacks otherwise.
fn lacks(test: &str) -> bool {
    let all = "command -v ovsdb-server && command -v ovsdb-tool && command -v ip && test $(id -u) = 0";
    let found = Command::new("sh").args(["-c", all]).output();
    let there = found.is_ok_and(|output| output.status.success()) && Path::new(SCHEMA).is_file();
    if !there {
        eprintln!("SKIPPED {test}: root, ip, ovsdb-server and its schema");
    }
    !there
}

fn row(columns: &[(&str, Value)]) -> Row {
    columns.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
}

/// Open vSwitch's schema with the Nuage tables, as far as they are known.
fn schema(ipv6: bool) -> Value {
    let mut schema: Value = serde_json::from_slice(&std::fs::read(SCHEMA).unwrap()).unwrap();
    let map = json!({"type": {"key": "string", "value": "string", "min": 0, "max": "unlimited"}});
    let set = json!({"type": {"key": "string", "min": 0, "max": "unlimited"}});
    for (table, texts, numbers, composite) in [
        (
            "Nuage_Port_Table",
            "name mac ip_addr subnet_mask gateway bridge alias nuage_domain nuage_network nuage_zone nuage_network_type",
            "evpn_id vrf_id vm_domain dirty",
            json!({"metadata": map}),
        ),
        (
            "Nuage_VM_Table",
            "vm_uuid vm_name nuage_user nuage_enterprise",
            "type event event_type state reason domain dirty",
            json!({"metadata": map, "ports": set}),
        ),
    ] {
        let mut columns = composite;
        for (names, kind) in [(texts, "string"), (numbers, "integer")] {
            for name in names.split(' ') {
                columns[name] = json!({"type": kind});
            }
        }
        if ipv6 && table == "Nuage_Port_Table" {
            for (name, kind) in
                [("ip6_addr", "string"), ("ip6_prefix_len", "integer"), ("ip6_gateway", "string")]
            {
                columns[name] = json!({"type": kind});
            }
        }
        schema["tables"][table] = json!({"columns": columns, "isRoot": true});
    }
    schema
}

struct Site {
    directory: tempfile::TempDir,
    server: Mutex<Child>,
}

impl Site {
    async fn new() -> Self {
        Self::with_schema(&schema(false)).await
    }

    async fn with_schema(schema: &Value) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        std::fs::write(path("schema"), schema.to_string()).unwrap();
        let made = Command::new("ovsdb-tool").arg("create").arg(path("conf.db")).arg(path("schema")).status();
        assert!(made.unwrap().success());
        let root = directory.path().display();
        let yaml = format!(
            "vrsendpoint: unix:{root}/db.sock\nstatedir: {root}/state\nrundir: {root}/run\nlogdir: {root}/log\n"
        );
        std::fs::write(path("nuage-cni.yaml"), yaml).unwrap();
        let server = Mutex::new(Self::start(directory.path()));
        let site = Self { directory, server };
        let bridge = row(&[("name", json!("alubr0")), ("controller", named_uuid("controller"))]);
        let controller = row(&[("target", json!("tcp:192.0.2.1:6633")), ("role", json!("master"))]);
        let switch = row(&[("bridges", named_uuid("bridge"))]);
        let operations = vec![
            Operation::insert("Controller", &controller, Some("controller")),
            Operation::insert("Bridge", &bridge, Some("bridge")),
            Operation::insert("Open_vSwitch", &switch, None),
        ];
        site.connect().await.transact(DATABASE, operations, PATIENCE).await.unwrap();
        site
    }

    fn start(directory: &Path) -> Child {
        let path = |name: &str| directory.join(name);
        let mut command = Command::new("ovsdb-server");
        command.arg(path("conf.db")).arg(format!("--remote=punix:{}", path("db.sock").display()));
        command.arg(format!("--unixctl={}", path("ctl").display())).arg("-vconsole:off").spawn().unwrap()
    }

    async fn connect(&self) -> Client {
        let socket = self.directory.path().join("db.sock");
        let connected = async {
            loop {
                if let Ok(stream) = UnixStream::connect(&socket).await {
                    return Client::spawn(stream, Limits::default());
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, connected).await.expect("ovsdb-server listens")
    }

    fn restart(&self) {
        let mut server = self.server.lock().unwrap();
        server.kill().unwrap();
        server.wait().unwrap();
        *server = Self::start(self.directory.path());
    }

    async fn rows(&self, table: &str, columns: &[&str]) -> Vec<Row> {
        let select = vec![Operation::select(table, &[], columns)];
        self.connect().await.transact(DATABASE, select, PATIENCE).await.unwrap()[0].rows()
    }

    async fn assert_nothing(&self, port: &str) {
        for table in ["Interface", "Port", "Nuage_Port_Table", "Nuage_VM_Table"] {
            let rows = self.rows(table, &[]).await;
            assert!(rows.is_empty(), "{table}: {rows:?}");
        }
        assert_eq!(self.rows("Bridge", &["ports"]).await, [row(&[("ports", json!(["set", []]))])]);
        assert!(node::host().links.find(None, port).await.unwrap().is_none());
        let journal = std::fs::read_dir(self.directory.path().join("state/attachments")).unwrap();
        assert_eq!(journal.count(), 0);
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let server = self.server.get_mut().unwrap_or_else(PoisonError::into_inner);
        let _ = server.kill();
        let _ = server.wait();
    }
}

/// Answers for the port of every entity that comes, as a controller does.
async fn resolve(client: Client) {
    resolve_with(client, &[]).await;
}

/// The same with more columns.
async fn resolve_with(client: Client, more: &[(&str, Value)]) {
    let entities = vec![MonitorTable::new("Nuage_VM_Table", &["vm_uuid", "ports"])];
    let mut monitor = client.monitor(DATABASE, entities, PATIENCE).await.unwrap();
    loop {
        let mut answer = row(&[
            ("ip_addr", json!("10.88.0.7")),
            ("subnet_mask", json!("255.255.255.0")),
            ("gateway", json!("10.88.0.1")),
        ]);
        answer.extend(row(more));
        for entity in monitor.rows().values() {
            let named = [Condition::equals("name", entity["ports"].clone())];
            let update = Operation::update("Nuage_Port_Table", &named, &answer);
            client.transact(DATABASE, vec![update], PATIENCE).await.unwrap();
        }
        if monitor.next().await.is_err() {
            return;
        }
    }
}

/// A namespace and a sandbox whose names no other test has.
struct Sandbox {
    id: String,
}

impl Sandbox {
    fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let id = format!("nuage-vrs-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let made = Command::new("ip").args(["netns", "add", &id]).output().unwrap();
        assert!(made.status.success(), "{made:?}");
        Self { id }
    }

    fn netns(&self) -> PathBuf {
        Path::new("/var/run/netns").join(&self.id)
    }

    fn request(&self) -> Request {
        Request {
            command: Verb::Add,
            container_id: self.id.clone(),
            netns: Some(self.netns()),
            ifname: "eth0".to_owned(),
            args: BTreeMap::new(),
            network: NetworkConfig { name: "net".to_owned(), ..NetworkConfig::default() },
        }
    }

    fn identity(&self) -> Identity {
        identity(Orchestrator::Kubernetes, &self.request()).unwrap()
    }

    /// As [`Sandbox::call`], by the executable.
    async fn execute(&self, site: &Site, command: &str, netns: bool) -> Outcome {
        let invocation = self.invocation(site, command, netns);
        #[expect(clippy::disallowed_methods, reason = "a real process takes real time")]
        let running = tokio::task::spawn_blocking(move || {
            let mut process = Command::new(env!("CARGO_BIN_EXE_nuage-cni-k8s"));
            process.env_clear().envs(&invocation.environment);
            process.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
            let mut child = process.spawn().unwrap();
            child.stdin.take().unwrap().write_all(&invocation.stdin).unwrap();
            child.wait_with_output().unwrap()
        });
        let output = running.await.unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        let exit_code = u8::try_from(output.status.code().unwrap()).unwrap();
        Outcome { stdout: output.stdout, stderr: (!stderr.is_empty()).then_some(stderr), exit_code }
    }

    async fn call(&self, site: &Site, command: &str, netns: bool) -> Outcome {
        let invocation = self.invocation(site, command, netns);
        let started = Instant::now();
        let outcome = invoke(&node::host(), invocation).await;
        eprintln!("{command}: exit code {} after {:?}", outcome.exit_code, started.elapsed());
        outcome
    }

    fn invocation(&self, site: &Site, command: &str, netns: bool) -> Invocation {
        let path = if netns { self.netns().display().to_string() } else { String::new() };
        let environment = [
            ("CNI_COMMAND", command),
            ("CNI_CONTAINERID", &self.id),
            ("CNI_NETNS", &path),
            ("CNI_IFNAME", "eth0"),
            ("CNI_PATH", "/opt/cni/bin"),
        ];
        let network = json!({
            "cniVersion": "1.1.0", "name": "net", "type": "nuage-cni-k8s", "configDir": site.directory.path(),
            "nuage": {"enterprise": "E", "domain": "D", "zone": "Z", "network": "S", "user": "u"}
        });
        Invocation {
            orchestrator: Orchestrator::Kubernetes,
            environment: environment.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            stdin: network.to_string().into_bytes(),
        }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let port = self.identity().port_name;
        let _ = Command::new("ip").args(["link", "del", &port]).output();
        let _ = Command::new("ip").args(["netns", "del", &self.id]).output();
    }
}

fn assert_success(outcome: &Outcome) {
    assert_eq!(outcome.exit_code, 0, "{:?}", outcome.stderr);
}

#[tokio::test]
async fn a_namespace_is_attached_compared_and_detached() {
    if lacks("a_namespace_is_attached_compared_and_detached") {
        return;
    }
    let (site, sandbox) = (Site::new().await, Sandbox::new());
    let controller = tokio::spawn(resolve(site.connect().await));
    let port = sandbox.identity().port_name;

    let added = sandbox.call(&site, "ADD", true).await;
    assert_success(&added);
    let result: Value = serde_json::from_slice(&added.stdout).unwrap();
    assert_eq!(result["ips"][0]["address"], "10.88.0.7/24", "{result}");
    let host = node::host();
    let netns = host.links.open_netns(&sandbox.netns()).await.unwrap();
    let link = host.links.find(Some(&netns), "eth0").await.unwrap().unwrap();
    assert_eq!(link.addresses, ["10.88.0.7/24".parse().unwrap()]);
    let destinations: Vec<String> = link.routes.iter().map(|route| route.destination.to_string()).collect();
    assert!(["10.88.0.1/32", "0.0.0.0/0"].iter().all(|wanted| destinations.contains(&(*wanted).to_owned())));

    let rows = site.rows("Nuage_Port_Table", &["name", "mac", "bridge"]).await;
    let expected = [("name", json!(port)), ("mac", json!(link.mac)), ("bridge", json!("alubr0"))];
    assert_eq!(rows, [row(&expected)]);
    let entity = site.rows("Nuage_VM_Table", &["vm_uuid", "event", "event_type", "state", "ports"]).await;
    let expected = [
        ("vm_uuid", json!(sandbox.id)),
        ("event", json!(2)),
        ("event_type", json!(0)),
        ("state", json!(1)),
        ("ports", json!(port)),
    ];
    assert_eq!(entity, [row(&expected)]);

    assert_success(&sandbox.call(&site, "CHECK", true).await);
    assert_eq!(sandbox.call(&site, "ADD", true).await.exit_code, 1, "it is up already");
    assert_success(&sandbox.call(&site, "CHECK", true).await);
    assert_success(&sandbox.call(&site, "DEL", true).await);
    site.assert_nothing(&port).await;
    assert_success(&sandbox.call(&site, "DEL", true).await);
    assert_success(&sandbox.call(&site, "DEL", false).await);
    site.assert_nothing(&port).await;
    controller.abort();
}

#[tokio::test]
async fn a_namespace_gets_both_addresses_from_a_server_whose_schema_has_them() {
    if lacks("a_namespace_gets_both_addresses_from_a_server_whose_schema_has_them") {
        return;
    }
    let (site, sandbox) = (Site::with_schema(&schema(true)).await, Sandbox::new());
    let client = site.connect().await;
    let controller = tokio::spawn(async move {
        let six = [
            ("ip6_addr", json!("fd00:88::7")),
            ("ip6_prefix_len", json!(64)),
            ("ip6_gateway", json!("fd00:88::1")),
        ];
        resolve_with(client, &six).await;
    });
    let added = sandbox.execute(&site, "ADD", true).await;
    assert_success(&added);
    let result: Value = serde_json::from_slice(&added.stdout).unwrap();
    assert_eq!(result["ips"][1]["address"], "fd00:88::7/64", "{result}");
    assert_eq!(result["ips"][1]["gateway"], "fd00:88::1", "{result}");
    let to = |destination: &str, gateway: &str| json!({"dst": destination, "gw": gateway});
    assert_eq!(result["routes"], json!([to("0.0.0.0/0", "10.88.0.1"), to("::/0", "fd00:88::1")]), "{result}");
    let host = node::host();
    let netns = host.links.open_netns(&sandbox.netns()).await.unwrap();
    let link = host.links.find(Some(&netns), "eth0").await.unwrap().unwrap();
    assert_eq!(link.addresses.len(), 2, "{link:?}");
    let gateways: Vec<String> =
        link.routes.iter().filter_map(|route| route.gateway.map(|gateway| gateway.to_string())).collect();
    assert_eq!(gateways, ["10.88.0.1", "fd00:88::1"], "{link:?}");
    assert_success(&sandbox.execute(&site, "CHECK", true).await);
    assert_success(&sandbox.execute(&site, "DEL", true).await);
    site.assert_nothing(&sandbox.identity().port_name).await;
    controller.abort();
}

#[tokio::test]
async fn an_add_outlives_a_restart_of_the_server() {
    if lacks("an_add_outlives_a_restart_of_the_server") {
        return;
    }
    let (site, sandbox) = (Site::new().await, Sandbox::new());
    // The restart comes when the entity is there: from then on the ADD only waits.
    let restart = async {
        let entities = vec![MonitorTable::new("Nuage_VM_Table", &["vm_uuid"])];
        let mut monitor = site.connect().await.monitor(DATABASE, entities, PATIENCE).await.unwrap();
        while monitor.rows().is_empty() {
            monitor.next().await.unwrap();
        }
        site.restart();
        site.connect().await
    };
    let resolved = async {
        let client = restart.await;
        resolve(client).await;
    };
    let added = tokio::select! {
        biased;
        added = sandbox.call(&site, "ADD", true) => added,
        () = resolved => panic!("the controller's connection was lost"),
    };
    assert_success(&added);
    assert_success(&sandbox.call(&site, "DEL", true).await);
    site.assert_nothing(&sandbox.identity().port_name).await;
}

#[tokio::test]
async fn a_port_is_made_once_or_not_at_all() {
    if lacks("a_port_is_made_once_or_not_at_all") {
        return;
    }
    let (site, sandbox) = (Site::new().await, Sandbox::new());
    let (host, request, identity) = (node::host(), sandbox.request(), sandbox.identity());
    let config = load_node(&*host.files, Some(site.directory.path())).unwrap();
    let log = CallLog::new(&host, &config, &request, Some(&identity), Instant::now());
    let call = call(&log, &host, &config, &request, &identity);
    let place = Placement {
        enterprise: "E".into(),
        domain: "D".into(),
        zone: "Z".into(),
        network: "S".into(),
        user: "u".into(),
        policy_groups: Vec::new(),
        static_ip: None,
        redirection_target: None,
        mac: None,
    };
    let vrs = Vrs::connect(&call, call.deadline).await.unwrap();
    let making = Making { identity: &identity, placement: &place, mac: "02:00:00:00:00:01" };
    let made = vrs.make(&call, &making).await.unwrap();
    for table in ["Interface", "Port", "Nuage_Port_Table", "Nuage_VM_Table"] {
        let uuid = site.rows(table, &["_uuid"]).await[0]["_uuid"][1].clone();
        assert_eq!(uuid, made.rows[table], "{table}");
    }
    let again = vrs.make(&call, &making).await.unwrap_err();
    assert_eq!(again.code(), 104, "{again:?}");
    assert_eq!(site.rows("Nuage_Port_Table", &["_uuid"]).await.len(), 1);
    let ports = BTreeSet::from([identity.port_name.clone()]);
    for expected in [true, false] {
        let detached = vrs.detach(&identity.entity_uuid, &ports).await.unwrap();
        assert_eq!((detached.found, detached.others), (expected, false));
        vrs.remove_ports(&ports, &detached).await.unwrap();
    }

    // Without its bridge a port would vanish silently at the end of the transaction.
    let gone = Operation::update("Open_vSwitch", &[], &row(&[("bridges", json!(["set", []]))]));
    site.connect().await.transact(DATABASE, vec![gone], PATIENCE).await.unwrap();
    let refused = vrs.make(&call, &making).await.unwrap_err();
    assert_eq!(refused.code(), 104, "{refused:?}");
    assert!(site.rows("Nuage_Port_Table", &[]).await.is_empty());
}

fn call<'a>(
    log: &'a CallLog<'a>,
    host: &'a Host,
    node: &'a NodeConfig,
    request: &'a Request,
    identity: &'a Identity,
) -> Call<'a> {
    Call {
        host,
        orchestrator: Orchestrator::Kubernetes,
        node,
        config_dir: None,
        request,
        identity: Some(identity),
        log,
        deadline: Instant::now() + PATIENCE,
    }
}
