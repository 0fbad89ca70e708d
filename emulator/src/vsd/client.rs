//! A small client of the VSD's REST API: what the controller and the monitor ask of it. Identity is the client
//! certificate of the connection below. Every call has a deadline; nothing is retried here.

mod only;

use std::fmt;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::CONTENT_TYPE;
use http::response::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use serde::Deserialize;
use serde_json::Value;
use tower::ServiceExt as _;

use crate::http::{BoxError, HttpService};
use only::Only;

/// How long one call may take.
const DEADLINE: Duration = Duration::from_secs(5);
/// How long a poll for events may take: the VSD answers after at most 100 s.
const POLL: Duration = Duration::from_mins(2);
/// Objects asked for at a time: the largest page of the real VSD.
const PAGE: usize = 500;
/// The most pages that one list is read over.
const MOST_PAGES: usize = 1_000;
/// The longest value that is looked for, in bytes: a filter travels in a header of at most 8 KiB.
const LONGEST_VALUE: usize = 1_024;
/// The largest body that is read, in bytes.
const LARGEST_BODY: usize = 64 * 1024 * 1024;

/// Why a call has no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No answer in time.
    #[error("no answer from the VSD in {} s", DEADLINE.as_secs())]
    Timeout,
    /// The connection failed.
    #[error("the VSD cannot be reached: {0}")]
    Unreachable(String),
    /// The VSD said no.
    #[error("the VSD answered {status} (code {code:?}): {description}")]
    Refused {
        /// The status of its answer.
        status: StatusCode,
        /// Its internal error code.
        code: Option<u32>,
        /// Its words.
        description: String,
    },
    /// The answer, or what was to be asked, is not what the API has.
    #[error("not a message of the VSD's API: {0}")]
    Malformed(String),
    /// Something that the caller named is not there.
    #[error("the VSD has no {0}")]
    Missing(String),
}

impl Error {
    /// The VSD's internal error code, if it is a refusal with one.
    pub fn code(&self) -> Option<u32> {
        match self {
            Self::Refused { code, .. } => *code,
            _ => None,
        }
    }
}

/// Something that has happened, as far as it is looked at.
#[derive(Clone, Debug, Deserialize)]
pub struct Event {
    /// CREATE, UPDATE or DELETE.
    #[serde(rename = "type")]
    pub kind: String,
    /// REST name of what it is about.
    #[serde(rename = "entityType")]
    pub entity: String,
    /// What it is about.
    pub entities: Vec<About>,
}

/// An object of an event.
#[derive(Clone, Debug, Deserialize)]
pub struct About {
    /// The UUID of a machine.
    #[serde(rename = "UUID", default)]
    pub uuid: Option<String>,
    /// The UUID of the container that an interface is one of.
    #[serde(rename = "containerUUID", default)]
    pub container: Option<String>,
    /// The UUID of the virtual machine that an interface is one of.
    #[serde(rename = "VMUUID", default)]
    pub machine: Option<String>,
}

/// A client of one VSD.
#[derive(Clone)]
pub struct Client {
    http: HttpService,
    url: String,
    /// The attributes that are read of answers; all of them where absent.
    kept: Option<&'static [&'static str]>,
}

impl fmt::Debug for Client {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Client").field("url", &self.url).finish_non_exhaustive()
    }
}

impl Client {
    /// A client of the API below `url`, for instance `https://vsd:7443/nuage/api/v6`.
    pub fn new(http: HttpService, url: &str) -> Self {
        Self { http, url: url.trim_end_matches('/').to_owned(), kept: None }
    }

    /// Reads only these attributes of answers, and those that objects are looked for by: whoever asks often saves the time
    /// for all the others.
    #[must_use]
    pub fn reading_only(mut self, attributes: &'static [&'static str]) -> Self {
        self.kept = Some(attributes);
        self
    }

    /// The object of a collection whose `attribute` is exactly `value`.
    ///
    /// # Errors
    /// Any of [`Error`]; that there is none is `Ok(None)`.
    pub async fn find(&self, path: &str, attribute: &str, value: &str) -> Result<Option<Value>, Error> {
        self.find_part(path, (attribute, value), None).await
    }

    /// As [`Client::find`], but the object's ID, `attribute` and `attributes` (with commas between) are all that the VSD is
    /// asked to show.
    ///
    /// # Errors
    /// As [`Client::find`].
    pub async fn find_only(
        &self,
        path: &str,
        attribute: &str,
        value: &str,
        attributes: &str,
    ) -> Result<Option<Value>, Error> {
        let shown = format!("{attribute},{attributes}");
        self.find_part(path, (attribute, value), Some(&shown)).await
    }

    async fn find_part(
        &self,
        path: &str,
        (attribute, value): (&str, &str),
        shown: Option<&str>,
    ) -> Result<Option<Value>, Error> {
        let mut found = self.page(path, Some((attribute, value)), shown, 0).await?;
        // Whatever a server takes a filter for, an object of another name is not the one.
        found.0.retain(|object| object.get(attribute).and_then(Value::as_str) == Some(value));
        Ok(found.0.into_iter().next())
    }

    /// All objects of a collection, or those whose attribute has a value.
    ///
    /// # Errors
    /// Any of [`Error`].
    pub async fn list(&self, path: &str, filter: Option<(&str, &str)>) -> Result<Vec<Value>, Error> {
        let mut all = Vec::new();
        for page in 0..MOST_PAGES {
            let (objects, count) = self.page(path, filter, None, page).await?;
            let last = objects.is_empty();
            all.extend(objects);
            if last || all.len() >= count {
                return Ok(all);
            }
        }
        Err(Error::Malformed(format!("{path} has no end")))
    }

    /// Reads one object.
    ///
    /// # Errors
    /// Any of [`Error`].
    pub async fn read(&self, path: &str) -> Result<Value, Error> {
        first(self.call(Method::GET, path, None, HeaderMap::new(), "").await?.1)
    }

    /// Creates an object and returns it as the VSD completed it.
    ///
    /// # Errors
    /// Any of [`Error`].
    pub async fn create(&self, path: &str, object: &Value) -> Result<Value, Error> {
        first(self.call(Method::POST, path, Some(object), HeaderMap::new(), "").await?.1)
    }

    /// Changes some attributes of an object.
    ///
    /// # Errors
    /// Any of [`Error`].
    pub async fn update(&self, path: &str, changes: &Value) -> Result<(), Error> {
        self.call(Method::PUT, path, Some(changes), HeaderMap::new(), "").await.map(drop)
    }

    /// Adds a member to a collection of associated objects.
    ///
    /// # Errors
    /// Any of [`Error`].
    pub async fn add_member(&self, path: &str, id: &str) -> Result<(), Error> {
        let headers = HeaderMap::from_iter([(
            http::HeaderName::from_static("x-nuage-patchtype"),
            HeaderValue::from_static("add"),
        )]);
        let ids = Value::from(vec![id]);
        self.call(Method::PATCH, path, Some(&ids), headers, "").await.map(drop)
    }

    /// Waits for events behind a place, or from now on, and tells the place behind them. None have happened where there
    /// are none after the VSD's own patience.
    ///
    /// # Errors
    /// Any of [`Error`].
    pub async fn events(&self, place: Option<&str>) -> Result<(Vec<Event>, String), Error> {
        #[derive(Deserialize)]
        struct Told {
            events: Vec<Event>,
            uuid: String,
        }
        let path = place.map_or_else(|| "events".to_owned(), |place| format!("events?uuid={place}"));
        let request = Request::builder().uri(format!("{}/{path}", self.url)).body(Bytes::new());
        let request = request.map_err(|error| Error::Malformed(error.to_string()))?;
        let exchange = tokio::time::timeout(POLL, exchange(self.http.clone(), request));
        let (parts, body) = exchange.await.map_err(|_| Error::Timeout)??;
        if !parts.status.is_success() {
            return Err(refused(parts.status, &Value::Null));
        }
        let told: Told =
            serde_json::from_slice(&body).map_err(|error| Error::Malformed(error.to_string()))?;
        Ok((told.events, told.uuid))
    }

    /// Deletes an object, whatever lies below it. Returns whether it was there.
    ///
    /// # Errors
    /// Any of [`Error`].
    pub async fn delete(&self, path: &str) -> Result<bool, Error> {
        let path = format!("{path}?responseChoice=1");
        match self.call(Method::DELETE, &path, None, HeaderMap::new(), "").await {
            Ok(_) => Ok(true),
            Err(Error::Refused { status: StatusCode::NOT_FOUND, .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// One page of a collection, and how many objects all pages have. `shown`: the attributes that are asked for.
    async fn page(
        &self,
        path: &str,
        filter: Option<(&str, &str)>,
        shown: Option<&str>,
        page: usize,
    ) -> Result<(Vec<Value>, usize), Error> {
        let mut headers = HeaderMap::new();
        let mut say = |name: &'static str, value: String| {
            let value = HeaderValue::from_bytes(value.as_bytes());
            let value = value.map_err(|_| Error::Malformed("a value with control characters".to_owned()))?;
            headers.insert(name, value);
            Ok::<_, Error>(())
        };
        if let Some((attribute, value)) = filter {
            if value.len() > LONGEST_VALUE {
                return Err(Error::Malformed("a value that no filter can hold".to_owned()));
            }
            let value = value.replace('\\', "\\\\").replace('"', "\\\"");
            say("x-nuage-filter", format!("{attribute} == \"{value}\""))?;
        }
        if let Some(shown) = shown {
            say("x-nuage-attributes", shown.to_owned())?;
        }
        say("x-nuage-page", page.to_string())?;
        say("x-nuage-pagesize", PAGE.to_string())?;
        let asked = filter.map_or("", |(attribute, _)| attribute);
        let (headers, body) = self.call(Method::GET, path, None, headers, asked).await?;
        let objects = match body {
            Value::Null => Vec::new(),
            Value::Array(objects) => objects,
            _ => return Err(Error::Malformed("a list that is none".to_owned())),
        };
        let count = headers.get("x-nuage-count").and_then(|count| count.to_str().ok()?.parse().ok());
        Ok((objects, count.unwrap_or(0)))
    }

    /// One exchange; `asked` is an attribute that is read beside those that always are.
    async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        headers: HeaderMap,
        asked: &str,
    ) -> Result<(HeaderMap, Value), Error> {
        let body = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
        let mut request = Request::builder().method(method).uri(format!("{}/{path}", self.url));
        if let Some(all) = request.headers_mut() {
            all.extend(headers);
            all.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        let request = request.body(body).map_err(|error| Error::Malformed(error.to_string()))?;
        let exchange = tokio::time::timeout(DEADLINE, exchange(self.http.clone(), request));
        let (parts, body) = exchange.await.map_err(|_| Error::Timeout)??;
        let json = match self.kept {
            _ if body.is_empty() => Ok(Value::Null),
            Some(kept) if parts.status.is_success() => only::read(&body, Only(kept, asked)),
            _ => serde_json::from_slice(&body),
        };
        if parts.status.is_success() {
            let json = json.map_err(|error| Error::Malformed(error.to_string()))?;
            return Ok((parts.headers, json));
        }
        Err(refused(parts.status, &json.unwrap_or_default()))
    }
}

async fn exchange(http: HttpService, request: Request<Bytes>) -> Result<(Parts, Bytes), Error> {
    let unreachable = |error: BoxError| Error::Unreachable(error.to_string());
    let (parts, mut body) = http.oneshot(request).await.map_err(unreachable)?.into_parts();
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(unreachable)?.into_data() else { continue };
        if bytes.len() + data.len() > LARGEST_BODY {
            return Err(Error::Malformed("a body that is too large".to_owned()));
        }
        bytes.extend_from_slice(&data);
    }
    Ok((parts, bytes.freeze()))
}

fn refused(status: StatusCode, body: &Value) -> Error {
    let text = body.pointer("/errors/0/descriptions/0/description").and_then(Value::as_str);
    let code = body.get("internalErrorCode").and_then(Value::as_u64);
    Error::Refused {
        status,
        code: code.and_then(|code| u32::try_from(code).ok()),
        description: text.or(status.canonical_reason()).unwrap_or_default().to_owned(),
    }
}

fn first(body: Value) -> Result<Value, Error> {
    match body {
        Value::Array(objects) => objects.into_iter().next(),
        _ => None,
    }
    .ok_or_else(|| Error::Malformed("no object".to_owned()))
}

/// The ID of an object.
///
/// # Errors
/// [`Error::Malformed`] if it has none.
pub fn id(object: &Value) -> Result<&str, Error> {
    let id = object.get("ID").and_then(Value::as_str);
    id.ok_or_else(|| Error::Malformed("an object without ID".to_owned()))
}
