//! `no_secret_in_logs_or_events`: tokens and keys of a node stay where they were put.

use super::{CallView, Invariant};

pub(super) const INVARIANT: Invariant = Invariant::of_call(
    "no_secret_in_logs_or_events",
    "no token and no key is in an answer, a log line or a figure that a call hands to the audit",
    check,
);

fn check(view: &CallView<'_>) -> Result<(), String> {
    let outcome = view.ended.outcome;
    let answer = outcome.map(|outcome| String::from_utf8_lossy(&outcome.stdout)).unwrap_or_default();
    let error = outcome.and_then(|outcome| outcome.stderr.as_deref()).unwrap_or_default();
    for secret in &view.node().secrets {
        let named = [("its answer", &*answer), ("its standard error", error)];
        let logged = view.ended.told.iter().map(|line| ("the log", line.as_str()));
        if let Some((place, _)) = named.into_iter().chain(logged).find(|(_, text)| text.contains(secret)) {
            // Not the text: this goes to reports.
            return Err(format!("{}: {place} has a secret of {}", view.name(), view.node().name));
        }
    }
    Ok(())
}
