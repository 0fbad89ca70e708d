//! `emulator up` as a process of its own.
#![allow(dead_code, clippy::unwrap_used, reason = "shared by several test binaries")]

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// It ends with the test at the latest.
pub(crate) struct Emulator {
    child: Child,
    /// Its directory.
    pub(crate) site: PathBuf,
}

impl Emulator {
    /// Starts it, and waits until it is ready.
    pub(crate) fn start(site: &Path, arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_emulator"));
        command.arg("up").arg("--dir").arg(site).args(arguments).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut emulator = Self { child: command.spawn().unwrap(), site: site.to_owned() };
        let lines = BufReader::new(emulator.child.stdout.take().unwrap()).lines();
        assert!(lines.map_while(Result::ok).any(|line| line == "ready"), "it ended before it was ready");
        emulator
    }

    /// Ends it by a signal. Its exit code; `None` if it had no say.
    pub(crate) fn signal(&mut self, name: &str) -> Option<i32> {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([name, &id]).status().unwrap().success());
        self.child.wait().unwrap().code()
    }

    /// What `emulator vsd` makes of these words: its exit code, what it says, and what it says went wrong.
    pub(crate) fn vsd(&self, words: &[&str]) -> (Option<i32>, String, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_emulator"));
        let output = command.arg("vsd").args(words).arg("--dir").arg(&self.site).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
