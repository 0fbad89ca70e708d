//! Pods by the API server of Kubernetes or OpenShift: a watch of this node's, resumed where it broke and listed anew where that
//! is not possible, by `kube` over our HTTP seam. What it knows counts only while the watch stands.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use kube::api::{Api, ListParams};
use kube::core::{ApiResource, Object};
use kube::runtime::watcher::{self, Event};
use serde::Deserialize;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tower::ServiceExt as _;

use super::backoff::{Backoff, spread};
use super::containers::{Containers, Life, PodInfo, Pods, Reception, Testimony, Word};
use super::events::Events;
use super::news::News;
use super::node_name;
use super::peer::{Clients, describe, whole};
use crate::config::VspConfig;
use crate::host::{BoxBody, BoxError, Host};
use crate::orchestrator::Pod;

/// Pods a page: a page of large pods is a few megabytes, and is in memory while it is read.
const PAGE: u32 = 100;
/// How long one exchange that is no watch may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// After so long everything is listed anew: an event that was lost costs no more.
const RELIST: Duration = Duration::from_mins(20);
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// More pods than any node runs.
const MAX_PODS: usize = 10_000;

/// A pod as far as it is read: whatever else a later version has in it is no reason to refuse it.
type ApiPod = Object<Spec, Status>;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    host_network: Option<bool>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Status {
    phase: Option<String>,
}

/// What a static pod's runtime knows it by.
const ALIASES: [&str; 2] = ["kubernetes.io/config.mirror", "kubernetes.io/config.hash"];

fn read(pod: &ApiPod) -> PodInfo {
    let annotation = |name: &&str| pod.metadata.annotations.as_ref()?.get(*name).cloned();
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    PodInfo {
        namespace: pod.metadata.namespace.clone().unwrap_or_default(),
        name: pod.metadata.name.clone().unwrap_or_default(),
        uid: pod.metadata.uid.clone().unwrap_or_default(),
        aliases: ALIASES.iter().filter_map(annotation).collect(),
        life: match phase {
            Some("Succeeded" | "Failed") => Life::Finished,
            Some("Pending") | None => Life::Pending,
            Some(_) => Life::Running,
        },
        host_network: pod.spec.host_network.unwrap_or(false),
    }
}

fn resource() -> ApiResource {
    ApiResource::erase::<k8s_openapi::api::core::v1::Pod>(&())
}

/// The API server, reached as the vsp file says; its credentials are read at each request, so that a rotated token counts.
#[derive(Clone)]
pub struct ApiServer(Arc<Shared>);

struct Shared {
    host: Host,
    vsp: VspConfig,
    clients: Clients,
    events: Events,
    /// What the node is called, once that is known; for events.
    name: Mutex<String>,
    watch: Mutex<Watch>,
}

impl std::fmt::Debug for ApiServer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("ApiServer")
    }
}

/// What the watch has told.
#[derive(Debug, Default)]
struct Watch {
    pods: Pods,
    /// A list that is being read; whole or not at all.
    incoming: Option<Pods>,
    /// Whether a list has been read whole.
    listed: bool,
    /// Whether the watch stands.
    stands: bool,
    /// Why it does not.
    trouble: String,
}

impl ApiServer {
    /// The API server of the vsp file.
    pub fn new(host: Host, vsp: VspConfig) -> Self {
        Self(Arc::new(Shared {
            host,
            vsp,
            clients: Clients::default(),
            events: Events::default(),
            name: Mutex::default(),
            watch: Mutex::default(),
        }))
    }

    fn watch(&self) -> MutexGuard<'_, Watch> {
        self.0.watch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the vsp file says.
    pub(super) fn vsp(&self) -> &VspConfig {
        &self.0.vsp
    }

    /// Whether the watch stands: then the API server is there.
    pub(super) fn watch_stands(&self) -> bool {
        self.watch().stands
    }

    /// A client of `kube` over our seam.
    pub(super) fn client(&self) -> kube::Client {
        let this = self.clone();
        let service = tower::service_fn(move |request: Request<kube::client::Body>| {
            let this = this.clone();
            let sent: BoxFuture<'static, Result<Response<BoxBody>, BoxError>> =
                Box::pin(async move { this.send(request).await });
            sent
        });
        kube::Client::new(service, "default")
    }

    /// One exchange. A watch's answer is handed on as it comes; every other is read here, within its time and bound.
    async fn send(&self, request: Request<kube::client::Body>) -> Result<Response<BoxBody>, BoxError> {
        let config = self.0.vsp.kubeconfig(&*self.0.host.files)?;
        let told = |error: BoxError| describe(&*error);
        let service = self.0.clients.get(&self.0.host, Some(&config.identity)).map_err(told)?;
        let (mut head, body) = request.into_parts();
        let path = head.uri.path_and_query().map(ToString::to_string).unwrap_or_default();
        head.uri = format!("{}{path}", config.server).parse()?;
        if let Some(token) = &config.token {
            let mut value = http::HeaderValue::try_from(format!("Bearer {token}"))?;
            value.set_sensitive(true);
            head.headers.insert(http::header::AUTHORIZATION, value);
        }
        let is_watch = head.uri.query().is_some_and(|query| query.contains("watch=true"));
        let request = Request::from_parts(head, body.collect_bytes().await?);
        let answer = timeout(PATIENCE, service.oneshot(request)).await?.map_err(told)?;
        if is_watch {
            if answer.status().is_success() {
                let mut watch = self.watch();
                watch.stands = true;
                watch.trouble.clear();
            }
            return Ok(answer);
        }
        let (head, body) = answer.into_parts();
        let body = timeout(PATIENCE, whole(body)).await??;
        let body = Full::<Bytes>::new(body).map_err(|never| match never {}).boxed_unsync();
        Ok(Response::from_parts(head, body))
    }

    /// One pod, by name.
    async fn get(&self, pod: &Pod) -> Word<Option<PodInfo>> {
        let api: Api<ApiPod> = Api::namespaced_with(self.client(), &pod.namespace, &resource());
        match api.get_opt(&pod.name).await {
            Ok(found) => Word::Told(found.as_ref().map(read)),
            Err(error) => Word::Silent(describe(&error)),
        }
    }

    /// Tells of a pod by an Event.
    async fn tell(&self, news: &News, now: Duration) -> Reception {
        let name = self.0.name.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.0.events.tell(&self.client(), &name, news, now).await
    }

    fn is_called(&self, name: &str) {
        name.clone_into(&mut self.0.name.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// All pods of a node, now.
    async fn list(&self, node: &str) -> Word<Pods> {
        let api: Api<ApiPod> = Api::all_with(self.client(), &resource());
        let mut parameters = ListParams::default().fields(&of_node(node)).limit(PAGE);
        let mut pods = Pods::default();
        loop {
            match api.list(&parameters).await {
                Ok(page) => {
                    page.items.iter().for_each(|pod| pods.insert(read(pod)));
                    if pods.len() > MAX_PODS {
                        return Word::Silent(format!("more than {MAX_PODS} pods on one node"));
                    }
                    match page.metadata.continue_.filter(|token| !token.is_empty()) {
                        Some(token) => parameters = parameters.continue_token(&token),
                        None => return Word::Told(pods),
                    }
                }
                Err(error) => return Word::Silent(describe(&error)),
            }
        }
    }

    fn take(&self, event: Event<ApiPod>) {
        let mut watch = self.watch();
        match event {
            Event::Init => watch.incoming = Some(Pods::default()),
            Event::InitApply(pod) => {
                if let Some(incoming) = &mut watch.incoming
                    && incoming.len() < MAX_PODS
                {
                    incoming.insert(read(&pod));
                }
            }
            Event::InitDone => {
                if let Some(incoming) = watch.incoming.take() {
                    watch.pods = incoming;
                    watch.listed = true;
                }
            }
            Event::Apply(pod) => {
                if watch.pods.len() < MAX_PODS {
                    watch.pods.insert(read(&pod));
                }
            }
            Event::Delete(pod) => watch.pods.remove(pod.metadata.uid.as_deref().unwrap_or_default()),
        }
    }

    /// Finds out what this node is called, however long that takes.
    async fn find_name(&self, given: Option<String>) -> String {
        let mut backoff = Backoff::new("name/api", FIRST_PAUSE, LONGEST_PAUSE);
        loop {
            match node_name::find(self, &*self.0.host.files, given.as_deref()).await {
                Word::Told(name) => return name,
                Word::Silent(reason) => self.watch().trouble = reason,
            }
            sleep(backoff.pause()).await;
        }
    }

    /// Watches for ever.
    async fn follow(&self, given: Option<String>) {
        let node = &self.find_name(given).await;
        self.is_called(node);
        let config = watcher::Config::default().fields(&of_node(node)).page_size(PAGE);
        let mut backoff = Backoff::new(format!("{node}/api"), FIRST_PAUSE, LONGEST_PAUSE);
        loop {
            let api: Api<ApiPod> = Api::all_with(self.client(), &resource());
            let mut events = Box::pin(watcher::watcher(api, config.clone()));
            let until = Instant::now() + spread(&format!("{node}/relist"), RELIST);
            loop {
                let next = tokio::select! {
                    biased;
                    next = events.next() => next,
                    () = sleep_until(until) => None,
                };
                match next {
                    Some(Ok(event)) => {
                        let is_news = !matches!(event, Event::Init);
                        self.take(event);
                        if is_news {
                            backoff.reset();
                        }
                    }
                    Some(Err(error)) => {
                        {
                            let mut watch = self.watch();
                            watch.stands = false;
                            watch.trouble = describe(&error);
                        }
                        sleep(backoff.pause()).await;
                        if is_gone(&error) {
                            break;
                        }
                    }
                    None => break,
                }
            }
        }
    }
}

/// Whether a watch was refused because its version is too old. kube would ask for the same one again and again.
fn is_gone(error: &watcher::Error) -> bool {
    let gone = http::StatusCode::GONE.as_u16();
    matches!(error, watcher::Error::WatchStartFailed(kube::Error::Api(status)) if status.code == gone)
}

fn of_node(node: &str) -> String {
    format!("spec.nodeName={node}")
}

/// Pods by a list at each observation: for a single pass.
#[derive(Debug)]
pub struct ListedPods {
    api: ApiServer,
    node: String,
}

impl ListedPods {
    /// The pods of `node`.
    pub fn new(api: ApiServer, node: String) -> Self {
        api.is_called(&node);
        Self { api, node }
    }
}

#[async_trait]
impl Containers for ListedPods {
    async fn observe(&self) -> Testimony {
        Testimony { pods: self.api.list(&self.node).await, sandboxes: None }
    }

    async fn look_again(&self, pod: &Pod) -> Word<Option<PodInfo>> {
        self.api.get(pod).await
    }

    async fn tell(&self, news: &News, now: Duration) -> Reception {
        self.api.tell(news, now).await
    }
}

/// Pods by a watch, which ends with this.
#[derive(Debug)]
pub struct WatchedPods {
    api: ApiServer,
    task: JoinHandle<()>,
}

impl WatchedPods {
    /// Begins to watch the pods of a node: the one of this name, or the one that this host is.
    pub fn start(api: ApiServer, name: Option<String>) -> Self {
        let watching = api.clone();
        let task = tokio::spawn(async move { watching.follow(name).await });
        Self { api, task }
    }
}

impl Drop for WatchedPods {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[async_trait]
impl Containers for WatchedPods {
    async fn observe(&self) -> Testimony {
        let watch = self.api.watch();
        let pods = match (watch.listed, watch.stands) {
            (true, true) => Word::Told(watch.pods.clone()),
            (false, _) if watch.trouble.is_empty() => {
                Word::Silent("they have not been listed yet".to_owned())
            }
            _ => Word::Silent(watch.trouble.clone()),
        };
        Testimony { pods, sandboxes: None }
    }

    async fn look_again(&self, pod: &Pod) -> Word<Option<PodInfo>> {
        self.api.get(pod).await
    }

    async fn tell(&self, news: &News, now: Duration) -> Reception {
        self.api.tell(news, now).await
    }
}
