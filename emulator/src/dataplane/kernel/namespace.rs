//! Network namespaces with names, as `ip netns` keeps them, and doing something inside one. What is done inside is done by a
//! thread of its own, so that no other task ever finds itself there.

use std::fs::{self, File};
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::thread;

use rtnetlink::Handle;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::failed;
use crate::error::Error;

/// Where `ip netns` keeps them.
const NAMED: &str = "/run/netns";

/// A network namespace. Clones are handles of the same one.
#[derive(Clone, Debug)]
pub(in crate::dataplane) struct Namespace {
    name: String,
    file: Arc<File>,
}

impl Namespace {
    /// Makes one, with its loopback device up.
    ///
    /// # Errors
    /// The system's refusal.
    pub(in crate::dataplane) async fn make(name: &str) -> Result<Self, Error> {
        ip(&["netns", "add", name])?;
        let path = Path::new(NAMED).join(name);
        let made =
            Self { name: name.to_owned(), file: Arc::new(File::open(&path).map_err(Error::file(&path))?) };
        let handle = made.connect()?;
        super::links::up(&handle, "lo").await?;
        Ok(made)
    }

    /// Its path, by which others enter it.
    pub(in crate::dataplane) fn path(&self) -> PathBuf {
        Path::new(NAMED).join(&self.name)
    }

    /// Its name.
    pub(in crate::dataplane) fn name(&self) -> &str {
        &self.name
    }

    /// Its file, which the kernel takes to put a link into it.
    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// The names that begin with `prefix`.
    pub(in crate::dataplane) fn named(prefix: &str) -> Vec<String> {
        let entries = fs::read_dir(NAMED).into_iter().flatten().filter_map(Result::ok);
        let mut names: Vec<String> =
            entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.retain(|name| name.starts_with(prefix));
        names.sort();
        names
    }

    /// Removes the name; the namespace and all that lies in it goes with whoever is still inside.
    ///
    /// # Errors
    /// The system's refusal.
    pub(in crate::dataplane) fn remove(name: &str) -> Result<(), Error> {
        ip(&["netns", "delete", name])
    }

    /// Does something inside. The caller waits for it.
    ///
    /// # Errors
    /// The system's refusal to enter.
    pub(in crate::dataplane) fn within<T: Send>(
        &self,
        action: impl FnOnce() -> T + Send,
    ) -> Result<T, Error> {
        let runtime = tokio::runtime::Handle::try_current().ok();
        let inside = || -> io::Result<T> {
            move_into_link_name_space(self.file.as_fd(), Some(LinkNameSpaceType::Network))?;
            let _context = runtime.as_ref().map(tokio::runtime::Handle::enter);
            Ok(action())
        };
        let ended = thread::scope(|scope| scope.spawn(inside).join());
        let ended = ended.unwrap_or_else(|_| Err(io::Error::other("the thread inside has ended")));
        ended.map_err(|error| failed(format!("entering the network namespace {}", self.name))(&error))
    }

    /// A netlink connection inside; it stays there.
    ///
    /// # Errors
    /// The system's refusal.
    pub(super) fn connect(&self) -> Result<Handle, Error> {
        let opened = self.within(rtnetlink::new_connection)?;
        let (connection, handle, _) = opened.map_err(|error| failed("opening a netlink socket")(&error))?;
        tokio::spawn(connection);
        Ok(handle)
    }

    /// A listener inside.
    ///
    /// # Errors
    /// The system's refusal.
    pub(in crate::dataplane) fn listen(&self, address: SocketAddr) -> Result<tokio::net::TcpListener, Error> {
        let listening = self.within(|| {
            let listener = std::net::TcpListener::bind(address)?;
            listener.set_nonblocking(true)?;
            tokio::net::TcpListener::from_std(listener)
        })?;
        listening.map_err(|source| Error::Listen { address: format!("{address} in {}", self.name), source })
    }

    /// Sets a kernel's setting there, by its path below /proc/sys/net.
    ///
    /// # Errors
    /// The system's refusal.
    pub(super) fn configure(&self, settings: &[(&str, &str)]) -> Result<(), Error> {
        // /proc/sys/net shows the namespace of the thread that looks.
        self.within(|| {
            for (setting, value) in settings {
                let path = Path::new("/proc/sys/net").join(setting);
                fs::write(&path, value).map_err(Error::file(&path))?;
            }
            Ok(())
        })?
    }
}

/// Runs iproute2's `ip`.
fn ip(arguments: &[&str]) -> Result<(), Error> {
    let what = || format!("ip {}", arguments.join(" "));
    let output = Command::new("ip").args(arguments).output();
    let output = output.map_err(|error| failed(what())(&error))?;
    if output.status.success() {
        return Ok(());
    }
    Err(failed(what())(&String::from_utf8_lossy(&output.stderr).trim()))
}
