//! The one error type of the plugin. Each variant knows its CNI code, a short message, details and, where a
//! person can act, a hint. It never carries a secret: neither PEM text nor a token nor the standard input.

use std::fmt;

use serde_json::{Value, json};

/// What a call can fail with. Codes 1 to 99 are the CNI specification's (1.1.0, section "Error"), 100 and up
/// are this plugin's own.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Code 1: the configuration asks for a version of the specification that the plugin does not speak.
    #[error("incompatible CNI version: {asked}")]
    IncompatibleVersion {
        /// The version asked for.
        asked: String,
    },
    /// Code 2: a field of the network configuration that the plugin cannot honour. Names key and value.
    #[error("unsupported field in the network configuration: {key} = {value}")]
    UnsupportedField {
        /// The field's path.
        key: String,
        /// Its value, shortened.
        value: String,
    },
    /// Code 3: the container or the attachment is not there, so nothing needs to be cleaned up.
    #[error("container unknown: {0}")]
    UnknownContainer(String),
    /// Code 4: environment variables are missing or unusable. Each item names one variable and what is wrong.
    #[error("invalid environment: {}", .0.join(", "))]
    Environment(Vec<String>),
    /// Code 5: a file, stream or link could not be read or written.
    #[error("{operation} failed")]
    Io {
        /// What was being done.
        operation: String,
        /// What the system said.
        details: String,
    },
    /// Code 6: content that cannot be decoded.
    #[error("cannot decode {what}")]
    Decode {
        /// What was being decoded.
        what: String,
        /// What is wrong with it, and where.
        details: String,
    },
    /// Code 7: the network or node configuration is invalid.
    #[error("invalid configuration: {what}")]
    Config {
        /// Which key of which file.
        what: String,
        /// What is wrong with it.
        details: String,
        /// What to do about it.
        hint: Option<String>,
    },
    /// Code 11: it may work later; nothing is left behind.
    #[error("{what}: try again later")]
    TryAgain {
        /// What is not there right now.
        what: String,
        /// Why it is thought so.
        details: String,
        /// What to do if it stays so.
        hint: Option<String>,
    },
    /// Code 50 (or 51): STATUS says that ADD cannot be served (and that existing attachments may suffer).
    #[error("plugin not available: {details}")]
    NotReady {
        /// Whether traffic of existing attachments may be limited as well (code 51).
        limited: bool,
        /// The cause.
        details: String,
    },
    /// Code 100: the sandbox already has this interface.
    #[error("interface {ifname} exists already in the container")]
    Exists {
        /// The interface.
        ifname: String,
    },
    /// Code 101: the controller did not resolve the port in time.
    #[error("port {port} was not resolved within {seconds} s")]
    Unresolved {
        /// The VRS port.
        port: String,
        /// How long was waited, in seconds.
        seconds: u64,
        /// What was seen of the port.
        details: String,
    },
    /// Code 102: the pod that was asked for has been replaced by another of the same name.
    #[error("pod {pod} has been replaced by another of the same name")]
    PodReplaced {
        /// `namespace/name`.
        pod: String,
    },
    /// Code 103: the monitor or the API server refused.
    #[error("{peer} refused")]
    Refused {
        /// Who refused.
        peer: String,
        /// Status and message.
        details: String,
        /// What to do about it.
        hint: Option<String>,
    },
    /// Code 104: the VRS refused a transaction.
    #[error("the VRS refused: {operation}")]
    Vrs {
        /// What was asked of it.
        operation: String,
        /// Its error tag and details.
        details: String,
    },
    /// Code 105: the attachment differs from what it should be (CHECK).
    #[error("attachment differs: {0}")]
    Differs(String),
    /// Code 107: a DEL of the same attachment came while it was being made.
    #[error("interface {ifname} was deleted while it was being attached")]
    Overtaken {
        /// The interface.
        ifname: String,
    },
    /// Code 106: several things failed; each was tried (GC, teardown).
    #[error("{} of the steps failed", .0.len())]
    Several(Vec<Error>),
}

impl Error {
    /// Every code with its meaning.
    pub const CODES: &[(u32, &str)] = &[
        (1, "the configuration asks for a version of the specification that the plugin does not speak"),
        (2, "a field of the network configuration, or a wish of the runtime, that the plugin cannot honour"),
        (3, "the container or the attachment is not there"),
        (4, "environment variables are missing or unusable"),
        (5, "a file, stream or link could not be read or written"),
        (6, "content that cannot be decoded"),
        (7, "the network or node configuration is invalid"),
        (11, "something is away that comes back; nothing is left behind"),
        (50, "STATUS: no ADD can be served"),
        (51, "STATUS: no ADD can be served, and what is attached may suffer"),
        (100, "the interface exists already in the container"),
        (101, "the controller did not resolve the port in time"),
        (102, "the pod has been replaced by another of its name"),
        (103, "the API server or the monitor refused"),
        (104, "the VRS refused a transaction"),
        (105, "CHECK: the attachment differs from what ADD made"),
        (106, "several things failed; `details` has them all"),
        (107, "a DEL came while the interface was being attached"),
    ];

    /// The CNI error code.
    pub fn code(&self) -> u32 {
        match self {
            Self::IncompatibleVersion { .. } => 1,
            Self::UnsupportedField { .. } => 2,
            Self::UnknownContainer(_) => 3,
            Self::Environment(_) => 4,
            Self::Io { .. } => 5,
            Self::Decode { .. } => 6,
            Self::Config { .. } => 7,
            Self::TryAgain { .. } => 11,
            Self::NotReady { limited: false, .. } => 50,
            Self::NotReady { limited: true, .. } => 51,
            Self::Exists { .. } => 100,
            Self::Unresolved { .. } => 101,
            Self::PodReplaced { .. } => 102,
            Self::Refused { .. } => 103,
            Self::Vrs { .. } => 104,
            Self::Differs(_) => 105,
            Self::Several(_) => 106,
            Self::Overtaken { .. } => 107,
        }
    }

    /// Whether it passes by itself: nothing is wrong with what was asked.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::TryAgain { .. } | Self::NotReady { .. })
    }

    /// What lies behind the message, for the error object's `details`.
    pub fn details(&self) -> String {
        let (details, hint): (String, Option<&str>) = match self {
            Self::Io { details, .. }
            | Self::Decode { details, .. }
            | Self::NotReady { details, .. }
            | Self::Unresolved { details, .. }
            | Self::Vrs { details, .. } => (details.clone(), None),
            Self::Config { details, hint, .. }
            | Self::TryAgain { details, hint, .. }
            | Self::Refused { details, hint, .. } => (details.clone(), hint.as_deref()),
            Self::IncompatibleVersion { .. } => {
                (format!("supported: {}", crate::protocol::VERSIONS.join(", ")), None)
            }
            Self::Several(errors) => {
                (errors.iter().map(|error| Full(error).to_string()).collect::<Vec<_>>().join("; "), None)
            }
            Self::UnsupportedField { .. }
            | Self::UnknownContainer(_)
            | Self::Environment(_)
            | Self::Exists { .. }
            | Self::PodReplaced { .. }
            | Self::Overtaken { .. }
            | Self::Differs(_) => (String::new(), None),
        };
        match hint {
            Some(hint) if details.is_empty() => format!("hint: {hint}"),
            Some(hint) => format!("{details}; hint: {hint}"),
            None => details,
        }
    }

    /// The error object of the CNI specification for a caller that speaks `version`.
    pub fn to_json(&self, version: &str) -> Value {
        json!({"cniVersion": version, "code": self.code(), "msg": self.to_string(), "details": self.details()})
    }
}

/// An error with its details on one line, for logs and lists.
struct Full<'a>(&'a Error);

impl fmt::Display for Full<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let details = self.0.details();
        if details.is_empty() {
            write!(formatter, "{}", self.0)
        } else {
            write!(formatter, "{}: {details}", self.0)
        }
    }
}
