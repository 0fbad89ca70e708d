//! A node in memory with an API server that knows what runs, and the audit of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use nuage_cni::audit::containers::{Containers, Life, PodInfo, Pods, Reception, Sandboxes, Testimony, Word};
use nuage_cni::audit::news::News;
use nuage_cni::audit::report::Report;
use nuage_cni::audit::{Auditor, Mode};
use nuage_cni::config::load_node;
use nuage_cni::host::Link;
use nuage_cni::orchestrator::{Orchestrator, Pod};
use nuage_ovsdb::value::Row;
use serde_json::{Value, json};

use crate::doubles::process::Process;
use crate::doubles::seams::held;
use crate::doubles::{Node, Sandbox};

/// What [`Site::new`] sets as the audit's interval; its grace period is three of them.
pub const INTERVAL: Duration = Duration::from_mins(1);
/// Passes after which whatever is leaked must be gone: the grace period and two intervals.
pub const ENOUGH: usize = 6;

/// How the API server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Api {
    Up,
    /// It answers nobody.
    Down,
    /// It lists nothing.
    Empty,
    /// It lists what it did when it became so.
    Stale,
}

#[derive(Debug)]
struct State {
    api: Api,
    pods: BTreeMap<String, PodInfo>,
    stale: Pods,
    sandboxes: Option<Word<Sandboxes>>,
    news: Vec<News>,
    reception: Reception,
}

/// The API server, and a runtime if there is one.
#[derive(Clone, Debug)]
pub struct Cluster(Arc<Mutex<State>>);

#[async_trait]
impl Containers for Cluster {
    async fn observe(&self) -> Testimony {
        let state = held(&self.0);
        let pods = match state.api {
            Api::Up => Word::Told(state.pods.values().cloned().collect()),
            Api::Down => Word::Silent("connection refused".to_owned()),
            Api::Empty => Word::Told(Pods::default()),
            Api::Stale => Word::Told(state.stale.clone()),
        };
        Testimony { pods, sandboxes: state.sandboxes.clone() }
    }

    async fn sandboxes(&self) -> Option<Word<Sandboxes>> {
        held(&self.0).sandboxes.clone()
    }

    async fn tell(&self, news: &News, _now: Duration) -> Reception {
        let mut state = held(&self.0);
        state.news.push(news.clone());
        state.reception
    }

    async fn look_again(&self, pod: &Pod) -> Word<Option<PodInfo>> {
        let state = held(&self.0);
        if state.api == Api::Down {
            return Word::Silent("connection refused".to_owned());
        }
        let named = |known: &&PodInfo| (&known.namespace, &known.name) == (&pod.namespace, &pod.name);
        Word::Told(state.pods.values().find(named).cloned())
    }
}

/// The node, its cluster and its audit.
pub struct Site {
    pub node: Node,
    pub cluster: Cluster,
    pub auditor: Auditor,
    namespaces_made: u64,
}

impl Site {
    pub fn new() -> Self {
        let node = Node::new();
        node.write(
            "/config/nuage-cni.yaml",
            "vrsendpoint: unix:/vrs\nstatedir: /state\nrundir: /run\nlogdir: /log\nmonitorinterval: 60\n\
             staleentrytimeout: 180\n",
        );
        plant_foreign(&node);
        let state = State {
            api: Api::Up,
            pods: BTreeMap::new(),
            stale: Pods::default(),
            sandboxes: None,
            news: Vec::new(),
            reception: Reception::Shown,
        };
        let cluster = Cluster(Arc::new(Mutex::new(state)));
        let auditor = auditor(&node, &cluster);
        Self { node, cluster, auditor, namespaces_made: 0 }
    }

    /// The daemon is started anew; what it kept in memory is gone.
    pub fn restart_daemon(&mut self) {
        self.auditor = auditor(&self.node, &self.cluster);
    }

    /// Makes a pod that runs.
    pub fn pod(&self, namespace: &str, name: &str, uid: &str) {
        let pod = PodInfo {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            uid: uid.to_owned(),
            aliases: Vec::new(),
            life: Life::Running,
            host_network: false,
        };
        let mut state = held(&self.cluster.0);
        // A name is free once who had it is gone.
        state.pods.retain(|_, other| (&other.namespace, &other.name) != (&pod.namespace, &pod.name));
        state.pods.insert(uid.to_owned(), pod);
    }

    /// Changes a pod.
    pub fn change_pod(&self, uid: &str, change: impl FnOnce(&mut PodInfo)) {
        change(held(&self.cluster.0).pods.get_mut(uid).unwrap());
    }

    /// The pod's object is gone.
    pub fn forget_pod(&self, uid: &str) {
        held(&self.cluster.0).pods.remove(uid);
    }

    pub fn set_api(&self, api: Api) {
        let mut state = held(&self.cluster.0);
        state.stale = state.pods.values().cloned().collect();
        state.api = api;
    }

    /// There is a runtime that can be asked; it knows these sandboxes.
    pub fn set_sandboxes(&self, sandboxes: &[(&str, bool)]) {
        let known = sandboxes.iter().map(|(id, ready)| ((*id).to_owned(), *ready)).collect();
        held(&self.cluster.0).sandboxes = Some(Word::Told(known));
    }

    /// What was told of pods since this was last asked.
    pub fn news(&self) -> Vec<News> {
        std::mem::take(&mut held(&self.cluster.0).news)
    }

    /// What becomes of what is told from now on.
    pub fn set_reception(&self, reception: Reception) {
        held(&self.cluster.0).reception = reception;
    }

    /// A call of the plugin for a sandbox of a pod, in a process of its own. `None`: it was killed.
    pub async fn call(
        &mut self,
        process: &Process,
        command: &str,
        id: &str,
        pod: (&str, &str, &str),
    ) -> Option<bool> {
        let (namespace, name, uid) = pod;
        let sandbox = Sandbox::new(id, name);
        if command == "ADD" {
            self.namespaces_made += 1;
            let inode = 4_026_600_000 + self.namespaces_made;
            held(&self.node.kernel.namespaces).entry(sandbox.netns()).or_insert(inode);
        }
        let before = held(&self.node.kernel.namespaces).clone();
        let mut environment = self.node.environment(command, &sandbox);
        // A DEL makes no namespace.
        *held(&self.node.kernel.namespaces) = before;
        let arguments = format!(
            "IgnoreUnknown=1;K8S_POD_NAMESPACE={namespace};K8S_POD_NAME={name};K8S_POD_INFRA_CONTAINER_ID={id};K8S_POD_UID={uid}"
        );
        environment.insert("CNI_ARGS".to_owned(), arguments);
        // The double's API server gives every pod one UID; the plugin takes this one as well.
        *held(&self.node.services.metadata) = json!({"annotations": {"kubernetes.io/config.hash": uid}});
        let outcome = Box::pin(self.node.invoke(process, environment, json!({}))).await?;
        Some(outcome.exit_code == 0)
    }

    /// Attaches a sandbox, and nothing goes wrong.
    pub async fn add(&mut self, id: &str, pod: (&str, &str, &str)) {
        assert_eq!(self.call(&Process::sound(), "ADD", id, pod).await, Some(true));
    }

    /// The sandbox is gone, and the kernel takes its links.
    pub fn remove_sandbox(&self, id: &str) {
        let path = Sandbox::new(id, "").netns();
        if let Some(inode) = held(&self.node.kernel.namespaces).remove(&path) {
            held(&self.node.kernel.pairs).retain(|_, (inside, _)| *inside != inode);
        }
    }

    /// The switch starts anew without the rows of containers.
    pub fn lose_rows(&self) {
        let switch = &self.node.switch;
        for table in ["Interface", "Port", "Nuage_Port_Table", "Nuage_VM_Table"] {
            switch.change(table, |rows| rows.retain(|_, row| is_foreign(row)));
        }
    }

    /// A port of a sandbox as the original made it, without a journal; further ones join the first one's entity.
    pub fn original(&mut self, id: &str, name: &str, port: &str) {
        let switch = &self.node.switch;
        let stamps = json!(["map", [["vm-name", name], ["vm-uuid", id]]]);
        let named = ("name", json!(port));
        let interface = switch.insert("Interface", &[named.clone(), ("external_ids", stamps.clone())]);
        let interfaces = json!(["uuid", interface.to_string()]);
        let row = [named.clone(), ("interfaces", interfaces), ("external_ids", stamps)];
        let uuid = json!(["uuid", switch.insert("Port", &row).to_string()]);
        switch.add_to_set("Bridge", "ports", &uuid);
        switch.insert("Nuage_Port_Table", &[named]);
        let ports: Vec<Value> = switch
            .rows("Nuage_VM_Table")
            .iter()
            .filter(|row| row["vm_uuid"] == id)
            .flat_map(|row| match &row["ports"] {
                Value::Array(set) => set[1].as_array().unwrap().clone(),
                one => vec![one.clone()],
            })
            .chain([json!(port)])
            .collect();
        switch.change("Nuage_VM_Table", |rows| rows.retain(|_, row| row["vm_uuid"] != id));
        let columns = [
            ("vm_uuid", json!(id)),
            ("vm_name", json!(name)),
            ("ports", if ports.len() == 1 { ports[0].clone() } else { json!(["set", ports]) }),
            ("type", json!(4)),
            ("domain", json!(4)),
            ("event", json!(2)),
            ("state", json!(1)),
        ];
        switch.insert("Nuage_VM_Table", &columns);
        self.namespaces_made += 1;
        let inode = 4_026_600_000 + self.namespaces_made;
        let inode = *held(&self.node.kernel.namespaces).entry(Sandbox::new(id, "").netns()).or_insert(inode);
        let link = Link {
            name: format!("eth{}", self.namespaces_made),
            mac: "02:00:00:00:00:77".to_owned(),
            mtu: 1450,
            up: true,
            addresses: Vec::new(),
            routes: Vec::new(),
        };
        held(&self.node.kernel.pairs).insert(port.to_owned(), (inode, link));
    }

    /// One pass, an interval after the last one.
    pub async fn pass(&mut self) -> Option<Report> {
        tokio::time::sleep(INTERVAL).await;
        self.auditor.pass(Mode::default()).await.ok()
    }

    /// So many passes that whatever is leaked must be gone.
    pub async fn passes(&mut self) {
        for _ in 0..ENOUGH {
            assert!(self.pass().await.is_some());
        }
    }

    /// What is left of attachments, but for the rows of others.
    pub fn left(&self) -> Vec<String> {
        let of_nobody_else = |what: &String| !what.contains("foreign") && !what.starts_with('{');
        self.node.left().into_iter().filter(of_nobody_else).collect()
    }

    /// The rows of others.
    pub fn foreign(&self) -> Vec<Value> {
        let tables = ["Interface", "Port", "Nuage_Port_Table", "Nuage_VM_Table"];
        let rows = tables.iter().flat_map(|table| self.node.switch.rows(table));
        rows.filter(is_foreign).map(|row| json!(row)).collect()
    }

    /// The ports of which the switch has something.
    pub fn ports(&self) -> BTreeSet<String> {
        let rows = ["Port", "Nuage_Port_Table"].iter().flat_map(|table| self.node.switch.rows(table));
        rows.filter(|row| !is_foreign(row))
            .filter_map(|row| row["name"].as_str().map(str::to_owned))
            .collect()
    }
}

fn is_foreign(row: &Row) -> bool {
    json!(row).to_string().contains("foreign")
}

fn auditor(node: &Node, cluster: &Cluster) -> Auditor {
    let host = node.host(&Process::sound());
    let directory = std::path::PathBuf::from("/config");
    let config = load_node(&*host.files, Some(&directory)).unwrap();
    Auditor::new(host, Orchestrator::Kubernetes, config, Some(directory), Arc::new(cluster.clone()))
}

/// What others have on a switch: a virtual machine, a container of libnetwork, the infra pod, a service.
fn plant_foreign(node: &Node) {
    for (port, name, kind) in [
        ("tap0000foreign", "foreign-vm", 2),
        ("nlnforeign", "foreign-container", 4),
        ("inf-nu-1", "foreign-infra", 4),
        ("svc-foreign", "foreign-service", 0),
        // Named like ours, of a virtual machine.
        ("nu00000000f0f0f", "foreign-machine", 2),
    ] {
        let (mark, named) = (("alias", json!("foreign")), ("name", json!(port)));
        let uuid = json!(format!("foreign-{port}"));
        let row = [
            ("vm_uuid", uuid),
            ("vm_name", json!(name)),
            ("ports", json!(port)),
            ("type", json!(kind)),
            ("domain", json!(4)),
            ("event", json!(0)),
            ("state", json!(0)),
        ];
        node.switch.insert("Nuage_VM_Table", &row);
        node.switch.insert("Nuage_Port_Table", &[named.clone(), mark.clone()]);
        let (stamps, interfaces) = (("external_ids", json!(["map", []])), ("interfaces", json!(["set", []])));
        let uuid = node.switch.insert("Port", &[named, mark, stamps, interfaces]);
        node.switch.add_to_set("Bridge", "ports", &json!(["uuid", uuid.to_string()]));
    }
}

pub const WEB: (&str, &str, &str) = ("shop", "web-0", "uid-1");
pub const OTHER: (&str, &str, &str) = ("shop", "other", "uid-2");

/// A node on which another pod lives.
pub async fn site() -> Site {
    let mut site = Site::new();
    site.pod(OTHER.0, OTHER.1, OTHER.2);
    site.add("other", OTHER).await;
    site
}

/// Runs something on virtual time.
pub fn simulate<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap().block_on(future)
}
