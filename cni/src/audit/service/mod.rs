//! What surrounds the daemon's loop on a real node: sockets for figures, health and people, signals, the service manager. None of
//! it decides anything, and none of it is in the simulation.

mod control;
mod datagrams;
mod http;
mod notify;
mod signals;

use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::run::Signal;
use super::state::Shared;
use crate::config::NodeConfig;
use crate::error::Error;
use crate::host::{Log, LogFile};
use crate::log::AUDIT_FILE_NAME;

pub use control::ask;
pub use notify::Manager;
pub use signals::listen as listen_to_signals;

/// Readable and writable for root alone.
const SOCKET_MODE: u32 = 0o600;
const DIRECTORY_MODE: u32 = 0o700;

/// The daemon's sockets; they close with this.
#[derive(Debug)]
pub struct Sockets {
    // Dropped, the set ends its tasks.
    _tasks: JoinSet<()>,
}

impl Sockets {
    /// Opens them: control.sock and audit.sock in `rundir`, and the figures' address if there is one.
    ///
    /// # Errors
    /// Code 5 for a socket that cannot be opened.
    pub async fn open(
        node: &NodeConfig,
        shared: &Shared,
        signals: &mpsc::Sender<Signal>,
    ) -> Result<Self, Error> {
        let mut tasks = JoinSet::new();
        make_directory(&node.run_dir).map_err(|error| failed("making", &node.run_dir, &error))?;
        tasks.spawn(datagrams::receive(datagrams::bind(&node.run_dir)?, shared.clone()));
        tasks.spawn(control::serve(control::bind(&node.run_dir)?, shared.clone(), signals.clone()));
        if let Some(address) = node.metrics_listen {
            tasks.spawn(http::serve(http::bind(address).await?, shared.clone()));
        }
        Ok(Self { _tasks: tasks })
    }
}

fn failed(what: &str, path: &Path, error: &io::Error) -> Error {
    Error::Io { operation: format!("{what} {}", path.display()), details: error.to_string() }
}

fn make_directory(path: &Path) -> io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(path)
}

/// Makes way for a socket, and lets root alone use the one that `bind` makes.
fn bind_at<T>(path: &Path, bind: impl FnOnce(&Path) -> io::Result<T>) -> Result<T, Error> {
    // One that an earlier daemon left. The directory is root's alone.
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(failed("removing", path, &error));
        }
        _ => {}
    }
    let bound = bind(path).map_err(|error| failed("binding", path, &error))?;
    let private = std::fs::Permissions::from_mode(SOCKET_MODE);
    std::fs::set_permissions(path, private).map_err(|error| failed("protecting", path, &error))?;
    Ok(bound)
}

/// A log that the service manager's journal reads as well.
pub struct EchoingLog(pub Arc<dyn Log>);

impl Log for EchoingLog {
    fn write(&self, file: &LogFile, line: &str) {
        self.0.write(file, line);
        if file.path.file_name().is_some_and(|name| name == AUDIT_FILE_NAME) {
            let _ = writeln!(io::stderr().lock(), "{line}");
        }
    }

    fn report(&self, socket: &Path, datagram: &[u8]) {
        self.0.report(socket, datagram);
    }
}
