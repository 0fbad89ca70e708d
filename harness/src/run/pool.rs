//! Many runs on several threads. Nothing is shared between runs: each has its own world, clock and randomness, so which runs
//! beside which changes nothing. Results come in the order of the work, whoever is done first.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

/// Does the pieces of work `0..count` on `jobs` threads and hands each result to `take`, in order, until that says no.
pub fn in_order<T: Send>(
    count: usize,
    jobs: NonZeroUsize,
    work: impl Fn(usize) -> T + Sync,
    mut take: impl FnMut(T) -> bool,
) {
    let next = AtomicUsize::new(0);
    let (sender, receiver) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..jobs.get().min(count) {
            let (sender, next, work) = (sender.clone(), &next, &work);
            scope.spawn(move || {
                loop {
                    let piece = next.fetch_add(1, Ordering::Relaxed);
                    // Nobody listens any more: enough is known.
                    if piece >= count || sender.send((piece, work(piece))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        let (mut early, mut expected) = (BTreeMap::new(), 0);
        for (piece, result) in receiver {
            early.insert(piece, result);
            while let Some(result) = early.remove(&expected) {
                expected += 1;
                if !take(result) {
                    next.store(count, Ordering::Relaxed);
                    return;
                }
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jobs(number: usize) -> NonZeroUsize {
        NonZeroUsize::new(number).unwrap()
    }

    #[test]
    fn results_come_in_the_order_of_the_work_on_any_number_of_threads() {
        for threads in [1, 2, 7, 100] {
            let mut results = Vec::new();
            in_order(
                50,
                jobs(threads),
                |piece| piece * 2,
                |result| {
                    results.push(result);
                    true
                },
            );
            assert_eq!(results, (0..50).map(|piece| piece * 2).collect::<Vec<_>>());
        }
    }

    #[test]
    fn who_has_seen_enough_gets_no_more() {
        let mut seen = 0;
        in_order(
            1000,
            jobs(3),
            |piece| piece,
            |result| {
                seen += 1;
                result < 4
            },
        );
        assert_eq!(seen, 5);
    }

    #[test]
    fn no_work_is_no_result() {
        in_order(0, jobs(4), |piece| piece, |_| panic!("a result of nothing"));
    }
}
