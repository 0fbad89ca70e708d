//! What the daemon knows of itself, for whoever asks from outside: figures, health, and the last pass. Decides nothing.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::metrics::Metrics;
use super::report::Report;
use crate::error::Error;

/// A loop that has not come round for so many intervals hangs; a pass has a minute, too.
const MISSED_BEATS: u32 = 3;
const LONGEST_PASS: Duration = Duration::from_mins(2);

/// Shared by the daemon's loop and its sockets.
#[derive(Clone, Debug)]
pub struct Shared(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    metrics: Metrics,
    interval: Duration,
    started: Instant,
    beat: Instant,
    /// When a pass last ended well, and what it said.
    last: Option<(Instant, Value)>,
    /// Why the last pass failed, if it did.
    trouble: Option<String>,
    doubts: Vec<String>,
    /// How many passes have ended, well or not.
    passes: u64,
}

impl Shared {
    /// A daemon that begins now and passes at this interval.
    pub fn new(interval: Duration) -> Self {
        let now = Instant::now();
        Self(Arc::new(Mutex::new(State {
            metrics: Metrics::default(),
            interval,
            started: now,
            beat: now,
            last: None,
            trouble: Some("no pass has ended yet".to_owned()),
            doubts: Vec::new(),
            passes: 0,
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The loop has come round.
    pub fn beat(&self) {
        self.state().beat = Instant::now();
    }

    /// The interval has changed.
    pub fn set_interval(&self, interval: Duration) {
        self.state().interval = interval;
    }

    /// A pass has ended.
    pub fn passed(&self, result: &Result<Report, Error>) {
        let mut state = self.state();
        state.passes += 1;
        match result {
            Ok(report) => {
                state.metrics.passed(report);
                state.last = Some((Instant::now(), report.to_json()));
                state.trouble = None;
                state.doubts.clone_from(&report.doubts);
            }
            Err(error) => {
                state.metrics.failed();
                state.trouble = Some(format!("{error}: {}", error.details()));
            }
        }
    }

    /// The connection to the switch stands, or does not.
    pub fn connection(&self, stands: bool) {
        self.state().metrics.connection(stands);
    }

    /// A call of the plugin has said how it went.
    pub fn called(&self, datagram: &[u8]) {
        self.state().metrics.called(datagram);
    }

    /// The figures.
    pub fn metrics(&self) -> String {
        self.state().metrics.text()
    }

    /// Whether the loop comes round.
    pub fn is_alive(&self) -> bool {
        let state = self.state();
        state.beat.elapsed() < state.interval * MISSED_BEATS + LONGEST_PASS
    }

    /// Whether the audit does its work: the last pass ended well, not long ago, and no witness was silent.
    ///
    /// # Errors
    /// Why not.
    pub fn is_ready(&self) -> Result<(), String> {
        let state = self.state();
        if let Some(trouble) = &state.trouble {
            return Err(trouble.clone());
        }
        match &state.last {
            Some((at, _)) if at.elapsed() > state.interval * MISSED_BEATS => {
                Err(format!("the last pass was {} s ago", at.elapsed().as_secs()))
            }
            _ if !state.doubts.is_empty() => Err(state.doubts.join("; ")),
            _ => Ok(()),
        }
    }

    /// Whether the trip wire holds.
    pub fn is_held(&self) -> bool {
        self.state().last.as_ref().is_some_and(|(_, report)| !report["tripped"].is_null())
    }

    /// All of it, for `nuage-audit status`.
    pub fn to_json(&self) -> Value {
        let ready = self.is_ready();
        let state = self.state();
        json!({
            "up_seconds": state.started.elapsed().as_secs(),
            "passes": state.passes,
            "ready": ready.is_ok(),
            "trouble": ready.err(),
            "last_pass": state.last.as_ref().map(|(at, report)| {
                json!({"seconds_ago": at.elapsed().as_secs(), "report": report})
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_daemon_is_ready_once_a_pass_has_ended_without_doubts_and_not_for_ever() {
        let shared = Shared::new(Duration::from_mins(1));
        assert!(shared.is_ready().is_err());
        shared.passed(&Ok(Report::default()));
        assert_eq!(shared.is_ready(), Ok(()));
        shared.passed(&Ok(Report { doubts: vec!["silent".into()], ..Report::default() }));
        assert_eq!(shared.is_ready(), Err("silent".into()));
        shared.passed(&Ok(Report::default()));
        advance(Duration::from_mins(4)).await;
        assert!(shared.is_ready().is_err());
        assert!(shared.is_alive());
        advance(Duration::from_mins(2)).await;
        assert!(!shared.is_alive());
        shared.beat();
        assert!(shared.is_alive());
    }
}
