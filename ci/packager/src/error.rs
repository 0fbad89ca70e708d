//! The one error type of the packager.

use std::path::PathBuf;

/// Why nothing was packaged.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// An executable that cannot be shipped.
    #[error("{}: {problem}", path.display())]
    Executable {
        /// Which.
        path: PathBuf,
        /// Why not.
        problem: &'static str,
    },
    /// The version that was asked for is none.
    #[error("version {given}: {problem}")]
    Version {
        /// As it was given.
        given: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A row of the table of contents names an executable that the list of executables lacks, or a page that none has.
    #[error("{0} is neither an executable nor of a manual")]
    NotInTable(String),
    /// `cargo metadata` or Cargo.lock is not what it should be.
    #[error("{what}: {problem}")]
    Metadata {
        /// Which part.
        what: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The RPM could not be put together.
    #[error("rpm: {0}")]
    Rpm(#[from] rpm::Error),
    /// An archive could not be put together.
    #[error("archive: {0}")]
    Archive(std::io::Error),
}
