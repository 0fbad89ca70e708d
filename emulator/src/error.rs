//! What can keep the emulator from running, with what a person can do about it.

use std::io;
use std::path::{Path, PathBuf};

/// Why the emulator does not run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file, directory or socket.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The directory is somebody else's.
    #[error("{} belongs to another user", .0.display())]
    ForeignDirectory(PathBuf),
    /// Another emulator runs there.
    #[error("another emulator runs in {}", .0.display())]
    InUse(PathBuf),
    /// A port that cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Where.
        address: String,
        /// What the system said.
        source: io::Error,
    },
    /// Certificates that cannot be made or read.
    #[error("certificates: {0}")]
    Certificates(String),
    /// The default password must not be reachable from outside.
    #[error("--bind {0} would serve the VSD's default password beyond this machine")]
    DefaultPassword(std::net::IpAddr),
    /// Options that do not go together.
    #[error("{0}")]
    Usage(String),
    /// The switch's schema or rows.
    #[error("the switch: {0}")]
    Switch(#[from] nuage_ovsdb::Error),
    /// What an earlier run left cannot be used.
    #[error("{}: {reason}", path.display())]
    State {
        /// Its file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The VSD refused what it is started with.
    #[error("the VSD: {0}")]
    Vsd(String),
    /// A topology that cannot be imported.
    #[error("{}: {source}", path.display())]
    Topology {
        /// Its file.
        path: PathBuf,
        /// Why.
        source: Box<crate::vsd::topology::Error>,
    },
    /// A client of another component.
    #[error("{0}")]
    Client(String),
    /// This machine, or this user, lacks something.
    #[error("{0}")]
    Lacks(&'static str),
    /// The kernel, or a command that sets it, refused something.
    #[error("the data plane: {what}: {reason}")]
    DataPlane {
        /// What was to be done.
        what: String,
        /// What the system said.
        reason: String,
    },
}

impl Error {
    /// Adds the path to an error of the file system.
    pub(crate) fn file(path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::File { path, source }
    }

    /// What a person can do.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Listen { .. } => Some("--ports auto takes free ports"),
            Self::InUse(_) => Some("give another --dir, or end the other emulator"),
            Self::ForeignDirectory(_) => Some("give a --dir of your own"),
            Self::DefaultPassword(_) => {
                Some("--password-file gives it another one; without one --bind stays at 127.0.0.1")
            }
            Self::Certificates(_) => Some("remove DIR/pki to have new ones made"),
            Self::Lacks(_) => {
                Some("without --dataplane it runs as any user, on any system, and carries no packets")
            }
            Self::State { .. } => Some("remove it to begin anew (ovsdb-tool reads the switches' files)"),
            Self::File { .. }
            | Self::Usage(_)
            | Self::Switch(_)
            | Self::Vsd(_)
            | Self::Topology { .. }
            | Self::Client(_)
            | Self::DataPlane { .. } => None,
        }
    }
}
