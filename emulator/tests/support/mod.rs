//! The real ovsdb-server as a peer of several tests.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "shared by several test binaries"
)]

use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::Duration;

use nuage_emulator::vrs::SCHEMA;
use nuage_ovsdb::client::{Client, Limits};
use tokio::net::UnixStream;

/// A real ovsdb-server with our schema, ended by its id.
pub(crate) struct RealServer {
    child: Child,
    /// Where it listens.
    pub(crate) socket: PathBuf,
    _directory: tempfile::TempDir,
}

impl RealServer {
    /// Starts one; says so and gives `None` where there is no Open vSwitch.
    pub(crate) fn start(test: &str) -> Option<Self> {
        let found =
            Command::new("sh").args(["-c", "command -v ovsdb-server && command -v ovsdb-tool"]).output();
        if !found.is_ok_and(|output| output.status.success()) {
            eprintln!("SKIPPED {test}: ovsdb-server");
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        std::fs::write(path("schema"), SCHEMA).unwrap();
        let created =
            Command::new("ovsdb-tool").arg("create").arg(path("db")).arg(path("schema")).status().unwrap();
        assert!(created.success(), "the real ovsdb-tool takes our schema");
        let child = Command::new("ovsdb-server")
            .arg(path("db"))
            .arg(format!("--remote=punix:{}", path("db.sock").display()))
            .arg(format!("--unixctl={}", path("ctl").display()))
            .arg("-vconsole:off")
            .spawn()
            .unwrap();
        Some(Self { child, socket: path("db.sock"), _directory: directory })
    }

    /// Connects as soon as it listens.
    pub(crate) async fn connect(&self) -> Client {
        for _ in 0..1000 {
            if let Ok(stream) = UnixStream::connect(&self.socket).await {
                return Client::spawn(stream, Limits::default());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("ovsdb-server does not listen");
    }
}

impl Drop for RealServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
