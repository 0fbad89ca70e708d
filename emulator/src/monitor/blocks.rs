//! The address pool, cut into blocks of one size: who has which. Pure; never talks to the VSD.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use ipnet::Ipv4Net;

/// A pool whose blocks are claimed lowest first. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Blocks {
    pool: Ipv4Net,
    prefix: u8,
    taken: Arc<Mutex<BTreeSet<Ipv4Net>>>,
}

/// A block that nobody else gets. Given back when dropped, unless it was kept.
#[derive(Debug)]
pub(super) struct Claim {
    pub(super) block: Ipv4Net,
    taken: Arc<Mutex<BTreeSet<Ipv4Net>>>,
    kept: bool,
}

impl Blocks {
    /// Blocks of `prefix` bits; the pool itself is the only one where that is shorter than its own prefix.
    pub(super) fn new(pool: Ipv4Net, prefix: u8) -> Self {
        let prefix = prefix.clamp(pool.prefix_len(), 32);
        Self { pool: pool.trunc(), prefix, taken: Arc::default() }
    }

    /// Says that a range is in use by others.
    pub(super) fn mark(&self, range: Ipv4Net) {
        if !self.pool.contains(&range) && !range.contains(&self.pool) {
            return;
        }
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.insert(range.trunc());
    }

    /// Says that a range is free again.
    pub(super) fn free(&self, range: Ipv4Net) {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).remove(&range.trunc());
    }

    /// Forgets who has which.
    pub(super) fn clear(&self) {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Whether no block is free.
    pub(super) fn exhausted(&self) -> bool {
        self.lowest(&self.taken.lock().unwrap_or_else(PoisonError::into_inner)).is_none()
    }

    /// The lowest block that overlaps nothing in use.
    pub(super) fn claim(&self) -> Option<Claim> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let block = self.lowest(&taken)?;
        taken.insert(block);
        Some(Claim { block, taken: Arc::clone(&self.taken), kept: false })
    }

    fn lowest(&self, taken: &BTreeSet<Ipv4Net>) -> Option<Ipv4Net> {
        let overlaps = |block: &Ipv4Net| {
            // Ranges either nest or are disjoint: one that overlaps holds the block or lies inside it.
            let around = (0..=self.prefix).filter_map(|prefix| Ipv4Net::new(block.addr(), prefix).ok());
            let inside = taken.range(*block..).next().is_some_and(|range| block.contains(range));
            inside || around.map(|range| range.trunc()).any(|range| taken.contains(&range))
        };
        self.pool.subnets(self.prefix).ok()?.find(|block| !overlaps(block))
    }
}

impl Claim {
    /// Keeps the block for good.
    pub(super) fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if !self.kept {
            self.taken.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.block);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_block_that_overlaps_nothing_is_claimed_and_given_back_unless_kept() {
        let blocks = Blocks::new("10.0.0.0/22".parse().unwrap(), 24);
        let block = |text: &str| text.parse::<Ipv4Net>().unwrap();
        blocks.mark(block("10.0.1.128/25"));
        blocks.mark(block("192.168.0.0/16"));
        let first = blocks.claim().unwrap();
        assert_eq!(first.block, block("10.0.0.0/24"));
        let second = blocks.claim().unwrap();
        assert_eq!(second.block, block("10.0.2.0/24"));
        second.keep();
        drop(first);
        blocks.claim().unwrap().keep();
        assert_eq!(blocks.claim().unwrap().block, block("10.0.3.0/24"));
        blocks.free(block("10.0.2.0/24"));
        assert_eq!(blocks.claim().unwrap().block, block("10.0.2.0/24"));
        blocks.mark(block("10.0.0.0/8"));
        assert!(blocks.claim().is_none());
    }
}
