//! The daemon's loop: passes at an interval, one at once when the switch has come back, and never two at a time. Works on seams
//! alone, so that the simulation runs it; signals and sockets are the service's.

use std::time::Duration;

use nuage_ovsdb::client::{Client, Limits, Monitor, MonitorTable};
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::backoff::{Backoff, spread};
use super::state::Shared;
use super::{Auditor, Mode};
use crate::config::NodeConfig;
use crate::host::Host;
use crate::log::CallLog;
use crate::vrs::DATABASE;

/// How long after the start the first pass is: the watch of the pods has listed them by then.
const FIRST_PASS: Duration = Duration::from_secs(2);
/// How long after the switch has come back a pass is: whoever was cut off connects first.
const AFTER_RETURN: Duration = Duration::from_secs(2);
/// One in so many parts of the interval is left to the spread between nodes.
const SPREAD_SHARE: u32 = 10;
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How long the switch may take to answer a probe.
const PROBE_PATIENCE: Duration = Duration::from_secs(5);
/// Only the bridges are watched: small, and enough to see a connection break.
const MAX_MESSAGE_BYTES: usize = 1 << 20;

/// What the loop is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// End.
    Stop,
    /// End, to be begun anew with the files as they are now. Confirms what the trip wire holds.
    Reload,
    /// Many deletions at once are right.
    Confirm,
}

/// Why the loop ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It was told to.
    Stopped,
    /// It is to be begun anew.
    Reload,
}

/// Runs the audit until it is told to end. `name` spreads this node's passes from those of others; `confirmed` lets the first
/// pass through the trip wire.
pub async fn run(
    mut auditor: Auditor,
    name: &str,
    shared: &Shared,
    signals: &mut mpsc::Receiver<Signal>,
    confirmed: bool,
) -> Ended {
    let (host, node) = (auditor.host.clone(), auditor.node.clone());
    let (returned, mut returns) = mpsc::channel(1);
    let watching = watch_switch(&host, &node, name, shared, &returned);
    tokio::pin!(watching);
    let mut mode = Mode { dry_run: false, confirmed };
    let mut next = Instant::now() + spread(name, FIRST_PASS);
    let mut passes: u64 = 0;
    loop {
        shared.beat();
        tokio::select! {
            biased;
            signal = signals.recv() => match signal {
                None | Some(Signal::Stop) => return Ended::Stopped,
                Some(Signal::Reload) => return Ended::Reload,
                Some(Signal::Confirm) => {
                    mode.confirmed = true;
                    next = Instant::now();
                }
            },
            Some(()) = returns.recv() => next = next.min(Instant::now() + spread(name, AFTER_RETURN)),
            () = &mut watching => {}
            () = sleep_until(next) => {
                passes += 1;
                let pass = auditor.pass(mode);
                tokio::pin!(pass);
                // Whoever ends it does not wait for a pass: what it leaves half done the next one finds, as after a kill.
                let result = loop {
                    tokio::select! {
                        biased;
                        signal = signals.recv() => match signal {
                            None | Some(Signal::Stop) => return Ended::Stopped,
                            Some(Signal::Reload) => return Ended::Reload,
                            // What this pass does was decided already.
                            Some(Signal::Confirm) => {}
                        },
                        () = &mut watching => {}
                        result = &mut pass => break result,
                    }
                };
                if let Err(error) = &result {
                    let log = CallLog::of_audit(&host, &node, None);
                    log.warn("a pass could not look", &[("error", &error.to_string()), ("details", &error.details())]);
                }
                mutant!(host, "A10" => if result.is_err() { std::future::pending::<()>().await });
                shared.passed(&result);
                mode.confirmed = false;
                let share = node.audit_interval / SPREAD_SHARE;
                next = Instant::now() + node.audit_interval - share + spread(&format!("{name}/{passes}"), share);
            }
        }
    }
}

/// Holds a connection to the switch, and tells when it stands again after it broke: then rows may be lost. Never ends.
async fn watch_switch(
    host: &Host,
    node: &NodeConfig,
    name: &str,
    shared: &Shared,
    returned: &mpsc::Sender<()>,
) {
    let mut backoff = Backoff::new(format!("{name}/switch"), FIRST_PAUSE, LONGEST_PAUSE);
    let mut broke = false;
    loop {
        if let Some((client, monitor)) = connect(host, node).await {
            shared.connection(true);
            backoff.reset();
            if broke {
                // One that waits already is enough.
                let _ = returned.try_send(());
            }
            hold(&client, monitor, node.connection_check_interval).await;
            shared.connection(false);
            broke = true;
        }
        sleep(backoff.pause()).await;
    }
}

async fn connect(host: &Host, node: &NodeConfig) -> Option<(Client, Monitor)> {
    let connected = timeout(PROBE_PATIENCE, host.switch.connect(&node.vrs_endpoint)).await;
    let client = Client::spawn(connected.ok()?.ok()?, Limits { message_bytes: MAX_MESSAGE_BYTES });
    let bridges = vec![MonitorTable::new("Bridge", &["name"])];
    let monitor = client.monitor(DATABASE, bridges, PROBE_PATIENCE).await.ok()?;
    Some((client, monitor))
}

/// Until the connection breaks, or a probe is not answered.
async fn hold(client: &Client, mut monitor: Monitor, interval: Duration) {
    loop {
        match timeout(interval, monitor.next()).await {
            Ok(Ok(_)) => {}
            Ok(Err(_)) => return,
            Err(_) => {
                if client.call("echo", json!([]), PROBE_PATIENCE).await.is_err() {
                    return;
                }
            }
        }
    }
}
