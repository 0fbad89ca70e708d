//! The HTTP seam of the emulators that are clients of others (the VSC and the monitor of the VSD): a service
//! from requests with absolute URLs to streaming responses. It is reqwest outside, a router in one process.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Limited};
use reqwest::redirect::Policy;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use tower::ServiceExt as _;
use tower::util::BoxCloneSyncService;

/// An error from below the seam whose type does not matter above it.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
/// A response body that can be read in pieces.
pub type BoxBody = UnsyncBoxBody<Bytes, BoxError>;
/// An HTTP client. Requests carry absolute URLs.
pub type HttpService = BoxCloneSyncService<http::Request<Bytes>, http::Response<BoxBody>, BoxError>;

/// The common name of the certificate that the other side of a connection presented and we verified. A
/// request without this extension came without a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerCertificate {
    /// The subject's common name.
    pub common_name: String,
}

/// The organisation of that certificate's subject, where it names one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerOrganization(pub String);

/// A client that calls `router` in this process, as `peer` if one is given. The handler runs as a task of its
/// own: a caller that gives up does not roll the server back.
pub fn in_process(router: Router, peer: Option<PeerCertificate>) -> HttpService {
    BoxCloneSyncService::new(tower::service_fn(move |request: http::Request<Bytes>| {
        let router = router.clone();
        let mut request = request.map(axum::body::Body::from);
        if let Some(peer) = &peer {
            request.extensions_mut().insert(peer.clone());
        }
        async move {
            let response = tokio::spawn(router.oneshot(request)).await??;
            Ok(response.map(|body| body.map_err(BoxError::from).boxed_unsync()))
        }
    }))
}

/// How long a connection may take to come up. The whole exchange is the caller's to bound.
const CONNECT: Duration = Duration::from_secs(5);
/// The largest response body that is read, in bytes: room for some ten thousand objects of the VSD.
const LARGEST_BODY: usize = 64 * 1024 * 1024;

/// Whom a client trusts and who it says it is, as PEM text. Nothing is taken from the system.
#[derive(Clone, Default)]
pub struct TlsIdentity {
    /// Certificates of the authorities that may have signed the server's certificate.
    pub authorities: Vec<u8>,
    /// The client's certificate chain and its key, if it presents one.
    pub client: Option<(Vec<u8>, Vec<u8>)>,
}

impl fmt::Debug for TlsIdentity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Never the key.
        formatter.debug_struct("TlsIdentity").field("client", &self.client.is_some()).finish_non_exhaustive()
    }
}

/// A client of servers that `tls` trusts: always verified, no proxy from the environment, no redirects, and no
/// more than a bounded body (reading more fails). Needs a runtime with real I/O.
///
/// # Errors
/// PEM text without a certificate, or that cannot be used.
pub fn remote(tls: &TlsIdentity) -> Result<HttpService, BoxError> {
    let client = reqwest::Client::builder()
        .tls_backend_preconfigured(configuration(tls)?)
        .no_proxy()
        .redirect(Policy::none())
        .connect_timeout(CONNECT)
        .build()?;
    Ok(BoxCloneSyncService::new(tower::service_fn(move |request: http::Request<Bytes>| {
        let client = client.clone();
        async move {
            let response = client.execute(request.try_into()?).await?;
            let response = http::Response::<reqwest::Body>::from(response);
            Ok(response.map(|body| Limited::new(body, LARGEST_BODY).boxed_unsync()))
        }
    })))
}

fn configuration(tls: &TlsIdentity) -> Result<ClientConfig, BoxError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&tls.authorities) {
        roots.add(certificate?)?;
    }
    if roots.is_empty() {
        return Err("no certificate authority to trust".into());
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots);
    let Some((chain, key)) = &tls.client else { return Ok(builder.with_no_client_auth()) };
    let chain = CertificateDer::pem_slice_iter(chain).collect::<Result<Vec<_>, _>>()?;
    Ok(builder.with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(key)?)?)
}
