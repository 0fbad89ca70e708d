//! What the audit's HTTP peers have in common: a client that is made anew when certificates change, answers that are read whole
//! and within a bound, errors with their causes on one line. Decides nothing, and says nothing of credentials.

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use http_body_util::BodyExt as _;

use crate::host::{BoxBody, BoxError, Host, HttpService, TlsIdentity};

/// No answer is longer, in bytes.
const MAX_ANSWER_BYTES: usize = 64 << 20;
/// How much of an error is told, in characters.
const SHOWN: usize = 300;

/// The client of one peer.
#[derive(Default)]
pub(super) struct Clients {
    /// The last one, and for which identity.
    last: Mutex<Option<(Vec<u8>, HttpService)>>,
}

impl Clients {
    /// A client with this identity, or without TLS where there is none.
    pub(super) fn get(&self, host: &Host, identity: Option<&TlsIdentity>) -> Result<HttpService, BoxError> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = identity.map(fingerprint).unwrap_or_default();
        if let Some((_, service)) = last.as_ref().filter(|(known, _)| *known == wanted) {
            return Ok(service.clone());
        }
        let service = match identity {
            Some(identity) => host.http.client(identity)?,
            None => host.http.plain()?,
        };
        *last = Some((wanted, service.clone()));
        Ok(service)
    }
}

/// What tells one identity from another.
fn fingerprint(identity: &TlsIdentity) -> Vec<u8> {
    let client = identity.client.as_ref().map(|(chain, key)| [chain.as_slice(), key].concat());
    [b"tls", identity.authorities.as_slice(), &client.unwrap_or_default()].concat()
}

/// A body, whole and within its bound.
pub(super) async fn whole(mut body: BoxBody) -> Result<Bytes, String> {
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| describe(&*error))?;
        bytes.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
        if bytes.len() > MAX_ANSWER_BYTES {
            return Err(format!("an answer of more than {MAX_ANSWER_BYTES} bytes"));
        }
    }
    Ok(bytes.into())
}

/// An error with its causes, on one line.
pub(super) fn describe(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        next = cause.source();
    }
    text.chars().map(|character| if character.is_control() { ' ' } else { character }).take(SHOWN).collect()
}
