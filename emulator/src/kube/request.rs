//! Requests of the API: who is let in, and what path, query and body say.

use std::collections::BTreeMap;

use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Path, Query, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, Method, StatusCode};
use serde_json::{Value, json};

use super::kept::Kept;
use super::selector::Selector;
use super::status::Status;
use super::store::{Key, NETWORKING, Resource};
use super::watch::Watch;
use super::{Kube, discovery, protobuf, table};
use crate::http::PeerCertificate;

/// No object is larger: etcd's limit is 1.5 MB.
const MAX_BODY_BYTES: usize = 4 << 20;

type Answer = Result<Response, Status>;
type Parameters = Query<BTreeMap<String, String>>;

pub(super) fn router(kube: &Kube) -> Router {
    let fixed = |json: fn() -> Value| get(move || async move { Json(json()) });
    Router::new()
        .route("/version", fixed(discovery::version))
        .route("/api", fixed(discovery::api_versions))
        .route("/apis", fixed(discovery::groups))
        .route("/api/v1", fixed(discovery::resources))
        .route("/apis/networking.k8s.io/v1", fixed(discovery::networking))
        .route("/openapi/v3", fixed(discovery::openapi_index))
        .route("/openapi/v3/api/v1", fixed(discovery::openapi))
        .route("/openapi/v3/apis/networking.k8s.io/v1", fixed(discovery::networking_openapi))
        .nest("/api/v1", group("v1"))
        .nest("/apis/networking.k8s.io/v1", group(NETWORKING))
        .fallback(|request: Request| async move {
            Status::not_found("path", request.uri().path()).into_response()
        })
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(middleware::from_fn_with_state(kube.clone(), authenticate))
        .with_state(kube.clone())
}

/// The resources of one group.
fn group(version: &'static str) -> Router<Kube> {
    Router::new()
        .route("/{resource}", get(list_all).post(create_global))
        .route(
            "/{resource}/{name}",
            get(get_global).put(put_global).patch(patch_global).delete(delete_global),
        )
        .route("/namespaces/{namespace}/{resource}", get(list_namespace).post(create_in_namespace))
        .route(
            "/namespaces/{namespace}/{resource}/{name}",
            get(get_one).put(put_one).patch(patch_one).delete(delete_one),
        )
        .route(
            "/namespaces/{namespace}/{resource}/{name}/status",
            get(get_status).put(put_status).patch(patch_status),
        )
        .route_layer(middleware::from_fn(move |request: Request, next: Next| async move {
            let path = request.uri().path();
            if in_group(path, version) {
                return next.run(request).await;
            }
            Status::not_found("path", path).into_response()
        }))
}

/// Whether the resource of a path is in a group. Another one's is told by its handler to be none at all.
fn in_group(path: &str, version: &str) -> bool {
    let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    let named = match *segments.as_slice() {
        ["namespaces", _, resource, ..] | [resource, ..] => Resource::from_name(resource),
        [] => None,
    };
    named.is_none_or(|resource| resource.api_version() == version)
}

async fn authenticate(State(kube): State<Kube>, request: Request, next: Next) -> Response {
    let token =
        request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    let known = token.is_some_and(|token| kube.knows(token))
        || request.extensions().get::<PeerCertificate>().is_some();
    if !known {
        return Status::unauthorized().into_response();
    }
    let kind = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if let Some(kind) = kind.filter(|kind| kind.contains("protobuf") && request.method() != Method::DELETE) {
        let unsupported = Status::unsupported(kind).into_response();
        return match as_json(request).await {
            Some(request) => next.run(request).await,
            None => unsupported,
        };
    }
    next.run(request).await
}

/// The same request with its body as JSON, where that can be.
async fn as_json(request: Request) -> Option<Request> {
    let (mut head, body) = request.into_parts();
    let bytes = axum::body::to_bytes(body, MAX_BODY_BYTES).await.ok()?;
    let body = protobuf::namespace(&bytes)?.to_string();
    head.headers.insert(CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    head.headers.remove(http::header::CONTENT_LENGTH);
    Some(Request::from_parts(head, Body::from(body)))
}

fn resource(name: &str, namespaced: bool) -> Result<Resource, Status> {
    let found = Resource::from_name(name).filter(|resource| !namespaced || resource.namespaced());
    found.ok_or_else(|| Status::not_found("resource", name))
}

async fn list_all(
    State(kube): State<Kube>,
    Path(name): Path<String>,
    query: Parameters,
    headers: HeaderMap,
) -> Answer {
    list(&kube, resource(&name, false)?, None, &query, &headers)
}

async fn list_namespace(
    State(kube): State<Kube>,
    Path((namespace, name)): Path<(String, String)>,
    query: Parameters,
    headers: HeaderMap,
) -> Answer {
    list(&kube, resource(&name, true)?, Some(namespace), &query, &headers)
}

fn list(
    kube: &Kube,
    resource: Resource,
    namespace: Option<String>,
    query: &Parameters,
    headers: &HeaderMap,
) -> Answer {
    let parameter = |name: &str| query.get(name).map(String::as_str);
    let selector = Selector::parse(parameter("labelSelector"), parameter("fieldSelector"))?;
    let tables = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).is_some_and(table::wanted);
    let watches = matches!(parameter("watch"), Some("true" | "1"));
    let asked = match parameter("resourceVersion") {
        None | Some("" | "0") => None,
        Some(text) => {
            Some(text.parse().map_err(|_| Status::bad_request(format!("invalid resource version {text}")))?)
        }
    };
    let store = kube.store();
    let found = |limit: usize| -> Vec<Value> {
        let objects = store.list(resource, namespace.as_deref(), selector.node());
        objects.map(Kept::read).filter(|object| selector.matches(object)).take(limit).collect()
    };
    if watches {
        if let Some(version) = asked {
            store.changes_after(version).map(drop)?;
        }
        let initial = if asked.is_none() { found(usize::MAX) } else { Vec::new() };
        let version = asked.unwrap_or(store.version());
        drop(store);
        let watch = Watch {
            kube: kube.clone(),
            resource,
            namespace,
            selector,
            tables,
            bookmarks: parameter("allowWatchBookmarks") == Some("true"),
            version,
            initial,
            timeout: parameter("timeoutSeconds").and_then(|text| text.parse().ok()),
        };
        let body = Body::from_stream(watch.stream());
        return Ok(([(CONTENT_TYPE, "application/json")], body).into_response());
    }
    // Small enough lists: one page holds everything, whatever limit is asked for.
    let items = found(usize::MAX);
    let metadata = json!({"resourceVersion": store.version().to_string()});
    drop(store);
    if tables {
        return Ok(Json(table::table(resource, &items, &metadata, kube.0.clock.now())).into_response());
    }
    let kind = format!("{}List", resource.kind());
    let list =
        json!({"kind": kind, "apiVersion": resource.api_version(), "metadata": metadata, "items": items});
    Ok(Json(list).into_response())
}

async fn create_global(State(kube): State<Kube>, Path(name): Path<String>, body: Bytes) -> Answer {
    let resource = resource(&name, false)?;
    create(&kube, resource, None, &body)
}

async fn create_in_namespace(
    State(kube): State<Kube>,
    Path((namespace, name)): Path<(String, String)>,
    body: Bytes,
) -> Answer {
    let resource = resource(&name, true)?;
    create(&kube, resource, Some(namespace), &body)
}

fn object(body: &[u8]) -> Result<Value, Status> {
    let object: Value =
        serde_json::from_slice(body).map_err(|error| Status::bad_request(error.to_string()))?;
    if object.is_object() { Ok(object) } else { Err(Status::bad_request("a JSON object is expected")) }
}

fn create(kube: &Kube, resource: Resource, namespace: Option<String>, body: &[u8]) -> Answer {
    let mut object = object(body)?;
    object["kind"] = json!(resource.kind());
    if let Some(namespace) = namespace {
        let given = object["metadata"]["namespace"].as_str();
        if given.is_some_and(|given| given != namespace) {
            return Err(Status::bad_request(
                "the namespace of the object does not match the namespace of the request",
            ));
        }
        object["metadata"]["namespace"] = json!(namespace);
    }
    Ok((StatusCode::CREATED, Json(&*kube.create(object)?)).into_response())
}

fn global(resource_name: &str, name: String) -> Result<Key, Status> {
    let found = resource(resource_name, false)?;
    if found.namespaced() {
        Err(Status::not_found("resource", resource_name))
    } else {
        Ok((found, String::new(), name))
    }
}

async fn get_global(
    State(kube): State<Kube>,
    Path((resource, name)): Path<(String, String)>,
    headers: HeaderMap,
) -> Answer {
    read(&kube, &global(&resource, name)?, &headers)
}

async fn get_one(
    State(kube): State<Kube>,
    Path((namespace, name, one)): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Answer {
    read(&kube, &(resource(&name, true)?, namespace, one), &headers)
}

async fn get_status(state: State<Kube>, path: Path<(String, String, String)>, headers: HeaderMap) -> Answer {
    get_one(state, path, headers).await
}

fn read(kube: &Kube, key: &Key, headers: &HeaderMap) -> Answer {
    let object = kube.store().get(key)?.clone();
    let tables = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).is_some_and(table::wanted);
    if tables {
        let object = object.read();
        let metadata = json!({"resourceVersion": object["metadata"]["resourceVersion"]});
        return Ok(Json(table::table(key.0, std::slice::from_ref(&object), &metadata, kube.0.clock.now()))
            .into_response());
    }
    Ok(text(&object))
}

async fn delete_global(State(kube): State<Kube>, Path((resource, name)): Path<(String, String)>) -> Answer {
    remove(&kube, global(&resource, name)?)
}

async fn delete_one(
    State(kube): State<Kube>,
    Path((namespace, name, one)): Path<(String, String, String)>,
) -> Answer {
    remove(&kube, (resource(&name, true)?, namespace, one))
}

fn remove(kube: &Kube, key: Key) -> Answer {
    let object = kube.store().get(&key)?.clone();
    kube.put(key, None);
    Ok(text(&object))
}

/// An object as it is kept.
fn text(object: &Kept) -> Response {
    ([(CONTENT_TYPE, "application/json")], object.text().to_owned()).into_response()
}

async fn put_global(
    State(kube): State<Kube>,
    Path((resource, name)): Path<(String, String)>,
    body: Bytes,
) -> Answer {
    change(&kube, global(&resource, name)?, &Method::PUT, &body, false)
}

async fn patch_global(
    State(kube): State<Kube>,
    Path((resource, name)): Path<(String, String)>,
    body: Bytes,
) -> Answer {
    change(&kube, global(&resource, name)?, &Method::PATCH, &body, false)
}

async fn put_one(
    State(kube): State<Kube>,
    Path((namespace, name, one)): Path<(String, String, String)>,
    body: Bytes,
) -> Answer {
    change(&kube, (resource(&name, true)?, namespace, one), &Method::PUT, &body, false)
}

async fn patch_one(
    State(kube): State<Kube>,
    Path((namespace, name, one)): Path<(String, String, String)>,
    body: Bytes,
) -> Answer {
    change(&kube, (resource(&name, true)?, namespace, one), &Method::PATCH, &body, false)
}

async fn put_status(
    State(kube): State<Kube>,
    Path((namespace, name, one)): Path<(String, String, String)>,
    body: Bytes,
) -> Answer {
    change(&kube, (resource(&name, true)?, namespace, one), &Method::PUT, &body, true)
}

async fn patch_status(
    State(kube): State<Kube>,
    Path((namespace, name, one)): Path<(String, String, String)>,
    body: Bytes,
) -> Answer {
    change(&kube, (resource(&name, true)?, namespace, one), &Method::PATCH, &body, true)
}

/// PUT replaces, PATCH merges (RFC 7386; a strategic merge of these objects' lists is not told apart). What the server
/// made stays, and the status changes through its own path only.
fn change(kube: &Kube, key: Key, method: &Method, body: &[u8], status: bool) -> Answer {
    let given = object(body)?;
    let old = kube.store().get(&key)?.read();
    let expected = given["metadata"]["resourceVersion"].as_str();
    if expected.is_some_and(|expected| Some(expected) != old["metadata"]["resourceVersion"].as_str()) {
        return Err(Status::conflict(key.0.name(), &key.2));
    }
    let mut new = if *method == Method::PUT { given } else { merged(old.clone(), given) };
    if status {
        let changed = new["status"].take();
        new = old.clone();
        new["status"] = changed;
    } else {
        new["status"] = old["status"].clone();
    }
    for name in ["name", "namespace", "uid", "creationTimestamp"] {
        if !old["metadata"][name].is_null() {
            new["metadata"][name] = old["metadata"][name].clone();
        }
    }
    (new["kind"], new["apiVersion"]) = (json!(key.0.kind()), json!(key.0.api_version()));
    Ok(Json(&*kube.put(key, Some(new))).into_response())
}

fn merged(mut target: Value, patch: Value) -> Value {
    let Value::Object(patch) = patch else { return patch };
    if !target.is_object() {
        target = json!({});
    }
    for (key, value) in patch {
        let old = target[&key].take();
        match (value, target.as_object_mut()) {
            (Value::Null, Some(object)) => drop(object.remove(&key)),
            (value, _) => target[&key] = merged(old, value),
        }
    }
    target
}
