//! The executable nuage-audit: options, and a verb a file. The only part of the audit that prints.

mod explain;
mod once;
mod run;
mod status;

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{CommandFactory as _, Parser, Subcommand, ValueEnum};

use super::Auditor;
use super::containers::{Containers, Unasked, WithRuntime, Word};
use super::cri::CriRuntime;
use super::kubernetes::{ApiServer, ListedPods};
use super::mesos::MesosAgent;
use super::node_name;
use crate::config::{NodeConfig, load_node, load_vsp};
use crate::error::Error;
use crate::host::Host;
use crate::node;
use crate::orchestrator::Orchestrator;

const EXIT_CODES: &str = "\
Exit codes: 0 done, or nothing to do; 1 something could not be observed, and nothing was done; 2 usage; 3 something could not
be done, and is tried again; 4 more is due than is believed, and a person has to confirm it.";

/// Keeps the VRS equal to the containers that run
#[derive(Debug, Parser)]
#[command(name = "nuage-audit", version = crate::VERSION, after_help = EXIT_CODES)]
struct Options {
    /// What runs the containers of this node
    #[arg(long, value_enum, default_value = "k8s", global = true)]
    orchestrator: Named,
    /// Folder of nuage-cni.yaml, the vsp file and the kubeconfig, instead of their standard places
    #[arg(long, value_name = "DIR", global = true)]
    config_dir: Option<PathBuf>,
    /// The node's name in the cluster; without it, the API server's record of this host
    #[arg(long, value_name = "NAME", env = node_name::VARIABLE, global = true)]
    node_name: Option<String>,
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Named {
    K8s,
    Openshift,
    Mesos,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// The daemon (default)
    Run,
    /// One pass: look, and do what is due
    Once(once::Options),
    /// A table of the attachments of this node
    Status(status::Options),
    /// All that is known of one port, and what becomes of it
    Explain(explain::Options),
}

/// Why a verb has not succeeded.
enum Failure {
    /// Something could not be observed.
    Unobserved(Error),
    /// Something could not be done.
    Undone,
    /// A person has to confirm.
    Held,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Unobserved(error)
    }
}

/// The command line, for its manual and its completions.
pub fn command() -> clap::Command {
    Options::command()
}

/// Runs the executable.
pub fn run() -> ExitCode {
    let options = Options::parse();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return complain(&format!("starting: {error}")),
    };
    match runtime.block_on(carry_out(options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Unobserved(error)) => {
            let details = error.details();
            complain(&if details.is_empty() { error.to_string() } else { format!("{error}: {details}") })
        }
        Err(Failure::Undone) => ExitCode::from(3),
        Err(Failure::Held) => ExitCode::from(4),
    }
}

fn complain(what: &str) -> ExitCode {
    let _ = writeln!(io::stderr().lock(), "error: {what}");
    ExitCode::FAILURE
}

/// Prints a line; whoever does not read it cannot be told.
fn say(line: &str) {
    let _ = writeln!(io::stdout().lock(), "{line}");
}

async fn carry_out(options: Options) -> Result<(), Failure> {
    match &options.verb {
        None | Some(Verb::Run) => run::run(&options).await,
        Some(Verb::Once(verb)) => once::run(&Site::find(&options)?, verb).await,
        Some(Verb::Status(verb)) => status::run(&Site::find(&options)?, verb).await,
        Some(Verb::Explain(verb)) => explain::run(&Site::find(&options)?, verb).await,
    }
}

/// The node and its files.
struct Site {
    host: Host,
    orchestrator: Orchestrator,
    node: NodeConfig,
    config_dir: Option<PathBuf>,
    node_name: Option<String>,
}

impl Site {
    fn find(options: &Options) -> Result<Self, Error> {
        let host = node::host();
        let node = load_node(&*host.files, options.config_dir.as_deref())?;
        let orchestrator = match options.orchestrator {
            Named::K8s => Orchestrator::Kubernetes,
            Named::Openshift => Orchestrator::OpenShift,
            Named::Mesos => Orchestrator::Mesos,
        };
        let (config_dir, node_name) = (options.config_dir.clone(), options.node_name.clone());
        Ok(Self { host, orchestrator, node, config_dir, node_name })
    }

    fn api(&self) -> Result<ApiServer, Error> {
        let vsp = load_vsp(&*self.host.files, self.orchestrator, self.config_dir.as_deref())?;
        Ok(ApiServer::new(self.host.clone(), vsp))
    }

    /// Those who know the pods, and the runtime beside where nuage-cni.yaml names its socket.
    fn with_runtime(&self, pods: Arc<dyn Containers>) -> Arc<dyn Containers> {
        match &self.node.runtime_socket {
            Some(socket) => Arc::new(WithRuntime::new(pods, Arc::new(CriRuntime::new(socket.clone())))),
            None => pods,
        }
    }

    /// Mesos knows no pods.
    fn mesos(&self) -> Arc<dyn Containers> {
        let agent = MesosAgent::new(self.host.clone(), self.node.mesos_agent.clone());
        Arc::new(WithRuntime::new(Arc::new(Unasked::new("Mesos has no pods")), Arc::new(agent)))
    }

    /// An audit for a single pass.
    async fn auditor(&self) -> Result<Auditor, Error> {
        let containers: Arc<dyn Containers> = if self.orchestrator == Orchestrator::Mesos {
            self.mesos()
        } else {
            let api = self.api()?;
            let pods: Arc<dyn Containers> =
                match node_name::find(&api, &*self.host.files, self.node_name.as_deref()).await {
                    Word::Told(name) => Arc::new(ListedPods::new(api, name)),
                    Word::Silent(reason) => Arc::new(Unasked::new(&reason)),
                };
            self.with_runtime(pods)
        };
        Ok(Auditor::new(
            self.host.clone(),
            self.orchestrator,
            self.node.clone(),
            self.config_dir.clone(),
            containers,
        ))
    }
}
