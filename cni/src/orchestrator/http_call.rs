//! One HTTP exchange with a deadline and a bound on the body. Says nothing of credentials in its errors.

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use tokio::time::{Instant, timeout_at};
use tower::ServiceExt as _;

use crate::call::Call;
use crate::error::Error;
use crate::host::{HttpService, TlsIdentity};

/// A server that is about to be asked.
pub(super) struct Server {
    /// Its URL without a trailing slash.
    pub(super) url: String,
    pub(super) service: HttpService,
}

impl Server {
    /// Begins to connect to `url`, a value of the key `key`; `place` is where `identity` comes from.
    pub(super) fn open(
        call: &Call<'_>,
        (key, url): (&str, &str),
        place: &str,
        identity: &TlsIdentity,
    ) -> Result<Self, Error> {
        let wrong = |what: String, details: String| Error::Config { what, details, hint: None };
        if let Err(error) = url.parse::<http::Uri>() {
            return Err(wrong(format!("{key}: {url}"), error.to_string()));
        }
        let service = call.host.http.open(identity, url);
        let service = service.map_err(|error| wrong(place.to_owned(), error.to_string()))?;
        Ok(Self { url: url.to_owned(), service })
    }
}

/// A status and a whole body.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
}

/// Sends `request` to `peer`, a name for messages, and reads at most `limit` bytes of its answer.
pub(super) async fn send(
    server: &Server,
    peer: &str,
    request: Request<Bytes>,
    limit: usize,
    deadline: Instant,
) -> Result<Answer, Error> {
    let unreachable = |details: String| Error::TryAgain {
        what: format!("{peer} cannot be reached"),
        details,
        hint: Some(format!("is {peer} running, and does its certificate carry the name in the URL?")),
    };
    let exchange = async {
        let response =
            server.service.clone().oneshot(request).await.map_err(|error| unreachable(chain(&*error)))?;
        let status = response.status();
        let body = Limited::new(response.into_body(), limit).collect().await;
        let body = body.map_err(|error| unreachable(chain(&*error)))?.to_bytes();
        Ok(Answer { status, body })
    };
    timeout_at(deadline, exchange).await.map_err(|_| unreachable("no answer in time".to_owned()))?
}

/// An error with its causes.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}

/// The first of an error answer's text, for messages.
pub(super) fn excerpt(body: &[u8]) -> String {
    const SHOWN: usize = 200;
    String::from_utf8_lossy(body).chars().filter(|character| !character.is_control()).take(SHOWN).collect()
}
