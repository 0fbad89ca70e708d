//! What goes back over HTTP: arrays of one, empty lists without a byte, errors, and 401 as the page that the
//! real server sends. Never decides a status.

use axum::body::Body;
use axum::response::Response;
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ALLOW, CACHE_CONTROL, CONTENT_LENGTH,
    CONTENT_TYPE, HeaderName, WWW_AUTHENTICATE,
};
use http::{HeaderValue, StatusCode};
use serde_json::Value;

use super::error::Refusal;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// The headers of replies that a browser shows to a page of another origin, as recorded.
const EXPOSED: HeaderValue = HeaderValue::from_static(
    "X-Nuage-Organization, X-Nuage-ProxyUser, X-Nuage-OrderBy, X-Nuage-FilterType, X-Nuage-Filter, X-Nuage-Page, \
     X-Nuage-PageSize, X-Nuage-Count, X-Nuage-Custom, X-Nuage-ClientType",
);
/// The headers that such a page may send.
const ASKED: &str = "X-Nuage-Organization, X-Nuage-ProxyUser, X-Nuage-OrderBy, X-Nuage-FilterType, X-Nuage-Filter, \
                     X-Nuage-Page, X-Nuage-PageSize, X-Nuage-Count, X-Nuage-Custom, X-Nuage-ClientType, \
                     X-Nuage-PatchType, X-Nuage-GroupBy, X-Nuage-Attributes, Authorization, Content-Type, \
                     Cache-Control, If-Modified-Since, X-Requested-With";
const METHODS: &str = "GET, POST, PUT, PATCH, DELETE, HEAD, OPTIONS";

/// A header of the reply.
pub(super) type Header = (HeaderName, String);

/// No body: 204 of an update or deletion, 200 of a count or an empty list. The length is said: clients tell
/// an empty list by it.
pub(super) fn empty(status: StatusCode, headers: Vec<Header>) -> Response {
    let mut response = with(status, headers, Body::empty());
    if status != StatusCode::NO_CONTENT {
        response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    response
}

/// A list of objects. An empty one has no body at all: clients that decode `[]` break.
pub(super) fn array(status: StatusCode, headers: Vec<Header>, objects: Vec<Value>) -> Response {
    if objects.is_empty() {
        return empty(status, headers);
    }
    let mut response = with(status, headers, Body::from(Value::Array(objects).to_string()));
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    response
}

/// A body that is JSON already.
pub(super) fn json(status: StatusCode, headers: Vec<Header>, body: String) -> Response {
    let mut response = with(status, headers, Body::from(body));
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    response
}

/// An error or a question.
pub(super) fn refusal(refusal: &Refusal, headers: Vec<Header>) -> Response {
    let mut response = with(refusal.status, headers, Body::from(refusal.body().to_string()));
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    if let Some(allow) = refusal.allow.as_deref().and_then(|allow| HeaderValue::from_str(allow).ok()) {
        response.headers_mut().insert(ALLOW, allow);
    }
    response
}

/// What a browser is told before it sends a request from another origin.
pub(super) fn preflight() -> Response {
    let mut response = empty(StatusCode::OK, Vec::new());
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(METHODS));
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(ASKED));
    headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    response
}

/// 401 is a page, not JSON, as the real server's: it comes from the container around the application.
pub(super) fn unauthorized() -> Response {
    let page = "<html><head><title>Error report</title></head><body><h1>HTTP Status 401 - </h1>\
                <p><b>message</b></p><p><b>description</b> <u>This request requires HTTP authentication.</u></p>\
                </body></html>";
    let mut response = with(StatusCode::UNAUTHORIZED, Vec::new(), Body::from(page));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html;charset=utf-8"));
    headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("BASIC realm=\"application\""));
    response
}

fn with(status: StatusCode, headers: Vec<Header>, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let always = response.headers_mut();
    always.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    always.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    always.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    for (name, value) in headers {
        // An echoed header came in as one; a value of ours is plain text.
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}
