//! Sandboxes by the container runtime itself, over the socket of its CRI (containerd, CRI-O, cri-dockerd): one call of gRPC,
//! `ListPodSandbox`, on a connection of its own each time. Asks and never changes anything; what is not a whole answer is silence.

mod message;

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Request, Version};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::UnixStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::containers::{Runtime, Sandboxes, Word};
use super::peer::describe;

/// The services by which a runtime can be asked, the current one first.
const SERVICES: [&str; 2] = ["runtime.v1.RuntimeService", "runtime.v1alpha2.RuntimeService"];
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// A sandbox has a kilobyte, most of it annotations; a runtime sends no more than this either.
const MAX_ANSWER_BYTES: usize = 16 << 20;
/// gRPC: all is well.
const OK: &str = "0";
/// gRPC: there is no such service.
const UNIMPLEMENTED: &str = "12";

/// A runtime behind a unix socket.
#[derive(Clone, Debug)]
pub struct CriRuntime(PathBuf);

/// Why there is no answer.
enum Failure {
    /// The runtime has no such service.
    NoService,
    Other(String),
}

impl CriRuntime {
    /// The runtime that listens there.
    pub fn new(socket: PathBuf) -> Self {
        Self(socket)
    }

    async fn ask(&self, service: &str) -> Result<Sandboxes, Failure> {
        let failed = |error: &(dyn std::error::Error + 'static)| Failure::Other(describe(error));
        let stream = UnixStream::connect(&self.0).await.map_err(|error| failed(&error))?;
        let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .map_err(|error| failed(&error))?;
        // What drives the connection ends with the question.
        let mut driver = JoinSet::new();
        driver.spawn(async move { drop(connection.await) });
        let request = Request::post(format!("http://localhost/{service}/ListPodSandbox"))
            .version(Version::HTTP_2)
            .header(CONTENT_TYPE, "application/grpc")
            .header("te", "trailers")
            .body(Full::new(Bytes::from(message::framed(&[]))))
            .map_err(|error| failed(&error))?;
        let (head, body) = sender.send_request(request).await.map_err(|error| failed(&error))?.into_parts();
        if !head.status.is_success() {
            return Err(Failure::Other(format!("it answers {}", head.status)));
        }
        // Where there is nothing but a refusal, it stands in the head.
        if head.headers.contains_key("grpc-status") {
            check(&head.headers)?;
        }
        let body = Limited::new(body, MAX_ANSWER_BYTES).collect().await.map_err(|error| failed(&*error))?;
        check(body.trailers().unwrap_or(&head.headers))?;
        let bytes = body.to_bytes();
        let sandboxes = message::unframed(&bytes).and_then(message::sandboxes);
        sandboxes.ok_or_else(|| Failure::Other("its answer is no list of sandboxes".to_owned()))
    }
}

/// Whether an answer is whole: without a status at its end it is not.
fn check(headers: &HeaderMap) -> Result<(), Failure> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    match text("grpc-status") {
        Some(OK) => Ok(()),
        Some(UNIMPLEMENTED) => Err(Failure::NoService),
        Some(code) => {
            let said: String = text("grpc-message").unwrap_or_default().chars().take(200).collect();
            Err(Failure::Other(format!("code {code}: {said}")))
        }
        None => Err(Failure::Other("its answer has no end".to_owned())),
    }
}

#[async_trait]
impl Runtime for CriRuntime {
    async fn sandboxes(&self) -> Word<Sandboxes> {
        let all = async {
            for service in SERVICES {
                match self.ask(service).await {
                    Ok(sandboxes) => return Ok(sandboxes),
                    Err(Failure::NoService) => {}
                    Err(Failure::Other(reason)) => return Err(reason),
                }
            }
            Err("it speaks no CRI".to_owned())
        };
        match timeout(PATIENCE, all).await.unwrap_or_else(|_| Err("no answer in time".to_owned())) {
            Ok(sandboxes) => Word::Told(sandboxes),
            Err(reason) => Word::Silent(format!("the runtime at {}: {reason}", self.0.display())),
        }
    }
}
