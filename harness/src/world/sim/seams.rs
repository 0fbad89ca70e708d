//! The rest of a simulated node's seams: streams into the emulated switch, HTTP into the emulated services, the log.
//! Each takes a little virtual time, so that what happens at once elsewhere can come in between.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use nuage_cni::host::{
    BoxBody, BoxError, Clock, Http, HttpService, Log, LogFile, Stream, Switch, TlsIdentity,
};
use nuage_emulator::faults::http::{Api, Connection};
use nuage_emulator::faults::{Caller, Faults};
use nuage_emulator::http::{PeerCertificate, in_process};
use nuage_emulator::vrs::Vrs;
use tokio::time::sleep;
use tower::ServiceExt as _;
use tower::util::BoxCloneSyncService;

use super::process::Life;
use super::wire::Wire;
use crate::random::Random;
use crate::world::activity::{Activity, Place};

/// How long a connection or request takes on its way, in milliseconds: from one to this many.
const SLOWEST_MILLISECONDS: u64 = 3;
/// What a client is told by its system and by its TLS library.
const REFUSED: &str = "connection refused";
const UNTRUSTED: &str = "invalid peer certificate: UnknownIssuer";

/// The end of the path of the VSD's long poll for events.
const LONG_POLL: &str = "/events";

/// What the calls on a node said about themselves, lines and figures, until somebody looks.
#[derive(Clone, Debug, Default)]
pub struct RecentLog(Arc<Mutex<Vec<String>>>);

impl RecentLog {
    fn unseen(&self) -> MutexGuard<'_, Vec<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lines, and figures handed to the audit, since this was last asked.
    pub fn take_unseen(&self) -> Vec<String> {
        std::mem::take(&mut self.unseen())
    }
}

impl Log for RecentLog {
    fn write(&self, _file: &LogFile, line: &str) {
        self.unseen().push(line.to_owned());
    }

    fn report(&self, _socket: &Path, datagram: &[u8]) {
        self.unseen().push(String::from_utf8_lossy(datagram).into_owned());
    }
}

/// The one time of day of the simulated world: the plugin's is the emulators'.
#[derive(Clone, Debug)]
pub(super) struct WallClock(pub(super) nuage_emulator::clock::Clock);

impl Clock for WallClock {
    fn now(&self) -> Duration {
        Duration::from_millis(self.0.now())
    }
}

/// Streams of one process into the emulated switch of its node.
pub(super) struct SimulatedSwitch {
    pub(super) vrs: Vrs,
    /// What the process does.
    pub(super) operation: Arc<str>,
    pub(super) life: Life,
    pub(super) random: Random,
    pub(super) attempts: Attempts,
}

/// How many connections and requests a process has made.
#[derive(Clone, Debug, Default)]
pub struct Attempts(Arc<AtomicU64>);

impl Attempts {
    fn count(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl Switch for SimulatedSwitch {
    async fn connect(&self, _endpoint: &str) -> io::Result<Box<dyn Stream>> {
        self.attempts.count();
        on_its_way(&self.random).await;
        let stream = self.vrs.connect_as(&self.operation).ok_or(io::ErrorKind::ConnectionRefused)?;
        Ok(Box::new(Wire::new(stream, Some(&self.life), self.random.clone())))
    }
}

/// One service on the simulated network.
#[derive(Clone, Debug)]
pub struct Service {
    /// What answers.
    pub router: Router,
    /// Which service it is, for faults of its connections.
    pub api: Api,
    /// Whether it is there.
    pub up: Arc<AtomicBool>,
}

/// HTTP to services by the authority of their URL, with the certificate of one client.
#[derive(Clone, Debug)]
pub struct SimulatedHttp {
    /// Services by authority.
    pub services: Arc<BTreeMap<String, Service>>,
    /// The name that the client's certificate carries.
    pub name: String,
    /// On which node the client is, and what it does.
    pub caller: Caller,
    /// The run's faults.
    pub faults: Faults,
    /// The run's randomness.
    pub random: Random,
    /// Counts requests.
    pub attempts: Attempts,
    /// Keeps what was asked, for a report.
    pub activity: Activity,
}

impl SimulatedHttp {
    /// A client, with its certificate or without.
    pub fn service(&self, certified: bool) -> HttpService {
        let this = self.clone();
        BoxCloneSyncService::new(tower::service_fn(move |request: http::Request<bytes::Bytes>| {
            let this = this.clone();
            async move {
                this.attempts.count();
                let begin = this.activity.now();
                let asked = this.asked(&request);
                let answer = this.ask(request, certified).await;
                if let Some((place, what)) = asked {
                    let trouble = || match &answer {
                        Ok(answer) if answer.status().as_u16() < 400 => String::new(),
                        Ok(answer) => answer.status().to_string(),
                        Err(error) => error.to_string(),
                    };
                    let texts = || (what, this.caller.operation.to_string(), trouble());
                    this.activity.ended(place, this.caller.node.as_deref(), begin, texts);
                }
                answer
            }
        }))
    }

    async fn ask(
        &self,
        mut request: http::Request<bytes::Bytes>,
        certified: bool,
    ) -> Result<http::Response<BoxBody>, BoxError> {
        on_its_way(&self.random).await;
        let authority = request.uri().authority().map(ToString::to_string).unwrap_or_default();
        let service = self.services.get(&authority).filter(|service| service.up.load(Ordering::Relaxed));
        let Some(service) = service else { return Err(BoxError::from(REFUSED)) };
        match service.api.connection(&self.faults, &self.caller) {
            Connection::Accepted => {}
            Connection::Refused => return Err(BoxError::from(REFUSED)),
            Connection::WrongCertificate => return Err(BoxError::from(UNTRUSTED)),
        }
        request.extensions_mut().insert(self.caller.clone());
        let peer = certified.then(|| PeerCertificate { common_name: self.name.clone() });
        let answer = in_process(service.router.clone(), peer).oneshot(request).await;
        on_its_way(&self.random).await;
        answer
    }

    /// What a report says of a request; long polls, which wait for something to happen, are left out.
    fn asked(&self, request: &http::Request<bytes::Bytes>) -> Option<(Place, String)> {
        if !self.activity.is_kept() || request.uri().path().ends_with(LONG_POLL) {
            return None;
        }
        let service = self.services.get(request.uri().authority()?.as_str())?;
        let place = match service.api {
            Api::Vsd => Place::Vsd,
            Api::Monitor => Place::Monitor,
            Api::Kube => Place::Kube,
            Api::Mesos => return None,
        };
        Some((place, format!("{} {}", request.method(), request.uri().path())))
    }
}

impl Http for SimulatedHttp {
    fn client(&self, identity: &TlsIdentity) -> Result<HttpService, BoxError> {
        Ok(self.service(identity.client.is_some()))
    }
}

/// What one way over the network takes.
async fn on_its_way(random: &Random) {
    sleep(Duration::from_millis(1 + random.below(SLOWEST_MILLISECONDS))).await;
}
