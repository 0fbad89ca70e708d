//! A router on a port of loopback, in threads of its own that end with it.

use std::io;
use std::net::SocketAddr;
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use axum::serve::ListenerExt as _;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// As many as the emulator has.
const THREADS: usize = 2;

/// How long its tasks may take to end.
const PATIENCE: Duration = Duration::from_secs(10);

/// A server.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub(super) fn start(router: Router) -> io::Result<Self> {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(THREADS).enable_all().build()?;
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
        let address = listener.local_addr()?;
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            runtime.block_on(async move {
                let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
                tokio::select! {
                    biased;
                    _ = stopped => {}
                    _ = axum::serve(listener, router) => {}
                }
            });
            // Whoever opens the same file next must not find it open.
            runtime.shutdown_timeout(PATIENCE);
        });
        Ok(Self { address, stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A route that gives so many bytes of JSON and does nothing else.
pub(super) fn bare(length: usize) -> Router {
    let body = Bytes::from(format!("\"{}\"", "x".repeat(length.saturating_sub(2))));
    Router::new().route(
        "/nuage/api/v6/bare",
        get(move || {
            let body = body.clone();
            async move { ([(CONTENT_TYPE, "application/json")], body) }
        }),
    )
}
