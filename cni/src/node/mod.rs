//! What stands behind the seams on a real node: sockets, HTTP, the file system, the kernel.

mod clock;
mod files;
mod http;
mod log;
mod switch;

use std::sync::Arc;

use crate::host::Host;
use crate::link::KernelLinks;

/// The seams of this machine.
pub fn host() -> Host {
    Host {
        switch: Arc::new(switch::Sockets),
        http: Arc::new(http::Https),
        links: Arc::new(KernelLinks),
        files: Arc::new(files::FileSystem),
        clock: Arc::new(clock::SystemClock),
        log: Arc::new(log::FileLog),
    }
}
