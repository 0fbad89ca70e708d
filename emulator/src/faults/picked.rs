//! Which of many things that are drawn come about. What does not is drawn all the same, so that all others stay as they were:
//! a run is made smaller that way, one event at a time. Decides nothing by itself: without a list everything comes about.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A counter of what is drawn, and which of it comes about. Clones count together.
#[derive(Clone, Debug, Default)]
pub struct Picked {
    only: Option<Arc<BTreeSet<u64>>>,
    drawn: Arc<AtomicU64>,
}

impl Picked {
    /// Only these, counted from 1.
    pub fn only(numbers: BTreeSet<u64>) -> Self {
        Self { only: Some(Arc::new(numbers)), drawn: Arc::default() }
    }

    /// Counts one more; whether it comes about.
    pub fn comes_about(&self) -> bool {
        let number = self.drawn.fetch_add(1, Ordering::Relaxed) + 1;
        self.only.as_ref().is_none_or(|only| only.contains(&number))
    }

    /// How many were drawn so far, come about or not.
    pub fn drawn(&self) -> u64 {
        self.drawn.load(Ordering::Relaxed)
    }
}

impl PartialEq for Picked {
    /// By what comes about, not by how far the counting is.
    fn eq(&self, other: &Self) -> bool {
        self.only == other.only
    }
}

impl Eq for Picked {}
