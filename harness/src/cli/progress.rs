//! How far a sweep is, in one line of standard error, for who watches a terminal. Never where output goes to a file, nor with
//! `NO_COLOR`, nor on a terminal that cannot take a line back.

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::stopwatch::Stopwatch;

/// Takes the line back.
const CLEAR: &str = "\r\x1b[K";
/// How wide the bar is, in characters.
const WIDTH: usize = 16;

/// The line.
#[derive(Debug)]
pub(super) struct Progress(Mutex<Option<Bar>>);

#[derive(Debug)]
struct Bar {
    total: usize,
    done: usize,
    failed: usize,
    watch: Stopwatch,
}

impl Progress {
    /// Of so many runs; `wanted`: by what is printed.
    pub(super) fn begin(total: usize, wanted: bool) -> Self {
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        let seen = wanted && total > 1 && !set("NO_COLOR") && !dumb && io::stderr().is_terminal();
        let bar = Bar { total, done: 0, failed: 0, watch: Stopwatch::start() };
        let progress = Self(Mutex::new(seen.then_some(bar)));
        progress.aside(|| {});
        progress
    }

    fn bar(&self) -> MutexGuard<'_, Option<Bar>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more run has ended.
    pub(super) fn tick(&self, failed: bool) {
        if let Some(bar) = self.bar().as_mut() {
            bar.done += 1;
            bar.failed += usize::from(failed);
            draw(&format!("{CLEAR}{}", bar.text()));
        }
    }

    /// Prints something else; the line is away meanwhile.
    pub(super) fn aside<T>(&self, print: impl FnOnce() -> T) -> T {
        let bar = self.bar();
        if bar.is_some() {
            draw(CLEAR);
        }
        let printed = print();
        if let Some(bar) = bar.as_ref() {
            draw(&bar.text());
        }
        printed
    }

    /// It is over, whoever may still be at work.
    pub(super) fn end(&self) {
        if self.bar().take().is_some() {
            draw(CLEAR);
        }
    }
}

impl Bar {
    fn text(&self) -> String {
        text(self.done, self.total, self.failed, self.watch.elapsed())
    }
}

fn text(done: usize, total: usize, failed: usize, elapsed: Duration) -> String {
    let filled = WIDTH * done / total.max(1);
    let mut text = format!("[{}{}] {done} of {total}", "#".repeat(filled), "-".repeat(WIDTH - filled));
    if failed > 0 {
        let _ = write!(text, ", {failed} failed");
    }
    let _ = write!(text, "  {}", clock(elapsed));
    if done > 0 && done < total {
        let rest = elapsed.mul_f64(ratio(total - done, done));
        let _ = write!(text, ", about {} more", clock(rest));
    }
    text
}

#[expect(clippy::cast_precision_loss, reason = "numbers of runs")]
fn ratio(one: usize, other: usize) -> f64 {
    one as f64 / other as f64
}

fn clock(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds / 3600 {
        0 => format!("{}:{:02}", seconds / 60, seconds % 60),
        hours => format!("{hours}:{:02}:{:02}", seconds / 60 % 60, seconds % 60),
    }
}

/// A terminal that went away is no failure.
fn draw(text: &str) {
    let mut terminal = io::stderr().lock();
    let _ = terminal.write_all(text.as_bytes()).and_then(|()| terminal.flush());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_what_is_done_what_failed_and_how_long_it_will_take() {
        let line = text(12, 48, 1, Duration::from_secs(70));
        assert_eq!(line, "[####------------] 12 of 48, 1 failed  1:10, about 3:30 more");
        assert_eq!(text(0, 2, 0, Duration::ZERO), "[----------------] 0 of 2  0:00");
        assert!(text(2, 2, 0, Duration::from_secs(3700)).ends_with("2 of 2  1:01:40"));
        assert!(text(999_999, 1_000_000, 999_999, Duration::from_hours(99)).len() < 79);
    }
}
