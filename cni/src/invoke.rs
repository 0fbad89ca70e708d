//! One call from end to end: environment and standard input in, one JSON text and an exit code out. The one entry of the
//! executables and of the simulation.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use crate::attach;
use crate::call::Call;
use crate::config::{NodeConfig, load_node};
use crate::error::Error;
use crate::host::Host;
use crate::log::CallLog;
use crate::orchestrator::{Identity, Orchestrator, identity};
use crate::protocol::{Command, Request, parse, result, versions};

/// The budget of a DEL: a kubelet deletes pods one after another and must not wait for a switch that is away.
const DEL_BUDGET: Duration = Duration::from_secs(5);
/// The budget of a GC, which removes many.
const GC_BUDGET: Duration = Duration::from_secs(30);
/// The budget of CHECK and STATUS, which only look.
const LOOK_BUDGET: Duration = Duration::from_secs(5);
/// Every wait inside has a deadline of its own; this one is for a wait that would have escaped them.
const GRACE: Duration = Duration::from_secs(1);
/// What libcni takes a configuration without a version for.
const OLDEST_VERSION: &str = "0.1.0";
/// What an error is answered in when the caller's version cannot be known.
const ERROR_VERSION: &str = "1.0.0";

/// A call as the operating system hands it over.
#[derive(Clone)]
pub struct Invocation {
    /// Which executable was called.
    pub orchestrator: Orchestrator,
    /// The environment.
    pub environment: BTreeMap<String, String>,
    /// Standard input.
    pub stdin: Vec<u8>,
}

impl std::fmt::Debug for Invocation {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Standard input and environment may carry secrets of other plugins.
        formatter.debug_struct("Invocation").field("orchestrator", &self.orchestrator).finish_non_exhaustive()
    }
}

/// What the caller gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Standard output: one JSON text, or nothing.
    pub stdout: Vec<u8>,
    /// A line for standard error, if something failed.
    pub stderr: Option<String>,
    /// The exit code.
    pub exit_code: u8,
}

impl Outcome {
    /// The outcome of a call that failed, in the shape of `version`.
    pub fn failed(error: &Error, version: &str) -> Self {
        let mut stdout = format!("{:#}", error.to_json(version)).into_bytes();
        stdout.push(b'\n');
        let details = error.details();
        let line = if details.is_empty() { error.to_string() } else { format!("{error}: {details}") };
        Self { stdout, stderr: Some(line), exit_code: 1 }
    }

    pub(crate) fn printed(answer: Option<&Value>) -> Self {
        let stdout = answer.map(|answer| format!("{answer:#}\n").into_bytes()).unwrap_or_default();
        Self { stdout, stderr: None, exit_code: 0 }
    }
}

/// Carries out one call. Never panics on what comes from outside, never waits without a deadline.
pub async fn invoke(host: &Host, invocation: Invocation) -> Outcome {
    let started = Instant::now();
    let Invocation { orchestrator, environment, stdin } = invocation;
    let request = match parse(&environment, &stdin) {
        Ok(request) => request,
        Err(error) => return Outcome::failed(&error, &version_for_errors(&stdin)),
    };
    if request.command == Command::Version {
        return Outcome::printed(Some(&versions(&request.network.version)));
    }
    let config_dir = request.network.config_dir.clone();
    let node = match load_node(&*host.files, config_dir.as_deref()) {
        Ok(node) => node,
        Err(error) => return Outcome::failed(&error, &request.network.version),
    };
    let request = with_version(request, &node);
    let version = request.network.version.clone();
    match carry_out(host, orchestrator, &node, &request, started).await {
        Ok(answer) => Outcome::printed(answer.as_ref()),
        Err(error) => {
            mutant!(host, "B18" => if error.code() == 11 {
                return Outcome { stdout: Vec::new(), stderr: Some(crate::mutants::MARK.to_owned()), exit_code: 1 };
            });
            Outcome::failed(&error, &version)
        }
    }
}

/// A configuration without a version gets the node's, if it has one that is spoken.
fn with_version(mut request: Request, node: &NodeConfig) -> Request {
    if request.network.version.is_empty() {
        let configured =
            node.cni_version.clone().filter(|version| crate::protocol::VERSIONS.contains(&version.as_str()));
        request.network.version = configured.unwrap_or_else(|| OLDEST_VERSION.to_owned());
    }
    request
}

async fn carry_out(
    host: &Host,
    orchestrator: Orchestrator,
    node: &NodeConfig,
    request: &Request,
    started: Instant,
) -> Result<Option<Value>, Error> {
    let whose = match request.command {
        Command::Add | Command::Del | Command::Check => identity(orchestrator, request).map(Some),
        Command::Gc | Command::Status | Command::Version => Ok(None),
    };
    mutant!(host, "B8", let whose = crate::mutants::of_infra_container(whose, request));
    let log = CallLog::new(host, node, request, whose.as_ref().ok().and_then(Option::as_ref), started);
    let result = match &whose {
        Ok(whose) => perform(host, orchestrator, node, request, whose.as_ref(), &log, started).await,
        Err(_) => Ok(None),
    };
    let result = whose.and(result);
    log.finish(result.as_ref().err());
    result
}

/// The call itself, within its budget.
async fn perform(
    host: &Host,
    orchestrator: Orchestrator,
    node: &NodeConfig,
    request: &Request,
    identity: Option<&Identity>,
    log: &CallLog<'_>,
    started: Instant,
) -> Result<Option<Value>, Error> {
    let budget = match request.command {
        Command::Add => node.add_timeout,
        Command::Del => DEL_BUDGET,
        Command::Gc => GC_BUDGET,
        Command::Check | Command::Status | Command::Version => LOOK_BUDGET,
    };
    mutant!(host, "B1" | "B14", let budget = crate::mutants::FOREVER);
    let version = request.network.version.as_str();
    mutant!(host, "B12", let version = "0.2.0");
    let call = Call {
        host,
        orchestrator,
        node,
        config_dir: request.network.config_dir.as_deref(),
        request,
        identity,
        log,
        deadline: started + budget,
    };
    let verb = async {
        match request.command {
            // Boxed: what one verb needs while it works is not moved about with every other.
            Command::Add => Box::pin(attach::add(&call)).await.map(|done| Some(result(&done, version))),
            Command::Del => Box::pin(attach::del(&call)).await.map(|()| None),
            Command::Check => Box::pin(attach::check(&call)).await.map(|()| None),
            Command::Gc => Box::pin(attach::gc(&call)).await.map(|()| None),
            Command::Status => attach::status(&call).await.map(|()| None),
            Command::Version => Ok(Some(versions(version))),
        }
    };
    timeout_at(call.deadline + GRACE, verb).await.unwrap_or_else(|_| {
        Err(Error::TryAgain { what: "the call took too long".to_owned(), details: String::new(), hint: None })
    })
}

/// The version of an input that was refused, as far as it can be read.
fn version_for_errors(stdin: &[u8]) -> String {
    let json: Value = serde_json::from_slice(stdin).unwrap_or_default();
    let version = json["cniVersion"].as_str().filter(|version| crate::protocol::VERSIONS.contains(version));
    version.unwrap_or(ERROR_VERSION).to_owned()
}
