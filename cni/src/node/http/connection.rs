//! One connection: name, address, TCP, TLS, then hyper's HTTP/1.1. Without TLS only for a client that is made for that; the
//! caller bounds the time.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use http::Uri;
use http::uri::Scheme;
use http_body_util::Full;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::sleep;
use tokio_rustls::TlsConnector;

use crate::host::BoxError;

/// What sends requests on a connection.
pub(super) type Sender = SendRequest<Full<Bytes>>;

const HTTPS_PORT: u16 = 443;
const HTTP_PORT: u16 = 80;
/// How many addresses of a name are tried.
const MOST_ADDRESSES: usize = 8;
/// How long an address may keep the next one waiting (RFC 8305, section 5).
const HEAD_START: Duration = Duration::from_millis(250);

/// Where a connection leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    /// A name, or an address without brackets.
    host: String,
    port: u16,
    /// As it stands in the URL.
    authority: String,
}

impl Origin {
    /// Of an absolute URL of this scheme.
    pub(super) fn of(url: &Uri, scheme: &Scheme) -> Result<Self, BoxError> {
        if url.scheme() != Some(scheme) {
            return Err(format!("{url} does not begin with {scheme}://").into());
        }
        let authority = url.authority().ok_or("the URL names no server")?;
        let host = authority.host();
        let bare = host.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(host);
        let port =
            authority.port_u16().unwrap_or(if *scheme == Scheme::HTTPS { HTTPS_PORT } else { HTTP_PORT });
        // A user or password before the name is nobody's business.
        let shown = match authority.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        };
        Ok(Self { host: bare.to_owned(), port, authority: shown })
    }

    /// For the header `Host`.
    pub(super) fn authority(&self) -> &str {
        &self.authority
    }
}

/// Opens a connection; a task drives it until it is closed.
pub(super) async fn connect(origin: Origin, tls: Option<Arc<ClientConfig>>) -> Result<Sender, BoxError> {
    let failed =
        |what: &str, error: BoxError| -> BoxError { format!("{what} {}: {error}", origin.authority).into() };
    let name = ServerName::try_from(origin.host.clone()).map_err(|error| failed("the name", error.into()))?;
    let stream = dial(&origin).await.map_err(|error| failed("connecting to", error.into()))?;
    let Some(tls) = tls else { return driven(stream).await };
    let stream = TlsConnector::from(tls).connect(name, stream).await;
    let stream = stream.map_err(|error| failed("TLS with", error.into()))?;
    driven(stream).await
}

async fn driven(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Result<Sender, BoxError> {
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // How it ends is told to whoever waits for an answer.
    tokio::spawn(async move { drop(connection.await) });
    Ok(sender)
}

/// TCP to the first of the name's addresses that answers. The next one is tried as soon as one has failed, or has not answered
/// for a while.
async fn dial(origin: &Origin) -> io::Result<TcpStream> {
    let mut addresses =
        lookup_host((origin.host.as_str(), origin.port)).await?.take(MOST_ADDRESSES).peekable();
    let mut attempts = FuturesUnordered::new();
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    loop {
        match addresses.next() {
            Some(address) => attempts.push(TcpStream::connect(address)),
            None if attempts.is_empty() => return Err(failure),
            None => {}
        }
        let more = addresses.peek().is_some();
        tokio::select! {
            biased;
            Some(outcome) = attempts.next() => match outcome {
                Ok(stream) => {
                    // A request is one small message, and nothing comes before its answer.
                    stream.set_nodelay(true)?;
                    return Ok(stream);
                }
                Err(error) => failure = error,
            },
            () = sleep(HEAD_START), if more => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(url: &str) -> Result<Origin, String> {
        Origin::of(&url.parse().unwrap(), &Scheme::HTTPS).map_err(|error| error.to_string())
    }

    #[test]
    fn an_origin_is_what_the_url_says_and_never_without_tls() {
        let origin = |host: &str, port, authority: &str| {
            Ok(Origin { host: host.to_owned(), port, authority: authority.to_owned() })
        };
        assert_eq!(of("https://api:6443/a?b"), origin("api", 6443, "api:6443"));
        assert_eq!(of("https://api"), origin("api", 443, "api"));
        assert_eq!(of("https://[fd00::1]:6443"), origin("fd00::1", 6443, "[fd00::1]:6443"));
        assert_eq!(of("https://user:secret@api:1/"), origin("api", 1, "api:1"));
        assert!(of("http://api:6443/").unwrap_err().contains("https"));
        assert!(of("/api").is_err());
        assert!(Origin::of(&"https://agent:5051".parse().unwrap(), &Scheme::HTTP).is_err());
        assert_eq!(Origin::of(&"http://agent/".parse().unwrap(), &Scheme::HTTP).unwrap().port, 80);
    }
}
