//! The Nuage monitor: which subnet a pod goes to, and that a pod is gone. Both are one POST with our certificate.

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use serde_json::{Value, json};

use super::Pod;
use super::http_call::{Answer, excerpt, send};
use crate::call::Call;
use crate::config::VspConfig;
use crate::error::Error;

/// An answer has two short members.
const MAX_ANSWER_BYTES: usize = 64 << 10;
const PEER: &str = "the Nuage monitor";

/// What the monitor answered.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Assignment {
    pub(super) subnet: String,
    pub(super) policy_groups: Vec<String>,
}

/// Asks for the subnet of a pod; `wish` is a zone and subnet of its own choice.
pub(super) async fn assign(
    call: &Call<'_>,
    vsp: &VspConfig,
    pod: &Pod,
    wish: Option<(&str, &str)>,
) -> Result<Assignment, Error> {
    let mut body = json!({"podName": pod.name});
    if let Some((zone, subnet)) = wish {
        body["desiredZone"] = json!(zone);
        body["desiredSubnet"] = json!(subnet);
    }
    let answer = post(call, vsp, pod, &body).await?;
    let json: Value = serde_json::from_slice(&answer.body).map_err(|error| Error::Decode {
        what: format!("the answer of {PEER}"),
        details: error.to_string(),
    })?;
    let subnet = json["subnetName"].as_str().unwrap_or_default();
    if subnet.is_empty() || subnet == "." {
        // "." is what a monitor says that has no subnet left and does not notice.
        return Err(Error::Refused {
            peer: PEER.to_owned(),
            details: format!("it has no subnet for namespace {}", pod.namespace),
            hint: Some("is the cluster network's address range used up?".to_owned()),
        });
    }
    let groups = json["policyGroups"].as_array().map_or(&[][..], Vec::as_slice);
    let policy_groups = groups.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    Ok(Assignment { subnet: subnet.to_owned(), policy_groups })
}

/// Says that a pod is gone.
pub(super) async fn deleted(call: &Call<'_>, vsp: &VspConfig, pod: &Pod) -> Result<(), Error> {
    post(call, vsp, pod, &json!({"podName": pod.name, "action": "delete"})).await.map(drop)
}

async fn post(call: &Call<'_>, vsp: &VspConfig, pod: &Pod, body: &Value) -> Result<Answer, Error> {
    let identity = vsp.monitor_identity(&*call.host.files)?;
    let service = call.host.http.client(&identity).map_err(|error| Error::Config {
        what: "the monitor's certificates".to_owned(),
        details: error.to_string(),
        hint: None,
    })?;
    let url = format!("{}/namespaces/{}/pods", vsp.monitor.as_deref().unwrap_or_default(), pod.namespace);
    let request = Request::builder()
        .method(Method::POST)
        .uri(&url)
        .header("content-type", "application/json")
        .body(Bytes::from(body.to_string()))
        .map_err(|error| Error::Config {
            what: format!("nuageMonRestServer: {url}"),
            details: error.to_string(),
            hint: None,
        })?;
    let answer = send(service, PEER, request, MAX_ANSWER_BYTES, call.deadline).await?;
    match answer.status {
        StatusCode::OK | StatusCode::CREATED | StatusCode::NO_CONTENT => Ok(answer),
        status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
            Err(Error::TryAgain {
                what: format!("{PEER} answered {status}"),
                details: excerpt(&answer.body),
                hint: None,
            })
        }
        status => Err(Error::Refused {
            peer: PEER.to_owned(),
            details: format!("{status}: {}", excerpt(&answer.body)),
            hint: (status == StatusCode::UNAUTHORIZED || status == StatusCode::FORBIDDEN)
                .then(|| "does the monitor's client authority know nuageMonClientCert?".to_owned()),
        }),
    }
}
