//! Whether the plugin's peers can be reached, so that STATUS may say so: the API server (whose watch tells, as long as it stands)
//! and the monitor. Asks for nothing that anybody would have to allow: whatever answer there is, somebody is there.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use tokio::time::{Instant, sleep, timeout};
use tower::ServiceExt as _;

use super::kubernetes::ApiServer;
use super::peer::{Clients, describe};
use crate::config::NodeConfig;
use crate::host::{Host, TlsIdentity};
use crate::log::CallLog;
use crate::peers::{Away, write};

/// How often they are asked.
const INTERVAL: Duration = Duration::from_secs(15);
/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(5);

const API_SERVER: &str = "the API server";
const MONITOR: &str = "the Nuage monitor";

/// The peers of one node's plugin.
pub struct Peers<'a> {
    host: &'a Host,
    node: &'a NodeConfig,
    api: &'a ApiServer,
    clients: [Clients; 2],
    /// Since when each is away, and why.
    away: [Option<(Instant, String)>; 2],
}

impl std::fmt::Debug for Peers<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Peers").field("away", &self.away).finish_non_exhaustive()
    }
}

impl<'a> Peers<'a> {
    /// None is known to be away.
    pub fn new(host: &'a Host, node: &'a NodeConfig, api: &'a ApiServer) -> Self {
        Self { host, node, api, clients: Default::default(), away: [None, None] }
    }

    /// Looks again and again. Never ends.
    pub async fn watch(mut self) {
        loop {
            self.look().await;
            sleep(INTERVAL).await;
        }
    }

    /// Looks once, and writes down who is away.
    async fn look(&mut self) {
        let (api, monitor) = tokio::join!(self.api_server(), self.monitor());
        for (known, seen) in self.away.iter_mut().zip([api, monitor]) {
            *known = seen.map(|why| (known.as_ref().map_or_else(Instant::now, |(since, _)| *since), why));
        }
        let named = [API_SERVER, MONITOR].into_iter().zip(&self.away);
        let away = named.filter_map(|(peer, away)| {
            let (since, why) = away.as_ref()?;
            Some(Away { peer: peer.to_owned(), seconds: since.elapsed().as_secs(), why: why.clone() })
        });
        let away = away.collect();
        if let Err(error) = write(&*self.host.files, &self.node.run_dir, self.host.clock.now(), away) {
            let log = CallLog::of_audit(self.host, self.node, None);
            log.warn("STATUS cannot be told who is away", &[("error", &error.to_string())]);
        }
    }

    async fn api_server(&self) -> Option<String> {
        if self.api.watch_stands() {
            return None;
        }
        match self.api.vsp().kubeconfig(&*self.host.files) {
            Ok(config) => self.probe(&self.clients[0], &config.server, "/version", &config.identity).await,
            // Whoever cannot ask knows nothing.
            Err(_) => None,
        }
    }

    async fn monitor(&self) -> Option<String> {
        let vsp = self.api.vsp();
        let url = vsp.monitor.as_ref()?;
        let identity = vsp.monitor_identity(&*self.host.files).ok()?;
        self.probe(&self.clients[1], url, "/", &identity).await
    }

    /// Why a server cannot be reached; `None` if it can.
    async fn probe(
        &self,
        clients: &Clients,
        url: &str,
        path: &str,
        identity: &TlsIdentity,
    ) -> Option<String> {
        let service = clients.get(self.host, Some(identity)).ok()?;
        let request = Request::get(format!("{url}{path}")).body(Bytes::new()).ok()?;
        match timeout(ANSWER, service.oneshot(request)).await {
            Ok(Ok(answer)) if answer.status().is_server_error() => {
                Some(format!("it answers {}", answer.status()))
            }
            Ok(Ok(_)) => None,
            Ok(Err(error)) => Some(describe(&*error)),
            Err(_) => Some("no answer in time".to_owned()),
        }
    }
}
