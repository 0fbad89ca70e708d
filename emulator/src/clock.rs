//! The emulators' wall clock: the system's outside, an epoch plus tokio's (virtual) time in a simulation. The
//! one place where `SystemTime` is read.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Tells the time of day; waiting goes through `tokio::time`.
#[derive(Clone, Debug)]
pub enum Clock {
    /// The system's clock.
    System,
    /// A start in milliseconds since 1970 and the instant it was that time.
    Virtual {
        /// Milliseconds since 1970 at `start`.
        epoch: u64,
        /// The instant that the simulation began.
        start: tokio::time::Instant,
    },
    /// As virtual, and somebody may set it.
    Settable {
        /// Milliseconds since 1970 at `start`.
        epoch: u64,
        /// The instant that the simulation began.
        start: tokio::time::Instant,
        /// By how many milliseconds it was set forward (or back) since.
        jumped: Arc<AtomicI64>,
    },
}

impl Clock {
    /// A clock that begins at `epoch` (milliseconds since 1970) now, moves with tokio's time, and can be set.
    pub fn starting_at(epoch: u64) -> Self {
        Self::Settable { epoch, start: tokio::time::Instant::now(), jumped: Arc::default() }
    }

    /// Sets it, and its clones, forward by so many milliseconds, or back. Only a settable one is anybody's to set.
    pub fn jump(&self, milliseconds: i64) {
        if let Self::Settable { jumped, .. } = self {
            jumped.fetch_add(milliseconds, Ordering::Relaxed);
        }
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub fn now(&self) -> u64 {
        let elapsed = match self {
            #[expect(clippy::disallowed_methods, reason = "the home of the wall clock")]
            Self::System => SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO),
            Self::Virtual { epoch, start } => Duration::from_millis(*epoch) + start.elapsed(),
            Self::Settable { epoch, start, jumped } => {
                let set = epoch.saturating_add_signed(jumped.load(Ordering::Relaxed));
                Duration::from_millis(set) + start.elapsed()
            }
        };
        u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
    }
}
