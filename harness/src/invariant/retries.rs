//! `bounded_retries`: a process that tries again and again takes a switch or a server down that has just come back.

use super::Invariant;

/// No call needs more connections and requests, whatever is wrong: a budget of 90 s with a pause after each failure.
const MOST: u64 = 250;

pub(super) const INVARIANT: Invariant = Invariant::of_call(
    "bounded_retries",
    "a call makes at most 250 connections and requests, whatever is wrong",
    |view| match view.ended.attempts {
        ..=MOST => Ok(()),
        many => Err(format!("{} made {many} connections and requests", view.name())),
    },
);
