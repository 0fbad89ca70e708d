//! A request of the REST API: path, headers and verb, turned into a call of the engine and its outcome into a
//! reply. Never answers anyone who is not identified, and never asks a question that was answered already.

use axum::response::Response;
use http::header::HeaderName;
use http::{HeaderMap, Method, StatusCode};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::auth;
use super::behaviour;
use super::engine::{Engine, Query};
use super::error::Refusal;
use super::filter::Filter;
use super::model::Name;
use super::reply::{self, Header};
use super::store::Object;
use crate::http::PeerCertificate;

/// The API versions that are served; both show the same model.
const VERSIONS: [&str; 2] = ["v5_0", "v6"];
/// Objects on a page where a client names none: the real VSD's `pageSize`.
const PAGE: usize = 50;
/// The most objects on a page: the real VSD's `pageMaxSize`.
const LARGEST_PAGE: usize = 500;
/// The most IDs in one assignment: the chunks of real clients hold 250.
const MOST_MEMBERS: usize = 10_000;

const FILTER: HeaderName = HeaderName::from_static("x-nuage-filter");

/// Whether a path segment names a version of the API.
pub(super) fn is_version(segment: &str) -> bool {
    VERSIONS.contains(&segment)
}

/// What came, without its body's framing.
pub(super) struct Request<'a> {
    pub(super) method: &'a Method,
    /// Everything after `/nuage/api`.
    pub(super) path: &'a str,
    pub(super) query: &'a str,
    pub(super) headers: &'a HeaderMap,
    pub(super) peer: Option<&'a PeerCertificate>,
    pub(super) body: &'a [u8],
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
            return reply::empty(StatusCode::OK, Vec::new());
        }
        let Some(user) = auth::identify(engine, self.headers, self.peer) else {
            return reply::unauthorized();
        };
        let echoed = self.echoed();
        let result = self.target(engine).and_then(|target| match target {
            Target::Me => self.me(engine, user),
            Target::Object { entity, id } => self.object(engine, user, entity, id),
            Target::Collection { parent, entity } => self.collection(engine, user, parent, entity),
        });
        result.unwrap_or_else(|refusal| reply::refusal(&refusal, echoed))
    }

    fn target(&self, engine: &Engine) -> Result<Target, Refusal> {
        let unknown = || Refusal::no_such_path(self.path);
        let mut segments = self.path.split('/').filter(|segment| !segment.is_empty());
        let version = segments.next().filter(|version| is_version(version));
        version.ok_or_else(unknown)?;
        let segments: Vec<&str> = segments.collect();
        let entity = |segment: &str| engine.model.by_resource(segment).ok_or_else(unknown);
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

    fn me(&self, engine: &mut Engine, user: Uuid) -> Result<Response, Refusal> {
        match *self.method {
            Method::GET | Method::HEAD => {
                let me = behaviour::me(engine, user)?;
                Ok(reply::array(StatusCode::OK, Vec::new(), vec![me]))
            }
            Method::PUT => {
                let body = self.members()?;
                engine.change(user, |engine| engine.update("user", user, &body, true))?;
                Ok(reply::empty(StatusCode::NO_CONTENT, Vec::new()))
            }
            _ => Err(Refusal::not_allowed(self.method)),
        }
    }

    fn object(&self, engine: &mut Engine, user: Uuid, entity: Name, id: Uuid) -> Result<Response, Refusal> {
        let verbs = engine.model.entity(entity).map_or("", |(_, facts)| facts.verbs);
        let done = || Ok(reply::empty(StatusCode::NO_CONTENT, Vec::new()));
        match *self.method {
            Method::GET | Method::HEAD if verbs.contains('R') => {
                let object = engine.render(engine.find(entity, &id.to_string())?);
                Ok(reply::array(StatusCode::OK, self.echoed(), vec![object]))
            }
            Method::PUT if verbs.contains('U') => {
                let body = self.members()?;
                engine.change(user, |engine| engine.update(entity, id, &body, self.confirmed()))?;
                done()
            }
            Method::DELETE if verbs.contains('D') => {
                engine.change(user, |engine| engine.delete(entity, id, self.confirmed()))?;
                done()
            }
            _ => Err(Refusal::not_allowed(self.method)),
        }
    }

    fn collection(
        &self,
        engine: &mut Engine,
        user: Uuid,
        parent: Option<(Name, Uuid)>,
        entity: Name,
    ) -> Result<Response, Refusal> {
        let object = parent.and_then(|(_, id)| engine.store.get(id));
        let (verbs, member) = match engine.edge(object, entity) {
            Some(edge) => (edge.verbs, edge.member),
            None => return Err(Refusal::no_such_path(self.path)),
        };
        match *self.method {
            Method::GET | Method::HEAD if verbs.contains('R') => self.list(engine, object, entity),
            Method::POST if verbs.contains('C') => {
                let body = self.members()?;
                let id = engine.change(user, |engine| engine.create(entity, parent, &body))?;
                let created = engine.render(engine.find(entity, &id.to_string())?);
                Ok(reply::array(StatusCode::CREATED, Vec::new(), vec![created]))
            }
            Method::PUT | Method::PATCH if member => {
                let Some((_, owner)) = parent else { return Err(Refusal::not_allowed(self.method)) };
                engine.change(user, |engine| self.assign(engine, owner, entity))?;
                Ok(reply::empty(StatusCode::NO_CONTENT, Vec::new()))
            }
            _ => Err(Refusal::not_allowed(self.method)),
        }
    }

    fn list(&self, engine: &Engine, parent: Option<&Object>, entity: Name) -> Result<Response, Refusal> {
        let edge = engine.edge(parent, entity).ok_or_else(|| Refusal::no_such_path(self.path))?;
        let text = |name: &str| self.headers.get(name).and_then(|value| value.to_str().ok());
        let number = |name: &str| text(name).and_then(|value| value.trim().parse::<usize>().ok());
        let filter = self.filter()?.filter(|filter| !filter.trim().is_empty());
        let filter = filter.map(|filter| Filter::read(filter, text("x-nuage-filtertype"))).transpose()?;
        let page = number("x-nuage-page");
        let size = number("x-nuage-pagesize").unwrap_or(PAGE).clamp(1, LARGEST_PAGE);
        let order = text("x-nuage-orderby").filter(|order| !order.trim().is_empty()).unwrap_or("name ASC");
        let mut headers = self.echoed();
        let mut say = |name, value: String| headers.push((HeaderName::from_static(name), value));
        match (page, &filter) {
            (Some(page), _) => {
                say("x-nuage-page", page.to_string());
                say("x-nuage-pagesize", size.to_string());
            }
            (None, Some(_)) => say("x-nuage-page", "-1".to_owned()),
            (None, None) => {}
        }
        if let Some(filter) = &filter {
            say("x-nuage-filtertype", filter.kind().to_owned());
        }
        say("x-nuage-orderby", order.to_owned());
        let window = page.map(|page| (page.saturating_mul(size), size));
        let query = Query { filter, order: ordering(order), window };
        let (count, found) = engine.list(parent, entity, edge, &query);
        headers.push((HeaderName::from_static("x-nuage-count"), count.to_string()));
        if *self.method == Method::HEAD {
            return Ok(reply::empty(StatusCode::OK, headers));
        }
        let objects = found.into_iter().map(|object| engine.render(object)).collect();
        Ok(reply::array(StatusCode::OK, headers, objects))
    }

    /// Replaces, extends or reduces the members of an object.
    fn assign(&self, engine: &mut Engine, owner: Uuid, entity: Name) -> Result<(), Refusal> {
        let ids = self.ids(engine, entity)?;
        let present: Vec<Uuid> = engine.store.members(owner, entity).iter().copied().collect();
        let kind = self.headers.get("x-nuage-patchtype").and_then(|value| value.to_str().ok());
        let (add, remove) = match (self.method, kind) {
            (&Method::PATCH, Some("remove")) => (Vec::new(), ids),
            (&Method::PATCH, Some("add")) => (ids, Vec::new()),
            (&Method::PATCH, _) => return Err(Refusal::malformed("X-Nuage-PatchType is add or remove")),
            _ => {
                let gone = present.iter().copied().filter(|id| !ids.contains(id)).collect();
                (ids, gone)
            }
        };
        for id in remove {
            engine.store.unlink(owner, id);
        }
        for id in add {
            if let (Some(owner), Some(member)) = (engine.store.get(owner), engine.store.get(id)) {
                behaviour::of(owner.entity).linking(engine, owner, member)?;
            }
            engine.store.link(owner, id);
        }
        Ok(())
    }

    fn ids(&self, engine: &Engine, entity: Name) -> Result<Vec<Uuid>, Refusal> {
        let wrong = || Refusal::malformed("the body is no array of IDs");
        let ids: Vec<String> = serde_json::from_slice(self.body).map_err(|_| wrong())?;
        if ids.len() > MOST_MEMBERS {
            return Err(wrong());
        }
        ids.iter().map(|id| engine.find(entity, id).map(|object| object.id)).collect()
    }

    /// The members of the object in the body. One client encodes its JSON twice.
    fn members(&self) -> Result<Map<String, Value>, Refusal> {
        let parsed =
            serde_json::from_slice(self.body).map_err(|error| Refusal::malformed(error.to_string()))?;
        let parsed = match parsed {
            Value::String(text) => serde_json::from_str(&text).unwrap_or(Value::Null),
            other => other,
        };
        match parsed {
            Value::Object(members) => Ok(members),
            _ => Err(Refusal::malformed("the body is no object")),
        }
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

/// Reads `name DESC, login ASC`.
fn ordering(text: &str) -> Vec<(String, bool)> {
    let terms = text.split(',').filter_map(|term| {
        let mut words = term.split_whitespace();
        let name = words.next()?.to_owned();
        Some((name, words.next().is_some_and(|word| word.eq_ignore_ascii_case("desc"))))
    });
    terms.collect()
}
