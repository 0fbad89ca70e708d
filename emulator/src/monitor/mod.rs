//! The Nuage Kubernetes monitor: tells the plugin the subnet of a pod, and gives each namespace a zone and a
//! subnet in the VSD when it first hears of it. Never answers who presented no certificate.

mod ask;
mod blocks;
mod place;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use axum::routing::post;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};
use ipnet::Ipv4Net;
use serde_json::{Value, json};

use self::ask::Ask;
use self::blocks::Blocks;
use self::place::Places;
use crate::http::{HttpService, PeerCertificate};
use crate::vsd::client::Client;

/// How long an answer may take, the VSD's part included.
const DEADLINE: Duration = Duration::from_secs(10);
/// The largest request body that is read, in bytes; the plugin's has about a hundred.
const LARGEST_BODY: usize = 64 * 1024;
/// The longest name of a namespace: it is a DNS label.
const LONGEST_NAMESPACE: usize = 63;

/// What a monitor works with.
#[derive(Clone)]
pub struct MonitorOptions {
    /// Reaches the VSD, with the identity of a user who may make zones.
    pub vsd: HttpService,
    /// Base of the VSD's API, for instance `https://vsd:7443/nuage/api/v6`.
    pub vsd_url: String,
    /// Name of the enterprise; it is never made here.
    pub enterprise: String,
    /// Name of the domain; it is never made here.
    pub domain: String,
    /// The range that subnets are cut from, lowest block first.
    pub address_pool: Ipv4Net,
    /// Prefix length of each subnet.
    pub subnet_prefix: u8,
}

impl fmt::Debug for MonitorOptions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("MonitorOptions").field("vsd_url", &self.vsd_url).finish_non_exhaustive()
    }
}

/// An emulated monitor. Clones share what it knows.
#[derive(Clone, Debug)]
pub struct Monitor(Arc<Places>);

impl Monitor {
    /// A monitor that knows no namespace yet.
    pub fn new(options: MonitorOptions) -> Self {
        let client = Client::new(options.vsd, &options.vsd_url);
        let blocks = Blocks::new(options.address_pool, options.subnet_prefix);
        Self(Arc::new(Places::new(client, options.enterprise, options.domain, blocks)))
    }

    /// Its REST API: `/namespaces/{namespace}/pods` and `/namespaces/{namespace}/pods/{pod}`. Who asks must have
    /// presented a certificate ([`PeerCertificate`] among the request's extensions).
    pub fn router(&self) -> Router {
        // The real monitor never fills the map that GET reads, and DELETE has no effect.
        let methods = post(placed).get(unknown).delete(nothing);
        Router::new()
            .route("/namespaces/{namespace}/pods", methods.clone())
            .route("/namespaces/{namespace}/pods/{pod}", methods)
            .layer(axum::middleware::from_fn(certified))
            .with_state(self.clone())
    }
}

async fn certified(request: Request, next: axum::middleware::Next) -> Response {
    if request.extensions().get::<PeerCertificate>().is_none() {
        return refusal(StatusCode::FORBIDDEN, "a client certificate is required");
    }
    next.run(request).await
}

async fn unknown() -> StatusCode {
    StatusCode::NOT_FOUND
}

async fn nothing() -> StatusCode {
    StatusCode::OK
}

async fn placed(
    State(monitor): State<Monitor>,
    Path(path): Path<Vec<(String, String)>>,
    request: Request,
) -> Response {
    let Ok(body) = axum::body::to_bytes(request.into_body(), LARGEST_BODY).await else {
        return refusal(StatusCode::BAD_REQUEST, "the body is too large");
    };
    let namespace = path.first().map_or("", |(_, namespace)| namespace);
    if !is_label(namespace) {
        return refusal(StatusCode::BAD_REQUEST, "Invalid namespace");
    }
    match ask::read(&body) {
        Err(text) => refusal(StatusCode::BAD_REQUEST, &text),
        Ok(Ask::Gone) => subnet(""),
        Ok(Ask::Desired { zone, .. }) if monitor.0.knows(&zone) => {
            refusal(StatusCode::BAD_REQUEST, "Invalid zone parameter: Zone controlled by Nuage Monitor")
        }
        Ok(Ask::Desired { subnet: name, .. }) => subnet(&name),
        Ok(Ask::Own) => match tokio::time::timeout(DEADLINE, monitor.0.ensure(namespace)).await {
            Ok(Ok(())) => subnet(&format!("{namespace}-0")),
            Ok(Err(error)) => failure(namespace, &error.to_string()),
            Err(_) => failure(namespace, "the VSD took too long"),
        },
    }
}

fn is_label(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=LONGEST_NAMESPACE).contains(&name.len())
        && name.bytes().all(allowed)
        && !name.starts_with('-')
        && !name.ends_with('-')
}

fn subnet(name: &str) -> Response {
    answer(StatusCode::OK, &json!({ "subnetName": name, "policyGroups": null }))
}

fn failure(namespace: &str, error: &str) -> Response {
    tracing::warn!(namespace, error, "no place for a namespace");
    refusal(StatusCode::INTERNAL_SERVER_ERROR, error)
}

fn refusal(status: StatusCode, error: &str) -> Response {
    answer(status, &json!({ "error": error }))
}

/// JSON in the real monitor's form: two spaces deep, and no JSON content type.
fn answer(status: StatusCode, body: &Value) -> Response {
    let mut response = Response::new(Body::from(format!("{body:#}")));
    *response.status_mut() = status;
    let text = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, text);
    response
}
