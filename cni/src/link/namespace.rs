//! Opening a network namespace by path, once, and opening a netlink socket inside it. The thread is back in its own
//! namespace before anything else runs.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;

use rtnetlink::Handle;
use rustix::fs::{Mode, OFlags};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::host::{LinkError, Namespaces, Netns};

/// The file system of namespaces (`NSFS_MAGIC` of linux/magic.h).
const NSFS_MAGIC: u64 = 0x6e73_6673;
const OWN: &str = "/proc/thread-self/ns/net";

fn kernel(operation: &str, source: io::Error) -> LinkError {
    LinkError::Kernel { operation: operation.to_owned(), source }
}

/// Opens `path` if it is a network namespace and not the caller's own.
pub(super) fn open(path: &Path) -> Result<Netns, LinkError> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let descriptor = rustix::fs::open(path, flags, Mode::empty()).map_err(|error| match error {
        rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR => LinkError::NoSuchNetns(path.to_owned()),
        error => kernel("opening the network namespace", error.into()),
    })?;
    let system = rustix::fs::fstatfs(&descriptor)
        .map_err(|error| kernel("opening the network namespace", error.into()))?;
    if u64::try_from(system.f_type).ok() != Some(NSFS_MAGIC) {
        return Err(LinkError::NotANetns(path.to_owned()));
    }
    let inode = rustix::fs::fstat(&descriptor)
        .map_err(|error| kernel("opening the network namespace", error.into()))?
        .st_ino;
    let own = std::fs::metadata(OWN).map_err(|error| kernel("finding the own network namespace", error))?;
    if own.ino() == inode {
        // A path that was re-used: everything that follows would hit the host's own links.
        return Err(LinkError::OwnNetns(path.to_owned()));
    }
    Ok(Netns { path: path.to_owned(), inode, descriptor: Some(Arc::new(descriptor)) })
}

/// Where namespaces have names.
const NAMED: [&str; 2] = ["/run/netns", "/run/docker/netns"];

/// All namespaces that have a name or a process, as far as this process may look.
pub(super) fn all() -> Result<Namespaces, LinkError> {
    let failed = |error| kernel("listing the network namespaces", error);
    let mut all = Namespaces { inhabited: BTreeMap::new(), whole: true };
    for directory in NAMED {
        match fs::read_dir(directory) {
            Ok(entries) => {
                for entry in entries {
                    note(&mut all, &entry.map_err(failed)?.path(), false);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
        }
    }
    for entry in fs::read_dir("/proc").map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let is_process =
            path.file_name().is_some_and(|name| name.as_encoded_bytes().iter().all(u8::is_ascii_digit));
        if is_process {
            note(&mut all, &path.join("ns/net"), true);
        }
    }
    Ok(all)
}

/// Notes the namespace that a path leads to. What goes away meanwhile is not there; what may not be looked at may be any.
fn note(all: &mut Namespaces, path: &Path, inhabited: bool) {
    match fs::metadata(path) {
        Ok(found) => *all.inhabited.entry(found.ino()).or_default() |= inhabited,
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => all.whole = false,
        Err(_) => {}
    }
}

/// A netlink connection inside `netns`, or on the host. The socket stays where it was made.
pub(super) fn connect(netns: Option<&Netns>) -> Result<Handle, LinkError> {
    let opened = match netns {
        None => rtnetlink::new_connection(),
        Some(netns) => within(netns, rtnetlink::new_connection)?,
    };
    let (connection, handle, _) = opened.map_err(|error| kernel("opening a netlink socket", error))?;
    tokio::spawn(connection);
    Ok(handle)
}

/// Does something inside `netns`. Nothing can be awaited in there: the thread's other tasks would run in the pod's
/// namespace.
pub(super) fn within<T>(netns: &Netns, action: impl FnOnce() -> T) -> Result<T, LinkError> {
    let descriptor = netns.descriptor.as_ref().ok_or(LinkError::Unsupported)?;
    let own = File::open(OWN).map_err(|error| kernel("finding the own network namespace", error))?;
    enter(descriptor.as_fd(), "entering the network namespace")?;
    let done = action();
    enter(own.as_fd(), "leaving the network namespace")?;
    Ok(done)
}

fn enter(descriptor: BorrowedFd<'_>, operation: &str) -> Result<(), LinkError> {
    let moved = move_into_link_name_space(descriptor, Some(LinkNameSpaceType::Network));
    moved.map_err(|error| kernel(operation, error.into()))
}
