//! What the VSD refuses and how it says so: a status, a text for people and, where the real one has one, an
//! internal code that clients act on. Never a panic, never a code that no source names.

use http::{Method, StatusCode};
use serde_json::{Map, Value, json};

/// Internal error codes that clients know.
pub mod code {
    /// A system enterprise cannot be deleted.
    pub const SYSTEM_ENTERPRISE: u32 = 2010;
    /// A system user cannot be deleted.
    pub const SYSTEM_USER: u32 = 2013;
    /// An update changes nothing.
    pub const NO_CHANGE: u32 = 2039;
    /// The address range overlaps another one of the domain.
    pub const OVERLAP: u32 = 2504;
    /// An ACL template of that name exists.
    pub const ACL_TEMPLATE_EXISTS: u32 = 2533;
    /// A range has host bits.
    pub const HOST_BITS: u32 = 2526;
    /// A netmask is none.
    pub const BAD_NETMASK: u32 = 2529;
    /// Another advanced-forwarding entry of the template has this priority.
    pub const FORWARDING_PRIORITY_IN_USE: u32 = 2591;
    /// Another ACL entry of the template has this priority.
    pub const ENTRY_PRIORITY_IN_USE: u32 = 2640;
    /// Something is attached below the object that is to be deleted.
    pub const STILL_ATTACHED: u32 = 2506;
    /// The subnet has no free address.
    pub const SUBNET_FULL: u32 = 2702;
    /// The address is in use.
    pub const ADDRESS_IN_USE: u32 = 2704;
    /// A resynchronisation is running already.
    pub const RESYNC_RUNNING: u32 = 2715;
    /// The vPort is in another network than the one that is named.
    pub const NETWORK_CHANGED: u32 = 2747;
    /// Another container (or VM) has this UUID.
    pub const UUID_IN_USE: u32 = 2748;
    /// A mandatory value is missing.
    pub const MANDATORY: u32 = 5001;
    /// The vPort has an interface.
    pub const INTERFACE_EXISTS: u32 = 7006;
    /// The vPort has a VM.
    pub const MACHINE_EXISTS: u32 = 7010;
    /// The policy group is attached to a vPort.
    pub const POLICY_GROUP_IN_USE: u32 = 7097;
    /// Another reservation has this address.
    pub const DUPLICATE_RESERVATION: u32 = 7205;
    /// The policy group and the vPort are in different domains.
    pub const OTHER_DOMAIN: u32 = 7309;
}

/// A request that is answered with an error, or with a question (status 300).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{status}: {title}: {description}")]
pub struct Refusal {
    /// The status of the reply.
    pub status: StatusCode,
    /// The attribute it is about; empty where it is the object.
    pub property: String,
    /// A few words.
    pub title: String,
    /// A sentence.
    pub description: String,
    /// The internal error code, where the real VSD is known to have one.
    pub code: Option<u32>,
    /// The methods that are allowed, where the method is what is refused.
    pub allow: Option<String>,
}

impl Refusal {
    fn new(status: StatusCode, property: &str, title: &str, description: String) -> Self {
        let (property, title) = (property.to_owned(), title.to_owned());
        Self { status, property, title, description, code: None, allow: None }
    }

    /// 404: no such object.
    pub(super) fn not_found(entity: &str, id: &str) -> Self {
        let description = format!("Cannot find {entity} with ID {id}");
        Self::new(StatusCode::NOT_FOUND, "", &format!("{entity} not found"), description)
    }

    /// 404: no such path.
    pub(super) fn no_such_path(path: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "", "resource not found", format!("There is no resource at {path}"))
    }

    /// 405: the resource does not know this verb.
    pub(super) fn not_allowed(method: &Method, allowed: &[&Method]) -> Self {
        let description = format!("{method} is not allowed on this resource");
        let allow = allowed.iter().map(|method| method.as_str()).collect::<Vec<_>>().join(", ");
        let refusal = Self::new(StatusCode::METHOD_NOT_ALLOWED, "", "Method not allowed", description);
        Self { allow: Some(allow), ..refusal }
    }

    /// 401 or 403: somebody who is known, but may not.
    pub(super) fn denied(status: StatusCode, title: &str, description: String) -> Self {
        Self::new(status, "", title, description)
    }

    /// 401 for somebody who is known.
    pub(super) fn unauthorized(description: &str) -> Self {
        Self::denied(StatusCode::UNAUTHORIZED, "Unauthorized", description.to_owned())
    }

    /// 400: what came cannot be understood.
    pub(super) fn malformed(description: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "", "Invalid request", description.into())
    }

    /// 413: more came than is read.
    pub(super) fn too_large(limit: usize) -> Self {
        let description = format!("A request body has at most {limit} bytes");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "", "Request too large", description)
    }

    /// 300: go on only if the client confirms with `responseChoice=1`.
    pub(super) fn confirm(title: &str, description: impl Into<String>) -> Self {
        Self::new(StatusCode::MULTIPLE_CHOICES, "", title, description.into())
    }

    /// 503: it cannot be done now, whatever is asked.
    pub(super) fn unavailable(description: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "", "Service unavailable", description.into())
    }

    /// 409 with a code.
    pub(super) fn conflict(code: u32, property: &str, title: &str, description: impl Into<String>) -> Self {
        Self { code: Some(code), ..Self::invalid(property, title, description) }
    }

    /// 409 without a code: a value that no source gives a code for.
    pub(super) fn invalid(property: &str, title: &str, description: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, property, title, description.into())
    }

    /// The JSON body: `errors` with one property and one description; a 404 repeats the texts at the top, as
    /// recorded from VSD 5.0, and a 300 offers its choices.
    pub(super) fn body(&self) -> Value {
        let texts = json!({ "title": self.title, "description": self.description });
        let mut body = Map::new();
        if self.status == StatusCode::NOT_FOUND {
            body.insert("title".to_owned(), Value::from(self.title.clone()));
            body.insert("description".to_owned(), Value::from(self.description.clone()));
        }
        if self.status == StatusCode::MULTIPLE_CHOICES {
            let choices = json!([{ "id": 1, "label": "OK" }, { "id": 0, "label": "Cancel" }]);
            body.insert("choices".to_owned(), choices);
        }
        let errors = json!([{ "property": self.property, "descriptions": [texts] }]);
        body.insert("errors".to_owned(), errors);
        if let Some(code) = self.code {
            body.insert("internalErrorCode".to_owned(), Value::from(code));
        }
        Value::Object(body)
    }
}
