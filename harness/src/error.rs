//! What can keep a run from being made, apart from what a run finds out.

use std::io;
use std::path::PathBuf;

/// Why there is no run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A scenario that is none: where and why.
    #[error("{path}:{line}:{column}: {message}")]
    Scenario {
        /// The file.
        path: String,
        /// From 1.
        line: usize,
        /// From 1, in characters.
        column: usize,
        /// What is wrong, and what may have been meant.
        message: String,
    },
    /// A file that cannot be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A report that is none, or two that contradict each other.
    #[error("{}: {why}", path.display())]
    Report {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Nothing to run.
    #[error("{}: no scenario there (*.toml)", .0.display())]
    Nothing(PathBuf),
    /// A scenario that cannot be made smaller.
    #[error("{path} with seed {seed}: {why}, so there is nothing to make smaller")]
    NothingToShrink {
        /// The scenario.
        path: String,
        /// The seed.
        seed: u64,
        /// Why not.
        why: &'static str,
    },
    /// The emulators could not be set up.
    #[error("the simulated site: {0}")]
    Site(String),
    /// The machine lacks something, or is asked for what only a simulation can do.
    #[error("{0}")]
    Lacking(String),
    /// A pod cannot be made, found or taken away as asked for; with a hint where a person can act.
    #[error("{0}")]
    Pod(String),
    /// The plugin refuses a call for a pod.
    #[cfg(target_os = "linux")]
    #[error("{0}")]
    Plugin(Box<crate::pod::Refusal>),
    /// A signal ended the run; what it had made is gone.
    #[error("interrupted: everything that was made is taken away again")]
    Interrupted,
}
