//! A watch: what changed since a version, as it happens, until its time is up or the client leaves. Tells objects that
//! enter or leave the selection as added or deleted, as the real server does.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::Stream;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::Kube;
use super::feeds::Topic;
use super::kept::Kept;
use super::selector::Selector;
use super::status::Status;
use super::store::{Change, Resource};
use super::table::table;

/// How long a watch lasts that names no time.
const DEFAULT_DURATION: Duration = Duration::from_mins(30);
/// How often a bookmark tells a quiet watcher how far it is.
const BOOKMARK_INTERVAL: Duration = Duration::from_mins(1);

/// What is watched.
pub(super) struct Watch {
    pub(super) kube: Kube,
    pub(super) resource: Resource,
    pub(super) namespace: Option<String>,
    pub(super) selector: Selector,
    pub(super) tables: bool,
    pub(super) bookmarks: bool,
    /// Everything up to this version has been told.
    pub(super) version: u64,
    /// Told before any change.
    pub(super) initial: Vec<Value>,
    pub(super) timeout: Option<u64>,
}

impl Watch {
    /// The body of the response: one JSON object a line.
    pub(super) fn stream(self) -> impl Stream<Item = Result<Bytes, std::convert::Infallible>> + Send {
        let now = Instant::now();
        let duration = self.timeout.map_or(DEFAULT_DURATION, Duration::from_secs);
        let mut lines: VecDeque<Bytes> =
            self.initial.iter().map(|object| self.line("ADDED", object)).collect();
        let node = if self.resource == Resource::Pods { self.selector.node() } else { None };
        let topic = (self.resource, node.map(str::to_owned));
        let kube = self.kube.clone();
        let mut store = kube.store();
        let missed: Result<Vec<Bytes>, Status> = store
            .changes_after(self.version)
            .map(|changes| changes.filter_map(|change| self.event(change)).collect());
        let over = missed.is_err();
        lines.extend(missed.unwrap_or_else(|status| vec![self.error(&status)]));
        let version = store.version();
        let (number, wake) = store.feeds.open(topic.clone());
        drop(store);
        let subscription = Subscription { kube, topic, number, wake };
        let watch = Self { initial: Vec::new(), version, ..self };
        let bookmark = now + BOOKMARK_INTERVAL;
        let state = State { watch, lines, subscription, end: now + duration, bookmark, over };
        futures_util::stream::unfold(state, |mut state| async move {
            let line = state.next().await?;
            Some((Ok(line), state))
        })
    }

    fn line(&self, kind: &str, object: &Value) -> Bytes {
        let table = (self.tables && kind != "ERROR").then(|| {
            table(
                self.resource,
                std::slice::from_ref(object),
                &json!({"resourceVersion": object["metadata"]["resourceVersion"]}),
                self.kube.0.clock.now(),
            )
        });
        let object = table.as_ref().unwrap_or(object);
        Bytes::from(format!("{{\"object\":{object},\"type\":\"{kind}\"}}\n"))
    }

    fn event(&self, change: &Change) -> Option<Bytes> {
        let (resource, namespace, _) = &change.key;
        if *resource != self.resource || self.namespace.as_ref().is_some_and(|wanted| wanted != namespace) {
            return None;
        }
        let selected = |object: &Option<Kept>| {
            object.as_ref().map(Kept::read).filter(|object| self.selector.matches(object))
        };
        match (selected(&change.old), selected(&change.new)) {
            (None, Some(new)) => Some(self.line("ADDED", &new)),
            (Some(_), Some(new)) => Some(self.line("MODIFIED", &new)),
            (Some(old), None) => {
                let mut gone = change.new.as_ref().map_or(old, Kept::read);
                gone["metadata"]["resourceVersion"] = json!(change.version.to_string());
                Some(self.line("DELETED", &gone))
            }
            (None, None) => None,
        }
    }

    fn bookmark(&self) -> Bytes {
        let object = json!({
            "kind": self.resource.kind(), "apiVersion": self.resource.api_version(),
            "metadata": {"resourceVersion": self.version.to_string(), "creationTimestamp": null}
        });
        Bytes::from(format!("{}\n", json!({"type": "BOOKMARK", "object": object})))
    }

    fn error(&self, status: &Status) -> Bytes {
        self.line("ERROR", &status.to_json())
    }
}

/// A watcher's place among those who are told.
struct Subscription {
    kube: Kube,
    topic: Topic,
    number: u64,
    wake: Arc<Notify>,
}

// A client leaves by dropping its body, whenever it likes.
impl Drop for Subscription {
    fn drop(&mut self) {
        self.kube.store().feeds.close(&self.topic, self.number);
    }
}

struct State {
    watch: Watch,
    lines: VecDeque<Bytes>,
    subscription: Subscription,
    end: Instant,
    bookmark: Instant,
    over: bool,
}

impl State {
    /// The next line; `None` at the end.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(line) = self.lines.pop_front() {
                return Some(line);
            }
            if self.over {
                return None;
            }
            self.collect();
            if !self.lines.is_empty() {
                continue;
            }
            tokio::select! {
                biased;
                () = self.subscription.wake.notified() => {}
                () = sleep_until(self.end) => return None,
                () = sleep_until(self.bookmark), if self.watch.bookmarks => {
                    self.bookmark = Instant::now() + BOOKMARK_INTERVAL;
                    self.collect();
                    self.lines.extend((!self.over).then(|| self.watch.bookmark()));
                }
            }
        }
    }

    /// Takes in what was told. What was not is about something else, so the version is the last one of all.
    fn collect(&mut self) {
        let Subscription { kube, topic, number, .. } = &self.subscription;
        let mut store = kube.store();
        if let Ok(changes) = store.feeds.take(topic, *number) {
            self.watch.version = store.version();
            drop(store);
            self.lines.extend(changes.iter().filter_map(|change| self.watch.event(change)));
        } else {
            let status = store.expired(self.watch.version);
            drop(store);
            self.lines.push_back(self.watch.error(&status));
            self.over = true;
        }
    }
}
