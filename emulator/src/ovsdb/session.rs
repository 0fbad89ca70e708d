//! One connection: reads requests, writes answers and updates in the order in which they happened, lets waiting
//! transactions wait beside it, and finds out whether its peer is still there.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Buf as _;
use nuage_ovsdb::rpc::{Decoder, Message};
use nuage_ovsdb::{read, text};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;

use super::Server;
use super::method::Blocked;
use super::outbox::Pieces;
use super::sessions::BACKLOG_BYTES;
use crate::tally::Seen;

/// How many transactions of one connection may wait.
const MAX_WAITING: usize = 256;
/// What the server asks of a peer that it has not heard for a while, as the real one does.
const PROBE: &[u8] = br#"{"id":"echo","method":"echo","params":[]}"#;

/// What happens around a connection.
enum Event {
    Written(std::io::Result<usize>),
    Read(std::io::Result<usize>),
    /// There may be something to write.
    Woken,
    /// A waiting transaction has come to its end.
    Waited,
    Silence,
    Restart,
}

/// A connection's own state.
struct Connection<'a> {
    server: &'a Server,
    id: u64,
    decoder: Decoder,
    waiting: JoinSet<String>,
    handles: BTreeMap<String, AbortHandle>,
    pulse: Pulse,
    /// Whether requests have been read that were not looked at, because their sender has to read first.
    more: bool,
}

/// When a peer was heard last, and whether it has been asked since.
struct Pulse {
    /// How long it may be silent; `None`: for ever.
    interval: Option<Duration>,
    heard: Instant,
    asked: bool,
}

/// What to do about a peer's silence.
enum Silence {
    /// Look again then.
    Until(Instant),
    Ask,
    Gone,
}

impl Pulse {
    fn new(interval: Option<Duration>) -> Self {
        Self { interval, heard: Instant::now(), asked: false }
    }

    fn hear(&mut self) {
        if self.interval.is_some() {
            (self.heard, self.asked) = (Instant::now(), false);
        }
    }

    /// The time that was set is over.
    fn silence(&mut self, now: Instant) -> Silence {
        let end = self.heard + self.interval.unwrap_or_default();
        if end > now {
            return Silence::Until(end);
        }
        if std::mem::replace(&mut self.asked, true) { Silence::Gone } else { Silence::Ask }
    }
}

impl Server {
    /// Serves one client until it leaves, breaks the protocol, or the server restarts.
    pub async fn serve(self, stream: impl AsyncRead + AsyncWrite + Send + Unpin) {
        self.attend(stream, "".into(), None).await;
    }

    /// As [`Server::serve`], for a client of which it is known what it does: hits of faults are counted by it.
    pub async fn serve_as(self, stream: impl AsyncRead + AsyncWrite + Send + Unpin, operation: Arc<str>) {
        self.attend(stream, operation, None).await;
    }

    /// As [`Server::serve`], and ends when the client is silent for `probe` and then does not answer for as long again.
    pub async fn serve_probing(
        self,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin,
        probe: Option<Duration>,
    ) {
        self.attend(stream, "".into(), probe).await;
    }

    async fn attend(
        self,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin,
        operation: Arc<str>,
        probe: Option<Duration>,
    ) {
        let epoch = self.0.epoch.subscribe();
        if !self.is_open() {
            return;
        }
        let (id, stream) = {
            let mut state = self.state();
            let stream = state.faults.stream(stream, &operation);
            (state.open_session(operation), stream)
        };
        let connection = Connection {
            server: &self,
            id,
            decoder: Decoder::default(),
            waiting: JoinSet::new(),
            handles: BTreeMap::new(),
            pulse: Pulse::new(probe),
            more: false,
        };
        connection.exchange(stream, epoch).await;
        self.state().close_session(id);
    }

    /// Tries a waiting transaction again after every commit until it passes or its time is up.
    async fn wait(self, session: u64, blocked: Blocked) -> String {
        let started = Instant::now();
        let mut commits = self.0.commits.subscribe();
        let deadline =
            blocked.timeout.and_then(|timeout| started.checked_add(Duration::from_millis(timeout)));
        loop {
            let waited = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
            if self.retry(session, &blocked, waited) {
                return blocked.key;
            }
            let late = async {
                match deadline {
                    Some(deadline) => tokio::time::sleep_until(deadline).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = commits.changed() => {}
                () = late => {}
            }
        }
    }
}

impl Connection<'_> {
    async fn exchange(mut self, stream: impl AsyncRead + AsyncWrite + Send + Unpin, mut epoch: Seen) {
        let Some(wake) = self.wake() else { return };
        let (mut reader, mut writer) = tokio::io::split(stream);
        let mut pieces = Pieces::default();
        let alarm = tokio::time::sleep(self.pulse.interval.unwrap_or_default());
        tokio::pin!(alarm);
        loop {
            if !self.server.state().take_output(self.id, &mut pieces) {
                return;
            }
            let room = pieces.remaining() < BACKLOG_BYTES && self.waiting.len() < MAX_WAITING;
            if room && std::mem::take(&mut self.more) {
                if !self.receive() {
                    return;
                }
                continue;
            }
            let event = tokio::select! {
                biased;
                () = epoch.changed() => Event::Restart,
                written = writer.write_buf(&mut pieces), if pieces.has_remaining() => Event::Written(written),
                read = reader.read_buf(self.decoder.buffer()), if room => Event::Read(read),
                () = wake.notified() => Event::Woken,
                Some(ended) = self.waiting.join_next(), if !self.waiting.is_empty() => {
                    if let Ok(key) = ended { self.handles.remove(&key); }
                    Event::Waited
                }
                () = &mut alarm, if self.pulse.interval.is_some() => Event::Silence,
            };
            let goes_on = match event {
                Event::Written(written) => written.is_ok(),
                Event::Read(read) => matches!(read, Ok(1..)) && self.hear(),
                Event::Woken | Event::Waited => true,
                Event::Silence => match self.probe() {
                    Some(next) => {
                        alarm.as_mut().reset(next);
                        true
                    }
                    None => false,
                },
                Event::Restart => false,
            };
            if !goes_on {
                return;
            }
        }
    }

    fn wake(&self) -> Option<Arc<tokio::sync::Notify>> {
        self.server.state().sessions.get(&self.id).map(|session| Arc::clone(&session.outbox.wake))
    }

    fn backlog(&self) -> usize {
        self.server.state().sessions.get(&self.id).map_or(0, |session| session.outbox.len())
    }

    fn hear(&mut self) -> bool {
        self.pulse.hear();
        self.receive()
    }

    /// Handles what has come; false: the connection has to be dropped.
    fn receive(&mut self) -> bool {
        loop {
            if self.backlog() >= BACKLOG_BYTES || self.waiting.len() >= MAX_WAITING {
                self.more = true;
                return true;
            }
            match self.decoder.decode() {
                Ok(None) => return true,
                Ok(Some(Message::Request { method, mut params, mut id })) => {
                    params.iter_mut().for_each(text::normalise);
                    text::normalise(&mut id);
                    if let Some(blocked) = self.server.request(self.id, &method, params, id) {
                        let key = blocked.key.clone();
                        let handle = self.waiting.spawn(self.server.clone().wait(self.id, blocked));
                        self.handles.insert(key, handle);
                    }
                }
                Ok(Some(Message::Notification { method, mut params })) => {
                    params.iter_mut().for_each(text::normalise);
                    self.server.notification(self.id, &method, &params);
                    if let ("cancel", [id]) = (method.as_str(), params.as_slice())
                        && let Some(handle) = self.handles.remove(&read::quote(id))
                    {
                        handle.abort();
                    }
                }
                // The answer to a probe; nothing else was asked.
                Ok(Some(Message::Response { id: Value::String(id), .. })) if id == "echo" => {}
                Ok(Some(Message::Response { .. })) => return self.leave(&"an answer that nobody asked for"),
                Err(error) => return self.leave(&error),
            }
        }
    }

    /// A peer that breaks the protocol is left, and that is told.
    fn leave(&self, why: &dyn std::fmt::Display) -> bool {
        tracing::warn!(session = self.id, error = %why, "a client of the OVSDB server is disconnected");
        false
    }

    /// The peer was silent: when to look again, `None` if it is gone.
    fn probe(&mut self) -> Option<Instant> {
        let now = Instant::now();
        match self.pulse.silence(now) {
            Silence::Until(end) => Some(end),
            Silence::Gone => None,
            Silence::Ask => {
                if let Some(session) = self.server.state().sessions.get_mut(&self.id) {
                    session.outbox.tail().extend_from_slice(PROBE);
                }
                Some(now + self.pulse.interval.unwrap_or_default())
            }
        }
    }
}
