//! `nuage-audit run`: the daemon. What a service manager starts, and `-daemon` of the plugins becomes.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::sleep;

use super::{Failure, Options, Site};
use crate::audit::containers::Containers;
use crate::audit::kubernetes::{ApiServer, WatchedPods};
use crate::audit::reachable::Peers;
use crate::audit::run::{Ended, run as run_loop};
use crate::audit::service::{EchoingLog, Manager, Sockets, listen_to_signals};
use crate::audit::state::Shared;
use crate::audit::{Auditor, token};
use crate::config::load_vsp;
use crate::error::Error;
use crate::host::Host;
use crate::log::CallLog;
use crate::orchestrator::Orchestrator;
use crate::peers;

/// Signals that wait to be taken.
const WAITING_SIGNALS: usize = 16;
/// How often the pod's token is compared with the plugins': the kubelet renews it after eight tenths of its hour.
const TOKEN_INTERVAL: Duration = Duration::from_secs(30);

pub(super) async fn run(options: &Options) -> Result<(), Failure> {
    let (sender, mut signals) = mpsc::channel(WAITING_SIGNALS);
    let failed = |error: std::io::Error| Error::Io {
        operation: "listening to signals".to_owned(),
        details: error.to_string(),
    };
    let listening = tokio::spawn(listen_to_signals(sender.clone()).map_err(failed)?);
    let manager = Manager::find();
    let mut site = daemon(Site::find(options)?);
    let shared = Shared::new(site.node.audit_interval);
    let mut confirmed = false;
    loop {
        shared.set_interval(site.node.audit_interval);
        let sockets = Sockets::open(&site.node, &shared, &sender).await?;
        manager.say("READY=1");
        tell(&site, "began", None);
        let (auditor, api) = audit(&site)?;
        let name = site.node_name.clone().unwrap_or_else(|| "this-node".to_owned());
        let looping = run_loop(auditor, &name, &shared, &mut signals, confirmed);
        let ended = tokio::select! {
            biased;
            ended = looping => ended,
            () = renew_token(&site.host, &site, api.as_ref()) => Ended::Stopped,
            () = watch_peers(&site, api.as_ref()) => Ended::Stopped,
            () = manager.keep_watchdog_quiet(&shared) => Ended::Stopped,
        };
        drop(sockets);
        if ended == Ended::Stopped {
            break;
        }
        confirmed = true;
        match Site::find(options) {
            Ok(changed) => {
                site = daemon(changed);
                tell(&site, "reloaded", None);
            }
            // What it has works; a file that is being edited is no reason to stop.
            Err(error) => tell(&site, "the files cannot be reloaded; those before count", Some(&error)),
        }
    }
    manager.say("STOPPING=1");
    // Who is away is nobody's knowledge from now on.
    let _ = peers::write(&*site.host.files, &site.node.run_dir, site.host.clock.now(), Vec::new());
    tell(&site, "ended", None);
    listening.abort();
    Ok(())
}

/// The same with a log that standard error repeats.
fn daemon(site: Site) -> Site {
    let log = Arc::new(EchoingLog(Arc::clone(&site.host.log)));
    Site { host: Host { log, ..site.host.clone() }, ..site }
}

fn audit(site: &Site) -> Result<(Auditor, Option<ApiServer>), Error> {
    let (containers, api): (Arc<dyn Containers>, _) = if site.orchestrator == Orchestrator::Mesos {
        (site.mesos(), None)
    } else {
        let api = site.api()?;
        let pods = Arc::new(WatchedPods::start(api.clone(), site.node_name.clone()));
        (site.with_runtime(pods), Some(api))
    };
    let (host, node) = (site.host.clone(), site.node.clone());
    Ok((Auditor::new(host, site.orchestrator, node, site.config_dir.clone(), containers), api))
}

fn tell(site: &Site, what: &str, error: Option<&Error>) {
    let log = CallLog::of_audit(&site.host, &site.node, None);
    match error {
        None => log.info(what, &[("version", crate::VERSION)]),
        Some(error) => log.error(what, &[("error", &error.to_string()), ("details", &error.details())]),
    }
}

/// Writes down for STATUS who is away. Never ends.
async fn watch_peers(site: &Site, api: Option<&ApiServer>) {
    let Some(api) = api else { return std::future::pending().await };
    Peers::new(&site.host, &site.node, api).watch().await;
}

/// Keeps the plugins' token fresh. Never ends.
async fn renew_token(host: &Host, site: &Site, api: Option<&ApiServer>) {
    if api.is_none() {
        return std::future::pending().await;
    }
    loop {
        let renewed: Result<Option<PathBuf>, Error> =
            load_vsp(&*host.files, site.orchestrator, site.config_dir.as_deref())
                .and_then(|vsp| token::renew(&*host.files, &vsp));
        match renewed {
            Ok(None) => {}
            Ok(Some(path)) => {
                let log = CallLog::of_audit(host, &site.node, None);
                log.info("the plugins have a new token", &[("file", &path.display().to_string())]);
            }
            Err(error) => tell(site, "the plugins' token cannot be renewed", Some(&error)),
        }
        sleep(TOKEN_INTERVAL).await;
    }
}
