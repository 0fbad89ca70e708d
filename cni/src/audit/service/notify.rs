//! The service manager: that the daemon is up, that it ends, and that it still comes round (`sd_notify(3)`, `Type=notify`,
//! `WatchdogSec=`). Without one nothing is said.

use std::io;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use tokio::time::sleep;

use crate::audit::state::Shared;

/// Whom to notify.
#[derive(Debug, Default)]
pub struct Manager {
    address: Option<SocketAddr>,
    watchdog: Option<Duration>,
}

impl Manager {
    /// The one that the environment names, and how often it wants to hear of us.
    pub fn find() -> Self {
        let text = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
        let address = text("NOTIFY_SOCKET").and_then(|name| address(&name).ok());
        let own = text("WATCHDOG_PID").is_none_or(|pid| pid == std::process::id().to_string());
        let watchdog = text("WATCHDOG_USEC").filter(|_| own).and_then(|text| text.parse().ok());
        Self { address, watchdog: watchdog.map(Duration::from_micros) }
    }

    /// Says something; whoever is not there does not hear it.
    pub fn say(&self, what: &str) {
        let Some(address) = &self.address else { return };
        if let Ok(socket) = UnixDatagram::unbound() {
            let _ = socket.set_nonblocking(true);
            let _ = socket.send_to_addr(what.as_bytes(), address);
        }
    }

    /// Says twice in each of its periods that the loop comes round, as long as it does. Never ends.
    pub async fn keep_watchdog_quiet(&self, shared: &Shared) {
        let Some(period) = self.watchdog else { return std::future::pending().await };
        loop {
            if shared.is_alive() {
                self.say("WATCHDOG=1");
            }
            sleep(period / 2).await;
        }
    }
}

#[cfg(target_os = "linux")]
fn address(name: &str) -> io::Result<SocketAddr> {
    use std::os::linux::net::SocketAddrExt as _;
    match name.strip_prefix('@') {
        Some(hidden) => SocketAddr::from_abstract_name(hidden),
        None => SocketAddr::from_pathname(name),
    }
}

#[cfg(not(target_os = "linux"))]
fn address(name: &str) -> io::Result<SocketAddr> {
    SocketAddr::from_pathname(name)
}
