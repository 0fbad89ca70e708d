//! Locks (RFC 7047 section 4.1.8 to 4.1.11): who holds each, and who waits for it. Pure; whoever calls tells the sessions.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// The locks of a server. A session is known by its number.
#[derive(Debug, Default)]
pub(super) struct Locks(BTreeMap<String, Lock>);

#[derive(Debug, Default)]
struct Lock {
    /// Who holds it, then who waits for it; each with whether it was stolen to get there.
    queue: VecDeque<(u64, bool)>,
    /// Who had stolen it and was stolen from: they wait no more, and still have to give it back.
    dispossessed: BTreeSet<u64>,
}

impl Lock {
    fn knows(&self, session: u64) -> bool {
        self.dispossessed.contains(&session) || self.queue.iter().any(|(other, _)| *other == session)
    }

    fn holder(&self) -> Option<u64> {
        self.queue.front().map(|(session, _)| *session)
    }
}

/// What became of an attempt to take a lock.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// The session has it now; from whom it was stolen.
    Held { victim: Option<u64> },
    /// Another session has it; this one waits.
    Waiting,
    /// The session has asked for it before and not given it back.
    AskedBefore,
}

/// What became of a lock that a session has given back or waits for no more.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Released {
    /// The session had neither held it nor waited for it.
    NotAsked,
    /// Nobody is told.
    Free,
    /// This session is told that it holds it, though it may have held it before.
    HeldBy(u64),
}

impl Locks {
    /// Takes a lock, or waits for it; `steal` does not wait. Its holder becomes the first who waits, unless it was stolen
    /// before.
    pub(super) fn take(&mut self, name: &str, session: u64, steal: bool) -> Taken {
        let lock = self.0.entry(name.to_owned()).or_default();
        if lock.knows(session) {
            return Taken::AskedBefore;
        }
        if steal {
            let victim = lock.queue.front().copied();
            if let Some((thief, true)) = victim {
                lock.queue.pop_front();
                lock.dispossessed.insert(thief);
            }
            lock.queue.push_front((session, true));
            return Taken::Held { victim: victim.map(|(session, _)| session) };
        }
        lock.queue.push_back((session, false));
        if lock.queue.len() == 1 { Taken::Held { victim: None } } else { Taken::Waiting }
    }

    /// Gives a lock back or stops waiting for it. As in the real server, its holder is told so whoever of the others goes.
    pub(super) fn release(&mut self, name: &str, session: u64) -> Released {
        let Some(lock) = self.0.get_mut(name).filter(|lock| lock.knows(session)) else {
            return Released::NotAsked;
        };
        let told = if lock.dispossessed.remove(&session) {
            None
        } else {
            lock.queue.retain(|(other, _)| *other != session);
            lock.holder()
        };
        if lock.queue.is_empty() && lock.dispossessed.is_empty() {
            self.0.remove(name);
        }
        told.map_or(Released::Free, Released::HeldBy)
    }

    /// Gives all of a session's locks back; who is told that it holds which.
    pub(super) fn release_all(&mut self, session: u64) -> Vec<(String, u64)> {
        let mine: Vec<String> =
            self.0.iter().filter(|(_, lock)| lock.knows(session)).map(|(name, _)| name.clone()).collect();
        let heirs = mine.into_iter().filter_map(|name| match self.release(&name, session) {
            Released::HeldBy(heir) => Some((name, heir)),
            Released::Free | Released::NotAsked => None,
        });
        heirs.collect()
    }

    /// Whether a session holds a lock.
    pub(super) fn holds(&self, name: &str, session: u64) -> bool {
        self.0.get(name).and_then(Lock::holder) == Some(session)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_goes_to_whoever_waits_longest() {
        let mut locks = Locks::default();
        assert_eq!(locks.take("L", 1, false), Taken::Held { victim: None });
        assert_eq!(locks.take("L", 2, false), Taken::Waiting);
        assert_eq!(locks.take("L", 3, false), Taken::Waiting);
        assert_eq!(locks.take("L", 1, true), Taken::AskedBefore);
        assert_eq!(locks.release("L", 2), Released::HeldBy(1));
        assert_eq!(locks.release("L", 1), Released::HeldBy(3));
        assert!(locks.holds("L", 3));
        assert_eq!(locks.release("L", 1), Released::NotAsked);
    }

    #[test]
    fn whom_a_lock_was_stolen_from_gets_it_back() {
        let mut locks = Locks::default();
        locks.take("L", 1, false);
        locks.take("L", 2, false);
        assert_eq!(locks.take("L", 3, true), Taken::Held { victim: Some(1) });
        assert_eq!(locks.release_all(3), [("L".to_owned(), 1)]);
    }

    #[test]
    fn who_has_stolen_and_was_stolen_from_does_not_get_it_back_and_has_to_give_it_back() {
        let mut locks = Locks::default();
        locks.take("L", 1, true);
        assert_eq!(locks.take("L", 2, true), Taken::Held { victim: Some(1) });
        assert_eq!(locks.release("L", 2), Released::Free);
        assert_eq!(locks.take("L", 1, false), Taken::AskedBefore);
        assert_eq!(locks.release("L", 1), Released::Free);
        assert_eq!(locks.take("L", 1, false), Taken::Held { victim: None });
    }
}
