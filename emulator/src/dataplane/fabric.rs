//! The namespaces of a site: one a node, and one that joins them. Made with the site, gone with it; what a killed one has left
//! is known by its names and removed before. Never touches a namespace of another name.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::kernel::{Kernel, Namespace, Wire, is_there};
use super::names;
use super::node::Node;
use super::run::{Connect, Messenger, News, Plane, news, program};
use crate::error::Error;
use crate::vsc::Program;
use crate::vsd::client::Client;

/// The namespaces of a site's nodes.
#[derive(Debug)]
pub(crate) struct Fabric {
    site: String,
    namespaces: Vec<(String, Namespace)>,
    /// Until they run.
    nodes: Vec<Node>,
    news: Option<mpsc::Receiver<News>>,
    messenger: Messenger,
    _wire: Option<Wire>,
}

impl Fabric {
    /// Makes the namespaces of these nodes for the site of a directory, which nobody else uses.
    ///
    /// # Errors
    /// What the machine lacks, or the system's refusal; nothing is left then.
    pub(crate) async fn make(directory: &Path, nodes: &[String]) -> Result<Self, Error> {
        if !rustix::process::geteuid().is_root() {
            return Err(Error::Lacks("--dataplane makes network namespaces: it needs root"));
        }
        if !is_there("ip", "-V") {
            return Err(Error::Lacks("--dataplane needs the command ip (package iproute2)"));
        }
        if !is_there("nft", "--version") {
            return Err(Error::Lacks("--dataplane needs the command nft (package nftables)"));
        }
        let site = names::site(directory);
        remove_all(&site);
        let made = Self::build(site.clone(), nodes).await;
        if made.is_err() {
            remove_all(&site);
        }
        made
    }

    async fn build(site: String, names: &[String]) -> Result<Self, Error> {
        let wire = match names {
            [_] => None,
            _ => Some(Wire::make(Namespace::make(&names::wire(&site)).await?).await?),
        };
        let (mut namespaces, mut nodes) = (Vec::new(), Vec::new());
        for (number, name) in (1..).zip(names) {
            let namespace = Namespace::make(&names::node(&site, name)).await?;
            namespaces.push((name.clone(), namespace.clone()));
            let mut kernel = Kernel::of(namespace)?;
            let host = wire.is_some().then(|| underlay(number));
            if let Some((wire, host)) = wire.as_ref().zip(host) {
                kernel.join(wire, number, host).await?;
            }
            nodes.push(Node::new(name, kernel, host));
        }
        let (messenger, news) = news();
        Ok(Self { site, namespaces, nodes, news: Some(news), messenger, _wire: wire })
    }

    /// The path of a node's namespace.
    pub(crate) fn path(&self, node: &str) -> Option<PathBuf> {
        self.namespaces.iter().find(|(name, _)| name == node).map(|(_, namespace)| namespace.path())
    }

    /// A listener in every node's namespace.
    ///
    /// # Errors
    /// The system's refusal.
    pub(crate) fn listen(&self, address: SocketAddr) -> Result<Vec<TcpListener>, Error> {
        self.namespaces.iter().map(|(_, namespace)| namespace.listen(address)).collect()
    }

    /// What sets the switch of a node up before a port is answered.
    pub(crate) fn program(&self, node: &str) -> Option<Program> {
        let number = self.namespaces.iter().position(|(name, _)| name == node)?;
        Some(program(number, self.messenger.clone()))
    }

    /// What makes packets flow, to be run; `connect` opens streams to the switch of a node. There is one only.
    pub(crate) fn plane(&mut self, vsd: Client, connect: Connect) -> Option<Plane> {
        let news = (self.messenger.clone(), self.news.take()?);
        Some(Plane::new(std::mem::take(&mut self.nodes), vsd, connect, news))
    }
}

impl Drop for Fabric {
    /// What is left by a process that had no chance to is removed by the next one.
    fn drop(&mut self) {
        remove_all(&self.site);
    }
}

/// The address of a node in the underlay: of the block that is for tests of devices (RFC 2544), in namespaces of its own.
fn underlay(number: u16) -> Ipv4Addr {
    let [high, low] = number.to_be_bytes();
    Ipv4Addr::new(198, 18, high, low)
}

fn remove_all(site: &str) {
    for name in Namespace::named(site) {
        if let Err(error) = Namespace::remove(&name) {
            tracing::warn!(%error, "a network namespace is left");
        }
    }
}
