//! The Nuage Kubernetes monitor: tells the plugin the subnet and the policy groups of a pod, gives each namespace a zone and
//! as many subnets in the VSD as its pods need, and carries network policies and services over to the VSD. Never answers
//! who presented no certificate.

mod ask;
mod base;
mod blocks;
mod cluster;
mod enforce;
mod place;
mod policy;
mod rules;
mod selector;
mod services;
mod slots;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
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
use tokio::sync::Mutex as Gate;
use tokio::time::sleep;

use self::ask::Ask;
use self::base::Base;
use self::blocks::Blocks;
use self::cluster::{Cluster, Follower, News};
use self::place::{Places, uid};
use self::rules::Rules;
use self::slots::Pod;
use crate::faults::{Caller, Faults};
use crate::http::{HttpService, PeerCertificate};
use crate::vsd::client::Client;

/// How long an answer may take, the VSD's part included.
const DEADLINE: Duration = Duration::from_secs(10);
/// How long until what could not be done for a namespace is tried again.
const AGAIN: Duration = Duration::from_secs(5);
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
    /// Whether a namespace gets more subnets as it has more pods; without, it has one.
    pub autoscale: bool,
    /// Reaches the Kubernetes API, if there is one; and its base, for instance `https://kube:6443`.
    pub kube: Option<(HttpService, String)>,
    /// The faults that may strike it.
    pub faults: Option<Faults>,
}

impl fmt::Debug for MonitorOptions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("MonitorOptions").field("vsd_url", &self.vsd_url).finish_non_exhaustive()
    }
}

/// Is told of each pod that the monitor is told is gone, by namespace and name, as often as it is told. Must not wait.
pub type Observer = Box<dyn Fn(&str, &str) + Send>;

/// An emulated monitor. Clones share what it knows.
#[derive(Clone)]
pub struct Monitor {
    places: Arc<Places>,
    rules: Arc<Rules>,
    base: Arc<Base>,
    /// Held by the request that is served, while the fault is on that serves one after the other.
    one: Arc<Gate<()>>,
    observer: Arc<Mutex<Option<Observer>>>,
}

impl fmt::Debug for Monitor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Monitor").field(&self.places).finish()
    }
}

impl Monitor {
    /// A monitor that knows no namespace yet.
    pub fn new(options: MonitorOptions) -> Self {
        let client = Client::new(options.vsd, &options.vsd_url);
        let blocks = Blocks::new(options.address_pool, options.subnet_prefix);
        let cluster = options.kube.map(|(http, url)| Cluster::new(http, &url));
        let places = Places::new(
            client,
            cluster,
            (options.enterprise, options.domain),
            (options.faults, options.autoscale),
            blocks,
        );
        Self {
            places: Arc::new(places),
            rules: Arc::default(),
            base: Arc::default(),
            one: Arc::default(),
            observer: Arc::default(),
        }
    }

    /// Follows the cluster, if there is one: each namespace gets its place, and loses it when it has gone; policies and
    /// services become what they are in the VSD. Without this a namespace gets its place when its first pod asks.
    pub async fn run(&self) {
        let Some(cluster) = &self.places.cluster else { return };
        let follower = |path| Follower::new(cluster.clone(), path);
        tokio::join!(
            self.namespaces(follower("api/v1/namespaces")),
            services::follow(&self.places, follower("api/v1/services")),
            enforce::follow(&self.places, &self.rules, follower("apis/networking.k8s.io/v1/networkpolicies")),
        );
    }

    async fn namespaces(&self, mut namespaces: Follower) {
        // Those whose ACLs are not as they should be: `None` for one that has gone.
        let mut pending: BTreeMap<String, Option<Value>> = BTreeMap::new();
        loop {
            tokio::select! {
                biased;
                news = namespaces.next() => self.take_in(news, &mut pending).await,
                () = sleep(AGAIN), if !pending.is_empty() => {}
            }
            for (namespace, object) in std::mem::take(&mut pending) {
                let done = match &object {
                    Some(object) => {
                        base::prepare(&self.places, &self.rules, &self.base, (&namespace, object)).await
                    }
                    None => base::forget(&self.places, &self.rules, &self.base, &namespace).await,
                };
                if let Err(error) = done {
                    tracing::info!(namespace, %error, "a namespace has not its ACLs yet");
                    pending.insert(namespace, object);
                }
            }
        }
    }

    async fn take_in(&self, news: News, pending: &mut BTreeMap<String, Option<Value>>) {
        match news {
            // There always are some: an empty list is no answer.
            News::All(all) if all.is_empty() => {}
            News::All(all) => {
                let there: Vec<&str> = all.iter().filter_map(name).collect();
                // Those that went while nobody looked, before a restart too.
                let known = self.places.left_over().await.unwrap_or_else(|_| self.places.all());
                for known in known.iter().filter(|known| !there.contains(&known.as_str())) {
                    self.lose(known, pending).await;
                }
                for namespace in all {
                    self.prepare(namespace, pending).await;
                }
            }
            News::Put(namespace) => self.prepare(namespace, pending).await,
            News::Gone(namespace) => self.lose(name(&namespace).unwrap_or_default(), pending).await,
        }
    }

    async fn lose(&self, namespace: &str, pending: &mut BTreeMap<String, Option<Value>>) {
        self.places.doom(namespace);
        pending.insert(namespace.to_owned(), None);
        self.apply(self.rules.namespace(namespace, None)).await;
    }

    /// Policies that mean something else since a namespace has changed.
    async fn apply(&self, policies: Vec<policy::Policy>) {
        for policy in policies {
            let name = policy.name();
            if let Err(error) = enforce::apply(&self.places, &self.rules, policy).await {
                tracing::warn!(policy = name, %error, "a policy is as it was before a namespace changed");
            }
        }
    }

    async fn prepare(&self, object: Value, pending: &mut BTreeMap<String, Option<Value>>) {
        let Some(namespace) = name(&object).filter(|name| is_label(name)) else { return };
        self.places.spare(namespace);
        // Whoever asks for a pod of it tries again.
        if let Err(error) = self.places.ensure(namespace, &Caller::default()).await {
            tracing::info!(namespace, %error, "no place yet");
        }
        self.apply(self.rules.namespace(namespace, Some(object.clone()))).await;
        pending.insert(namespace.to_owned(), Some(object));
    }

    /// Lets `observer` know from now on which pods the monitor is told are gone. For invariants, from inside this process.
    pub fn observe(&self, observer: Observer) {
        *self.observer.lock().unwrap_or_else(PoisonError::into_inner) = Some(observer);
    }

    fn gone(&self, namespace: &str, pod: &str) {
        if let Some(observer) = &*self.observer.lock().unwrap_or_else(PoisonError::into_inner) {
            observer(namespace, pod);
        }
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
    let caller = caller(&request);
    let Ok(body) = axum::body::to_bytes(request.into_body(), LARGEST_BODY).await else {
        return refusal(StatusCode::BAD_REQUEST, "the body is too large");
    };
    let namespace = path.first().map_or("", |(_, namespace)| namespace);
    if !is_label(namespace) {
        return refusal(StatusCode::BAD_REQUEST, "Invalid namespace");
    }
    let ask = match ask::read(&body) {
        Ok(ask) => ask,
        Err(text) => return refusal(StatusCode::BAD_REQUEST, &text),
    };
    if monitor.places.strikes("monitor.restart", &caller) {
        monitor.places.forget().await;
    }
    let one_by_one = monitor.places.strikes("monitor.one_loop", &caller);
    let _turn = if one_by_one { Some(monitor.one.lock().await) } else { None };
    monitor.answer(namespace, ask, &caller).await
}

/// Who asks: what a simulation says, else the name that the certificate carries.
fn caller(request: &Request) -> Caller {
    let peer = || request.extensions().get::<PeerCertificate>().map(|peer| peer.common_name.as_str().into());
    let known = request.extensions().get::<Caller>().cloned();
    known.unwrap_or_else(|| Caller { node: peer(), ..Caller::default() })
}

impl Monitor {
    async fn answer(&self, namespace: &str, ask: Ask, caller: &Caller) -> Response {
        let places = &self.places;
        match ask {
            Ask::Gone { pod } => {
                self.gone(namespace, &pod);
                let by_name = places.strikes("monitor.counts_names", caller);
                places.leave(namespace, &pod, by_name).await;
                subnet("", &Value::Null)
            }
            Ask::Desired { zone, .. } if places.knows(&zone) => {
                refusal(StatusCode::BAD_REQUEST, "Invalid zone parameter: Zone controlled by Nuage Monitor")
            }
            Ask::Desired { pod, subnet: name, .. } => {
                let pod = places.pod(namespace, &pod).await;
                subnet(&name, &self.rules.groups(namespace, pod.as_ref()))
            }
            Ask::Own { pod } => self.own(namespace, pod, caller).await,
        }
    }

    /// The place of a pod in its namespace's own zone.
    async fn own(&self, namespace: &str, pod: String, caller: &Caller) -> Response {
        let places = &self.places;
        let found = places.pod(namespace, &pod).await;
        let by_name = places.strikes("monitor.counts_names", caller);
        let uid = found.as_ref().and_then(uid).filter(|_| !by_name).map(str::to_owned);
        let seat = places.seat(namespace, Pod { name: pod, uid }, caller);
        let error = match tokio::time::timeout(DEADLINE, seat).await {
            Ok(Ok(name)) => return subnet(&name, &self.rules.groups(namespace, found.as_ref())),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "the VSD took too long".to_owned(),
        };
        if places.strikes("monitor.dot_when_full", caller) {
            return subnet(".", &Value::Null);
        }
        failure(namespace, &error)
    }
}

fn name(object: &Value) -> Option<&str> {
    object["metadata"]["name"].as_str()
}

fn is_label(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=LONGEST_NAMESPACE).contains(&name.len())
        && name.bytes().all(allowed)
        && !name.starts_with('-')
        && !name.ends_with('-')
}

fn subnet(name: &str, groups: &Value) -> Response {
    answer(StatusCode::OK, &json!({ "subnetName": name, "policyGroups": groups }))
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
