//! The system's time of day: the one place of the plugin that reads it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::host::Clock;

/// The system's clock.
#[derive(Debug)]
pub(super) struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Duration {
        #[expect(clippy::disallowed_methods, reason = "the home of the wall clock")]
        let now = SystemTime::now();
        now.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO)
    }
}
