//! A request of the REST API: path, headers and verb, turned into a call of the engine and its outcome into a
//! reply. Never answers anyone who is not identified, and never asks a question that was answered already.

mod body;
mod bulk;
mod list;
mod members;

use axum::response::Response;
use http::header::HeaderName;
use http::{Extensions, HeaderMap, Method, StatusCode};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::access::{Caller, Right};
use super::auth;
use super::behaviour;
use super::engine::Engine;
use super::error::Refusal;
use super::model::{Edge, Name, ROOT, Release};
use super::reply::{self, Header};
use super::shown;

/// The API versions that are served, and whose model each shows. Clients of older releases find their root.
const VERSIONS: [(&str, Release); 6] = [
    ("v1_0", Release::V5),
    ("v3_0", Release::V5),
    ("v3_2", Release::V5),
    ("v4_0", Release::V5),
    ("v5_0", Release::V5),
    ("v6", Release::V6),
];

const FILTER: HeaderName = HeaderName::from_static("x-nuage-filter");

/// Whether a path segment names a version of the API.
pub(super) fn is_version(segment: &str) -> bool {
    release(segment).is_some()
}

fn release(segment: &str) -> Option<Release> {
    VERSIONS.iter().find(|(version, _)| *version == segment).map(|(_, release)| *release)
}

/// What came, without its body's framing.
pub(super) struct Request<'a> {
    pub(super) method: &'a Method,
    /// Everything after `/nuage/api`.
    pub(super) path: &'a str,
    pub(super) query: &'a str,
    pub(super) headers: &'a HeaderMap,
    /// What the connection is known for.
    pub(super) extensions: &'a Extensions,
    pub(super) body: &'a [u8],
}

/// For whom a request is.
struct Asking {
    user: Uuid,
    caller: Caller,
    /// Whose objects are shown.
    release: Release,
}

/// Whom a request is about.
enum Target {
    Me,
    Collection { parent: Option<(Name, Uuid)>, entity: Name },
    Object { entity: Name, id: Uuid },
}

impl Request<'_> {
    /// The reply, whatever came.
    pub(super) fn answer(&self, engine: &mut Engine) -> Response {
        if *self.method == Method::OPTIONS {
            return reply::preflight();
        }
        let Some(user) = auth::identify(engine, self.headers, self.extensions) else {
            return reply::unauthorized();
        };
        let result = self.asking(engine, user).and_then(|asking| match self.target(engine)? {
            Target::Me => self.me(engine, &asking),
            Target::Object { entity, id } => self.object(engine, &asking, entity, id),
            Target::Collection { parent, entity } => self.collection(engine, &asking, parent, entity),
        });
        result.unwrap_or_else(|refusal| reply::refusal(&refusal, self.echoed()))
    }

    /// Who makes the changes, and what they may. Who acts for another has their own rights: a cloud management system
    /// makes machines for users that may not.
    fn asking(&self, engine: &Engine, user: Uuid) -> Result<Asking, Refusal> {
        let acting = auth::acting(engine, self.headers, user)?;
        Ok(Asking { user: acting, caller: Caller::of(&engine.store, user), release: self.release() })
    }

    /// The release that the path names.
    fn release(&self) -> Release {
        let mut segments = self.path.split('/').filter(|segment| !segment.is_empty());
        segments.next().and_then(release).unwrap_or_default()
    }

    fn target(&self, engine: &Engine) -> Result<Target, Refusal> {
        let unknown = || Refusal::no_such_path(self.path);
        let mut segments = self.path.split('/').filter(|segment| !segment.is_empty());
        let release = segments.next().and_then(release).ok_or_else(unknown)?;
        let segments: Vec<&str> = segments.collect();
        let entity = |segment: &str| {
            let found = engine.model.by_resource(segment).filter(|(_, facts)| facts.since <= release);
            found.ok_or_else(unknown)
        };
        match *segments.as_slice() {
            ["me"] => Ok(Target::Me),
            [collection] => Ok(Target::Collection { parent: None, entity: entity(collection)?.0 }),
            [collection, id] => {
                let object = engine.find(entity(collection)?.0, id)?;
                Ok(Target::Object { entity: object.entity, id: object.id })
            }
            [parents, id, collection] => {
                let parent = engine.find(entity(parents)?.0, id)?;
                let parent = Some((parent.entity, parent.id));
                Ok(Target::Collection { parent, entity: entity(collection)?.0 })
            }
            _ => Err(unknown()),
        }
    }

    fn me(&self, engine: &mut Engine, &Asking { user, release, .. }: &Asking) -> Result<Response, Refusal> {
        match *self.method {
            Method::GET | Method::HEAD => {
                let mut me = behaviour::me(engine, user)?;
                for entity in [ROOT, "user"] {
                    shown::cut(engine, entity, &mut me, release);
                }
                Ok(reply::array(StatusCode::OK, Vec::new(), vec![me]))
            }
            Method::PUT => {
                let body = self.one()?;
                engine.change(user, |engine| engine.update("user", user, &body, true))?;
                Ok(reply::empty(StatusCode::NO_CONTENT, Vec::new()))
            }
            _ => Err(self.not_allowed(&[&Method::GET, &Method::PUT])),
        }
    }

    fn object(
        &self,
        engine: &mut Engine,
        asking: &Asking,
        entity: Name,
        id: Uuid,
    ) -> Result<Response, Refusal> {
        let verbs = engine.model.entity(entity).map_or("", |(_, facts)| facts.verbs);
        let done = || Ok(reply::empty(StatusCode::NO_CONTENT, Vec::new()));
        match *self.method {
            Method::GET | Method::HEAD if verbs.contains('R') => {
                let object = engine.find(entity, &id.to_string())?;
                asking.caller.demand(&engine.store, object, Right::Read)?;
                let text = shown::text(engine, &[object], asking.release);
                Ok(reply::json(StatusCode::OK, self.echoed(), text))
            }
            Method::PUT if verbs.contains('U') => {
                let body = self.one()?;
                self.update(engine, asking, entity, id, &body)?;
                done()
            }
            Method::DELETE if verbs.contains('D') => {
                self.delete(engine, asking, entity, id)?;
                done()
            }
            _ => {
                let allowed = [('R', &Method::GET), ('U', &Method::PUT), ('D', &Method::DELETE)];
                let allowed = allowed.into_iter().filter(|(verb, _)| verbs.contains(*verb));
                Err(self.not_allowed(&allowed.map(|(_, method)| method).collect::<Vec<_>>()))
            }
        }
    }

    fn collection(
        &self,
        engine: &mut Engine,
        asking: &Asking,
        parent: Option<(Name, Uuid)>,
        entity: Name,
    ) -> Result<Response, Refusal> {
        if parent.is_none()
            && let Some(several) = self.several()?
        {
            return self.bulk(engine, asking, entity, several);
        }
        let object = parent.and_then(|(_, id)| engine.store.get(id));
        let edge = engine.edge(object, entity).filter(|edge| edge.since <= asking.release);
        let edge = edge.ok_or_else(|| Refusal::no_such_path(self.path))?;
        let (verbs, member) = (edge.verbs, edge.member);
        match *self.method {
            Method::GET | Method::HEAD if verbs.contains('R') => {
                if let Some(parent) = object {
                    asking.caller.demand(&engine.store, parent, Right::Read)?;
                }
                self.list(engine, asking, object, (entity, edge))
            }
            Method::POST if verbs.contains('C') => self.create(engine, asking, parent, entity),
            Method::PUT | Method::PATCH if member && verbs.contains('U') => {
                let Some((_, owner)) = parent else { return Err(Refusal::no_such_path(self.path)) };
                self.assign(engine, asking, owner, entity)?;
                Ok(reply::empty(StatusCode::NO_CONTENT, Vec::new()))
            }
            _ => Err(self.not_allowed(&allowed(edge))),
        }
    }

    fn create(
        &self,
        engine: &mut Engine,
        asking: &Asking,
        parent: Option<(Name, Uuid)>,
        entity: Name,
    ) -> Result<Response, Refusal> {
        let body = self.json()?;
        if let Value::Array(bodies) = body {
            return bulk::create_all(engine, asking, parent, entity, bodies);
        }
        let id = create_one(engine, asking, parent, entity, body)?;
        let text = shown::text(engine, &[engine.find(entity, &id.to_string())?], asking.release);
        Ok(reply::json(StatusCode::CREATED, Vec::new(), text))
    }

    /// Changes an object, if the caller may.
    fn update(
        &self,
        engine: &mut Engine,
        asking: &Asking,
        entity: Name,
        id: Uuid,
        body: &Map<String, Value>,
    ) -> Result<(), Refusal> {
        asking.caller.demand(&engine.store, engine.find(entity, &id.to_string())?, Right::Change)?;
        let body = shown::known(engine, entity, body, asking.release);
        engine.change(asking.user, |engine| engine.update(entity, id, &body, self.confirmed()))
    }

    /// Deletes an object, if the caller may.
    fn delete(&self, engine: &mut Engine, asking: &Asking, entity: Name, id: Uuid) -> Result<(), Refusal> {
        asking.caller.demand(&engine.store, engine.find(entity, &id.to_string())?, Right::All)?;
        engine.change(asking.user, |engine| engine.delete(entity, id, self.confirmed()))
    }

    fn not_allowed(&self, allowed: &[&Method]) -> Refusal {
        Refusal::not_allowed(self.method, allowed)
    }

    /// Whether the client confirms. Searched in the raw text: one client appends it to a query twice.
    fn confirmed(&self) -> bool {
        self.query.contains("responseChoice=1")
    }

    /// The text of the filter. One that cannot be read must not turn into none: that would match everything.
    fn filter(&self) -> Result<Option<&str>, Refusal> {
        let value = self.headers.get(FILTER).map(|value| std::str::from_utf8(value.as_bytes()));
        value.transpose().map_err(|_| Refusal::malformed("the filter is no UTF-8"))
    }

    /// The filter comes back with whatever reply.
    fn echoed(&self) -> Vec<Header> {
        let filter = self.filter().ok().flatten();
        filter.map(|filter| (FILTER, filter.to_owned())).into_iter().collect()
    }
}

/// Makes an object, if the caller may.
fn create_one(
    engine: &mut Engine,
    asking: &Asking,
    parent: Option<(Name, Uuid)>,
    entity: Name,
    body: Value,
) -> Result<Uuid, Refusal> {
    let body = body::object(body)?;
    let above = parent.and_then(|(_, id)| engine.store.get(id));
    let template = body.get("templateID").and_then(Value::as_str).and_then(|id| Uuid::try_parse(id).ok());
    asking.caller.demand_create(&engine.store, above, entity, template)?;
    let body = shown::known(engine, entity, &body, asking.release);
    engine.change(asking.user, |engine| engine.create(entity, parent, &body))
}

/// What a collection allows.
fn allowed(edge: &Edge) -> Vec<&'static Method> {
    let mut allowed = Vec::new();
    if edge.verbs.contains('R') {
        allowed.extend([&Method::GET, &Method::HEAD]);
    }
    if edge.verbs.contains('C') {
        allowed.push(&Method::POST);
    }
    if edge.member && edge.verbs.contains('U') {
        allowed.extend([&Method::PUT, &Method::PATCH]);
    }
    allowed
}
