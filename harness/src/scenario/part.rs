//! A load or a fault as a scenario declares it: what it is, and what every one of them can say of its draws. What it draws
//! depends on the seed and its stream alone, never on what else is declared.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use nuage_emulator::faults::Picked;

use super::key::Key;
use super::reader::{Reader, keys_of};
use super::registry::{self, Kind};
use crate::error::Error;
use crate::random::{Draws, Random};

/// More loads or faults than this are no scenario that a person reads.
const MAX_STREAM: u64 = 10_000;
/// As many numbers as one list may have.
const MAX_NUMBERS: usize = 10_000;
/// No load makes more pods, no fault strikes more often.
const MAX_NUMBER: u64 = 10_000_000;
/// Streams of faults begin here, those of loads at 1; nought is the world's own.
const FAULTS: u64 = 1 << 32;

/// What is declared: a load or a fault.
pub struct Part<T: ?Sized> {
    what: Arc<T>,
    stream: Option<u64>,
    only: Option<BTreeSet<u64>>,
}

/// Which of the two it is: their streams are different ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// A load.
    Load,
    /// A fault.
    Fault,
}

impl<T: ?Sized> Part<T> {
    /// Reads it by its `kind`; `only` says what that key is for, for the kinds that take it.
    pub(super) fn read(
        kinds: &'static [Kind<T>],
        only: fn(&str) -> Option<&'static str>,
        reader: Reader<'_>,
    ) -> Result<Self, Error> {
        registry::read(kinds, reader, |kind, reader| Self::of(kind, only(kind.name), reader))
    }

    /// Its keys.
    pub(super) fn keys(kind: &Kind<T>, only: Option<&'static str>) -> Vec<Key> {
        keys_of(|reader| Self::of(kind, only, reader))
    }

    fn of(kind: &Kind<T>, only: Option<&'static str>, reader: &mut Reader<'_>) -> Result<Self, Error> {
        // All are asked before one is missed, so that the keys are known in any case.
        let what = (kind.read)(reader);
        let about = "which stream of the seed it draws from; what it draws is the same wherever it stands";
        let stream = reader.optional_number("stream", about, "its place in the file", 1..=MAX_STREAM);
        let only = only.map(|about| reader.numbers("only", about, "all of them", MAX_NUMBERS, MAX_NUMBER));
        Ok(Self { what: what?, stream: stream?, only: only.transpose()?.flatten() })
    }

    /// What it draws from with this seed, at this place among its like, counted from nought.
    pub fn draws(&self, seed: u64, side: Side, place: usize) -> Draws {
        let stream = self.stream.unwrap_or(place as u64 + 1);
        let stream = if side == Side::Fault { FAULTS + stream } else { stream };
        let picked = self.only.clone().map_or_else(Picked::default, Picked::only);
        Draws { random: Random::stream(seed, stream), picked }
    }
}

impl<T: ?Sized> Deref for Part<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.what
    }
}

impl<T: ?Sized> Clone for Part<T> {
    fn clone(&self) -> Self {
        Self { what: Arc::clone(&self.what), stream: self.stream, only: self.only.clone() }
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for Part<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.what.fmt(formatter)
    }
}
