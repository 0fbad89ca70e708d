//! The long poll: answers at once what is new since the listener's place, else as soon as something happens, else
//! when its time is over. Times are those of the real VSD's system configuration.

use std::time::Duration;

use axum::response::Response;
use http::request::Parts;
use http::{Method, StatusCode};
use serde_json::Value;
use tokio::time::{Instant, sleep, timeout_at};
use uuid::Uuid;

use crate::vsd::access::{Caller, Line};
use crate::vsd::engine::Engine;
use crate::vsd::{Vsd, auth, reply, request};

/// What the system configuration says where there is none: the real VSD's defaults and bounds, in milliseconds
/// and events.
const TIMEOUT: (&str, u64, u64, u64) = ("eventProcessorTimeout", 25_000, 25_000, 100_000);
const INTERVAL: (&str, u64, u64, u64) = ("eventProcessorInterval", 250, 250, 60_000);
const MOST: (&str, u64, u64, u64) = ("eventProcessorMaxEventsCount", 100, 100, 500);

/// Whether a request is a poll.
pub(in crate::vsd) fn asked(method: &Method, path: &str) -> bool {
    let mut segments = path.split('/').filter(|segment| !segment.is_empty());
    let version = segments.next().is_some_and(request::is_version);
    *method == Method::GET && version && segments.next() == Some("events") && segments.next().is_none()
}

/// Answers a poll, as late as it may.
pub(in crate::vsd) async fn poll(vsd: &Vsd, parts: &Parts) -> Response {
    let Some((mut listener, wait)) = Listener::enter(vsd, parts) else { return reply::unauthorized() };
    let deadline = Instant::now() + wait.timeout;
    loop {
        let mut news = listener.vsd.lock().events.news.subscribe();
        if let Some(answer) = listener.take() {
            return answer;
        }
        match timeout_at(deadline, news.changed()).await {
            // What happens together is told together.
            Ok(Ok(())) => sleep(wait.interval).await,
            _ => return listener.nothing(),
        }
    }
}

/// How long to wait.
struct Wait {
    timeout: Duration,
    interval: Duration,
}

/// Somebody who waits at a place.
struct Listener<'a> {
    vsd: &'a Vsd,
    caller: Caller,
    place: Uuid,
    /// The place is new and its owner has not been told of it.
    untold: bool,
}

impl<'a> Listener<'a> {
    /// `None` if it is nobody that is known.
    fn enter(vsd: &'a Vsd, parts: &Parts) -> Option<(Self, Wait)> {
        let mut guard = vsd.lock();
        let engine: &mut Engine = &mut guard;
        let user = auth::identify(engine, &parts.headers, &parts.extensions)?;
        let caller = Caller::of(&engine.store, user);
        let fresh = engine.entropy.uuid();
        let place = engine.events.enter(named(parts), fresh, Instant::now());
        let wait = Wait {
            timeout: Duration::from_millis(setting(engine, TIMEOUT)),
            interval: Duration::from_millis(setting(engine, INTERVAL)),
        };
        Some((Self { vsd, caller, place, untold: place == fresh }, wait))
    }

    /// The reply, if there is anything to tell.
    fn take(&mut self) -> Option<Response> {
        let mut guard = self.vsd.lock();
        let engine: &mut Engine = &mut guard;
        if !engine.events.knows(self.place) {
            // It waited for more than is kept: it goes on from here.
            self.place = engine.events.enter(None, self.place, Instant::now());
        }
        let most = usize::try_from(setting(engine, MOST)).unwrap_or(usize::MAX);
        let next = engine.entropy.uuid();
        let Engine { events, store, .. } = engine;
        let seen = |line: &Line| self.caller.sees_line(store, line);
        let found = events.take(self.place, seen, most, next, Instant::now())?;
        self.untold = false;
        let events: Vec<&str> = found.iter().map(|event| &*event.json).collect();
        Some(answer(&events, next))
    }

    fn nothing(&mut self) -> Response {
        self.untold = false;
        answer(&[], self.place)
    }
}

impl Drop for Listener<'_> {
    /// A client that went away before it heard of its place will never come back to it.
    fn drop(&mut self) {
        if self.untold {
            self.vsd.lock().events.leave(self.place);
        }
    }
}

fn answer(events: &[&str], place: Uuid) -> Response {
    // Each event was written once, for all listeners.
    let body = format!("{{\"events\":[{}],\"uuid\":\"{place}\"}}", events.join(","));
    reply::json(StatusCode::OK, Vec::new(), body)
}

/// The place that a client names.
fn named(parts: &Parts) -> Option<Uuid> {
    let pairs = parts.uri.query()?.split('&');
    let uuid = pairs.filter_map(|pair| pair.split_once('=')).find(|(name, _)| *name == "uuid");
    uuid.and_then(|(_, uuid)| Uuid::try_parse(uuid).ok())
}

/// A number of the system configuration, where the VSD has one, within its bounds.
fn setting(engine: &Engine, (attribute, default, smallest, largest): (&str, u64, u64, u64)) -> u64 {
    let configuration = engine.store.all("systemconfig").iter().next().and_then(|id| engine.store.get(*id));
    let value = configuration.and_then(|object| object.values.get(attribute)).and_then(Value::as_u64);
    value.unwrap_or(default).clamp(smallest, largest)
}
