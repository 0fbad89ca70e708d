//! Pods in the emulated API server: what `kubectl` would make, and what a kubelet would say of them.

use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use nuage_emulator::http::HttpService;
use serde_json::{Value, json};
use tokio::time::timeout;
use tower::ServiceExt as _;

use super::{Record, Site, Wish};
use crate::error::Error;

/// How long an exchange may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// The largest answer that is read, in bytes: one pod.
const LARGEST: usize = 4 << 20;

/// What the API server says of what it does not do.
fn message(answer: &Value) -> &str {
    answer["message"].as_str().unwrap_or("no reason given")
}

/// The API server, as its administrator.
pub(super) struct Api<'a> {
    http: HttpService,
    url: &'a str,
    token: String,
}

impl<'a> Api<'a> {
    pub(super) fn of(site: &'a Site) -> Result<Self, Error> {
        let url = site.endpoint("kube")?;
        let (http, token) = site.kube()?;
        Ok(Self { http, url, token })
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<(StatusCode, Value), Error> {
        let failed =
            |why: &dyn std::fmt::Display| Error::Pod(format!("the API server at {}: {why}", self.url));
        let kind = if method == Method::PATCH { "application/merge-patch+json" } else { "application/json" };
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url))
            .header(AUTHORIZATION, format!("Bearer {}", self.token))
            .header(CONTENT_TYPE, kind)
            .body(body.map_or_else(Bytes::new, |body| Bytes::from(body.to_string())))
            .map_err(|error| failed(&error))?;
        let exchange = async {
            let answer = self.http.clone().oneshot(request).await.map_err(|error| failed(&error))?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), LARGEST).collect().await;
            let body = body.map_err(|error| failed(&error))?.to_bytes();
            Ok((status, serde_json::from_slice(&body).unwrap_or_default()))
        };
        timeout(PATIENCE, exchange).await.map_err(|_| failed(&"no answer in time"))?
    }

    /// Makes a pod's object on a node, or takes the one that is there; its UID, and whether it was made.
    pub(super) async fn create(&self, wish: &Wish, node: &str) -> Result<(String, bool), Error> {
        let Wish { namespace, name, labels, .. } = wish;
        let labels: serde_json::Map<String, Value> =
            labels.iter().map(|(key, value)| (key.clone(), json!(value))).collect();
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"namespace": namespace, "name": name, "labels": labels},
            "spec": {"nodeName": node, "containers": [{"name": "main", "image": "none"}]},
        });
        let place = format!("/api/v1/namespaces/{namespace}/pods");
        let (status, answer) = self.ask(Method::POST, &place, Some(pod)).await?;
        let (status, found) = match status {
            StatusCode::CONFLICT => self.ask(Method::GET, &format!("{place}/{name}"), None).await?,
            other => (other, answer),
        };
        let is_made = status == StatusCode::CREATED;
        match found["metadata"]["uid"].as_str().filter(|_| status.is_success()) {
            Some(_) if found["spec"]["nodeName"].as_str().is_some_and(|there| there != node) => {
                Err(Error::Pod(format!(
                    "{namespace}/{name} is a pod of {}, not of {node}",
                    found["spec"]["nodeName"]
                )))
            }
            Some(uid) => Ok((uid.to_owned(), is_made)),
            None => {
                let hint = if status == StatusCode::NOT_FOUND {
                    format!("; `kubectl create namespace {namespace}` makes the namespace")
                } else {
                    String::new()
                };
                Err(Error::Pod(format!(
                    "the API server refuses the pod ({status}): {}{hint}",
                    message(&found)
                )))
            }
        }
    }

    /// Says that a pod runs, and with which address.
    pub(super) async fn is_running(&self, record: &Record) -> Result<(), Error> {
        let status = json!({"status": {"phase": "Running", "podIP": record.address}});
        let place = format!("/api/v1/namespaces/{}/pods/{}/status", record.namespace, record.name);
        let (status, answer) = self.ask(Method::PATCH, &place, Some(status)).await?;
        let told =
            || Error::Pod(format!("the API server refuses the status ({status}): {}", message(&answer)));
        status.is_success().then_some(()).ok_or_else(told)
    }

    /// Deletes a pod's object; one that is gone, or another one of its name, is no failure.
    pub(super) async fn delete(&self, record: &Record) -> Result<(), Error> {
        let place = format!("/api/v1/namespaces/{}/pods/{}", record.namespace, record.name);
        let (_, found) = self.ask(Method::GET, &place, None).await?;
        if found["metadata"]["uid"] != record.uid.as_str() {
            return Ok(());
        }
        let (status, answer) = self.ask(Method::DELETE, &place, None).await?;
        let told = || Error::Pod(format!("the API server keeps the pod ({status}): {}", message(&answer)));
        (status.is_success() || status == StatusCode::NOT_FOUND).then_some(()).ok_or_else(told)
    }
}
