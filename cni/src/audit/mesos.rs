//! Containers by the agent of Mesos on this node, nested and standalone ones too. Its answer counts whole or not at all; what
//! cannot be told from it (a nested container that an old agent does not list) is silence.
//!
//! `GET_CONTAINERS` of the operator API tells all of them, `GET /containers` (what the original asked, and what agents before
//! the operator API have) only those of executors. An agent leaves out what the principal may not see and does not say so:
//! therefore a container that it does not list is left alone while a process lives in its network namespace
//! ([`judge`](super::judge)).

use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Request, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::timeout;
use tower::ServiceExt as _;

use super::containers::{Runtime, Sandboxes, Word};
use super::peer::{Clients, describe, whole};
use crate::config::MesosAgentConfig;
use crate::host::{Host, TlsIdentity};

/// The agent's port.
const PORT: u16 = 5051;
const HOST_NAME: &str = "/proc/sys/kernel/hostname";
/// How long an exchange may take: the agent collects figures of every container to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// A credential or an authority is no longer, in bytes.
const MAX_FILE_BYTES: u64 = 1 << 20;
/// More containers than any node runs.
const MAX_CONTAINERS: usize = 20_000;

/// The agent of this node.
pub struct MesosAgent {
    host: Host,
    config: MesosAgentConfig,
    clients: Clients,
}

impl std::fmt::Debug for MesosAgent {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("MesosAgent")
    }
}

/// Who asks.
#[derive(Deserialize)]
struct Credential {
    principal: String,
    secret: String,
}

impl MesosAgent {
    /// The agent that nuage-cni.yaml names. Its files are read at each question, so that what was renewed counts.
    pub fn new(host: Host, config: MesosAgentConfig) -> Self {
        Self { host, config, clients: Clients::default() }
    }

    /// Its URL: the configured one, or where the original asked.
    fn url(&self) -> String {
        if let Some(url) = &self.config.url {
            return url.clone();
        }
        let name = self.host.files.read(Path::new(HOST_NAME), 256).ok().flatten().unwrap_or_default();
        format!("http://{}:{PORT}", String::from_utf8_lossy(&name).trim())
    }

    fn read(&self, path: &Path) -> Result<Vec<u8>, String> {
        let content = self.host.files.read(path, MAX_FILE_BYTES);
        let content = content.map_err(|error| format!("reading {}: {error}", path.display()))?;
        content.ok_or_else(|| format!("{} does not exist", path.display()))
    }

    fn authorization(&self) -> Result<Option<HeaderValue>, String> {
        let Some(path) = &self.config.credential else { return Ok(None) };
        // What is wrong with it is not told: a parser may show what it read.
        let wrong = || format!("{} is no JSON object with principal and secret", path.display());
        let credential: Credential = serde_json::from_slice(&self.read(path)?).map_err(|_| wrong())?;
        let pair = STANDARD.encode(format!("{}:{}", credential.principal, credential.secret));
        let mut value = HeaderValue::try_from(format!("Basic {pair}")).map_err(|_| wrong())?;
        value.set_sensitive(true);
        Ok(Some(value))
    }

    async fn exchange(
        &self,
        request: http::request::Builder,
        body: Bytes,
    ) -> Result<(StatusCode, Bytes), String> {
        let mut request: Request<Bytes> = request.body(body).map_err(|error| error.to_string())?;
        if let Some(value) = self.authorization()? {
            request.headers_mut().insert(AUTHORIZATION, value);
        }
        request.headers_mut().insert(ACCEPT, HeaderValue::from_static("application/json"));
        let identity = match &self.config.authorities {
            Some(path) if request.uri().scheme() == Some(&http::uri::Scheme::HTTPS) => {
                Some(TlsIdentity { authorities: self.read(path)?, ..TlsIdentity::default() })
            }
            _ => None,
        };
        let service = self.clients.get(&self.host, identity.as_ref()).map_err(|error| describe(&*error))?;
        let exchange = async {
            let answer = service.oneshot(request).await.map_err(|error| describe(&*error))?;
            let (head, body) = answer.into_parts();
            Ok((head.status, whole(body).await?))
        };
        timeout(PATIENCE, exchange).await.map_err(|_| "no answer in time".to_owned())?
    }

    async fn ask(&self) -> Result<Sandboxes, String> {
        let url = self.url();
        let call = json!({"type": "GET_CONTAINERS", "get_containers": {"show_nested": true, "show_standalone": true}});
        let request = Request::post(format!("{url}/api/v1")).header(CONTENT_TYPE, "application/json");
        let (status, body) = self.exchange(request, call.to_string().into()).await?;
        match status {
            StatusCode::OK => containers_of_call(&body),
            // An agent that does not know the call.
            StatusCode::BAD_REQUEST
            | StatusCode::NOT_FOUND
            | StatusCode::METHOD_NOT_ALLOWED
            | StatusCode::NOT_IMPLEMENTED => {
                match self.exchange(Request::get(format!("{url}/containers")), Bytes::new()).await? {
                    (StatusCode::OK, body) => containers_of_list(&body),
                    (status, _) => Err(format!("it answers {status}")),
                }
            }
            status => Err(format!("it answers {status}")),
        }
    }
}

#[async_trait]
impl Runtime for MesosAgent {
    async fn sandboxes(&self) -> Word<Sandboxes> {
        match self.ask().await {
            Ok(sandboxes) => Word::Told(sandboxes),
            Err(reason) => Word::Silent(format!("the Mesos agent at {}: {reason}", self.url())),
        }
    }
}

/// A container's name: its own, and those of whoever it is nested in.
#[derive(Deserialize)]
struct ContainerId {
    value: String,
    parent: Option<Box<ContainerId>>,
}

#[derive(Deserialize)]
struct Container {
    container_id: ContainerId,
    container_status: Option<ContainerStatus>,
}

#[derive(Deserialize)]
struct ContainerStatus {
    /// The agent leaves the parents out of the name above, and has them here.
    container_id: Option<ContainerId>,
}

#[derive(Deserialize)]
struct Listed {
    container_id: String,
}

/// From the answer to `GET_CONTAINERS`; without any container the list may be left out.
fn containers_of_call(body: &[u8]) -> Result<Sandboxes, String> {
    let odd = || "its answer is no list of containers".to_owned();
    let mut answer: Value = serde_json::from_slice(body).map_err(|_| odd())?;
    let members = answer.get_mut("get_containers").and_then(Value::as_object_mut).ok_or_else(odd)?;
    let containers = members.remove("containers").unwrap_or_else(|| json!([]));
    let containers: Vec<Container> = serde_json::from_value(containers).map_err(|_| odd())?;
    let ids = containers.into_iter().map(|container| {
        let of_status = container.container_status.and_then(|status| status.container_id);
        of_status.filter(|id| id.value == container.container_id.value).unwrap_or(container.container_id)
    });
    known(ids)
}

/// From the answer of `/containers`.
fn containers_of_list(body: &[u8]) -> Result<Sandboxes, String> {
    let listed: Vec<Listed> =
        serde_json::from_slice(body).map_err(|_| "its answer is no list of containers".to_owned())?;
    known(listed.into_iter().map(|listed| ContainerId { value: listed.container_id, parent: None }))
}

fn known(ids: impl ExactSizeIterator<Item = ContainerId>) -> Result<Sandboxes, String> {
    if ids.len() > MAX_CONTAINERS {
        return Err(format!("more than {MAX_CONTAINERS} containers on one node"));
    }
    let mut sandboxes = Sandboxes::new();
    for id in ids {
        sandboxes.extend(names(&id).into_iter().map(|name| (name, true)));
    }
    Ok(sandboxes)
}

/// All that an attachment of a container can be known by: what the plugin is told (parents first, with dots between), and what
/// stands in an entity's row (twice that, without dashes). A name that nobody else can have, too: the last part alone.
fn names(id: &ContainerId) -> [String; 4] {
    let mut path = id.value.clone();
    let mut parent = &id.parent;
    while let Some(outer) = parent {
        path = format!("{}.{path}", outer.value);
        parent = &outer.parent;
    }
    let undashed = |text: &str| text.replace('-', "");
    let doubled = undashed(&path).repeat(2);
    [path, doubled, undashed(&id.value), id.value.clone()]
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: &str = "0c1d2e3f-4a5b-6c7d-8e9f-a0b1c2d3e4f5";
    const ROOT_TWICE: &str = "0c1d2e3f4a5b6c7d8e9fa0b1c2d3e4f50c1d2e3f4a5b6c7d8e9fa0b1c2d3e4f5";

    #[test]
    fn a_container_is_known_by_what_the_plugin_is_told_and_by_what_stands_in_its_row() {
        let told =
            containers_of_list(format!(r#"[{{"container_id":"{ROOT}","source":"s"}}]"#).as_bytes()).unwrap();
        assert!([ROOT, ROOT_TWICE].iter().all(|name| told.contains_key(*name)), "{told:?}");
    }

    #[test]
    fn a_nested_container_has_its_parents_names_before_its_own() {
        let answer = json!({"type": "GET_CONTAINERS", "get_containers": {"containers": [
            {"container_id": {"value": ROOT}},
            {"container_id": {"value": "in-ner"},
             "container_status": {"container_id": {"value": "in-ner", "parent": {"value": ROOT}}}}
        ]}});
        let told = containers_of_call(answer.to_string().as_bytes()).unwrap();
        let path = format!("{ROOT}.in-ner");
        let doubled = path.replace('-', "").repeat(2);
        assert!([&path, &doubled].iter().all(|name| told.contains_key(*name)), "{told:?}");
    }

    #[test]
    fn an_answer_is_a_list_of_containers_or_nothing() {
        for odd in ["", "{}", "null", "[1]", "[{}]", r#"[{"container_id":7}]"#, r#"{"get_containers":null}"#]
        {
            assert!(containers_of_list(odd.as_bytes()).is_err(), "{odd}");
            assert!(containers_of_call(odd.as_bytes()).is_err(), "{odd}");
        }
        assert_eq!(containers_of_list(b"[]"), Ok(Sandboxes::new()));
        assert_eq!(
            containers_of_call(br#"{"type":"GET_CONTAINERS","get_containers":{}}"#),
            Ok(Sandboxes::new())
        );
    }
}
