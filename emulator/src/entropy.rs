//! The emulators' only source of randomness: one seeded generator, handed down. Never a global one, so that a
//! run with the same seed makes the same identifiers.

use std::sync::{Arc, Mutex, PoisonError};

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

/// A seeded generator that its clones share.
#[derive(Clone, Debug)]
pub struct Entropy(Arc<Mutex<ChaCha8Rng>>);

impl Entropy {
    /// A generator whose output is a function of `seed` alone.
    pub fn seeded(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(ChaCha8Rng::seed_from_u64(seed))))
    }

    /// 64 random bits.
    pub fn next(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).next_u64()
    }

    /// A random (version 4) UUID.
    pub fn uuid(&self) -> uuid::Uuid {
        let mut bytes = [0; 16];
        self.0.lock().unwrap_or_else(PoisonError::into_inner).fill_bytes(&mut bytes);
        uuid::Builder::from_random_bytes(bytes).into_uuid()
    }
}
