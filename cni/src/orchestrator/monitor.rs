//! The Nuage monitor: which subnet a pod goes to, and that a pod is gone. Both are one POST with our certificate.

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use serde_json::{Value, json};

use super::Pod;
use super::http_call::{Answer, Server, excerpt, send};
use super::labels;
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

/// The monitor, if the site has one.
pub(super) fn open(call: &Call<'_>, vsp: &VspConfig) -> Result<Option<Server>, Error> {
    let Some(url) = &vsp.monitor else { return Ok(None) };
    let identity = vsp.monitor_identity(&*call.host.files)?;
    Server::open(call, ("nuageMonRestServer", url), "the monitor's certificates", &identity).map(Some)
}

/// Asks for the subnet of a pod; `wish` is a zone and subnet of its own choice.
pub(super) async fn assign(
    call: &Call<'_>,
    server: &Server,
    pod: &Pod,
    wish: Option<(&str, &str)>,
) -> Result<Assignment, Error> {
    let mut body = json!({"podName": pod.name});
    if let Some((zone, subnet)) = wish {
        body["desiredZone"] = json!(zone);
        body["desiredSubnet"] = json!(subnet);
    }
    let answer = post(call, server, pod, &body).await?;
    assignment(&answer.body, &pod.namespace)
}

/// Reads an answer. Whatever a monitor may say, it becomes a subnet or an error with its reason.
fn assignment(body: &[u8], namespace: &str) -> Result<Assignment, Error> {
    let odd = |details: String| Error::Decode { what: format!("the answer of {PEER}"), details };
    if body.iter().all(u8::is_ascii_whitespace) {
        return Err(odd("it is empty".to_owned()));
    }
    let json: Value = serde_json::from_slice(body).map_err(|error| odd(error.to_string()))?;
    let subnet = match json.get("subnetName") {
        Some(Value::String(subnet)) => labels::check("subnetName", subnet)?,
        Some(Value::Null) | None if json.is_object() => String::new(),
        _ => return Err(odd("expected an object with the string subnetName".to_owned())),
    };
    if subnet.is_empty() || subnet == "." {
        // "." is what a monitor says that has no subnet left and does not notice.
        return Err(Error::Refused {
            peer: PEER.to_owned(),
            details: format!("it has no subnet for namespace {namespace}"),
            hint: Some("is the cluster network's address range used up?".to_owned()),
        });
    }
    let groups = match json.get("policyGroups") {
        None | Some(Value::Null) => &[][..],
        Some(Value::Array(groups)) => groups,
        Some(_) => return Err(odd("policyGroups is no list".to_owned())),
    };
    let group = |group: &Value| match group.as_str() {
        Some(group) => labels::check("policyGroups", group),
        None => Err(odd("a policy group is no string".to_owned())),
    };
    Ok(Assignment { subnet, policy_groups: groups.iter().map(group).collect::<Result<_, _>>()? })
}

/// Says that a pod is gone. That the monitor knows no such pod or namespace is as good: it counts none then.
pub(super) async fn deleted(call: &Call<'_>, vsp: &VspConfig, pod: &Pod) -> Result<(), Error> {
    let Some(server) = open(call, vsp)? else { return Ok(()) };
    post(call, &server, pod, &json!({"podName": pod.name, "action": "delete"})).await.map(drop)
}

async fn post(call: &Call<'_>, server: &Server, pod: &Pod, body: &Value) -> Result<Answer, Error> {
    let url = format!("{}/namespaces/{}/pods", server.url, pod.namespace);
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
    let answer = send(server, PEER, request, MAX_ANSWER_BYTES, call.deadline).await?;
    match answer.status {
        status if status.is_success() => Ok(answer),
        StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND | StatusCode::GONE if body["action"] == "delete" => {
            call.log.warn("the monitor knows nothing of the pod", &[("status", answer.status.as_str())]);
            Ok(answer)
        }
        status => Err(refusal(status, &answer.body)),
    }
}

/// What a status that is no success means, and what a person can do about it.
fn refusal(status: StatusCode, body: &[u8]) -> Error {
    let json: Value = serde_json::from_slice(body).unwrap_or_default();
    let text = json["error"].as_str().map_or_else(|| excerpt(body), |error| excerpt(error.as_bytes()));
    let passing = status.is_server_error()
        || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT);
    if passing {
        return Error::TryAgain {
            what: format!("{PEER} answered {status}"),
            details: text,
            hint: Some("its log says why: is the VSD there, and are addresses left?".to_owned()),
        };
    }
    let hint = match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            Some("does the monitor's client authority know nuageMonClientCert?")
        }
        StatusCode::NOT_FOUND => Some("is nuageMonRestServer the monitor's URL, without a path?"),
        StatusCode::BAD_REQUEST if text.contains("Zone controlled") => {
            Some("label nuage.io/zone names a namespace: choose a zone that no namespace is named after")
        }
        status if status.is_redirection() => Some("nuageMonRestServer must be the URL that it redirects to"),
        _ => None,
    };
    Error::Refused {
        peer: PEER.to_owned(),
        details: format!("{status}: {text}"),
        hint: hint.map(str::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_body_of_a_success_is_a_subnet_or_an_error_with_its_reason() {
        let good = assignment(br#"{"subnetName":"shop-0","policyGroups":["a","b"]}"#, "shop").unwrap();
        let groups = vec!["a".to_owned(), "b".to_owned()];
        assert_eq!(good, Assignment { subnet: "shop-0".into(), policy_groups: groups });
        let null = assignment(br#"{"subnetName":"shop-0","policyGroups":null}"#, "shop").unwrap();
        assert!(null.policy_groups.is_empty());
        let cases: [(&[u8], u32, &str); 12] = [
            (b"", 6, "empty"),
            (b" \n", 6, "empty"),
            (b"<html>", 6, "expected value"),
            (b"{\"subnetName\":\"sh", 6, "EOF"),
            (b"[]", 6, "object"),
            (b"\"shop-0\"", 6, "object"),
            (b"{\"subnetName\":7}", 6, "string"),
            (b"{\"subnetName\":\"s\",\"policyGroups\":\"a\"}", 6, "no list"),
            (b"{\"subnetName\":\"s\",\"policyGroups\":[7]}", 6, "no string"),
            (b"{\"subnetName\":\"a\\u0007\"}", 7, "control"),
            (b"{\"subnetName\":\"\",\"policyGroups\":null}", 103, "no subnet for namespace shop"),
            (b"{\"subnetName\":\".\"}", 103, "no subnet for namespace shop"),
        ];
        for (body, code, reason) in cases {
            let error = assignment(body, "shop").unwrap_err();
            assert_eq!(error.code(), code, "{body:?}");
            assert!(error.details().contains(reason), "{body:?}: {}", error.details());
        }
    }

    #[test]
    fn every_status_is_told_with_the_monitors_own_words_and_what_to_do() {
        let zone = br#"{"error":"Invalid zone parameter: Zone controlled by Nuage Monitor"}"#;
        let cases: [(u16, &[u8], u32, &str); 9] = [
            (400, zone, 103, "choose a zone"),
            (400, br#"{"error":"Podname missing from the JSON data"}"#, 103, "Podname missing"),
            (301, b"", 103, "redirects"),
            (401, b"", 103, "nuageMonClientCert"),
            (403, b"", 103, "nuageMonClientCert"),
            (404, b"404 page not found\n", 103, "nuageMonRestServer"),
            (405, b"", 103, "405"),
            (429, b"", 11, "its log"),
            (500, br#"{"error":"no more subnets"}"#, 11, "no more subnets"),
        ];
        for (status, body, code, reason) in cases {
            let error = refusal(StatusCode::from_u16(status).unwrap(), body);
            assert_eq!(error.code(), code, "{status}");
            assert!(error.details().contains(reason), "{status}: {}", error.details());
        }
    }
}
