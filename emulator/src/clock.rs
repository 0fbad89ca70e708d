//! The emulators' wall clock: the system's outside, an epoch plus tokio's (virtual) time in a simulation. The
//! one place where `SystemTime` is read.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Tells the time of day; waiting goes through `tokio::time`.
#[derive(Clone, Copy, Debug)]
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
}

impl Clock {
    /// A clock that begins at `epoch` (milliseconds since 1970) now and moves with tokio's time.
    pub fn starting_at(epoch: u64) -> Self {
        Self::Virtual { epoch, start: tokio::time::Instant::now() }
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub fn now(&self) -> u64 {
        let elapsed = match self {
            #[expect(clippy::disallowed_methods, reason = "the home of the wall clock")]
            Self::System => SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO),
            Self::Virtual { epoch, start } => Duration::from_millis(*epoch) + start.elapsed(),
        };
        u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
    }
}
