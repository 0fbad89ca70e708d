//! audit.sock: every call of the plugin says how it went. What comes faster than it is read is lost by the kernel, and the
//! plugin does not wait.

use std::path::Path;

use tokio::net::UnixDatagram;

use super::bind_at;
use crate::audit::state::Shared;
use crate::error::Error;
use crate::log::AUDIT_SOCKET;

/// A call's figures have a few hundred bytes; the rest of a longer datagram is cut off, and it is none then.
const MAX_BYTES: usize = 8 << 10;

pub(super) fn bind(run_dir: &Path) -> Result<UnixDatagram, Error> {
    bind_at(&run_dir.join(AUDIT_SOCKET), |path| UnixDatagram::bind(path))
}

pub(super) async fn receive(socket: UnixDatagram, shared: Shared) {
    let mut buffer = vec![0; MAX_BYTES];
    while let Ok(length) = socket.recv(&mut buffer).await {
        shared.called(&buffer[..length]);
    }
}
