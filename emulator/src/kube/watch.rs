//! A watch: what changed since a version, as it happens, until its time is up or the client leaves. Tells objects that
//! enter or leave the selection as added or deleted, as the real server does.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::Stream;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until};

use super::Kube;
use super::selector::Selector;
use super::status::Status;
use super::store::{Change, Resource};
use super::table::table;
use crate::tally::Seen;

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
        let changed = self.kube.subscribe();
        let now = Instant::now();
        let duration = self.timeout.map_or(DEFAULT_DURATION, Duration::from_secs);
        let lines = self.initial.iter().map(|object| self.line("ADDED", object)).collect();
        let state = State {
            lines,
            changed,
            end: now + duration,
            bookmark: now + BOOKMARK_INTERVAL,
            over: false,
            watch: self,
        };
        futures_util::stream::unfold(state, |mut state| async move {
            let line = state.next().await?;
            Some((Ok(line), state))
        })
    }

    fn line(&self, kind: &str, object: &Value) -> Bytes {
        let object = if self.tables && kind != "ERROR" {
            table(
                self.resource,
                std::slice::from_ref(object),
                &json!({"resourceVersion": object["metadata"]["resourceVersion"]}),
                self.kube.0.clock.now(),
            )
        } else {
            object.clone()
        };
        Bytes::from(format!("{}\n", json!({"type": kind, "object": object})))
    }

    fn event(&self, change: &Change) -> Option<Bytes> {
        let (resource, namespace, _) = &change.key;
        if *resource != self.resource || self.namespace.as_ref().is_some_and(|wanted| wanted != namespace) {
            return None;
        }
        let selected =
            |object: &Option<Arc<Value>>| object.as_ref().is_some_and(|object| self.selector.matches(object));
        match (selected(&change.old), selected(&change.new)) {
            (false, true) => change.new.as_ref().map(|object| self.line("ADDED", object)),
            (true, true) => change.new.as_ref().map(|object| self.line("MODIFIED", object)),
            (true, false) => {
                let mut gone = Value::clone(change.new.as_ref().or(change.old.as_ref())?);
                gone["metadata"]["resourceVersion"] = json!(change.version.to_string());
                Some(self.line("DELETED", &gone))
            }
            (false, false) => None,
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

struct State {
    watch: Watch,
    lines: VecDeque<Bytes>,
    changed: Seen,
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
            self.changed.mark();
            self.collect();
            if !self.lines.is_empty() {
                continue;
            }
            tokio::select! {
                biased;
                () = self.changed.changed() => {}
                () = sleep_until(self.end) => return None,
                () = sleep_until(self.bookmark), if self.watch.bookmarks => {
                    self.bookmark = Instant::now() + BOOKMARK_INTERVAL;
                    return Some(self.watch.bookmark());
                }
            }
        }
    }

    fn collect(&mut self) {
        let kube = self.watch.kube.clone();
        let store = kube.store();
        match store.changes_after(self.watch.version) {
            Ok(changes) => {
                let lines: Vec<Bytes> = changes.filter_map(|change| self.watch.event(change)).collect();
                self.lines.extend(lines);
                self.watch.version = store.version();
            }
            Err(status) => {
                self.lines.push_back(self.watch.error(&status));
                self.over = true;
            }
        }
    }
}
