//! A node in memory: what stands behind the plugin's seams when there is no kernel, no switch, no API server and no
//! monitor, and any operation can go wrong.
#![allow(dead_code, unreachable_pub, reason = "each test uses a part of it")]

pub mod answer;
pub mod process;
pub mod seams;
pub mod switch;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

pub use nuage_cni::Outcome;
use nuage_cni::host::{Host, Link, Route};
use nuage_cni::orchestrator::Orchestrator;
use nuage_cni::{Invocation, invoke};
use serde_json::{Value, json};
use tokio::time::Instant;

use process::Process;
use seams::{
    Disk, Kernel, Lines, POD_UID, ProcessFiles, ProcessHttp, ProcessLinks, ProcessSwitch, Services,
    VirtualClock, held,
};
use switch::{Database, Presence};

pub const STATE: &str = "/state/attachments";
const CONFIG: &str = "/config";
const NODE: &str = "vrsendpoint: unix:/vrs\nstatedir: /state\nrundir: /run\nlogdir: /log\n";
const SITE: &str = "enterpriseName: E\ndomainName: D\nvsdUser: u\nnuageMonRestServer: https://monitor:9443\n\
    nuageMonClientCert: '-----BEGIN'\nnuageMonClientKey: '-----BEGIN'\nnuageMonServerCA: '-----BEGIN'\n";
const KUBECONFIG: &str = "current-context: c\n\
    contexts: [{name: c, context: {cluster: k, user: u}}]\n\
    clusters: [{name: k, cluster: {server: 'https://api:6443', certificate-authority-data: LS0=}}]\n\
    users: [{name: u, user: {token: t}}]\n";

/// A node.
#[derive(Clone)]
pub struct Node {
    pub disk: Disk,
    pub kernel: Kernel,
    pub switch: Database,
    pub services: Services,
    pub log: Lines,
    born: Instant,
}

/// Whom a call is about.
#[derive(Clone, Debug)]
pub struct Sandbox {
    pub id: String,
    pub ifname: String,
    pub pod: Option<String>,
    /// What the network configuration has beside the usual.
    pub network: Value,
}

impl Sandbox {
    pub fn new(id: &str, pod: &str) -> Self {
        Self { id: id.to_owned(), ifname: "eth0".to_owned(), pod: Some(pod.to_owned()), network: json!({}) }
    }

    #[must_use]
    pub fn interface(&self, ifname: &str) -> Self {
        Self { ifname: ifname.to_owned(), ..self.clone() }
    }

    /// The same with more in its network configuration.
    #[must_use]
    pub fn with(&self, network: Value) -> Self {
        Self { network, ..self.clone() }
    }

    pub fn netns(&self) -> PathBuf {
        format!("/var/run/netns/{}", self.id).into()
    }
}

impl Node {
    pub fn new() -> Self {
        let node = Self {
            disk: Disk::default(),
            kernel: Kernel::default(),
            switch: Database::new(),
            services: Services::new(),
            log: Lines::default(),
            born: Instant::now(),
        };
        for (name, text) in
            [("nuage-cni.yaml", NODE), ("vsp-k8s.yaml", SITE), ("nuage.kubeconfig", KUBECONFIG)]
        {
            node.write(&format!("{CONFIG}/{name}"), text);
        }
        node.boot("boot-1");
        node
    }

    pub fn write(&self, path: &str, text: &str) {
        held(&self.disk.files).insert(path.into(), text.into());
    }

    /// Another boot: links and namespaces are gone, what is on disk stays.
    pub fn boot(&self, id: &str) {
        self.write("/proc/sys/kernel/random/boot_id", id);
        held(&self.kernel.pairs).clear();
        held(&self.kernel.namespaces).clear();
    }

    pub fn host(&self, process: &Process) -> Host {
        Host {
            switch: Arc::new(ProcessSwitch(self.switch.clone(), process.clone())),
            http: Arc::new(ProcessHttp(self.services.clone(), process.clone())),
            links: Arc::new(ProcessLinks(self.kernel.clone(), process.clone())),
            files: Arc::new(ProcessFiles(self.disk.clone(), process.clone())),
            clock: Arc::new(VirtualClock(self.born)),
            log: Arc::new(self.log.clone()),
        }
    }

    /// Calls the plugin in a process of its own. `None`: the process was killed.
    pub async fn call(&self, process: &Process, command: &str, sandbox: &Sandbox) -> Option<Outcome> {
        self.invoke(process, self.environment(command, sandbox), sandbox.network.clone()).await
    }

    /// The environment of a call; the sandbox's namespace is there from then on.
    pub fn environment(&self, command: &str, sandbox: &Sandbox) -> BTreeMap<String, String> {
        let netns = sandbox.netns();
        self.namespace(sandbox);
        let mut environment: BTreeMap<String, String> = [
            ("CNI_COMMAND", command),
            ("CNI_CONTAINERID", &sandbox.id),
            ("CNI_IFNAME", &sandbox.ifname),
            ("CNI_PATH", "/opt/cni/bin"),
            ("CNI_NETNS", &netns.display().to_string()),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into();
        if let Some(pod) = &sandbox.pod {
            let id = &sandbox.id;
            let args = format!(
                "IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME={pod};K8S_POD_INFRA_CONTAINER_ID={id};K8S_POD_UID={POD_UID}"
            );
            environment.insert("CNI_ARGS".to_owned(), args);
        }
        environment
    }

    /// The sandbox's namespace, made if it is not there.
    fn namespace(&self, sandbox: &Sandbox) -> u64 {
        let mut namespaces = held(&self.kernel.namespaces);
        let inode = 4_026_532_000 + namespaces.len() as u64;
        *namespaces.entry(sandbox.netns()).or_insert(inode)
    }

    /// Attaches a sandbox as the original plugin did, without a journal, under the name `port`; a second port joins the
    /// entity of the first.
    pub fn attach_as_the_original(&self, sandbox: &Sandbox, port: &str) {
        let (id, pod) = (&sandbox.id, sandbox.pod.as_ref().unwrap());
        let stamps = json!(["map", [["vm-name", pod], ["vm-uuid", id]]]);
        let named = ("name", json!(port));
        let interface = self.switch.insert("Interface", &[named.clone(), ("external_ids", stamps.clone())]);
        let interfaces = json!(["uuid", interface.to_string()]);
        let row = [named.clone(), ("interfaces", interfaces), ("external_ids", stamps)];
        let uuid = json!(["uuid", self.switch.insert("Port", &row).to_string()]);
        self.switch.add_to_set("Bridge", "ports", &uuid);
        let mac = "02:00:00:00:00:77";
        self.switch.insert("Nuage_Port_Table", &[named, ("mac", json!(mac))]);
        if self.switch.rows("Nuage_VM_Table").is_empty() {
            let started = [("event", json!(2)), ("event_type", json!(0)), ("state", json!(1))];
            let row = [("vm_uuid", json!(id)), ("vm_name", json!(pod)), ("ports", json!(port))];
            self.switch.insert("Nuage_VM_Table", &[&row[..], &started].concat());
        } else {
            self.switch.add_to_set("Nuage_VM_Table", "ports", &json!(port));
        }
        self.switch.resolve();
        let rows = self.switch.rows("Nuage_Port_Table");
        let address =
            rows.iter().find(|row| row["name"] == port).unwrap()["ip_addr"].as_str().unwrap().to_owned();
        let link = Link {
            name: sandbox.ifname.clone(),
            mac: mac.to_owned(),
            mtu: 1450,
            up: true,
            addresses: vec![format!("{address}/24").parse().unwrap()],
            routes: vec![Route {
                destination: "0.0.0.0/0".parse().unwrap(),
                gateway: Some("10.0.0.1".parse().unwrap()),
            }],
        };
        held(&self.kernel.pairs).insert(port.to_owned(), (self.namespace(sandbox), link));
        held(&self.services.counted).insert(format!("shop/{pod}"));
    }

    pub async fn invoke(
        &self,
        process: &Process,
        environment: BTreeMap<String, String>,
        extra: Value,
    ) -> Option<Outcome> {
        let mut network =
            json!({"cniVersion": "1.1.0", "name": "net", "type": "nuage-cni-k8s", "configDir": CONFIG});
        for (key, value) in extra.as_object().unwrap() {
            network[key] = value.clone();
        }
        self.invoke_as(Orchestrator::Kubernetes, process, environment, &network).await
    }

    pub async fn invoke_as(
        &self,
        orchestrator: Orchestrator,
        process: &Process,
        environment: BTreeMap<String, String>,
        network: &Value,
    ) -> Option<Outcome> {
        let stdin = network.to_string().into_bytes();
        let invocation = Invocation { orchestrator, environment, stdin };
        let host = self.host(process);
        tokio::select! {
            biased;
            () = process.died() => None,
            // A dead process answers nobody, even if its last operation did not have to wait.
            outcome = invoke(&host, invocation) => (!process.is_dead()).then_some(outcome),
        }
    }

    pub async fn add(&self, sandbox: &Sandbox) -> Outcome {
        self.call(&Process::sound(), "ADD", sandbox).await.unwrap()
    }

    pub async fn del(&self, sandbox: &Sandbox) {
        let outcome = self.call(&Process::sound(), "DEL", sandbox).await.unwrap();
        assert_eq!((outcome.exit_code, outcome.stdout.as_slice()), (0, &b""[..]), "{:?}", outcome.stderr);
    }

    /// A call without a sandbox: GC with what is valid, or STATUS.
    pub async fn call_node(&self, command: &str, valid: &[&Sandbox]) -> Outcome {
        let environment = [("CNI_COMMAND", command), ("CNI_PATH", "/opt/cni/bin")];
        let environment = environment.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        let valid: Vec<Value> =
            valid.iter().map(|one| json!({"containerID": one.id, "ifname": one.ifname})).collect();
        let extra = json!({"cni.dev/valid-attachments": valid});
        self.invoke(&Process::sound(), environment, extra).await.unwrap()
    }

    pub fn journal(&self) -> Vec<Value> {
        let files = held(&self.disk.files);
        let records = files.iter().filter(|(path, _)| path.starts_with(STATE));
        records.map(|(_, text)| serde_json::from_slice(text).unwrap_or(Value::Null)).collect()
    }

    pub fn counted(&self) -> Vec<String> {
        held(&self.services.counted).iter().cloned().collect()
    }

    pub fn set_monitor(&self, presence: Presence) {
        *held(&self.services.monitor) = presence;
    }

    /// What of any attachment is on the node or in the monitor's books.
    pub fn left(&self) -> Vec<String> {
        let mut left = Vec::new();
        for table in ["Interface", "Port", "Nuage_Port_Table", "Nuage_VM_Table"] {
            left.extend(self.switch.rows(table).iter().map(|row| format!("{table}: {}", json!(row))));
        }
        let bridges = self.switch.rows("Bridge");
        left.extend(
            bridges.iter().filter(|row| row["ports"] != json!(["set", []])).map(|row| format!("{row:?}")),
        );
        left.extend(held(&self.kernel.pairs).keys().map(|name| format!("link {name}")));
        left.extend(self.counted().iter().map(|pod| format!("counted {pod}")));
        left.extend(self.journal().iter().map(|record| format!("journal: {record}")));
        left
    }
}

/// The error code of an outcome; 0 where it succeeded.
pub fn code(outcome: &Outcome) -> u64 {
    let answer: Value = serde_json::from_slice(&outcome.stdout).unwrap_or_default();
    if outcome.exit_code == 0 { 0 } else { answer["code"].as_u64().unwrap() }
}
