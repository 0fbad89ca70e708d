//! The command line, a file a verb. Primary output goes to standard output, messages to standard error.

mod access;
mod fault;
mod schema;
mod up;
mod vsc;
mod vsd;

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::error::Error;

const EXAMPLES: &str = "\
Examples:
  emulator up --dir /tmp/nuage          everything, on free ports, until Ctrl-C
  emulator up --dir /tmp/nuage --only vsd,monitor,kube
  emulator up --dir /tmp/nuage --nodes 3 --dataplane      as root: containers reach each other
  emulator vsc --vrs unix:/var/run/openvswitch/db.sock --dir /tmp/nuage
  emulator fault on vsc.slow --dir /tmp/nuage --chance 0.5 delay=2s..5s
  emulator vsd import site.toml --dir /tmp/nuage
  emulator schema > vswitch.ovsschema   for a real ovsdb-server";

/// Emulators of a Nuage VSP site: VRS, VSD, VSC, monitor and a slice of the Kubernetes API
#[derive(Debug, Parser)]
#[command(version = crate::VERSION, after_help = EXAMPLES, arg_required_else_help = true)]
struct Arguments {
    /// Say on standard error what happens, not only what goes wrong
    #[arg(short, long, global = true)]
    verbose: bool,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run a site in one process
    Up(up::Arguments),
    /// Run a controller alone: resolves the ports of one OVSDB server against a VSD
    Vsc(vsc::Arguments),
    /// Turn faults of a running emulator on and off
    #[command(subcommand)]
    Fault(fault::Verb),
    /// Make a VSD's objects from a file, or write them to one
    #[command(subcommand)]
    Vsd(vsd::Verb),
    /// Print the switch's OVSDB schema
    Schema,
}

/// The command line, for its manual and its completions.
pub fn command() -> clap::Command {
    Arguments::command().name("emulator")
}

/// Runs the command line.
pub fn run() -> ExitCode {
    let arguments = Arguments::parse();
    let level = if arguments.verbose { tracing::Level::INFO } else { tracing::Level::WARN };
    tracing_subscriber::fmt().with_max_level(level).with_writer(io::stderr).with_ansi(false).init();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let result = match (arguments.verb, runtime) {
        (Verb::Schema, _) => schema::run(),
        (_, Err(source)) => Err(Error::File { path: "the runtime".into(), source }),
        (Verb::Up(arguments), Ok(runtime)) => runtime.block_on(up::run(arguments)),
        (Verb::Fault(verb), Ok(runtime)) => runtime.block_on(fault::run(verb)),
        (Verb::Vsc(arguments), Ok(runtime)) => runtime.block_on(vsc::run(arguments)),
        (Verb::Vsd(verb), Ok(runtime)) => runtime.block_on(vsd::run(verb)),
    };
    let Err(error) = result else { return ExitCode::SUCCESS };
    let mut out = io::stderr().lock();
    let _ = writeln!(out, "error: {error}");
    if let Some(hint) = error.hint() {
        let _ = writeln!(out, "hint: {hint}");
    }
    ExitCode::from(match error {
        Error::Usage(_) => 2,
        Error::Lacks(_) => 4,
        _ => 1,
    })
}

/// Prints a line; a reader that went away is no failure.
fn say(line: &str) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{line}");
    let _ = out.flush();
}

/// The signals that end this process. Made before `ready` is said: who has read that may send one at once.
struct End {
    terminate: Signal,
    interrupt: Signal,
}

impl End {
    fn new() -> Result<Self, Error> {
        let failed = |source| Error::File { path: "signals".into(), source };
        let terminate = signal(SignalKind::terminate()).map_err(failed)?;
        let interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
        Ok(Self { terminate, interrupt })
    }

    /// Waits until somebody wants this process to end.
    async fn wait(mut self) {
        tokio::select! {
            biased;
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
