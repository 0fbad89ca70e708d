//! Streams to a real VRS: its unix socket, or TCP.

use std::io;

use async_trait::async_trait;
use tokio::net::{TcpStream, UnixStream};

use crate::host::{Stream, Switch};

/// Connects by socket.
#[derive(Debug)]
pub(super) struct Sockets;

#[async_trait]
impl Switch for Sockets {
    async fn connect(&self, endpoint: &str) -> io::Result<Box<dyn Stream>> {
        if let Some(address) = endpoint.strip_prefix("tcp:") {
            let stream = TcpStream::connect(address).await?;
            // Messages are small and answered one by one: none of them may wait for an acknowledgement.
            stream.set_nodelay(true)?;
            return Ok(Box::new(stream));
        }
        if endpoint.starts_with("ssl:") {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "ssl: is not supported: use the VRS's unix socket",
            ));
        }
        let path = endpoint.strip_prefix("unix:").unwrap_or(endpoint);
        Ok(Box::new(UnixStream::connect(path).await?))
    }
}
