//! The HTTP seam of the emulators that are clients of others (the VSC and the monitor of the VSD): a service
//! from requests with absolute URLs to streaming responses. It is reqwest outside, a router in one process.

use axum::Router;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use http_body_util::combinators::UnsyncBoxBody;
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
