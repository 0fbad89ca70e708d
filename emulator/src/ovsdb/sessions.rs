//! What the server knows of its connections: their monitors, what they are to be told, and what waits to be written.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use nuage_ovsdb::{Uuid, text};
use serde_json::Value;

use super::State;
use super::outbox::{Outbox, Pieces, Sort};
use super::storage::{Change, RowData};
use super::view::{Kind, View};

/// The transaction id of a server without history.
pub(super) const ZERO: &str = "00000000-0000-0000-0000-000000000000";
/// How much unsent output a session may have before it is told no more until it has read. What it misses is merged: then
/// it gets the difference between what it knows and what is.
pub(super) const BACKLOG_BYTES: usize = 1 << 20;

/// One monitor of one session.
#[derive(Debug)]
pub(super) struct Monitor {
    pub(super) id: Value,
    /// The number of its view.
    number: u64,
    pub(super) view: Arc<View>,
    /// Everything of a notification that comes before the updates.
    head: Vec<u8>,
}

impl Monitor {
    pub(super) fn new(id: Value, number: u64, view: Arc<View>) -> Self {
        let method = match view.kind {
            Kind::Plain => "update",
            Kind::Conditional => "update2",
            Kind::Since => "update3",
        };
        let mut head = format!("{{\"id\":null,\"method\":\"{method}\",\"params\":[").into_bytes();
        text::json(&mut head, &id);
        head.push(b',');
        if view.kind == Kind::Since {
            head.extend_from_slice(format!("\"{ZERO}\",").as_bytes());
        }
        Self { id, number, view, head }
    }

    /// Appends a notification with these updates.
    pub(super) fn send(&self, outbox: &mut Outbox, updates: &Bytes) {
        let begun = outbox.begin();
        outbox.tail().extend_from_slice(&self.head);
        outbox.append(updates);
        outbox.tail().extend_from_slice(b"]}");
        outbox.end(&begun, Sort::Update);
    }
}

/// The rows that a session has not been told about: as it knows them, and as they are. Never more than the database has
/// rows now and had when the session stopped reading.
type Missed = BTreeMap<(usize, Uuid), (Option<Arc<RowData>>, Option<Arc<RowData>>)>;

/// A connection.
#[derive(Debug, Default)]
pub(super) struct Session {
    /// What its client does, as far as is known: hits of faults are counted by it.
    pub(super) operation: Arc<str>,
    pub(super) outbox: Outbox,
    pub(super) monitors: Vec<Monitor>,
    /// The ids of its transactions that wait.
    pub(super) blocked: BTreeSet<String>,
    /// Whether it can cope with databases that come, go and change their schema.
    pub(super) aware: bool,
    /// Whether it has to be closed.
    pub(super) closing: bool,
    /// What it has missed of each database.
    missed: BTreeMap<String, Missed>,
}

impl Session {
    /// Whether a monitor's id is taken.
    pub(super) fn knows(&self, id: &Value) -> bool {
        self.monitors.iter().any(|monitor| monitor.id == *id)
    }

    fn miss(&mut self, name: &str, changes: &[Change]) {
        let missed = self.missed.entry(name.to_owned()).or_default();
        for change in changes {
            let key = (change.table, change.uuid);
            let known = missed.remove(&key).map_or_else(|| change.old.clone(), |(known, _)| known);
            if known.is_some() || change.new.is_some() {
                missed.insert(key, (known, change.new.clone()));
            }
        }
    }
}

impl State {
    /// Opens a session.
    pub(super) fn open_session(&mut self, operation: Arc<str>) -> u64 {
        self.next_session += 1;
        self.sessions.insert(self.next_session, Session { operation, ..Session::default() });
        self.next_session
    }

    /// Forgets a session; its locks go to whoever waits for them.
    pub(super) fn close_session(&mut self, session: u64) {
        self.sessions.remove(&session);
        for (lock, heir) in self.locks.release_all(session) {
            self.notify(heir, "locked", &lock);
        }
    }

    /// Tells every session what a commit has changed. What many want to see alike is written once.
    pub(super) fn tell(&mut self, name: &str, changes: &[Change]) {
        let Self { sessions, databases, views, .. } = self;
        let Some(database) = databases.get(name) else { return };
        let mut written: BTreeMap<u64, Bytes> = BTreeMap::new();
        for session in sessions.values_mut() {
            let Session { monitors, outbox, .. } = session;
            let mut watching = monitors.iter().filter(|monitor| monitor.view.database() == name).peekable();
            if watching.peek().is_none() {
                continue;
            }
            if outbox.len() > BACKLOG_BYTES {
                drop(watching);
                session.miss(name, changes);
                continue;
            }
            let mut told = false;
            for monitor in watching {
                let updates = written.entry(monitor.number).or_insert_with(|| {
                    let mut out = Vec::new();
                    monitor.view.write_update(&mut out, database, changes, views.looked_at(&monitor.view));
                    out.into()
                });
                if !updates.is_empty() {
                    monitor.send(outbox, updates);
                    told = true;
                }
            }
            if told {
                outbox.wake.notify_one();
            }
        }
    }

    /// Tells a session what it has missed, as one update.
    pub(super) fn catch_up(&mut self, session: u64) {
        let Self { sessions, databases, views, .. } = self;
        let Some(session) = sessions.get_mut(&session).filter(|session| !session.missed.is_empty()) else {
            return;
        };
        for (name, missed) in std::mem::take(&mut session.missed) {
            let Some(database) = databases.get(&name) else { continue };
            let changes: Vec<Change> = missed
                .into_iter()
                .map(|((table, uuid), (old, new))| Change { table, uuid, old, new })
                .collect();
            for monitor in session.monitors.iter().filter(|monitor| monitor.view.database() == name) {
                let mut updates = Vec::new();
                let looked_at = views.looked_at(&monitor.view);
                monitor.view.write_update(&mut updates, database, &changes, looked_at);
                if !updates.is_empty() {
                    monitor.send(&mut session.outbox, &updates.into());
                }
            }
        }
    }

    /// Tells a session that it holds a lock, or does no more.
    pub(super) fn notify(&mut self, session: u64, method: &str, lock: &str) {
        let Some(session) = self.sessions.get_mut(&session) else { return };
        let begun = session.outbox.begin();
        let out = session.outbox.tail();
        out.extend_from_slice(format!("{{\"id\":null,\"method\":\"{method}\",\"params\":[").as_bytes());
        text::string(out, lock);
        out.extend_from_slice(b"]}");
        session.outbox.end(&begun, Sort::Update);
        session.outbox.wake.notify_one();
    }

    /// Ends the sessions that cannot cope with a database that changes, and tells the others that what they monitored of it
    /// is no more.
    pub(super) fn forget_database(&mut self, name: &str) {
        for session in self.sessions.values_mut() {
            session.missed.remove(name);
            session.closing |= !session.aware;
            let (gone, kept) = std::mem::take(&mut session.monitors)
                .into_iter()
                .partition(|one| one.view.database() == name);
            session.monitors = kept;
            for monitor in Vec::<Monitor>::into_iter(gone) {
                let begun = session.outbox.begin();
                let out = session.outbox.tail();
                out.extend_from_slice(b"{\"id\":null,\"method\":\"monitor_canceled\",\"params\":[");
                text::json(out, &monitor.id);
                out.extend_from_slice(b"]}");
                session.outbox.end(&begun, Sort::Update);
            }
            session.outbox.wake.notify_one();
        }
    }

    /// Makes the task that writes for a session look.
    pub(super) fn wake(&self, session: u64) {
        if let Some(session) = self.sessions.get(&session) {
            session.outbox.wake.notify_one();
        }
    }

    /// What is to be written to a session next, after what is left of what was taken before; `false`: it has to be closed.
    pub(super) fn take_output(&mut self, session: u64, pieces: &mut Pieces) -> bool {
        use bytes::Buf as _;
        let Some(known) = self.sessions.get_mut(&session) else { return false };
        if known.closing {
            return false;
        }
        known.outbox.left(pieces.remaining());
        if known.outbox.len() <= BACKLOG_BYTES {
            self.catch_up(session);
        }
        if let Some(known) = self.sessions.get_mut(&session) {
            known.outbox.take(pieces);
        }
        true
    }
}
