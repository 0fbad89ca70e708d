//! What is to be done when: each task at most once at a time, again if it was touched meanwhile, later and later
//! if it fails. Pure; the caller tells the time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

/// The wait after a first failure.
const SHORTEST: Duration = Duration::from_millis(250);
/// The longest wait: whatever a task waits for, it is noticed so soon.
const LONGEST: Duration = Duration::from_secs(10);

/// Something to settle between the VRS and the VSD.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Task {
    /// What the VSD has of this VRS and the VRS has not.
    Orphans,
    /// The entity with this `vm_uuid`.
    Entity(String),
}

#[derive(Debug)]
struct Entry {
    due: Instant,
    failures: u32,
    running: bool,
    touched: bool,
}

#[derive(Debug, Default)]
pub(super) struct Queue {
    tasks: BTreeMap<Task, Entry>,
    waiting: BTreeSet<(Instant, Task)>,
}

impl Queue {
    /// Something happened that concerns the task: it is due now.
    pub(super) fn touch(&mut self, task: Task, now: Instant) {
        let entry = self.tasks.entry(task.clone()).or_insert(Entry {
            due: now,
            failures: 0,
            running: false,
            touched: false,
        });
        if entry.running {
            entry.touched = true;
            return;
        }
        self.waiting.remove(&(entry.due, task.clone()));
        *entry = Entry { due: now, failures: 0, running: false, touched: false };
        self.waiting.insert((now, task));
    }

    /// Takes the task that is due first, if one is.
    pub(super) fn take(&mut self, now: Instant) -> Option<Task> {
        let (due, task) = self.waiting.first().cloned().filter(|(due, _)| *due <= now)?;
        self.waiting.remove(&(due, task.clone()));
        if let Some(entry) = self.tasks.get_mut(&task) {
            entry.running = true;
        }
        Some(task)
    }

    /// A task that was taken has ended.
    pub(super) fn done(&mut self, task: &Task, failed: bool, now: Instant) {
        let Some(entry) = self.tasks.get_mut(task) else { return };
        if !failed && !entry.touched {
            self.tasks.remove(task);
            return;
        }
        let wait = if entry.touched { Duration::ZERO } else { wait(entry.failures) };
        let failures = if failed && !entry.touched { entry.failures.saturating_add(1) } else { 0 };
        *entry = Entry { due: now + wait, failures, running: false, touched: false };
        self.waiting.insert((entry.due, task.clone()));
    }

    /// When the next task is due.
    pub(super) fn due(&self) -> Option<Instant> {
        self.waiting.first().map(|(due, _)| *due)
    }
}

/// How long to wait after so many failures before.
pub(super) fn wait(failures: u32) -> Duration {
    SHORTEST.saturating_mul(1 << failures.min(16)).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_failed_task_comes_back_later_and_later_and_at_once_when_touched() {
        let (mut queue, mut now) = (Queue::default(), Instant::now());
        let task = || Task::Entity("u".to_owned());
        queue.touch(task(), now);
        let mut waits = Vec::new();
        for _ in 0..8 {
            assert_eq!(queue.take(now), Some(task()));
            assert_eq!(queue.take(now), None, "never twice at a time");
            queue.done(&task(), true, now);
            let due = queue.due().unwrap();
            waits.push((due - now).as_millis());
            now = due;
        }
        assert_eq!(waits, [250, 500, 1000, 2000, 4000, 8000, 10_000, 10_000]);
        queue.take(now);
        queue.touch(task(), now);
        queue.done(&task(), true, now);
        assert_eq!(queue.due(), Some(now), "touched while it ran");
        queue.take(now);
        queue.done(&task(), false, now);
        assert_eq!((queue.due(), queue.tasks.len()), (None, 0));
    }
}
