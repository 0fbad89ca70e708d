//! The HTTP client of the emulators over real TLS: whom it trusts, what it presents, and what it does not do.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::response::Redirect;
use axum::routing::get;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use nuage_emulator::http::{BoxError, TlsIdentity, remote};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt as _;

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn issue(&self, name: &str) -> (Vec<u8>, Vec<u8>) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        (certificate.pem().into_bytes(), key.serialize_pem().into_bytes())
    }

    fn pem(&self) -> Vec<u8> {
        self.0.pem().into_bytes()
    }
}

/// A server that demands a client certificate of `authority`.
async fn serve(authority: &Authority) -> SocketAddr {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(&authority.pem()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build().unwrap();
    let (chain, key) = authority.issue("localhost");
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(&chain).unwrap()],
            PrivateKeyDer::from_pem_slice(&key).unwrap(),
        )
        .unwrap();
    let router = Router::new()
        .route("/", get(async || "here"))
        .route("/away", get(async || Redirect::temporary("/")))
        .route("/endless", get(async || vec![b' '; 65 * 1024 * 1024]));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let acceptor = TlsAcceptor::from(Arc::new(config));
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, router) = (acceptor.clone(), router.clone());
            tokio::spawn(async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    let service = TowerToHyperService::new(router);
                    drop(
                        Builder::new(TokioExecutor::new())
                            .serve_connection(TokioIo::new(stream), service)
                            .await,
                    );
                }
            });
        }
    });
    address
}

async fn ask(tls: &TlsIdentity, address: SocketAddr, path: &str) -> Result<(u16, Bytes), BoxError> {
    let url = format!("https://localhost:{}{path}", address.port());
    let response = remote(tls)?.oneshot(http::Request::get(url).body(Bytes::new())?).await?;
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.map_err(|error| error.to_string())?;
    Ok((status, body.to_bytes()))
}

#[tokio::test]
async fn a_remote_client_trusts_only_its_authority_presents_its_certificate_and_follows_nothing() {
    let (ours, other) = (Authority::new(), Authority::new());
    let address = serve(&ours).await;
    let identity = TlsIdentity { authorities: ours.pem(), client: Some(ours.issue("monitor")) };
    assert_eq!(ask(&identity, address, "/").await.unwrap(), (200, Bytes::from("here")));
    assert_eq!(ask(&identity, address, "/away").await.unwrap().0, 307);
    assert!(ask(&identity, address, "/endless").await.is_err(), "a body has a bound");

    let nobody = TlsIdentity { authorities: ours.pem(), client: None };
    assert!(ask(&nobody, address, "/").await.is_err(), "the server demands a certificate");
    let stranger = TlsIdentity { authorities: ours.pem(), client: Some(other.issue("monitor")) };
    assert!(ask(&stranger, address, "/").await.is_err(), "the server demands one of its authority");
    let gullible = TlsIdentity { authorities: other.pem(), client: Some(ours.issue("monitor")) };
    assert!(ask(&gullible, address, "/").await.is_err(), "the server is not of a trusted authority");
}

#[test]
fn an_identity_without_an_authority_or_with_a_broken_key_is_refused() {
    let authority = Authority::new();
    assert!(remote(&TlsIdentity::default()).is_err());
    assert!(remote(&TlsIdentity { authorities: b"no PEM".to_vec(), client: None }).is_err());
    let (chain, _) = authority.issue("monitor");
    let broken = TlsIdentity { authorities: authority.pem(), client: Some((chain, b"no key".to_vec())) };
    assert!(remote(&broken).is_err());
    assert!(
        !format!("{:?}", TlsIdentity { client: Some(authority.issue("x")), ..Default::default() })
            .contains("KEY")
    );
}
