//! The VSD: Nuage's REST API over a data-driven resource engine, in memory. What there is stands in a model that
//! is data; what an entity does beyond that is a hook in a file of its own. Nothing waits but a poll for events.

mod access;
mod addresses;
mod auth;
mod behaviour;
mod bootstrap;
pub mod client;

mod engine;
pub mod error;
mod events;
mod filter;
mod model;
mod openapi;
mod persist;
pub mod policy;
mod reply;
mod request;
mod settings;
mod shown;
mod store;
pub mod topology;
mod validate;

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::any;
use http::{Method, StatusCode};
use redb::StorageBackend;
use serde_json::Value;

pub use bootstrap::Site;
pub use persist::OpenError;

use self::engine::{Engine, SYSTEM_USER};
use self::error::Refusal;
use self::persist::Disk;
use crate::clock::Clock;
use crate::entropy::Entropy;

/// The largest request body that is read, in bytes. Bulk calls of real clients stay below a megabyte.
const LARGEST_BODY: usize = 4 * 1024 * 1024;

/// Where the description of the API is, for anybody.
const OPENAPI: &str = "/nuage/api/openapi.json";

/// The password of the operator's root user, on the real VSD as here.
const PASSWORD: &str = "csproot";

/// An emulated VSD. Clones share its objects.
#[derive(Clone)]
pub struct Vsd(Arc<Mutex<Engine>>);

impl fmt::Debug for Vsd {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Vsd")
    }
}

impl Vsd {
    /// A VSD with the operator's enterprise `csp` and its user `csproot` (password `csproot`).
    pub fn new(clock: Clock, entropy: Entropy) -> Self {
        let mut engine = Engine::new(clock, entropy);
        seed(&mut engine);
        engine.store.commit();
        Self(Arc::new(Mutex::new(engine)))
    }

    /// A VSD whose objects are kept in a file, which is made if it is not there: what is in it, or a new VSD's
    /// objects. A change that cannot be written is refused with 503, as all that follow. API keys are not kept.
    ///
    /// # Errors
    /// [`OpenError`]: the file fails, is open elsewhere, or is something else.
    pub fn open(clock: Clock, entropy: Entropy, path: &Path) -> Result<Self, OpenError> {
        Self::kept(clock, entropy, persist::file(path)?)
    }

    fn kept(clock: Clock, entropy: Entropy, backend: impl StorageBackend) -> Result<Self, OpenError> {
        let mut engine = Engine::new(clock, entropy);
        let (disk, kept) = Disk::open(backend, &engine.model)?;
        let fresh = kept.objects.is_empty();
        engine.store.load(kept.objects, kept.links);
        behaviour::take_up(&mut engine);
        (engine.numbers, engine.disk) = (kept.numbers, Some(disk));
        if fresh {
            let seeded = engine.change(SYSTEM_USER, |engine| {
                seed(engine);
                Ok(())
            });
            seeded.map_err(|refusal| OpenError::Content(refusal.to_string()))?;
        }
        Ok(Self(Arc::new(Mutex::new(engine))))
    }

    /// The REST API at `/nuage/api/v6`, and at the roots of older releases. Who asks is told by the `Authorization` header or by a
    /// [`PeerCertificate`](crate::http::PeerCertificate) among the request's extensions, whose common name is a user's name and whose
    /// organisation, if it has one, is that of the user's enterprise.
    pub fn router(&self) -> Router {
        Router::new().route("/nuage/api/{*path}", any(handle)).with_state(self.clone())
    }

    /// Makes what is missing of a site: enterprise, domain (with a template), zone and subnet.
    ///
    /// # Errors
    /// What a client would be told, for instance that the range overlaps another subnet of the domain.
    pub fn bootstrap(&self, site: &Site) -> Result<(), Refusal> {
        bootstrap::site(&mut self.lock(), site)
    }

    /// Gives the operator's root user another password.
    ///
    /// # Errors
    /// One that is empty.
    pub fn set_password(&self, password: &str) -> Result<(), Refusal> {
        bootstrap::set_password(&mut self.lock(), password)
    }

    /// Makes a user of the operator's enterprise, for a client that comes with a certificate of that common
    /// name, if there is none. It has no usable password.
    ///
    /// # Errors
    /// A name that is empty or longer than 255 characters.
    pub fn certificate_user(&self, name: &str) -> Result<(), Refusal> {
        bootstrap::certificate_user(&mut self.lock(), name)
    }

    /// All objects of an entity (its REST name, for instance `containerinterface`) as a client would see them,
    /// sorted by ID: for tests and invariants.
    pub fn snapshot(&self, entity: &str) -> Vec<Value> {
        let engine = self.lock();
        let ids = engine.store.all(entity).iter();
        ids.filter_map(|id| engine.store.get(*id)).map(|object| engine.render(object)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Engine> {
        let mut engine = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // What is over is over for everybody who looks.
        behaviour::purge(&mut engine);
        engine
    }
}

/// Makes what each installation starts with.
fn seed(engine: &mut Engine) {
    behaviour::seed_enterprise(engine);
    behaviour::seed_platform(engine);
    behaviour::seed_user(engine, PASSWORD);
}

async fn handle(State(vsd): State<Vsd>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    if parts.method == Method::GET && parts.uri.path() == OPENAPI {
        return reply::json(StatusCode::OK, Vec::new(), openapi::text().to_owned());
    }
    let path = parts.uri.path().strip_prefix("/nuage/api").unwrap_or_default();
    if events::asked(&parts.method, path) {
        return events::poll(&vsd, &parts).await;
    }
    let Ok(body) = axum::body::to_bytes(body, LARGEST_BODY).await else {
        return reply::refusal(&Refusal::too_large(LARGEST_BODY), Vec::new());
    };
    let request = request::Request {
        method: &parts.method,
        path,
        query: parts.uri.query().unwrap_or_default(),
        headers: &parts.headers,
        extensions: &parts.extensions,
        body: &body,
    };
    request.answer(&mut vsd.lock())
}
