//! Faults of the HTTP services, as one layer around each router and one question before each connection. The bodies have
//! each service's own form, so that a client meets what it would meet.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _};
use http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Method, StatusCode};
use serde_json::{Value, json};

use super::{Caller, Faults, Values, pause};
use crate::http::PeerCertificate;

/// The largest body that is rewritten, in bytes: a list of some ten thousand pods.
const LARGEST_BODY: usize = 64 << 20;
/// How many lists are remembered to be told again later.
const MAX_REMEMBERED: usize = 64;

/// How paths of the Kubernetes API's collections end.
const PLURALS: [&str; 6] = ["pods", "nodes", "namespaces", "services", "networkpolicies", "events"];

/// A service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Api {
    /// The VSD.
    Vsd,
    /// The Nuage monitor.
    Monitor,
    /// The Kubernetes API.
    Kube,
    /// The agents of Mesos.
    Mesos,
}

/// What becomes of a connection that somebody opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connection {
    /// It is served.
    Accepted,
    /// It is not taken.
    Refused,
    /// It meets a certificate of an authority that nobody trusts.
    WrongCertificate,
}

impl Api {
    fn name(self) -> &'static str {
        match self {
            Self::Vsd => "vsd",
            Self::Monitor => "monitor",
            Self::Kube => "kube",
            Self::Mesos => "mesos",
        }
    }

    /// What becomes of a connection of `caller`.
    pub fn connection(self, faults: &Faults, caller: &Caller) -> Connection {
        if faults.quiet() {
            return Connection::Accepted;
        }
        let strikes = |what: &str| faults.ask(&format!("{}.{what}", self.name()), caller).is_some();
        if strikes("down") || (self == Self::Monitor && strikes("no_server")) {
            Connection::Refused
        } else if strikes("wrong_certificate") {
            Connection::WrongCertificate
        } else {
            Connection::Accepted
        }
    }

    /// The body of a refusal, in this service's form; none where it says nothing but the status.
    fn refusal(self, status: StatusCode) -> Value {
        let (code, text) = (status.as_u16(), status.canonical_reason().unwrap_or_default());
        match self {
            Self::Vsd => json!({
                "errors": [{"property": "", "descriptions": [{"title": text, "description": text}]}],
                "internalErrorCode": 0
            }),
            Self::Monitor => json!({ "error": text }),
            Self::Kube => json!({
                "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                "message": text, "reason": reason(status), "code": code
            }),
            Self::Mesos => Value::Null,
        }
    }
}

/// The reason that Kubernetes gives for a status.
fn reason(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED => "Unauthorized",
        StatusCode::FORBIDDEN => "Forbidden",
        StatusCode::CONFLICT => "Conflict",
        StatusCode::GONE => "Expired",
        StatusCode::TOO_MANY_REQUESTS => "TooManyRequests",
        StatusCode::SERVICE_UNAVAILABLE => "ServiceUnavailable",
        _ => "InternalError",
    }
}

/// Faults that are a status and nothing else.
const STATUSES: [(&str, StatusCode); 6] = [
    ("unauthorized", StatusCode::UNAUTHORIZED),
    ("forbidden", StatusCode::FORBIDDEN),
    ("conflict", StatusCode::CONFLICT),
    ("throttled", StatusCode::TOO_MANY_REQUESTS),
    ("error", StatusCode::INTERNAL_SERVER_ERROR),
    ("unavailable", StatusCode::SERVICE_UNAVAILABLE),
];

/// Puts the faults of `api` around its router.
pub fn layered(router: Router, api: Api, faults: &Faults) -> Router {
    let layer = Layer { api, faults: faults.clone(), remembered: Arc::default() };
    router.layer(axum::middleware::from_fn_with_state(layer, pass))
}

#[derive(Clone)]
struct Layer {
    api: Api,
    faults: Faults,
    /// Lists as they were when `stale_list` was first asked for them.
    remembered: Arc<Mutex<BTreeMap<String, Bytes>>>,
}

/// A request, as far as faults depend on it.
struct Asked {
    caller: Caller,
    path: String,
    target: String,
    bearer: bool,
    watch: bool,
    list: bool,
}

impl Asked {
    fn read(request: &Request, faults: &Faults) -> Self {
        let peer =
            || request.extensions().get::<PeerCertificate>().map(|peer| peer.common_name.as_str().into());
        let caller = request.extensions().get::<Caller>().cloned();
        let authorization = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let bearer = authorization.and_then(|text| text.strip_prefix("Bearer "));
        let node = || peer().or_else(|| faults.node_of(bearer?));
        let caller = caller.unwrap_or_else(|| Caller { node: node(), ..Caller::default() });
        let query = request.uri().query().unwrap_or_default();
        let watch = query.split('&').any(|pair| matches!(pair, "watch=true" | "watch=1"));
        let path = request.uri().path().to_owned();
        // Collections end with a plural that the API knows; a single object's name follows them.
        let plural = PLURALS.iter().any(|plural| path.ends_with(&format!("/{plural}")));
        Self {
            caller,
            target: format!("{path}?{query}"),
            path,
            bearer: bearer.is_some(),
            watch,
            list: request.method() == Method::GET && plural && !watch,
        }
    }
}

impl Layer {
    fn strikes(&self, asked: &Asked, what: &str) -> Option<Values> {
        let name = format!("{}.{what}", self.api.name());
        self.faults.ask_where(&name, &asked.caller, |values| asked.path.contains(values.text("path")))
    }

    fn refused(&self, status: StatusCode) -> Response {
        let body = match self.api.refusal(status) {
            Value::Null => Body::empty(),
            body => Body::from(body.to_string()),
        };
        let mut response = Response::new(body);
        *response.status_mut() = status;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }

    /// What is answered without asking the service.
    async fn before(&self, asked: &Asked) -> Option<Response> {
        if let Some(values) = self.strikes(asked, "slow") {
            pause(values.duration("delay")).await;
        }
        for (what, status) in STATUSES {
            let Some(values) = self.strikes(asked, what) else { continue };
            let mut response = self.refused(status);
            if status == StatusCode::TOO_MANY_REQUESTS {
                let seconds = HeaderValue::from(values.duration("retry_after").as_secs());
                response.headers_mut().insert(RETRY_AFTER, seconds);
            }
            return Some(response);
        }
        if asked.bearer && self.strikes(asked, "token_expired").is_some() {
            return Some(self.refused(StatusCode::UNAUTHORIZED));
        }
        let gone = asked.watch && self.strikes(asked, "gone").is_some();
        gone.then(|| self.refused(StatusCode::GONE))
    }

    /// What becomes of the service's answer.
    async fn after(&self, asked: &Asked, response: Response) -> Response {
        let mut response = response;
        if asked.list && response.status().is_success() {
            response = self.list(asked, response).await;
        }
        if asked.watch && self.api == Api::Kube {
            let (layer, path) = (self.clone(), asked.path.clone());
            let caller = asked.caller.clone();
            response = response.map(|body| {
                let told = body.into_data_stream().filter(move |_| {
                    let concern = |values: &Values| path.contains(values.text("path"));
                    let lost = layer.faults.ask_where("kube.watch_gap", &caller, concern).is_some();
                    std::future::ready(!lost)
                });
                Body::from_stream(told)
            });
        }
        if self.strikes(asked, "truncated").is_some() { truncated(response) } else { response }
    }

    async fn list(&self, asked: &Asked, response: Response) -> Response {
        if self.strikes(asked, "empty_list").is_some() {
            return rewritten(response, |body| {
                let mut list: Value = serde_json::from_slice(body).ok()?;
                list["items"] = json!([]);
                Some(Bytes::from(list.to_string()))
            })
            .await;
        }
        if !self.faults.is_on("kube.stale_list", &asked.caller) {
            self.remembered().clear();
            return response;
        }
        if self.remembered().contains_key(&asked.target) && self.strikes(asked, "stale_list").is_none() {
            return response;
        }
        rewritten(response, |body| {
            let mut remembered = self.remembered();
            if remembered.len() >= MAX_REMEMBERED && !remembered.contains_key(&asked.target) {
                return None;
            }
            Some(remembered.entry(asked.target.clone()).or_insert_with(|| body.clone()).clone())
        })
        .await
    }

    fn remembered(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Bytes>> {
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn pass(State(layer): State<Layer>, request: Request, next: Next) -> Response {
    // A watch that begins while nothing is on may meet a gap later, so it is followed in any case.
    if layer.faults.quiet() && !(layer.api == Api::Kube && Asked::read(&request, &layer.faults).watch) {
        return next.run(request).await;
    }
    let asked = Asked::read(&request, &layer.faults);
    if let Some(response) = layer.before(&asked).await {
        return response;
    }
    let response = next.run(request).await;
    layer.after(&asked, response).await
}

/// A response whose body ends in the middle. What its header says of the length stays, as when a server dies.
fn truncated(response: Response) -> Response {
    response.map(|body| {
        let mut begun = false;
        let half = body.into_data_stream().flat_map(move |frame| {
            let first = !std::mem::replace(&mut begun, true);
            let lost = || io::Error::from(io::ErrorKind::UnexpectedEof);
            let parts = match frame {
                Ok(bytes) if first => vec![Ok(bytes.slice(..bytes.len() / 2)), Err(lost())],
                Ok(_) | Err(_) => vec![Err(lost())],
            };
            stream::iter(parts)
        });
        Body::from_stream(half)
    })
}

/// A response with another body; as it was where `rewrite` has none.
async fn rewritten(response: Response, rewrite: impl FnOnce(&Bytes) -> Option<Bytes>) -> Response {
    let (mut parts, body) = response.into_parts();
    let Ok(body) = axum::body::to_bytes(body, LARGEST_BODY).await else {
        return Response::from_parts(parts, Body::empty());
    };
    let body = rewrite(&body).unwrap_or(body);
    parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    Response::from_parts(parts, Body::from(body))
}
