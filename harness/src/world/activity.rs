//! What calls, services and switches did and when, for reports alone: spans of virtual time that no trace has. Nothing that a
//! run does may depend on them; a run that nobody reports keeps none.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nuage_cni::host::{Log, LogFile};
use nuage_cni::log::AUDIT_FILE_NAME;
use nuage_emulator::ovsdb::RowChange;
use tokio::time::Instant;

use crate::invariant::rows::{NO_ADDRESS, is_of_others};

/// As many are kept of a run: a day of churn has half of it. Of the rest only the number is known.
pub const MAX_SPANS: usize = 200_000;
/// As much is kept of a text, in characters.
const MAX_TEXT: usize = 200;

/// Where something happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// A call of the plugin, as its runtime saw it.
    Call,
    /// The switch of a node.
    Vrs,
    /// The controller of a node's switch: from when a port is asked for until it is resolved.
    Vsc,
    /// The VSD.
    Vsd,
    /// The Nuage monitor.
    Monitor,
    /// The API server.
    Kube,
    /// The audit's daemon on a node.
    Audit,
}

/// Something that took some time, or none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// Where it happened.
    pub place: Place,
    /// On or for which node.
    pub node: Option<String>,
    /// What it was: a command, a request, a change.
    pub what: String,
    /// Of which pod or port, if it is known; or who asked.
    pub subject: String,
    /// Virtual microseconds since the beginning.
    pub begin: u64,
    /// Not before `begin`.
    pub end: u64,
    /// What went wrong; empty: nothing.
    pub trouble: String,
}

/// Keeps spans, or nothing at all.
#[derive(Clone, Debug, Default)]
pub struct Activity(Option<Arc<Kept>>);

#[derive(Debug)]
struct Kept {
    started: Instant,
    spans: Mutex<Spans>,
}

#[derive(Debug, Default)]
struct Spans {
    list: Vec<Span>,
    left_out: u64,
    /// Ports without an address, by node and name: since when.
    unresolved: BTreeMap<(String, String), u64>,
}

/// What was kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Activities {
    /// In the order in which they ended.
    pub spans: Vec<Span>,
    /// How many more there were.
    pub left_out: u64,
}

impl Activities {
    /// Adds those of the run after this one, which took so many microseconds.
    pub fn append(&mut self, next: Self, offset: u64) {
        let later = |span: Span| Span { begin: span.begin + offset, end: span.end + offset, ..span };
        let room = MAX_SPANS.saturating_sub(self.spans.len());
        self.left_out += next.left_out + next.spans.len().saturating_sub(room) as u64;
        self.spans.extend(next.spans.into_iter().take(room).map(later));
    }
}

impl Activity {
    /// Keeps everything from now on.
    pub fn kept() -> Self {
        Self(Some(Arc::new(Kept { started: Instant::now(), spans: Mutex::default() })))
    }

    /// Whether anything is kept.
    pub fn is_kept(&self) -> bool {
        self.0.is_some()
    }

    /// Virtual microseconds since the beginning.
    pub fn now(&self) -> u64 {
        let elapsed = self.0.as_ref().map(|kept| kept.started.elapsed().as_micros());
        elapsed.map_or(0, |elapsed| u64::try_from(elapsed).unwrap_or(u64::MAX))
    }

    fn spans(&self) -> Option<MutexGuard<'_, Spans>> {
        Some(self.0.as_ref()?.spans.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Something that began then has ended now. Texts are made only where they are kept.
    pub fn ended(
        &self,
        place: Place,
        node: Option<&str>,
        begin: u64,
        texts: impl FnOnce() -> (String, String, String),
    ) {
        if self.is_kept() {
            // Before anything is locked: they may be taken from what is locked itself.
            let (end, texts) = (self.now(), texts());
            if let Some(mut spans) = self.spans() {
                spans.keep(place, node, (begin, end), texts);
            }
        }
    }

    /// Something has happened now.
    pub fn happened(&self, place: Place, node: &str, what: &str, subject: &str) {
        self.ended(place, Some(node), self.now(), || (what.to_owned(), subject.to_owned(), String::new()));
    }

    /// A switch has committed a change: what it means for containers.
    pub(crate) fn committed(&self, node: &str, change: &RowChange<'_>) {
        let Some(mut spans) = self.spans() else { return };
        let now = self.now();
        match change.table() {
            "Nuage_Port_Table" => spans.port(node, change, now),
            "Nuage_VM_Table" if change.was_there() != change.is_there() => {
                let id = if change.is_there() { change.after("vm_uuid") } else { change.before("vm_uuid") };
                let what = if change.is_there() { "entity made" } else { "entity gone" };
                let id = id.concat();
                if !is_of_others(&id) {
                    spans.keep(Place::Vrs, Some(node), (now, now), texts(what, &id));
                }
            }
            _ => {}
        }
    }

    /// Everything that was kept; it keeps no more.
    pub fn take(&self) -> Activities {
        let taken = self.spans().map(|mut spans| std::mem::take(&mut *spans)).unwrap_or_default();
        Activities { spans: taken.list, left_out: taken.left_out }
    }
}

fn texts(what: &str, subject: &str) -> (String, String, String) {
    (what.to_owned(), subject.to_owned(), String::new())
}

fn short(text: String) -> String {
    match text.char_indices().nth(MAX_TEXT) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

impl Spans {
    fn keep(
        &mut self,
        place: Place,
        node: Option<&str>,
        (begin, end): (u64, u64),
        (what, subject, trouble): (String, String, String),
    ) {
        if self.list.len() == MAX_SPANS {
            self.left_out += 1;
            return;
        }
        let (what, subject, trouble) = (short(what), short(subject), short(trouble));
        let node = node.map(str::to_owned);
        self.list.push(Span { place, node, what, subject, begin, end, trouble });
    }

    fn port(&mut self, node: &str, change: &RowChange<'_>, now: u64) {
        let name = if change.is_there() { change.after("name") } else { change.before("name") }.concat();
        if is_of_others(&name) {
            return;
        }
        let key = (node.to_owned(), name);
        if !change.is_there() {
            self.unresolved.remove(&key);
            self.keep(Place::Vrs, Some(node), (now, now), texts("port gone", &key.1));
            return;
        }
        if !change.was_there() {
            self.keep(Place::Vrs, Some(node), (now, now), texts("port made", &key.1));
            self.unresolved.insert(key.clone(), now);
        }
        let address = change.after("ip_addr").concat();
        if !address.is_empty()
            && address != NO_ADDRESS
            && let Some(since) = self.unresolved.remove(&key)
        {
            let what = format!("resolved to {address}");
            self.keep(Place::Vsc, Some(node), (since, now), texts(&what, &key.1));
        }
    }
}

/// A node's log that also tells what the audit says it did.
pub(crate) struct ToldLog {
    /// Where it goes to.
    pub(crate) log: Arc<dyn Log>,
    /// Who keeps it.
    pub(crate) activity: Activity,
    /// Whose it is.
    pub(crate) node: String,
}

impl Log for ToldLog {
    fn write(&self, file: &LogFile, line: &str) {
        if file.path.ends_with(AUDIT_FILE_NAME) {
            self.activity.happened(Place::Audit, &self.node, line, "");
        }
        self.log.write(file, line);
    }

    fn report(&self, socket: &Path, datagram: &[u8]) {
        self.log.report(socket, datagram);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_keeps_nothing_makes_no_text() {
        let nothing = Activity::default();
        nothing.ended(Place::Vsd, None, 0, || panic!("a text that nobody reads"));
        assert_eq!(nothing.take(), Activities::default());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_kept_is_bounded_and_says_how_much_more_there_was() {
        let activity = Activity::kept();
        for _ in 0..MAX_SPANS + 3 {
            activity.happened(Place::Vrs, "node-1", "port made", "x");
        }
        activity.ended(Place::Call, None, 0, || ("w".repeat(999), String::new(), String::new()));
        let mut kept = activity.take();
        assert_eq!((kept.spans.len(), kept.left_out), (MAX_SPANS, 4));
        kept.append(kept.clone(), 7);
        assert_eq!((kept.spans.len(), kept.left_out), (MAX_SPANS, 8 + MAX_SPANS as u64));
        activity.ended(Place::Call, None, 0, || ("w".repeat(999), String::new(), String::new()));
        assert_eq!(activity.take().spans[0].what.len(), MAX_TEXT + 3);
    }
}
