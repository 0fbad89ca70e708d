//! Whoever wants this process to end says so by SIGINT or SIGTERM. Nothing is ended here: what is running looks at the flag.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
#[cfg(unix)]
use std::sync::mpsc;
#[cfg(unix)]
use std::thread;

#[cfg(unix)]
use tokio::signal::unix::{SignalKind, signal};

/// Whether somebody wants this process to end. Clones are handles of the same one.
#[derive(Clone, Debug, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// One that the signals of this process set, from now on. Where they cannot be listened to they end the process, as ever.
    #[cfg(not(unix))]
    pub fn by_signals() -> Self {
        Self::default()
    }

    /// One that the signals of this process set, from now on. Where they cannot be listened to they end the process, as ever.
    #[cfg(unix)]
    pub fn by_signals() -> Self {
        let interrupt = Self::default();
        let (ready, listens) = mpsc::channel();
        let set = interrupt.clone();
        thread::spawn(move || {
            let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_io().build() else {
                return;
            };
            runtime.block_on(async {
                let (Ok(mut interrupt), Ok(mut terminate)) =
                    (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
                else {
                    return;
                };
                let _ = ready.send(());
                tokio::select! {
                    biased;
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
                set.set();
            });
        });
        // Nobody is told before it is listened; a thread that has ended without it says so, too.
        let _ = listens.recv();
        interrupt
    }

    /// Sets it.
    pub fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it is set.
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
