//! What the three executables share: options for people, environment and standard input for runtimes, and exactly one
//! JSON text on standard output whatever happens.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::{self, IsTerminal as _, Read as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::mpsc;
use std::time::Duration;

use clap::{CommandFactory as _, FromArgMatches as _, Parser};

use crate::error::Error;
use crate::examine::examine;
use crate::host::Host;
use crate::orchestrator::Orchestrator;
use crate::{Invocation, Outcome, invoke, node};

/// The audit's executable.
const AUDIT: &str = "nuage-audit";
/// A network configuration has a few kilobytes.
const MAX_STDIN_BYTES: u64 = 1 << 20;
/// A runtime writes it at once.
const STDIN_PATIENCE: Duration = Duration::from_secs(10);

const EXAMPLES: &str = "\
A container runtime calls this with CNI_COMMAND and the other CNI_ variables, and the network configuration on standard
input. By hand:

  echo '{\"cniVersion\":\"1.0.0\"}' | CNI_COMMAND=VERSION nuage-cni-k8s
  nuage-cni-k8s --check-config
  nuage-cni-k8s --check-config --config-dir /tmp/nuage/node";

/// CNI plugin for Nuage VSP
#[derive(Debug, Parser)]
#[command(version = crate::VERSION, after_help = EXAMPLES)]
struct Options {
    /// Read all that an ADD would read, say what it would use and what is wrong with it, and exit
    #[arg(long)]
    check_config: bool,
    /// Folder of nuage-cni.yaml, the vsp file and the kubeconfig, instead of their standard places
    #[arg(long, value_name = "DIR", requires = "check_config")]
    config_dir: Option<PathBuf>,
    /// Say it as one JSON object
    #[arg(long, requires = "check_config")]
    json: bool,
    /// Run the audit instead (`nuage-audit`); also -daemon, as unit files of the original have it
    #[arg(long)]
    daemon: bool,
}

/// The command line of one of the executables, for its manual and its completions, too.
pub fn command(orchestrator: Orchestrator) -> clap::Command {
    let name = match orchestrator {
        Orchestrator::Kubernetes => "nuage-cni-k8s",
        Orchestrator::OpenShift => "nuage-cni-openshift",
        Orchestrator::Mesos => "nuage-cni-mesos",
    };
    Options::command().name(name).bin_name(name)
}

/// Runs one of the executables.
pub fn run(orchestrator: Orchestrator) -> ExitCode {
    answer_panics();
    if std::env::args_os().skip(1).any(|argument| wants_daemon(&argument)) {
        return become_audit(
            orchestrator,
            std::env::args_os().skip(1).filter(|argument| !wants_daemon(argument)),
        );
    }
    let command = command(orchestrator);
    let options = match command.clone().try_get_matches().and_then(|found| Options::from_arg_matches(&found))
    {
        Ok(options) => options,
        Err(error) => error.exit(),
    };
    let host = node::host();
    if options.check_config {
        return check_config(&host, orchestrator, &options);
    }
    if std::env::var_os("CNI_COMMAND").is_none() && io::stdin().is_terminal() {
        // A person, not a runtime.
        let mut command = command;
        let _ = command.print_help();
        return ExitCode::from(2);
    }
    let outcome = match read_stdin() {
        Ok(stdin) => call(&host, Invocation { orchestrator, environment: environment(), stdin }),
        Err(error) => Outcome::failed(&error, "1.0.0"),
    };
    print(&outcome)
}

fn call(host: &Host, invocation: Invocation) -> Outcome {
    // One thread: a plugin lives for milliseconds, and more threads only cost their start.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime {
        Ok(runtime) => {
            let outcome = runtime.block_on(invoke(host, invocation));
            // A name that is still being looked up holds nobody up.
            runtime.shutdown_background();
            outcome
        }
        Err(error) => {
            let error = Error::Io { operation: "starting".to_owned(), details: error.to_string() };
            Outcome::failed(&error, "1.0.0")
        }
    }
}

pub(crate) fn print(outcome: &Outcome) -> ExitCode {
    // Who does not read the answer cannot be told anything else either.
    let _ = io::stdout().lock().write_all(&outcome.stdout);
    if let Some(line) = &outcome.stderr {
        let _ = writeln!(io::stderr().lock(), "{line}");
    }
    ExitCode::from(outcome.exit_code)
}

/// The variables that are text; others are none of ours.
pub(crate) fn environment() -> BTreeMap<String, String> {
    let ours = std::env::vars_os()
        .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)));
    ours.filter(|(key, _)| key.starts_with("CNI_")).collect()
}

/// Reads standard input, but not for ever and not without an end.
pub(crate) fn read_stdin() -> Result<Vec<u8>, Error> {
    let (sender, receiver) = mpsc::channel();
    let reading = move || {
        let mut content = Vec::new();
        let result = io::stdin().lock().take(MAX_STDIN_BYTES + 1).read_to_end(&mut content);
        let _ = sender.send(result.map(|_| content));
    };
    let failed = |details: String| Error::Io { operation: "reading standard input".to_owned(), details };
    // The only way to give a blocking read a deadline; the thread ends with the process.
    std::thread::Builder::new().spawn(reading).map_err(|error| failed(error.to_string()))?;
    match receiver.recv_timeout(STDIN_PATIENCE) {
        Ok(Ok(content)) if content.len() as u64 > MAX_STDIN_BYTES => {
            Err(failed(format!("longer than {MAX_STDIN_BYTES} bytes")))
        }
        Ok(Ok(content)) => Ok(content),
        Ok(Err(error)) => Err(failed(error.to_string())),
        Err(_) => Err(failed(format!("it did not end within {} s", STDIN_PATIENCE.as_secs()))),
    }
}

/// A panic is a defect of ours; the runtime still gets its one JSON text.
pub(crate) fn answer_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map_or_else(String::new, ToString::to_string);
        let error =
            Error::Io { operation: "the plugin itself".to_owned(), details: format!("panicked at {place}") };
        print(&Outcome::failed(&error, "1.0.0"));
        std::process::exit(1);
    }));
}

/// The Go flag that the original's unit file has, in any of its forms.
fn wants_daemon(argument: &OsStr) -> bool {
    ["-daemon", "--daemon", "-daemon=true", "--daemon=true"].iter().any(|form| argument == *form)
}

/// Becomes the audit; returns only where that is not possible.
fn become_audit(orchestrator: Orchestrator, others: impl Iterator<Item = OsString>) -> ExitCode {
    let beside = std::env::current_exe().ok().and_then(|own| Some(own.parent()?.join(AUDIT)));
    let places: Vec<PathBuf> = beside.into_iter().chain([Path::new("/usr/bin").join(AUDIT)]).collect();
    let Some(audit) = places.iter().find(|place| place.is_file()) else {
        let looked = places.iter().map(|place| place.display().to_string()).collect::<Vec<_>>().join(" and ");
        let _ = writeln!(
            io::stderr().lock(),
            "error: -daemon needs {AUDIT}, and there is none: looked for {looked}; hint: install it from the same package"
        );
        return ExitCode::FAILURE;
    };
    let name = orchestrator.name();
    let error = Command::new(audit).args(["--orchestrator", name]).args(others).exec();
    let _ = writeln!(io::stderr().lock(), "error: {}: {error}", audit.display());
    ExitCode::FAILURE
}

/// Reads everything that an ADD would read, says what it would use and what is wrong with it.
fn check_config(host: &Host, orchestrator: Orchestrator, options: &Options) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let found = match runtime {
        Ok(runtime) => runtime.block_on(examine(host, orchestrator, options.config_dir.as_deref())),
        Err(error) => {
            let _ = writeln!(io::stderr().lock(), "error: {error}");
            return ExitCode::FAILURE;
        }
    };
    let mut out = io::stdout().lock();
    if options.json {
        let _ = writeln!(out, "{:#}", found.to_json());
    } else {
        found.uses.iter().for_each(|(key, value)| {
            let _ = writeln!(out, "{key}: {value}");
        });
        let mut errors = io::stderr().lock();
        found.warnings.iter().for_each(|warning| {
            let _ = writeln!(errors, "warning: {warning}");
        });
        found.errors.iter().for_each(|error| {
            let _ = writeln!(errors, "error: {error}");
        });
        if found.is_valid() {
            let _ = writeln!(out, "the configuration is valid");
        }
    }
    if found.is_valid() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
