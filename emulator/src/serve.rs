//! HTTPS listeners: rustls in front of an axum router, HTTP/1.1 as the VSD speaks it. A verified client certificate reaches
//! the handlers as [`PeerCertificate`]; nothing is taken from a header.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use http::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt as _;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::error::Error;
use crate::faults::http::{Api, Connection, layered};
use crate::faults::{Caller, Faults};
use crate::http::{PeerCertificate, PeerOrganization};
use crate::pki::{Identity, Pki};

/// How many connections one listener serves at once; more wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 1024;
/// How long a client may take for the handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Whether clients present a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientCertificate {
    /// None is asked for.
    No,
    /// One is taken if it is presented, and then it has to be right.
    Optional,
    /// Without one there is no connection.
    Required,
}

/// The TLS side of a listener.
///
/// # Errors
/// Certificates that cannot be used.
pub fn acceptor(pki: &Pki, identity: &Identity, clients: ClientCertificate) -> Result<TlsAcceptor, Error> {
    let failed = |error: &dyn std::fmt::Display| Error::Certificates(error.to_string());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| failed(&error))?;
    let (chain, key) = identity.parsed()?;
    let builder = if clients == ClientCertificate::No {
        builder.with_no_client_auth()
    } else {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pki.authority.as_bytes()) {
            roots.add(certificate.map_err(|error| failed(&error))?).map_err(|error| failed(&error))?;
        }
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        let verifier =
            if clients == ClientCertificate::Optional { verifier.allow_unauthenticated() } else { verifier };
        builder.with_client_cert_verifier(verifier.build().map_err(|error| failed(&error))?)
    };
    let mut config = builder.with_single_cert(chain, key).map_err(|error| failed(&error))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// A listener's TLS side and the faults that strike its connections.
#[derive(Clone)]
pub struct Front {
    acceptor: TlsAcceptor,
    faults: Option<Struck>,
}

/// What strikes a listener's connections.
#[derive(Clone)]
struct Struck {
    api: Api,
    faults: Faults,
    /// With a certificate that nobody trusts.
    untrusted: TlsAcceptor,
}

impl From<TlsAcceptor> for Front {
    fn from(acceptor: TlsAcceptor) -> Self {
        Self { acceptor, faults: None }
    }
}

impl Front {
    /// Lets the faults of `api` strike; `untrusted` has a certificate that nobody trusts.
    #[must_use]
    pub fn with_faults(mut self, api: Api, faults: Faults, untrusted: TlsAcceptor) -> Self {
        self.faults = Some(Struck { api, faults, untrusted });
        self
    }

    /// Who shakes hands with a client that has just connected; nobody, if it is refused.
    fn receive(self) -> Option<TlsAcceptor> {
        let Some(Struck { api, faults, untrusted }) = self.faults else { return Some(self.acceptor) };
        // Who calls is known only after the handshake, so these strike everybody.
        match api.connection(&faults, &Caller::default()) {
            Connection::Accepted => Some(self.acceptor),
            Connection::WrongCertificate => Some(untrusted),
            Connection::Refused => None,
        }
    }
}

impl std::fmt::Debug for Front {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Front({:?})", self.faults.as_ref().map(|struck| struck.api))
    }
}

/// Serves `router` until it is dropped.
pub async fn serve(listener: TcpListener, front: impl Into<Front>, router: Router) {
    let front: Front = front.into();
    let router = match &front.faults {
        Some(struck) => layered(router, struck.api, &struck.faults),
        None => router,
    };
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = listener.accept(), if connections.len() < MAX_CONNECTIONS => match accepted {
                Ok((stream, _)) => drop(connections.spawn(connection(stream, front.clone(), router.clone()))),
                // Out of descriptors, say: the next one may work.
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            },
        }
    }
}

async fn connection(stream: TcpStream, front: Front, router: Router) {
    let Some(acceptor) = front.receive() else { return };
    // Else the answer behind the session tickets waits for the client's delayed acknowledgement: 40 ms.
    let _ = stream.set_nodelay(true);
    let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await else { return };
    let presented = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
    let subject = presented.and_then(|certificate| subject(certificate));
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(axum::body::Body::new);
        if let Some((peer, organization)) = &subject {
            request.extensions_mut().insert(peer.clone());
            if let Some(organization) = organization {
                request.extensions_mut().insert(organization.clone());
            }
        }
        router.clone().oneshot(request)
    });
    // A client that goes away in the middle is no failure of ours.
    let _ = auto::Builder::new(TokioExecutor::new())
        .http1_only()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

/// Common name and organisation of whom a certificate was issued to.
fn subject(certificate: &CertificateDer<'_>) -> Option<(PeerCertificate, Option<PeerOrganization>)> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let common_name = parsed.subject().iter_common_name().next()?.as_str().ok()?.to_owned();
    let organization = parsed.subject().iter_organization().next().and_then(|name| name.as_str().ok());
    let organization = organization.map(|name| PeerOrganization(name.to_owned()));
    Some((PeerCertificate { common_name }, organization))
}
