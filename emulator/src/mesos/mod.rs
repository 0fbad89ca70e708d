//! The slice of a Mesos agent's API by which one learns what runs on a node: `GET /containers`, and of the operator API
//! (`POST /api/v1`) the calls that tell, launch and kill containers. Runs nothing; answers nobody without its credential.

mod call;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use axum::routing::{get, post};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use serde_json::{Value, json};

use crate::faults::{Caller, Faults};
use call::{Call, ContainerId};

/// The largest body that is read, in bytes; a call has a few hundred.
const LARGEST_BODY: usize = 64 << 10;
/// More containers than any agent runs.
const MAX_CONTAINERS: usize = 10_000;

/// Who may ask.
#[derive(Clone)]
pub struct Credential {
    /// The name.
    pub principal: String,
    /// The password.
    pub secret: String,
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Credential({})", self.principal)
    }
}

/// Whose container it is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Owner {
    /// A framework's, run by an executor.
    Executor { framework: String, executor: String },
    /// An operator's.
    Standalone,
    /// Another container's.
    Nested,
}

/// An agent. Clones are handles of the same one.
#[derive(Clone)]
pub struct Mesos(Arc<Shared>);

struct Shared {
    credential: Credential,
    containers: Mutex<BTreeMap<ContainerId, Owner>>,
    faults: Faults,
    caller: Caller,
}

impl std::fmt::Debug for Mesos {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Mesos")
    }
}

impl Mesos {
    /// The agent of `node`, which runs nothing yet.
    pub fn new(credential: Credential, faults: Faults, node: &str) -> Self {
        let (containers, caller) = (Mutex::default(), Caller::new(node, "containers"));
        Self(Arc::new(Shared { credential, containers, faults, caller }))
    }

    fn containers(&self) -> MutexGuard<'_, BTreeMap<ContainerId, Owner>> {
        self.0.containers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A framework runs a container, by an executor.
    pub fn run(&self, framework: &str, executor: &str, container: &str) {
        let owner = Owner::Executor { framework: framework.to_owned(), executor: executor.to_owned() };
        self.containers().insert(ContainerId::outer(container), owner);
    }

    /// A container is gone, and all that is nested in it.
    pub fn end(&self, container: &str) {
        self.kill(&ContainerId::outer(container));
    }

    /// The API.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/containers", get(list))
            .route("/api/v1", post(operate))
            .layer(axum::middleware::from_fn_with_state(self.clone(), authenticated))
            .with_state(self.clone())
    }

    /// What is told of the containers. As an agent does, `/containers` tells of executors' alone.
    fn entries(&self, nested: bool, standalone: bool) -> Vec<(ContainerId, Owner)> {
        let (faults, caller) = (&self.0.faults, &self.0.caller);
        if faults.ask("mesos.empty_list", caller).is_some() {
            return Vec::new();
        }
        let partial = faults.ask("mesos.partial_list", caller).is_some();
        let containers = self.containers();
        let shown = containers.iter().filter(|(id, owner)| match owner {
            Owner::Executor { .. } => true,
            Owner::Standalone => standalone,
            Owner::Nested => {
                nested && (standalone || containers.get(&id.outermost()) != Some(&Owner::Standalone))
            }
        });
        let shown = shown.map(|(id, owner)| (id.clone(), owner.clone()));
        if partial { shown.take(1).collect() } else { shown.collect() }
    }

    /// Launches a container of an operator's, or one in another. Whether it is new.
    fn launch(&self, id: ContainerId) -> Result<bool, &'static str> {
        let mut containers = self.containers();
        if containers.contains_key(&id) {
            return Ok(false);
        }
        if containers.len() >= MAX_CONTAINERS {
            return Err("too many containers");
        }
        let owner = match &id.parent() {
            None => Owner::Standalone,
            Some(parent) if containers.contains_key(parent) => Owner::Nested,
            Some(_) => return Err("the parent container does not exist"),
        };
        containers.insert(id, owner);
        Ok(true)
    }

    /// Whether it was there.
    fn kill(&self, id: &ContainerId) -> bool {
        let mut containers = self.containers();
        let was = containers.contains_key(id);
        containers.retain(|known, _| !known.is_within(id));
        was
    }
}

async fn authenticated(State(agent): State<Mesos>, request: Request, next: Next) -> Response {
    let Credential { principal, secret } = &agent.0.credential;
    let wanted = format!("Basic {}", STANDARD.encode(format!("{principal}:{secret}")));
    let given = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    if given == Some(&wanted) {
        return next.run(request).await;
    }
    let mut response = text(StatusCode::UNAUTHORIZED, "");
    let realm = HeaderValue::from_static("Basic realm=\"mesos-agent-readonly\"");
    response.headers_mut().insert(WWW_AUTHENTICATE, realm);
    response
}

async fn list(State(agent): State<Mesos>) -> Response {
    let entries = agent.entries(false, false).into_iter().map(|(id, owner)| {
        let mut entry = json!({"container_id": id.value(), "statistics": {}, "status": id.status()});
        if let Owner::Executor { framework, executor } = owner {
            entry["framework_id"] = json!(framework);
            entry["executor_id"] = json!(executor);
            entry["executor_name"] = json!("");
            entry["source"] = json!(executor);
        }
        entry
    });
    answer(&entries.collect())
}

async fn operate(State(agent): State<Mesos>, request: Request) -> Response {
    let kind = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if kind.is_none_or(|kind| !kind.starts_with("application/json")) {
        return text(StatusCode::UNSUPPORTED_MEDIA_TYPE, "Expecting 'Content-Type' of application/json");
    }
    let Ok(body) = axum::body::to_bytes(request.into_body(), LARGEST_BODY).await else {
        return text(StatusCode::PAYLOAD_TOO_LARGE, "");
    };
    match call::read(&body) {
        Err(why) => text(StatusCode::BAD_REQUEST, why),
        Ok(Call::Health) => answer(&json!({"type": "GET_HEALTH", "get_health": {"healthy": true}})),
        Ok(Call::Containers { nested, standalone }) => containers(&agent, nested, standalone),
        Ok(Call::Launch(id)) => match agent.launch(id) {
            Ok(true) => text(StatusCode::OK, ""),
            Ok(false) => text(StatusCode::ACCEPTED, ""),
            Err(why) => text(StatusCode::BAD_REQUEST, why),
        },
        Ok(Call::Kill(id)) if agent.kill(&id) => text(StatusCode::OK, ""),
        Ok(Call::Kill(_)) => text(StatusCode::NOT_FOUND, "Container cannot be found (or is already killed)"),
    }
}

fn containers(agent: &Mesos, nested: bool, standalone: bool) -> Response {
    let entries = agent.entries(nested, standalone).into_iter().map(|(id, owner)| {
        let mut entry = json!({"container_id": {"value": id.value()}, "container_status": id.status()});
        if let Owner::Executor { framework, executor } = owner {
            entry["framework_id"] = json!({"value": framework});
            entry["executor_id"] = json!({"value": executor});
            entry["executor_name"] = json!("");
        }
        entry
    });
    let entries: Vec<Value> = entries.collect();
    answer(&json!({"type": "GET_CONTAINERS", "get_containers": {"containers": entries}}))
}

fn answer(value: &Value) -> Response {
    let mut response = Response::new(Body::from(value.to_string()));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn text(status: StatusCode, why: &str) -> Response {
    let mut response = Response::new(Body::from(why.to_owned()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
