//! Where clients come in: unix sockets, TCP, TLS with client certificates. One accept loop for all.

use std::io;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::Server;

/// How many connections a listener serves at once; more wait in the kernel's queue.
const MAX_SESSIONS: usize = 1024;
/// How long a client over TCP or TLS may be silent before it is asked whether it is there: the real server's default. It
/// asks nobody on a unix socket, where a peer that is gone is noticed.
const PROBE: Duration = Duration::from_secs(5);
/// How long a client may take for the TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Where clients come in.
pub enum Listener {
    /// A unix socket.
    Unix(UnixListener),
    /// TCP, without any protection.
    Tcp(TcpListener),
    /// TLS over TCP.
    Tls(TcpListener, TlsAcceptor),
}

impl std::fmt::Debug for Listener {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Unix(_) => "Listener::Unix",
            Self::Tcp(_) => "Listener::Tcp",
            Self::Tls(..) => "Listener::Tls",
        })
    }
}

/// Who has come in.
enum Visitor {
    Unix(UnixStream),
    Tcp(TcpStream),
    Tls(TcpStream, TlsAcceptor),
}

impl Listener {
    async fn accept(&self) -> io::Result<Visitor> {
        Ok(match self {
            Self::Unix(listener) => Visitor::Unix(listener.accept().await?.0),
            Self::Tcp(listener) => Visitor::Tcp(accept_tcp(listener).await?),
            Self::Tls(listener, acceptor) => Visitor::Tls(accept_tcp(listener).await?, acceptor.clone()),
        })
    }
}

async fn accept_tcp(listener: &TcpListener) -> io::Result<TcpStream> {
    let (stream, _) = listener.accept().await?;
    // An answer must not wait for the acknowledgement of the one before.
    stream.set_nodelay(true)?;
    Ok(stream)
}

impl Visitor {
    async fn served_by(self, server: Server) {
        match self {
            Self::Unix(stream) => server.serve(stream).await,
            Self::Tcp(stream) => server.serve_probing(stream, Some(PROBE)).await,
            Self::Tls(stream, acceptor) => {
                // Whoever has no certificate of ours, or takes too long, is not served.
                if let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await {
                    server.serve_probing(stream, Some(PROBE)).await;
                }
            }
        }
    }
}

impl Server {
    /// Serves whoever comes in, until it is dropped.
    pub async fn listen(self, listener: Listener) {
        let mut sessions = JoinSet::new();
        loop {
            tokio::select! {
                biased;
                Some(_) = sessions.join_next(), if !sessions.is_empty() => {}
                accepted = listener.accept(), if sessions.len() < MAX_SESSIONS => match accepted {
                    Ok(visitor) => drop(sessions.spawn(visitor.served_by(self.clone()))),
                    // Out of descriptors, say: the next one may work.
                    Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
                },
            }
        }
    }

    /// Serves whoever connects to a unix socket, until it is dropped.
    pub async fn listen_unix(self, listener: UnixListener) {
        self.listen(Listener::Unix(listener)).await;
    }

    /// Serves whoever connects over TCP, until it is dropped.
    pub async fn listen_tcp(self, listener: TcpListener) {
        self.listen(Listener::Tcp(listener)).await;
    }
}
