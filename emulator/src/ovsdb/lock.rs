//! Locks (RFC 7047 section 4.1.8 to 4.1.11): who holds each, and who waits for it. Pure; whoever calls tells the sessions.

use std::collections::{BTreeMap, VecDeque};

/// The locks of a server. A session is known by its number.
#[derive(Debug, Default)]
pub(super) struct Locks(BTreeMap<String, VecDeque<u64>>);

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
    /// Nobody gets it because of that.
    Free,
    /// Another session has it from now on because of that.
    HeldBy(u64),
}

impl Locks {
    /// Takes a lock, or waits for it; `steal` does not wait, and its holder becomes the first who waits.
    pub(super) fn take(&mut self, name: &str, session: u64, steal: bool) -> Taken {
        let queue = self.0.entry(name.to_owned()).or_default();
        if queue.contains(&session) {
            return Taken::AskedBefore;
        }
        if steal {
            let victim = queue.front().copied();
            queue.push_front(session);
            return Taken::Held { victim };
        }
        queue.push_back(session);
        if queue.len() == 1 { Taken::Held { victim: None } } else { Taken::Waiting }
    }

    /// Gives a lock back or stops waiting for it.
    pub(super) fn release(&mut self, name: &str, session: u64) -> Released {
        let Some(queue) = self.0.get_mut(name) else { return Released::NotAsked };
        let Some(position) = queue.iter().position(|other| *other == session) else {
            return Released::NotAsked;
        };
        queue.remove(position);
        let heir = if position == 0 { queue.front().copied() } else { None };
        if queue.is_empty() {
            self.0.remove(name);
        }
        heir.map_or(Released::Free, Released::HeldBy)
    }

    /// Gives all of a session's locks back; who holds which from now on because of that.
    pub(super) fn release_all(&mut self, session: u64) -> Vec<(String, u64)> {
        let mine: Vec<String> = self
            .0
            .iter()
            .filter(|(_, queue)| queue.contains(&session))
            .map(|(name, _)| name.clone())
            .collect();
        let heirs = mine.into_iter().filter_map(|name| match self.release(&name, session) {
            Released::HeldBy(heir) => Some((name, heir)),
            Released::Free | Released::NotAsked => None,
        });
        heirs.collect()
    }

    /// Whether a session holds a lock.
    pub(super) fn holds(&self, name: &str, session: u64) -> bool {
        self.0.get(name).and_then(VecDeque::front) == Some(&session)
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
        assert_eq!(locks.release("L", 2), Released::Free);
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
}
