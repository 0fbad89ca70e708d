//! The HTTP client of a real node against a server of this test's own: what it does with its connections.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test")]

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::Request;
use http_body_util::BodyExt as _;
use nuage_cni::host::{BoxError, HttpService, TlsIdentity};
use nuage_cni::node;
use rcgen::{CertificateParams, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt as _;

/// What the server does with one request on a connection.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Turn {
    /// Answers, and waits for the next.
    Answer(&'static str),
    /// Answers, then closes without having said so.
    AnswerAndClose(&'static str),
    /// Closes instead of an answer.
    Close,
}

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ngood";
const ELSEWHERE: &str =
    "HTTP/1.1 307 Temporary Redirect\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n";

/// What the server saw.
#[derive(Clone, Default)]
struct Seen {
    /// The requests of each connection, headers in lower case.
    connections: Arc<Mutex<Vec<Vec<String>>>>,
}

impl Seen {
    fn requests(&self) -> Vec<usize> {
        self.connections.lock().unwrap().iter().map(Vec::len).collect()
    }
}

struct Server {
    address: SocketAddr,
    identity: TlsIdentity,
    seen: Seen,
}

impl Server {
    /// A server whose connections take these turns, in the order in which they are accepted.
    async fn start(connections: &[&[Turn]]) -> Self {
        let parameters =
            CertificateParams::new(vec!["127.0.0.1".to_owned(), "localhost".to_owned()]).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = parameters.self_signed(&key).unwrap();
        let authorities = certificate.pem().into_bytes();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Seen::default();
        let turns: Vec<VecDeque<Turn>> =
            connections.iter().map(|turns| turns.iter().copied().collect()).collect();
        tokio::spawn(serve(listener, TlsAcceptor::from(Arc::new(config)), turns, seen.clone()));
        Self { address, identity: TlsIdentity { authorities, client: None, pinned_sha256: None }, seen }
    }

    fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.address)
    }

    fn open(&self) -> HttpService {
        node::host().http.open(&self.identity, &self.url("")).unwrap()
    }

    fn client(&self) -> HttpService {
        node::host().http.client(&self.identity).unwrap()
    }
}

async fn serve(listener: TcpListener, tls: TlsAcceptor, connections: Vec<VecDeque<Turn>>, seen: Seen) {
    for (index, turns) in connections.into_iter().enumerate() {
        let Ok((stream, _)) = listener.accept().await else { return };
        seen.connections.lock().unwrap().push(Vec::new());
        let (tls, seen) = (tls.clone(), seen.clone());
        tokio::spawn(async move {
            let Ok(mut stream) = tls.accept(stream).await else { return };
            for turn in turns {
                let Some(request) = read_request(&mut stream).await else { return };
                seen.connections.lock().unwrap()[index].push(request);
                match turn {
                    Turn::Answer(answer) => stream.write_all(answer.as_bytes()).await.unwrap(),
                    Turn::AnswerAndClose(answer) => {
                        // A client that has read enough does not wait for the rest.
                        let _ = stream.write_all(answer.as_bytes()).await;
                        let _ = stream.shutdown().await;
                        return;
                    }
                    Turn::Close => return,
                }
            }
            // Keeps the connection until the client has gone.
            let _ = stream.read(&mut [0]).await;
        });
    }
}

/// The head of a request; none of these has a body.
async fn read_request(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    Some(String::from_utf8(head).unwrap().to_ascii_lowercase())
}

/// A status and a body, or what went wrong.
async fn ask(service: &HttpService, url: String) -> Result<(u16, String), BoxError> {
    let request = Request::get(url).body(Bytes::new()).unwrap();
    let response = service.clone().oneshot(request).await?;
    let status = response.status().as_u16();
    let body = response.into_body().collect().await?.to_bytes();
    Ok((status, String::from_utf8(body.to_vec()).unwrap()))
}

#[tokio::test]
async fn a_connection_that_is_opened_early_serves_the_first_request_and_those_after_it() {
    let server = Server::start(&[&[Turn::Answer(OK), Turn::Answer(OK)]]).await;
    let service = server.open();
    for _ in 0..500 {
        if !server.seen.requests().is_empty() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!(server.seen.requests(), [0], "opened, though nothing has been asked");
    for _ in 0..2 {
        assert_eq!(ask(&service, server.url("/a?b=c")).await.unwrap(), (200, "good".to_owned()));
    }
    assert_eq!(server.seen.requests(), [2]);
    let first = server.seen.connections.lock().unwrap()[0][0].clone();
    assert!(first.starts_with("get /a?b=c http/1.1\r\n"), "{first}");
    assert!(first.contains(&format!("host: {}\r\n", server.address)), "{first}");
}

#[tokio::test]
async fn a_connection_that_the_server_closed_meanwhile_costs_a_new_one_and_not_the_request() {
    let server = Server::start(&[&[Turn::AnswerAndClose(OK)], &[Turn::Answer(OK)]]).await;
    let service = server.client();
    for _ in 0..2 {
        assert_eq!(ask(&service, server.url("/")).await.unwrap().0, 200);
    }
    assert_eq!(server.seen.requests(), [1, 1]);
}

#[tokio::test]
async fn a_request_that_may_have_been_read_is_not_sent_again() {
    let server = Server::start(&[&[Turn::Close], &[Turn::Answer(OK)]]).await;
    assert!(ask(&server.client(), server.url("/")).await.is_err());
    assert_eq!(server.seen.requests(), [1]);
}

#[tokio::test]
async fn a_redirect_is_an_answer_like_any_other() {
    let server = Server::start(&[&[Turn::Answer(ELSEWHERE), Turn::Answer(OK)]]).await;
    assert_eq!(ask(&server.client(), server.url("/")).await.unwrap().0, 307);
    assert_eq!(server.seen.requests(), [1]);
}

#[tokio::test]
async fn an_odd_answer_is_read_as_far_as_it_is_one_or_is_an_error_and_never_waited_for() {
    let endless = || format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "a".repeat(1 << 20));
    let many = || {
        let headers: Vec<String> = (0..200).map(|number| format!("x-{number}: y\r\n")).collect();
        format!("HTTP/1.1 200 OK\r\n{}\r\n", headers.concat())
    };
    let cases: [(String, Result<&str, ()>); 12] = [
        ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok".into(), Ok("ok")),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n".into(), Ok("ok")),
        // Whoever says how long it is by closing has to close as TLS does.
        ("HTTP/1.0 200 OK\r\n\r\nok".into(), Ok("ok")),
        ("HTTP/1.1 204 No Content\r\n\r\n".into(), Ok("")),
        ("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nok".into(), Err(())),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nok".into(), Err(())),
        ("HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\nok".into(), Err(())),
        ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok".into(), Err(())),
        ("HTTP/1.1 999999 Odd\r\n\r\n".into(), Err(())),
        ("\u{0}\u{1}\u{2} no HTTP at all\r\n\r\n".into(), Err(())),
        (endless(), Err(())),
        (many(), Err(())),
    ];
    for (answer, expected) in cases {
        let shown: String = answer.chars().take(80).collect();
        let server = Server::start(&[&[Turn::AnswerAndClose(answer.leak())]]).await;
        let patience = std::time::Duration::from_secs(20);
        let told = tokio::time::timeout(patience, ask(&server.client(), server.url("/"))).await;
        let told = told.unwrap_or_else(|_| panic!("waited for: {shown}"));
        match (told, expected) {
            (Ok((_, body)), Ok(wanted)) => assert_eq!(body, wanted, "{shown}"),
            (Err(_), Err(())) => {}
            (told, _) => panic!("{shown}: {told:?}"),
        }
    }
}

#[tokio::test]
async fn a_name_with_an_address_that_refuses_is_reached_by_its_other() {
    // "localhost" may be ::1 as well, where nobody listens.
    let server = Server::start(&[&[Turn::Answer(OK)]]).await;
    let url = format!("https://localhost:{}/", server.address.port());
    assert_eq!(ask(&server.client(), url).await.unwrap().0, 200);
}

#[tokio::test]
async fn what_goes_wrong_on_the_way_names_the_server_and_the_cause() {
    let server = Server::start(&[&[]]).await;
    let told = |outcome: Result<(u16, String), BoxError>| outcome.unwrap_err().to_string();
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let error = told(ask(&server.client(), format!("https://{nobody}/")).await);
    assert!(error.contains(&nobody.to_string()) && error.contains("refused"), "{error}");

    let plain = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = plain.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = plain.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        let _ = stream.read(&mut [0; 1024]).await;
    });
    let error = told(ask(&server.client(), format!("https://{address}/")).await);
    assert!(error.contains(&format!("TLS with {address}")), "{error}");

    let error = told(ask(&server.client(), "http://127.0.0.1:1/".to_owned()).await);
    assert!(error.contains("https"), "{error}");
    assert_eq!(server.seen.requests(), Vec::<usize>::new());
}
