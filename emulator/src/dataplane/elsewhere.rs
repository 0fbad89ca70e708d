//! What stands in for namespaces where there is no Linux: nothing can be made.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::net::TcpListener;

use crate::error::Error;
use crate::vsc::{Connecting, Program};
use crate::vsd::client::Client;

/// The namespaces of a site's nodes: none.
#[derive(Debug)]
pub(crate) struct Fabric(Infallible);

/// What makes packets flow: nothing.
pub(crate) struct Plane(Infallible);

impl Fabric {
    #[expect(clippy::unused_async, reason = "the signature of the one for Linux")]
    pub(crate) async fn make(_directory: &Path, _nodes: &[String]) -> Result<Self, Error> {
        Err(Error::Lacks("--dataplane needs Linux"))
    }

    pub(crate) fn path(&self, _node: &str) -> Option<PathBuf> {
        match self.0 {}
    }

    pub(crate) fn listen(&self, _address: SocketAddr) -> Result<Vec<TcpListener>, Error> {
        match self.0 {}
    }

    pub(crate) fn program(&self, _node: &str) -> Option<Program> {
        match self.0 {}
    }

    pub(crate) fn plane(
        &mut self,
        _vsd: Client,
        _connect: Arc<dyn Fn(&str) -> Connecting + Send + Sync>,
    ) -> Option<Plane> {
        match self.0 {}
    }
}

impl Plane {
    #[expect(clippy::unused_async, reason = "the signature of the one for Linux")]
    pub(crate) async fn run(self) -> Infallible {
        match self.0 {}
    }
}
