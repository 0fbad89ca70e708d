//! The audit of a node of Mesos: its agent's answers, right and odd, and what becomes of attachments.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use nuage_cni::audit::containers::{Unasked, WithRuntime};
use nuage_cni::audit::mesos::MesosAgent;
use nuage_cni::audit::report::Report;
use nuage_cni::audit::{Auditor, Mode};
use nuage_cni::config::load_node;
use nuage_cni::host::{BoxError, Host, Http, HttpService, TlsIdentity};
use nuage_cni::orchestrator::Orchestrator;
use serde_json::{Value, json};
use tokio::time::sleep;
use tower::util::BoxCloneSyncService;

use crate::doubles::process::Process;
use crate::doubles::seams::held;
use crate::doubles::{Node, Sandbox};
use crate::site::{ENOUGH, INTERVAL, simulate};

const ID: &str = "0c1d2e3f-4a5b-6c7d-8e9f-a0b1c2d3e4f5";
/// What the original called the port of [`ID`], and we do.
const PORT: &str = "nu4ab235ceeaf2d";
const TWICE: &str = "0c1d2e3f4a5b6c7d8e9fa0b1c2d3e4f50c1d2e3f4a5b6c7d8e9fa0b1c2d3e4f5";
const OTHER: &str = "99999999-0000-0000-0000-000000000001";

/// An agent: how it answers, and what it was asked.
#[derive(Clone)]
struct Agent(Arc<Mutex<State>>);

struct State {
    /// Status and body by path.
    answers: BTreeMap<&'static str, (u16, Value)>,
    silent: bool,
    asked: Vec<(String, Option<String>)>,
}

impl Http for Agent {
    fn client(&self, _identity: &TlsIdentity) -> Result<HttpService, BoxError> {
        Err("the agent speaks without TLS here".into())
    }

    fn plain(&self) -> Result<HttpService, BoxError> {
        let agent = self.clone();
        Ok(BoxCloneSyncService::new(tower::service_fn(move |request: Request<Bytes>| {
            let agent = agent.clone();
            async move {
                let silent = held(&agent.0).silent;
                if silent {
                    std::future::pending::<()>().await;
                }
                let mut state = held(&agent.0);
                let header = request.headers().get("authorization");
                let header = header.map(|value| value.to_str().unwrap().to_owned());
                state.asked.push((request.uri().to_string(), header));
                let answer = state.answers.get(request.uri().path()).cloned();
                let (status, body) = answer.unwrap_or((404, Value::Null));
                let body = Full::new(Bytes::from(body.to_string())).map_err(|never| match never {});
                let mut response = Response::new(body.boxed_unsync());
                *response.status_mut() = StatusCode::from_u16(status)?;
                Ok(response)
            }
        })))
    }
}

struct Mesos {
    node: Node,
    agent: Agent,
    auditor: Auditor,
}

impl Mesos {
    fn new() -> Self {
        let node = Node::new();
        node.write(
            "/config/nuage-cni.yaml",
            "vrsendpoint: unix:/vrs\nstatedir: /state\nrundir: /run\nlogdir: /log\nmonitorinterval: 60\n\
             staleentrytimeout: 180\nmesosagentcredential: credential\n",
        );
        node.write("/config/credential", r#"{"principal":"p","secret":"a-secret"}"#);
        node.write("/proc/sys/kernel/hostname", "worker-7\n");
        let state = State { answers: BTreeMap::new(), silent: false, asked: Vec::new() };
        let agent = Agent(Arc::new(Mutex::new(state)));
        let host = Host { http: Arc::new(agent.clone()), ..node.host(&Process::sound()) };
        let directory = std::path::PathBuf::from("/config");
        let config = load_node(&*host.files, Some(&directory)).unwrap();
        let runtime = MesosAgent::new(host.clone(), config.mesos_agent.clone());
        let containers = WithRuntime::new(Arc::new(Unasked::new("Mesos has no pods")), Arc::new(runtime));
        let auditor = Auditor::new(host, Orchestrator::Mesos, config, Some(directory), Arc::new(containers));
        Self { node, agent, auditor }
    }

    /// With an attachment that the agent has not listed for some passes, which are not enough to release it.
    async fn suspecting() -> Self {
        let mut site = Self::new();
        site.list(&[OTHER]);
        site.add(ID).await;
        for _ in 0..3 {
            assert!(site.pass().await.actions.is_empty());
        }
        site
    }

    /// The agent lists these by `/containers`, and knows no operator API.
    fn list(&self, ids: &[&str]) {
        let listed: Vec<Value> =
            ids.iter().map(|id| json!({"container_id": id, "source": "s", "statistics": {}})).collect();
        self.set(&[("/containers", 200, json!(listed))]);
    }

    /// The agent tells these by its operator API.
    fn tell(&self, ids: &[&str]) {
        let told: Vec<Value> = ids.iter().map(|id| json!({"container_id": {"value": id}})).collect();
        self.set(&[(
            "/api/v1",
            200,
            json!({"type": "GET_CONTAINERS", "get_containers": {"containers": told}}),
        )]);
    }

    fn set(&self, answers: &[(&'static str, u16, Value)]) {
        held(&self.agent.0).answers =
            answers.iter().map(|(path, status, body)| (*path, (*status, body.clone()))).collect();
    }

    async fn add(&self, id: &str) {
        let sandbox = Sandbox { pod: None, ..Sandbox::new(id, "") };
        let environment = self.node.environment("ADD", &sandbox);
        let label = |key: &str| json!({"key": key, "value": key});
        let labels: Vec<Value> = ["enterprise", "domain", "zone", "network", "user"].map(label).into();
        let network = json!({
            "cniVersion": "0.2.0", "name": "nuage-net", "type": "nuage-cni-mesos", "configDir": "/config",
            "args": {"org.apache.mesos": {"network_info": {"labels": {"labels": labels}}}}
        });
        let process = Process::sound();
        let call = self.node.invoke_as(Orchestrator::Mesos, &process, environment, &network);
        let outcome = Box::pin(call).await.unwrap();
        assert_eq!(outcome.exit_code, 0, "{}", String::from_utf8_lossy(&outcome.stdout));
    }

    /// A process runs in the container, or none does any more.
    fn inhabit(&self, id: &str, inhabited: bool) {
        let inode = held(&self.node.kernel.namespaces)[&Sandbox::new(id, "").netns()];
        let mut all = held(&self.node.kernel.inhabited);
        if inhabited {
            all.insert(inode)
        } else {
            all.remove(&inode)
        };
    }

    async fn pass(&mut self) -> Report {
        sleep(INTERVAL).await;
        self.auditor.pass(Mode::default()).await.unwrap()
    }

    async fn passes(&mut self) -> Report {
        for _ in 0..2 * ENOUGH {
            self.pass().await;
        }
        self.pass().await
    }

    fn ports(&self) -> Vec<String> {
        let rows = self.node.switch.rows("Nuage_Port_Table");
        rows.iter().map(|row| row["name"].as_str().unwrap().to_owned()).collect()
    }
}

#[test]
fn a13_containers_of_mesos_are_known_by_what_stands_in_their_rows() {
    simulate(async {
        let mut site = Mesos::new();
        site.list(&[ID, OTHER]);
        site.add(ID).await;
        assert_eq!(site.node.switch.rows("Nuage_VM_Table")[0]["vm_uuid"], TWICE);
        // What the journal knows, and what only the row tells, as after the original.
        for wiped in [false, true] {
            if wiped {
                held(&site.node.disk.files).retain(|path, _| !path.starts_with("/state"));
            }
            let report = site.passes().await;
            assert!(report.actions.is_empty() && report.doubts.is_empty(), "{:?}", report.doubts);
            assert_eq!(site.ports(), [PORT]);
        }
        site.list(&[OTHER]);
        site.passes().await;
        assert!(site.node.left().iter().all(|what| !what.contains(PORT)), "{:#?}", site.node.left());
        let asked = held(&site.agent.0).asked.clone();
        assert!(asked.iter().all(|(url, _)| url.starts_with("http://worker-7:5051/")), "{asked:?}");
        let secret = Some("Basic cDphLXNlY3JldA==".to_owned());
        assert!(asked.iter().all(|(_, header)| *header == secret), "{asked:?}");
    });
}

#[test]
fn the_operator_api_tells_of_nested_containers_and_their_attachments_live_with_them() {
    simulate(async {
        let mut site = Mesos::new();
        let nested = format!("{ID}.inner");
        site.tell(&[ID, "inner", OTHER]);
        site.add(ID).await;
        site.add(&nested).await;
        site.passes().await;
        assert_eq!(site.ports().len(), 2);
        // Not listed by itself any more: an old agent never lists it.
        site.list(&[ID, OTHER]);
        site.passes().await;
        assert_eq!(site.ports().len(), 2);
        site.list(&[OTHER]);
        site.passes().await;
        assert!(site.ports().is_empty(), "{:?}", site.ports());
    });
}

#[test]
fn an_agent_whose_answer_is_failed_partial_or_empty_costs_nothing_and_is_told_of() {
    simulate(async {
        let mut site = Mesos::new();
        site.list(&[ID]);
        site.add(ID).await;
        site.inhabit(ID, true);
        let odd = [
            ("/containers", 503, json!("recovering")),
            ("/containers", 401, Value::Null),
            ("/containers", 200, json!({"containers": []})),
            ("/containers", 200, json!([{"container_id": OTHER}, {"source": "no id"}])),
            ("/containers", 200, json!([])),
            ("/api/v1", 500, Value::Null),
            ("/api/v1", 200, json!([])),
            // What it may not tell whoever asks, it leaves out.
            ("/containers", 200, json!([{"container_id": OTHER}])),
        ];
        for answer in odd {
            site.set(std::slice::from_ref(&answer));
            let report = site.passes().await;
            assert!(report.actions.is_empty(), "{answer:?}: {:?}", report.actions);
            assert_eq!(report.doubts.len(), 1, "{answer:?}: {:?}", report.doubts);
            assert!(!format!("{:?}", report.doubts).contains("a-secret"));
        }
        held(&site.agent.0).silent = true;
        let report = site.pass().await;
        assert!(report.doubts[0].contains("no answer in time"), "{:?}", report.doubts);
        assert!(report.took < Duration::from_secs(15), "{:?}", report.took);
        assert_eq!(site.ports(), [PORT]);
    });
}

#[test]
fn a_container_that_comes_back_to_the_list_before_its_time_is_up_is_left_alone() {
    simulate(async {
        let mut site = Mesos::suspecting().await;
        site.list(&[ID, OTHER]);
        let report = site.passes().await;
        assert!(report.actions.is_empty(), "{:?}", report.actions);
        assert_eq!(site.ports(), [PORT]);
    });
}

#[test]
fn an_agent_that_falls_silent_between_two_looks_stops_a_release_and_resets_no_grace_period() {
    simulate(async {
        let mut site = Mesos::suspecting().await;
        site.set(&[("/containers", 503, Value::Null)]);
        assert!(site.passes().await.actions.is_empty());
        site.list(&[OTHER]);
        let report = site.pass().await;
        assert_eq!(report.actions.len(), 1, "what was seen before still counts");
        assert!(site.ports().is_empty());
    });
}
