//! What the monitor asks the Kubernetes API: one pod, lists, and what happens to the objects of a resource. Reads only.
//! Every question has a deadline; whoever follows a resource goes on for ever.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::Value;
use tokio::time::{sleep, timeout};
use tower::ServiceExt as _;

use crate::http::{BoxBody, HttpService};

/// How long an answer may take. A pod waits for it, and it is not needed: less than a caller's patience.
const DEADLINE: Duration = Duration::from_secs(2);
/// How long until somebody who follows asks again after a failure.
const AGAIN: Duration = Duration::from_secs(2);
/// How long a silent watch is believed to be alive, in seconds: the server ends it then.
const WATCH_SECONDS: u64 = 600;
/// The largest list and the longest line of a watch, in bytes.
const LARGEST: usize = 64 << 20;

/// Why a question has no answer: for the log.
type Failure = String;

/// A client of one API server.
#[derive(Clone)]
pub(super) struct Cluster {
    http: HttpService,
    url: String,
}

impl fmt::Debug for Cluster {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Cluster").field("url", &self.url).finish_non_exhaustive()
    }
}

impl Cluster {
    pub(super) fn new(http: HttpService, url: &str) -> Self {
        Self { http, url: url.trim_end_matches('/').to_owned() }
    }

    /// A pod, `None` where there is none or nobody answers.
    pub(super) async fn pod(&self, namespace: &str, name: &str) -> Option<Value> {
        // What is no name of a pod must not become another path.
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
        if !name.bytes().all(allowed) || name.starts_with('.') {
            return None;
        }
        let path = format!("api/v1/namespaces/{namespace}/pods/{name}");
        self.get(&path).await.inspect_err(|error| tracing::debug!(namespace, name, error, "pod")).ok()
    }

    /// The pods of a namespace.
    pub(super) async fn pods(&self, namespace: &str) -> Result<Vec<Value>, Failure> {
        self.list(&format!("api/v1/namespaces/{namespace}/pods")).await.map(|(pods, _)| pods)
    }

    /// All objects of a collection, and the version of the list.
    async fn list(&self, path: &str) -> Result<(Vec<Value>, String), Failure> {
        let mut list = self.get(path).await?;
        let Some(Value::Array(items)) = list.get_mut("items").map(Value::take) else {
            return Err("no list".to_owned());
        };
        let version = list["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned();
        Ok((items, version))
    }

    async fn get(&self, path: &str) -> Result<Value, Failure> {
        let read = async {
            let mut body = self.open(path).await?;
            let mut bytes = BytesMut::new();
            while let Some(frame) = body.frame().await {
                let Ok(data) = frame.map_err(|error| error.to_string())?.into_data() else { continue };
                if bytes.len() + data.len() > LARGEST {
                    return Err("too large".to_owned());
                }
                bytes.extend_from_slice(&data);
            }
            serde_json::from_slice(&bytes).map_err(|error| error.to_string())
        };
        timeout(DEADLINE, read).await.map_err(|_| "no answer in time".to_owned())?
    }

    async fn open(&self, path: &str) -> Result<BoxBody, Failure> {
        let request = Request::builder().uri(format!("{}/{path}", self.url)).body(Bytes::new());
        let request = request.map_err(|error| error.to_string())?;
        let response = self.http.clone().oneshot(request).await.map_err(|error| error.to_string())?;
        let status = response.status();
        if status == StatusCode::OK { Ok(response.into_body()) } else { Err(status.to_string()) }
    }
}

/// What is told of a resource.
#[derive(Debug)]
pub(super) enum News {
    /// All there is now: at the beginning, and whenever something may have been missed.
    All(Vec<Value>),
    /// One is new or different.
    Put(Value),
    /// One has gone.
    Gone(Value),
}

/// Follows the objects of a collection.
#[derive(Debug)]
pub(super) struct Follower {
    cluster: Cluster,
    path: &'static str,
    /// The version that was told last; none where a list comes first.
    version: Option<String>,
    watch: Option<Watch>,
}

struct Watch {
    body: BoxBody,
    begun: BytesMut,
    lines: VecDeque<Bytes>,
}

impl fmt::Debug for Watch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Watch")
    }
}

impl Follower {
    /// `path` is that of a collection in all namespaces, for instance `api/v1/services`.
    pub(super) fn new(cluster: Cluster, path: &'static str) -> Self {
        Self { cluster, path, version: None, watch: None }
    }

    /// What is next, however long that takes.
    pub(super) async fn next(&mut self) -> News {
        loop {
            match self.attempt().await {
                Ok(Some(news)) => return news,
                Ok(None) => {}
                Err(error) => {
                    tracing::debug!(path = self.path, error, "following anew");
                    (self.version, self.watch) = (None, None);
                    sleep(AGAIN).await;
                }
            }
        }
    }

    async fn attempt(&mut self) -> Result<Option<News>, Failure> {
        let Some(version) = &self.version else {
            let (all, version) = self.cluster.list(self.path).await?;
            self.version = Some(version);
            return Ok(Some(News::All(all)));
        };
        let Some(watch) = &mut self.watch else {
            let query = format!("watch=true&timeoutSeconds={WATCH_SECONDS}&resourceVersion={version}");
            let opened = self.cluster.open(&format!("{}?{query}", self.path)).await?;
            self.watch = Some(Watch { body: opened, begun: BytesMut::new(), lines: VecDeque::new() });
            return Ok(None);
        };
        let Some(line) = watch.line().await? else {
            // Its time was up: from where it was.
            self.watch = None;
            return Ok(None);
        };
        let mut event: Value = serde_json::from_slice(&line).map_err(|error| error.to_string())?;
        let object = event.get_mut("object").map(Value::take).unwrap_or_default();
        if let Some(version) = object["metadata"]["resourceVersion"].as_str() {
            self.version = Some(version.to_owned());
        }
        match event["type"].as_str() {
            Some("ADDED" | "MODIFIED") => Ok(Some(News::Put(object))),
            Some("DELETED") => Ok(Some(News::Gone(object))),
            Some("BOOKMARK") => Ok(None),
            _ => Err(object["message"].as_str().unwrap_or("an event of no kind").to_owned()),
        }
    }
}

impl Watch {
    /// The next line; `None` where the stream has ended.
    async fn line(&mut self) -> Result<Option<Bytes>, Failure> {
        loop {
            if let Some(line) = self.lines.pop_front() {
                return Ok(Some(line));
            }
            let Some(frame) = self.body.frame().await else { return Ok(None) };
            let Ok(data) = frame.map_err(|error| error.to_string())?.into_data() else { continue };
            self.begun.extend_from_slice(&data);
            while let Some(end) = self.begun.iter().position(|byte| *byte == b'\n') {
                let line = self.begun.split_to(end + 1).freeze();
                self.lines.push_back(line);
            }
            if self.begun.len() > LARGEST {
                return Err("a line that does not end".to_owned());
            }
        }
    }
}
