//! Promises of the audit's question to a container runtime (CRI over a unix socket), against a server of our own that says what it
//! is told to.
#![cfg(feature = "audit")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test")]

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::StreamBody;
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use nuage_cni::audit::containers::{Runtime as _, Word};
use nuage_cni::audit::cri::CriRuntime;
use tokio::net::UnixListener;
use tokio::task::JoinHandle;

/// What a runtime answers to one call.
#[derive(Clone)]
struct Answer {
    status: u16,
    /// The body in pieces.
    body: Vec<Vec<u8>>,
    /// `grpc-status` at the end, or in the head of an answer that has no body.
    code: Option<&'static str>,
    silent: bool,
}

impl Answer {
    fn of(body: Vec<u8>) -> Self {
        Self { status: 200, body: vec![body], code: Some("0"), silent: false }
    }
}

/// A runtime that answers the calls of one service.
struct Runtime {
    _directory: tempfile::TempDir,
    socket: PathBuf,
    asked: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Drop for Runtime {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Runtime {
    fn start(service: &'static str, answer: Answer) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("runtime.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let seen = Arc::clone(&asked);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (answer, seen) = (answer.clone(), Arc::clone(&seen));
                let called = service_fn(move |request: Request<Incoming>| {
                    seen.lock().unwrap().push(request.uri().path().to_owned());
                    respond(request, service, answer.clone())
                });
                let serving =
                    http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), called);
                tokio::spawn(async move { drop(serving.await) });
            }
        });
        Self { _directory: directory, socket, asked, task }
    }

    async fn word(&self) -> Word<std::collections::BTreeMap<String, bool>> {
        CriRuntime::new(self.socket.clone()).sandboxes().await
    }
}

type Body = StreamBody<stream::Iter<std::vec::IntoIter<Result<Frame<Bytes>, Infallible>>>>;

async fn respond(
    request: Request<Incoming>,
    service: &str,
    answer: Answer,
) -> Result<Response<Body>, Infallible> {
    if answer.silent {
        std::future::pending::<()>().await;
    }
    assert_eq!(request.headers()["content-type"], "application/grpc");
    assert_eq!(request.headers()["te"], "trailers");
    let code = |code| {
        HeaderMap::from_iter([(http::HeaderName::from_static("grpc-status"), HeaderValue::from_static(code))])
    };
    let mut frames: Vec<Result<Frame<Bytes>, Infallible>> = Vec::new();
    let mut response = Response::builder().status(answer.status).header("content-type", "application/grpc");
    if request.uri().path() == format!("/{service}/ListPodSandbox") {
        frames.extend(answer.body.into_iter().map(|piece| Ok(Frame::data(piece.into()))));
        frames.extend(answer.code.map(|known| Ok(Frame::trailers(code(known)))));
    } else {
        // As servers of gRPC refuse: all in the head.
        response = response.header("grpc-status", "12").header("grpc-message", "unknown service");
    }
    Ok(response.body(StreamBody::new(stream::iter(frames))).unwrap())
}

const CURRENT: &str = "runtime.v1.RuntimeService";
const FORMER: &str = "runtime.v1alpha2.RuntimeService";
/// A sandbox `aa` that is ready and `bb` that is not.
const TWO: &[u8] = &[0x0a, 4, 0x0a, 2, b'a', b'a', 0x0a, 6, 0x0a, 2, b'b', b'b', 0x18, 1];

fn framed(message: &[u8]) -> Vec<u8> {
    [&[0, 0, 0, 0, u8::try_from(message.len()).unwrap()], message].concat()
}

fn two() -> Word<std::collections::BTreeMap<String, bool>> {
    Word::Told([("aa".to_owned(), true), ("bb".to_owned(), false)].into())
}

#[tokio::test]
async fn a_runtime_tells_its_sandboxes_and_which_are_ready() {
    let runtime = Runtime::start(CURRENT, Answer::of(framed(TWO)));
    assert_eq!(runtime.word().await, two());
    assert_eq!(*runtime.asked.lock().unwrap(), [format!("/{CURRENT}/ListPodSandbox")]);
    let pieces = framed(TWO).chunks(3).map(<[u8]>::to_vec).collect();
    let slowly = Runtime::start(CURRENT, Answer { body: pieces, ..Answer::of(Vec::new()) });
    assert_eq!(slowly.word().await, two());
    let nobody = Runtime::start(CURRENT, Answer::of(framed(&[])));
    assert_eq!(nobody.word().await, Word::Told([].into()));
}

#[tokio::test]
async fn a_runtime_that_knows_only_the_former_service_is_asked_by_that() {
    let runtime = Runtime::start(FORMER, Answer::of(framed(TWO)));
    assert_eq!(runtime.word().await, two());
    assert_eq!(runtime.asked.lock().unwrap().len(), 2);
    let neither = Runtime::start("other.Service", Answer::of(framed(TWO)));
    assert!(neither.word().await.silence().unwrap().ends_with("it speaks no CRI"));
}

#[tokio::test]
async fn what_is_not_a_whole_answer_is_silence_with_its_reason() {
    let good = Answer::of(framed(TWO));
    let odd = [
        (Answer { code: None, ..good.clone() }, "no end"),
        (Answer { code: Some("14"), ..good.clone() }, "code 14"),
        (Answer { status: 503, ..good.clone() }, "503"),
        (Answer::of(framed(&TWO[..5])), "no list of sandboxes"),
        (Answer::of(framed(TWO)[..10].to_vec()), "no list of sandboxes"),
        (Answer::of([framed(TWO), framed(TWO)].concat()), "no list of sandboxes"),
        (Answer::of([&[1], &framed(TWO)[1..]].concat()), "no list of sandboxes"),
        (Answer::of(Vec::new()), "no list of sandboxes"),
    ];
    for (answer, reason) in odd {
        let runtime = Runtime::start(CURRENT, answer);
        let word = runtime.word().await;
        assert!(word.silence().is_some_and(|told| told.contains(reason)), "{reason}: {word:?}");
    }
}

#[tokio::test]
async fn an_answer_without_end_is_cut_off() {
    let body = vec![vec![0; 1 << 20]; 17];
    let runtime = Runtime::start(CURRENT, Answer { body, ..Answer::of(Vec::new()) });
    assert!(runtime.word().await.silence().unwrap().contains("length limit"));
}

#[tokio::test]
async fn a_runtime_that_is_away_or_speaks_something_else_is_silence() {
    let directory = tempfile::tempdir().unwrap();
    let away = CriRuntime::new(directory.path().join("none.sock")).sandboxes().await;
    assert!(away.silence().unwrap().contains("none.sock"), "{away:?}");
    let socket = directory.path().join("other.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let other = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
    });
    let word = CriRuntime::new(socket).sandboxes().await;
    assert!(word.silence().is_some(), "{word:?}");
    other.await.unwrap();
}

#[tokio::test]
async fn a_runtime_that_says_nothing_is_waited_for_so_long_and_no_longer() {
    let runtime = Runtime::start(CURRENT, Answer { silent: true, ..Answer::of(Vec::new()) });
    let word = tokio::time::timeout(Duration::from_secs(30), runtime.word()).await.unwrap();
    assert!(word.silence().unwrap().ends_with("no answer in time"), "{word:?}");
}
