//! Many runs on several threads. Nothing is shared between runs: each has its own world, clock and randomness, so which runs
//! beside which changes nothing. Results come in the order of the work, whoever is done first. An interrupt ends it at once.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::interrupt::Interrupt;

/// How often it is looked whether somebody wants an end.
const LOOK: Duration = Duration::from_millis(50);

/// What becomes of pieces of work that are under way when somebody wants an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnderWay {
    /// They have nothing to clean up: they are left, and end with the process.
    Left,
    /// They end themselves, and are waited for.
    Awaited,
}

/// How many do what, and until when.
#[derive(Clone, Debug)]
pub struct Pool {
    /// On how many threads.
    pub jobs: NonZeroUsize,
    /// What ends it early.
    pub interrupt: Interrupt,
    /// What that does to those that are under way.
    pub under_way: UnderWay,
}

impl Pool {
    /// So many threads, which nothing interrupts.
    pub fn of(jobs: NonZeroUsize) -> Self {
        Self { jobs, interrupt: Interrupt::default(), under_way: UnderWay::Awaited }
    }

    /// Does the pieces of work `0..count` and hands each result to `take`, in order, until that says no. After an interrupt no
    /// further piece is begun, and `take` gets what is done already, in order and with gaps.
    pub fn in_order<T: Send + 'static>(
        &self,
        count: usize,
        work: impl Fn(usize) -> T + Send + Sync + 'static,
        mut take: impl FnMut(T) -> bool,
    ) {
        let (next, work) = (Arc::new(AtomicUsize::new(0)), Arc::new(work));
        let (sender, receiver) = mpsc::channel();
        let begin = |_| {
            let (sender, next, work) = (sender.clone(), Arc::clone(&next), Arc::clone(&work));
            let interrupt = self.interrupt.clone();
            thread::spawn(move || {
                loop {
                    let piece = next.fetch_add(1, Ordering::Relaxed);
                    let over = piece >= count || interrupt.is_set();
                    // Nobody listens any more: enough is known.
                    if over || sender.send((piece, work(piece))).is_err() {
                        return;
                    }
                }
            })
        };
        let threads: Vec<JoinHandle<()>> = (0..self.jobs.get().min(count)).map(begin).collect();
        drop(sender);
        let (mut early, mut expected, mut wanted) = (BTreeMap::new(), 0, true);
        loop {
            if self.interrupt.is_set() || !wanted {
                next.store(count, Ordering::Relaxed);
                if self.under_way == UnderWay::Left {
                    early.extend(receiver.try_iter());
                    break;
                }
            }
            let (piece, result) = match receiver.recv_timeout(LOOK) {
                Ok(done) => done,
                Err(RecvTimeoutError::Timeout) => continue,
                Err(RecvTimeoutError::Disconnected) => break,
            };
            early.insert(piece, result);
            while let Some(result) = early.remove(&expected).filter(|_| wanted) {
                expected += 1;
                wanted = take(result);
            }
        }
        if !wanted {
            return;
        }
        if self.interrupt.is_set() {
            // What lies behind one that was not made is known all the same.
            let _ = early.into_values().all(&mut take);
            return;
        }
        // All have ended; one that has panicked ends this thread, too.
        for thread in threads {
            if let Err(panic) = thread.join() {
                resume_unwind(panic);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(jobs: usize) -> Pool {
        Pool::of(NonZeroUsize::new(jobs).unwrap())
    }

    #[test]
    fn results_come_in_the_order_of_the_work_on_any_number_of_threads() {
        for threads in [1, 2, 7, 100] {
            let mut results = Vec::new();
            let take = |result: usize| {
                results.push(result);
                true
            };
            pool(threads).in_order(50, |piece| piece * 2, take);
            assert_eq!(results, (0..50).map(|piece| piece * 2).collect::<Vec<_>>());
        }
    }

    #[test]
    fn who_has_seen_enough_gets_no_more() {
        let mut seen = 0;
        let take = |result: usize| {
            seen += 1;
            result < 4
        };
        pool(3).in_order(1000, |piece| piece, take);
        assert_eq!(seen, 5);
    }

    #[test]
    fn no_work_is_no_result() {
        pool(4).in_order(0, |piece| piece, |_| panic!("a result of nothing"));
    }

    #[test]
    fn an_interrupt_waits_for_nobody_and_keeps_what_is_done() {
        let (interrupt, under_way) = (Interrupt::default(), UnderWay::Left);
        let pool = Pool { interrupt: interrupt.clone(), under_way, ..pool(3) };
        let (release, held) = mpsc::channel::<()>();
        let held = std::sync::Mutex::new(held);
        // The first piece never ends by itself, so the others come early.
        let work = move |piece: usize| {
            if piece == 0 {
                let _ = held.lock().unwrap().recv();
            }
            if piece == 9 {
                interrupt.set();
            }
            piece
        };
        let mut seen = Vec::new();
        let take = |piece: usize| {
            seen.push(piece);
            true
        };
        pool.in_order(1_000_000, work, take);
        assert!(seen.len() >= 7 && !seen.contains(&0) && seen.is_sorted(), "{seen:?}");
        drop(release);
    }

    #[test]
    fn what_cleans_up_after_itself_is_waited_for() {
        let interrupt = Interrupt::default();
        let pool = Pool { interrupt: interrupt.clone(), ..pool(4) };
        let (begun, ended) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let counts = (Arc::clone(&begun), Arc::clone(&ended));
        let work = move |piece: usize| {
            counts.0.fetch_add(1, Ordering::SeqCst);
            if piece == 20 {
                interrupt.set();
            }
            counts.1.fetch_add(1, Ordering::SeqCst);
        };
        pool.in_order(1_000_000, work, |()| true);
        assert_eq!(begun.load(Ordering::SeqCst), ended.load(Ordering::SeqCst));
    }

    #[test]
    #[should_panic(expected = "a run that panics")]
    fn a_piece_that_panics_is_no_success() {
        let work = |piece: usize| assert!(piece != 3, "a run that panics");
        pool(2).in_order(10, work, |()| true);
    }
}
