//! The two servers of a comparison, each in a process and a directory of its own, ended by its id.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::wire::Session;
use crate::error::Error;

/// How long a server may take until it answers. The real one reads 100,000 rows for ten seconds on a busy machine.
const PATIENCE: Duration = Duration::from_mins(2);
/// How often it is tried meanwhile: below what is measured.
const RETRY: Duration = Duration::from_millis(2);

/// Which server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Emulator,
    Real,
}

/// A server's process.
#[derive(Debug)]
pub(super) struct Server {
    kind: Kind,
    directory: PathBuf,
    executable: PathBuf,
    child: Child,
}

pub(super) fn failed(what: &Path) -> impl FnOnce(io::Error) -> Error + use<> {
    let path = what.to_owned();
    move |source| Error::File { path, source }
}

/// Where the real server is installed, if it is.
pub(super) fn find_real() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    let directories: Vec<PathBuf> = places.collect();
    let tool = directories.iter().any(|place| place.join("ovsdb-tool").is_file());
    directories.into_iter().map(|place| place.join("ovsdb-server")).find(|file| tool && file.is_file())
}

impl Server {
    /// Starts a server on an empty database below `directory`, or on what it left there.
    pub(super) fn start(kind: Kind, executable: &Path, directory: &Path) -> Result<Self, Error> {
        fs::create_dir_all(directory).map_err(failed(directory))?;
        let database = directory.join("conf.db");
        if kind == Kind::Real && !database.exists() {
            let schema = directory.join("schema");
            fs::write(&schema, nuage_emulator::vrs::SCHEMA).map_err(failed(&schema))?;
            let created = Command::new("ovsdb-tool").arg("create").arg(&database).arg(&schema).status();
            if !created.map_err(failed(&database))?.success() {
                return Err(Error::Site("ovsdb-tool did not create a database".to_owned()));
            }
        }
        let mut command = Command::new(executable);
        match kind {
            Kind::Real => command
                .arg(&database)
                .arg(format!("--remote=punix:{}", directory.join("db.sock").display()))
                .arg(format!("--unixctl={}", directory.join("ctl").display()))
                .arg("-vconsole:off"),
            Kind::Emulator => {
                command.arg("up").arg("--dir").arg(directory).args(["--only", "vrs", "--empty", "--persist"])
            }
        };
        let child = command.stdout(Stdio::null()).spawn().map_err(failed(executable))?;
        Ok(Self { kind, directory: directory.to_owned(), executable: executable.to_owned(), child })
    }

    pub(super) fn socket(&self) -> PathBuf {
        match self.kind {
            Kind::Real => self.directory.join("db.sock"),
            Kind::Emulator => self.directory.join("node/db.sock"),
        }
    }

    /// A connection, as soon as the server answers.
    pub(super) fn connect(&mut self) -> Result<Session, Error> {
        let socket = self.socket();
        let tries = PATIENCE.as_millis() / RETRY.as_millis();
        for _ in 0..tries {
            if let Ok(mut session) = Session::connect(&socket) {
                session.call(br#"{"id":0,"method":"echo","params":[]}"#).map_err(failed(&socket))?;
                return Ok(session);
            }
            if let Some(status) = self.child.try_wait().map_err(failed(&socket))? {
                return Err(Error::Site(format!("{} ended: {status}", self.executable.display())));
            }
            #[expect(clippy::disallowed_methods, reason = "another process is awaited in real time")]
            std::thread::sleep(RETRY);
        }
        Err(Error::Site(format!("{} does not listen", socket.display())))
    }

    /// Kills it and starts it again on the same database.
    pub(super) fn restart(&mut self) -> Result<(), Error> {
        self.end();
        let _ = fs::remove_file(self.socket());
        *self = Self::start(self.kind, &self.executable.clone(), &self.directory.clone())?;
        Ok(())
    }

    /// `VmRSS` or `VmHWM` in MiB.
    pub(super) fn memory(&self, field: &str) -> Result<f64, Error> {
        let path = PathBuf::from(format!("/proc/{}/status", self.child.id()));
        let status = fs::read_to_string(&path).map_err(failed(&path))?;
        let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        let number = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
        Ok(number.unwrap_or(0.0) / 1024.0)
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}
