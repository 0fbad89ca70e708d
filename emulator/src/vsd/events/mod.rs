//! What has changed, for whoever listens: a log of events that reaches back to the place of the slowest listener,
//! and the places that listeners know by a UUID. Nothing is written down while nobody listens, and nothing is
//! forgotten that somebody who is still there has not been told.

mod describe;
mod poll;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use uuid::Uuid;

pub(super) use describe::describe;
pub(super) use poll::{asked, poll};

use super::access::Line;

/// How long a listener may stay away: the real VSD's `inactiveTimeout`.
const IDLE: Duration = Duration::from_mins(10);
/// The most places that are remembered. A client that loses every reply makes a new one with each poll.
const MOST_PLACES: usize = 4096;
/// The most events and bytes that wait for a slow listener; it begins anew when there are more.
const MOST_EVENTS: usize = 65_536;
const MOST_BYTES: usize = 128 * 1024 * 1024;

/// One change of one object.
#[derive(Debug)]
pub(super) struct Event {
    /// As it is sent.
    json: Box<str>,
    /// What it is about, for who may see it.
    line: Line,
}

/// Where a listener is in the log.
#[derive(Debug)]
struct Place {
    /// The number of the first event that was not told.
    next: u64,
    seen: Instant,
    /// The place that its owner came from. Whoever asks from here got the reply that led here, so nobody will ask
    /// from there again.
    from: Option<Uuid>,
}

/// The log and the places in it.
#[derive(Debug)]
pub(super) struct Events {
    log: VecDeque<Arc<Event>>,
    /// The number of the first event in the log.
    first: u64,
    bytes: usize,
    places: BTreeMap<Uuid, Place>,
    /// Says that there is something new.
    news: watch::Sender<u64>,
}

impl Events {
    pub(super) fn new() -> Self {
        Self {
            log: VecDeque::new(),
            first: 0,
            bytes: 0,
            places: BTreeMap::new(),
            news: watch::Sender::new(0),
        }
    }

    /// Whether anybody listens.
    pub(super) fn wanted(&self) -> bool {
        !self.places.is_empty()
    }

    fn end(&self) -> u64 {
        self.first + self.log.len() as u64
    }

    /// Adds what has just happened.
    pub(super) fn append(&mut self, events: Vec<Event>) {
        if events.is_empty() {
            return;
        }
        for event in events {
            self.bytes += event.json.len();
            self.log.push_back(Arc::new(event));
        }
        while self.log.len() > MOST_EVENTS || self.bytes > MOST_BYTES {
            self.drop_first();
        }
        let first = self.first;
        self.places.retain(|_, place| place.next >= first);
        self.news.send_replace(self.end());
    }

    /// The place that a listener names, or a new one at the end: by `id`, which must be new.
    fn enter(&mut self, known: Option<Uuid>, id: Uuid, now: Instant) -> Uuid {
        self.places.retain(|_, place| now.duration_since(place.seen) < IDLE);
        let Some(place) = known.and_then(|known| self.places.get_mut(&known)) else {
            self.place(id, self.end(), None, now);
            self.trim();
            return id;
        };
        place.seen = now;
        let from = place.from.take();
        if let Some(from) = from {
            self.places.remove(&from);
        }
        self.trim();
        known.unwrap_or(id)
    }

    fn place(&mut self, id: Uuid, next: u64, from: Option<Uuid>, now: Instant) {
        if self.places.len() >= MOST_PLACES {
            let longest = self.places.iter().min_by_key(|(_, place)| place.seen).map(|(id, _)| *id);
            if let Some(longest) = longest {
                self.places.remove(&longest);
            }
        }
        self.places.insert(id, Place { next, seen: now, from });
    }

    /// Forgets a place that nobody was told of.
    fn leave(&mut self, id: Uuid) {
        self.places.remove(&id);
        self.trim();
    }

    /// At most `most` events that may be seen, and the place behind them, which is called `id`; nothing where
    /// there are none, or the place is gone.
    fn take(
        &mut self,
        place: Uuid,
        seen: impl Fn(&Line) -> bool,
        most: usize,
        id: Uuid,
        now: Instant,
    ) -> Option<Vec<Arc<Event>>> {
        let from = self.places.get_mut(&place)?;
        let skipped = usize::try_from(from.next.checked_sub(self.first)?).ok()?;
        let mut next = from.next;
        let mut found = Vec::new();
        for event in self.log.iter().skip(skipped) {
            if found.len() == most {
                break;
            }
            next += 1;
            if seen(&event.line) {
                found.push(Arc::clone(event));
            }
        }
        if found.is_empty() {
            // What it may not see is no reason to hold the log back.
            from.next = next;
            return None;
        }
        self.place(id, next, Some(place), now);
        Some(found)
    }

    fn knows(&self, place: Uuid) -> bool {
        self.places.contains_key(&place)
    }

    /// Forgets what everybody was told.
    fn trim(&mut self) {
        let end = self.end();
        let slowest = self.places.values().map(|place| place.next).min().unwrap_or(end);
        while self.first < slowest && !self.log.is_empty() {
            self.drop_first();
        }
    }

    fn drop_first(&mut self) {
        if let Some(event) = self.log.pop_front() {
            self.bytes -= event.json.len();
            self.first += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(text: &str) -> Event {
        Event { json: text.into(), line: Line::default() }
    }

    fn taken(events: &mut Events, place: Uuid, id: Uuid) -> Vec<String> {
        let found = events.take(place, everything, 100, id, Instant::now());
        found.into_iter().flatten().map(|event| event.json.to_string()).collect()
    }

    fn everything(_: &Line) -> bool {
        true
    }

    const A: Uuid = Uuid::from_u128(1);
    const B: Uuid = Uuid::from_u128(2);
    const C: Uuid = Uuid::from_u128(3);

    #[test]
    fn a_reply_that_was_lost_is_told_again_until_its_successor_is_used() {
        let (mut events, now) = (Events::new(), Instant::now());
        assert_eq!(events.enter(None, A, now), A);
        events.append(vec![event("1")]);
        assert_eq!(taken(&mut events, A, B), ["1"]);
        events.append(vec![event("2")]);
        assert_eq!(events.enter(Some(A), C, now), A, "B was never received");
        assert_eq!(taken(&mut events, A, C), ["1", "2"]);
        assert_eq!(events.enter(Some(C), Uuid::nil(), now), C);
        assert!(!events.knows(A), "nobody asks from there again");
    }

    #[test]
    fn what_nobody_waits_for_is_not_kept_and_who_stays_away_waits_no_longer() {
        let (mut events, now) = (Events::new(), Instant::now());
        assert!(!events.wanted());
        events.enter(None, A, now);
        events.append(vec![event("1")]);
        assert_eq!(events.log.len(), 1);
        events.enter(None, B, now + IDLE);
        assert!(!events.knows(A));
        assert_eq!((events.log.len(), events.bytes, events.end()), (0, 0, 1));
        events.leave(B);
        assert!(!events.wanted());
    }

    #[test]
    fn a_log_that_outgrows_its_bound_drops_the_oldest_and_who_waited_for_it() {
        let (mut events, now) = (Events::new(), Instant::now());
        events.enter(None, A, now);
        events.append(vec![event("1")]);
        events.enter(None, B, now);
        events.append((0..MOST_EVENTS).map(|_| event("n")).collect());
        assert!(!events.knows(A));
        assert_eq!(
            events.take(B, everything, usize::MAX, C, now).map(|found| found.len()),
            Some(MOST_EVENTS)
        );
    }

    #[test]
    fn places_are_bounded_and_the_one_that_waits_longest_goes() {
        let (mut events, now) = (Events::new(), Instant::now());
        events.enter(None, A, now);
        for number in 0..MOST_PLACES {
            let id = Uuid::from_u128(1000 + number as u128);
            events.enter(None, id, now + Duration::from_millis(1));
        }
        assert_eq!(events.places.len(), MOST_PLACES);
        assert!(!events.knows(A));
    }
}
