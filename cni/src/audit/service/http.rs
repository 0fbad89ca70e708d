//! Figures and health over HTTP, without names of pods and without credentials: `/metrics`, `/livez`, `/readyz`.

use std::net::SocketAddr;

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use tokio::net::TcpListener;

use crate::audit::state::Shared;
use crate::error::Error;

/// The text form of Prometheus.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

pub(super) async fn bind(address: SocketAddr) -> Result<TcpListener, Error> {
    TcpListener::bind(address).await.map_err(|error| Error::Config {
        what: format!("metricslisten: {address}"),
        details: error.to_string(),
        hint: Some("is another program on that port?".to_owned()),
    })
}

pub(super) async fn serve(listener: TcpListener, shared: Shared) {
    let router = Router::new()
        .route(
            "/metrics",
            get(async |State(shared): State<Shared>| ([(CONTENT_TYPE, TEXT)], shared.metrics())),
        )
        .route("/livez", get(async |State(shared): State<Shared>| alive(&shared)))
        .route("/readyz", get(async |State(shared): State<Shared>| ready(&shared)))
        .with_state(shared);
    // Ends with the daemon; a listener that fails is told by its silence.
    let _ = axum::serve(listener, router).await;
}

fn alive(shared: &Shared) -> (StatusCode, &'static str) {
    if shared.is_alive() {
        (StatusCode::OK, "ok\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "the loop does not come round\n")
    }
}

fn ready(shared: &Shared) -> (StatusCode, String) {
    match shared.is_ready() {
        Ok(()) => (StatusCode::OK, "ok\n".to_owned()),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")),
    }
}
