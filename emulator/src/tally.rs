//! A counter that others wait on. It wakes them in the order in which they began to wait; `tokio::sync::watch` wakes
//! them in an order of its own that differs from run to run, and with it a simulation would.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Notify;

/// The counter. Clones are handles of the same one.
#[derive(Clone, Debug, Default)]
pub struct Tally(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    count: AtomicU64,
    changed: Notify,
}

/// Somebody who waits for the counter to change.
#[derive(Clone, Debug)]
pub struct Seen {
    tally: Tally,
    count: u64,
}

impl Tally {
    /// What it stands at.
    pub fn get(&self) -> u64 {
        self.0.count.load(Ordering::SeqCst)
    }

    /// Sets it and wakes whoever waits for a change.
    pub fn set(&self, count: u64) {
        self.0.count.store(count, Ordering::SeqCst);
        self.0.changed.notify_waiters();
    }

    /// Counts one more.
    pub fn step(&self) {
        self.0.count.fetch_add(1, Ordering::SeqCst);
        self.0.changed.notify_waiters();
    }

    /// Waits until it is no more nought, where it begins.
    pub async fn beyond_nought(&self) {
        let mut seen = Seen { tally: self.clone(), count: 0 };
        seen.changed().await;
    }

    /// Somebody who knows what it stands at now.
    pub fn subscribe(&self) -> Seen {
        Seen { tally: self.clone(), count: self.get() }
    }
}

impl Seen {
    /// Takes what it stands at for known.
    pub fn mark(&mut self) {
        self.count = self.tally.get();
    }

    /// Waits until it stands at something else than what is known. Can be dropped and called again without missing
    /// anything.
    pub async fn changed(&mut self) {
        loop {
            let changed = self.tally.0.changed.notified();
            tokio::pin!(changed);
            // From here on no change can be missed.
            changed.as_mut().enable();
            let count = self.tally.get();
            if count != self.count {
                self.count = count;
                return;
            }
            changed.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[tokio::test]
    async fn all_who_wait_are_woken_in_the_order_in_which_they_began_to_wait() {
        let (tally, woken) = (Tally::default(), Arc::new(Mutex::new(Vec::new())));
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..100 {
            let (mut seen, woken) = (tally.subscribe(), Arc::clone(&woken));
            tasks.spawn(async move {
                seen.changed().await;
                woken.lock().unwrap().push(number);
            });
            tokio::task::yield_now().await;
        }
        tally.step();
        tasks.join_all().await;
        assert_eq!(*woken.lock().unwrap(), (0..100).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn a_change_that_came_before_the_wait_is_not_missed_and_is_told_once() {
        let tally = Tally::default();
        let mut seen = tally.subscribe();
        tally.step();
        tally.step();
        seen.changed().await;
        let again = tokio::time::timeout(std::time::Duration::from_millis(1), seen.changed());
        assert!(again.await.is_err());
        tally.set(7);
        seen.mark();
        let again = tokio::time::timeout(std::time::Duration::from_millis(1), seen.changed());
        assert!(again.await.is_err());
        assert_eq!(tally.get(), 7);
    }
}
