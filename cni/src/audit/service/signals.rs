//! Signals of the operating system: TERM, INT and QUIT end the daemon, HUP begins it anew with its files as they are.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::audit::run::Signal;

/// Takes signals from now on and hands them on. Ends with whoever takes them.
///
/// # Errors
/// The operating system's refusal.
pub fn listen(signals: mpsc::Sender<Signal>) -> io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut quit = signal(SignalKind::quit())?;
    let mut hangups = signal(SignalKind::hangup())?;
    Ok(async move {
        loop {
            let told = tokio::select! {
                biased;
                _ = terminate.recv() => Signal::Stop,
                _ = interrupt.recv() => Signal::Stop,
                _ = quit.recv() => Signal::Stop,
                _ = hangups.recv() => Signal::Reload,
            };
            if signals.send(told).await.is_err() {
                return;
            }
        }
    })
}
