//! A switch on all its sockets, as `emulator up --only vrs --vrs-tcp --vrs-tls` has it, in the test's own process.
#![allow(dead_code, clippy::unwrap_used, reason = "shared by several test binaries")]

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use nuage_emulator::up::{Component, Options, Ports, Reach, Site};

/// The switch; gone with this.
pub(crate) struct Sockets {
    site: Site,
    directory: tempfile::TempDir,
}

impl Sockets {
    /// Starts it.
    pub(crate) async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let options = Options {
            directory: directory.path().join("site"),
            ports: Ports::Auto,
            bind: IpAddr::V4(Ipv4Addr::LOCALHOST),
            components: BTreeSet::from([Component::Vrs]),
            empty: false,
            nodes: 1,
            standby: false,
            persist: false,
            vrs_tcp: true,
            vrs_tls: true,
            reach: Reach::default(),
        };
        Self { site: Site::start(&options).await.unwrap(), directory }
    }

    /// Where it listens: `vrs`, `vrs_tcp` or `vrs_tls`, as Open vSwitch writes it.
    pub(crate) fn remote(&self, socket: &str) -> String {
        self.site.endpoints()["nodes"][0][socket].as_str().unwrap().to_owned()
    }

    /// The file of a client's `vrs-client.key` or `vrs-client.pem`.
    pub(crate) fn node_file(&self, name: &str) -> String {
        self.directory.path().join("site/node").join(name).display().to_string()
    }

    /// The site's authority.
    pub(crate) fn authority(&self) -> String {
        self.directory.path().join("site/pki/ca.pem").display().to_string()
    }
}
