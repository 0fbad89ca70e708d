//! The one error type of this crate.

use serde_json::Value;

use crate::read::ValueError;

/// What can go wrong between a client and an OVSDB server.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// The stream ended or was closed; the request may or may not have been carried out.
    #[error("the connection to the OVSDB server is closed")]
    Closed,
    /// No answer within the deadline; the request may or may not have been carried out.
    #[error("no answer from the OVSDB server within {0:?}")]
    Timeout(std::time::Duration),
    /// Bytes that are no JSON-RPC, or a message beyond the bounds. The connection cannot be used any more.
    #[error("not an OVSDB message: {0}")]
    Malformed(String),
    /// A schema that is none.
    #[error("not an OVSDB schema: {0}")]
    Schema(#[from] ValueError),
    /// An answer of another shape than RFC 7047 gives it.
    #[error("unexpected answer to {method}: {answer}")]
    Unexpected {
        /// The method called.
        method: String,
        /// The answer, shortened.
        answer: String,
    },
    /// The server refused the request as a whole: its `error` member.
    #[error("{method} refused: {error}")]
    Refused {
        /// The method called.
        method: String,
        /// The error member: a string or an object.
        error: Value,
    },
    /// An operation failed; the whole transaction was rolled back.
    #[error("operation {index} failed: {error}: {details}")]
    Operation {
        /// Which, from 0.
        index: usize,
        /// The error's tag, for example `constraint violation`.
        error: String,
        /// The server's words.
        details: String,
    },
    /// All operations passed, and the commit failed; the whole transaction was rolled back.
    #[error("commit failed: {error}: {details}")]
    Commit {
        /// The error's tag.
        error: String,
        /// The server's words.
        details: String,
    },
}
