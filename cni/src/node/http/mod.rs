//! HTTP/1.1 over TLS for the seam [`Http`]: hyper on a connection of ours. Always verified; no proxy from the environment (a
//! plugin inherits the runtime's), no redirects, and a request is sent once. A client without TLS is a client of its own kind:
//! none of the others can be talked into speaking so.

mod connection;
mod tls;

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::header::HOST;
use http::uri::{PathAndQuery, Scheme};
use http::{HeaderValue, Request, Response, Uri};
use http_body_util::{BodyExt as _, Full};
use rustls::ClientConfig;
use tokio::task::JoinHandle;
use tower::util::BoxCloneSyncService;

use crate::host::{BoxBody, BoxError, Http, HttpService, TlsIdentity};
use connection::{Origin, Sender, connect};

/// How many connections a client keeps for the requests to come. A plugin needs one; a process that lives longer watches on
/// one and asks on another.
const KEPT: usize = 4;

/// Makes clients.
#[derive(Debug)]
pub(super) struct Https;

impl Http for Https {
    fn client(&self, identity: &TlsIdentity) -> Result<HttpService, BoxError> {
        Ok(Client::new(identity)?.service())
    }

    fn open(&self, identity: &TlsIdentity, server: &str) -> Result<HttpService, BoxError> {
        let client = Client::new(identity)?;
        let origin = client.origin(&server.parse()?)?;
        let opening = tokio::spawn(connect(origin.clone(), client.tls.clone()));
        client.keep(Kept { origin, connection: Connection::Opening(opening) });
        Ok(client.service())
    }

    #[cfg(feature = "audit")]
    fn plain(&self) -> Result<HttpService, BoxError> {
        Ok(Client { tls: None, kept: Arc::default() }.service())
    }
}

/// A client with its connections.
#[derive(Clone)]
struct Client {
    /// Absent: it speaks without TLS.
    tls: Option<Arc<ClientConfig>>,
    kept: Arc<Mutex<Vec<Kept>>>,
}

/// A connection for a request to come.
struct Kept {
    origin: Origin,
    connection: Connection,
}

enum Connection {
    /// Begun before there was a request.
    Opening(JoinHandle<Result<Sender, BoxError>>),
    /// Used before. Free again once the answer has been read.
    Used(Sender),
}

impl Client {
    fn new(identity: &TlsIdentity) -> Result<Self, BoxError> {
        Ok(Self { tls: Some(Arc::new(tls::configuration(identity)?)), kept: Arc::default() })
    }

    fn origin(&self, url: &Uri) -> Result<Origin, BoxError> {
        Origin::of(url, if self.tls.is_some() { &Scheme::HTTPS } else { &Scheme::HTTP })
    }

    fn service(self) -> HttpService {
        BoxCloneSyncService::new(tower::service_fn(move |request| {
            let client = self.clone();
            async move { client.send(request).await }
        }))
    }

    fn keep(&self, one: Kept) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() == KEPT {
            kept.remove(0);
        }
        kept.push(one);
    }

    /// A connection to `origin` that can be used at once, or is about to.
    fn take(&self, origin: &Origin) -> Option<Connection> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|one| !matches!(&one.connection, Connection::Used(sender) if sender.is_closed()));
        let free = |one: &Kept| match &one.connection {
            Connection::Opening(_) => true,
            Connection::Used(sender) => sender.is_ready(),
        };
        let at = kept.iter().position(|one| one.origin == *origin && free(one))?;
        Some(kept.remove(at).connection)
    }

    async fn send(&self, request: Request<Bytes>) -> Result<Response<BoxBody>, BoxError> {
        let origin = self.origin(request.uri())?;
        let mut request = addressed(request, &origin)?;
        let mut begun = None;
        match self.take(&origin) {
            Some(Connection::Used(mut sender)) => match sender.try_send_request(request).await {
                Ok(response) => return Ok(self.answered(origin, sender, response)),
                // The server closed it meanwhile. What has not been sent may be sent on another.
                Err(mut error) => match error.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(error.into_error().into()),
                },
            },
            Some(Connection::Opening(opening)) => begun = Some(opening),
            None => {}
        }
        let mut sender = match begun {
            Some(opening) => opening.await??,
            None => connect(origin.clone(), self.tls.clone()).await?,
        };
        let response = sender.send_request(request).await?;
        Ok(self.answered(origin, sender, response))
    }

    fn answered(
        &self,
        origin: Origin,
        sender: Sender,
        response: Response<hyper::body::Incoming>,
    ) -> Response<BoxBody> {
        self.keep(Kept { origin, connection: Connection::Used(sender) });
        // Whoever reads the body bounds it.
        response.map(|body| body.map_err(BoxError::from).boxed_unsync())
    }
}

/// The request as a server expects it: the path in its first line, the server in a header.
fn addressed(request: Request<Bytes>, origin: &Origin) -> Result<Request<Full<Bytes>>, BoxError> {
    let (mut parts, body) = request.into_parts();
    if !parts.headers.contains_key(HOST) {
        parts.headers.insert(HOST, HeaderValue::from_str(origin.authority())?);
    }
    let path = parts.uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
    parts.uri = Uri::from(path);
    Ok(Request::from_parts(parts, Full::new(body)))
}
