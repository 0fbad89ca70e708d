//! News as Kubernetes Events: `kubectl describe pod` shows them. Needs the right to create events; where it is missing, nobody asks
//! again until the files are loaded anew. Never a reason for anything else to wait or to fail.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use http::{Request, StatusCode};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::containers::Reception;
use super::news::News;

/// How long one may take: nothing depends on it.
const PATIENCE: Duration = Duration::from_secs(2);
/// An object's name has 253 bytes, and the pod's is not all of it.
const POD_NAME_BYTES: usize = 200;
/// A message is no longer (`validation` of Kubernetes' Events), in characters.
const MESSAGE: usize = 1024;
const COMPONENT: &str = "nuage-audit";

/// Where events go, and whether they may.
#[derive(Debug, Default)]
pub(super) struct Events {
    forbidden: AtomicBool,
    sequence: AtomicU64,
}

impl Events {
    /// Tells. `now` is the time of day.
    pub(super) async fn tell(
        &self,
        client: &kube::Client,
        node: &str,
        news: &News,
        now: Duration,
    ) -> Reception {
        if self.forbidden.load(Ordering::Relaxed) {
            return Reception::Forbidden;
        }
        let number = self.sequence.fetch_add(1, Ordering::Relaxed);
        let event = event(node, news, now, number).to_string();
        let path = format!("/api/v1/namespaces/{}/events", news.pod.namespace);
        let request = Request::post(path).header(http::header::CONTENT_TYPE, "application/json");
        let Ok(request) = request.body(event.into_bytes()) else { return Reception::Failed };
        match timeout(PATIENCE, client.request::<Value>(request)).await {
            Ok(Ok(_)) => Reception::Shown,
            Ok(Err(kube::Error::Api(status))) if status.code == StatusCode::FORBIDDEN.as_u16() => {
                self.forbidden.store(true, Ordering::Relaxed);
                Reception::Forbidden
            }
            Ok(Err(_)) | Err(_) => Reception::Failed,
        }
    }
}

fn event(node: &str, news: &News, now: Duration, number: u64) -> Value {
    let News { pod, reason, message, is_warning } = news;
    let seconds = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    let at = Timestamp::from_second(seconds).map(|at| at.to_string()).unwrap_or_default();
    let name = &pod.name[..pod.name.len().min(POD_NAME_BYTES)];
    let message: String = message.chars().take(MESSAGE).collect();
    json!({
        "apiVersion": "v1", "kind": "Event",
        "metadata": {
            "namespace": pod.namespace,
            "name": format!("{}.{:x}", name.trim_end_matches(['.', '-']), now.as_nanos() + u128::from(number))
        },
        "involvedObject": {
            "apiVersion": "v1", "kind": "Pod", "namespace": pod.namespace, "name": pod.name, "uid": pod.uid
        },
        "reason": reason, "message": message, "type": if *is_warning { "Warning" } else { "Normal" },
        "source": {"component": COMPONENT, "host": node},
        "reportingComponent": COMPONENT, "reportingInstance": node,
        "firstTimestamp": at, "lastTimestamp": at, "count": 1
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::orchestrator::Pod;

    #[test]
    fn an_event_is_about_its_pod_and_has_a_name_that_an_object_may_have() {
        let pod =
            Pod { namespace: "shop".into(), name: format!("{}.b", "a".repeat(251)), uid: Some("u".into()) };
        let news = News { pod, reason: "AttachmentRestored", message: "x".repeat(5000), is_warning: false };
        let event = event("node-1", &news, Duration::from_secs(1_700_000_000), 3);
        let name = event["metadata"]["name"].as_str().unwrap();
        assert!(name.len() <= 253 && name.starts_with("aaa") && name.contains(".17"), "{name}");
        assert_eq!(event["involvedObject"]["uid"], "u");
        assert_eq!(event["lastTimestamp"], "2023-11-14T22:13:20Z");
        assert_eq!(event["message"].as_str().map(str::len), Some(1024));
    }
}
