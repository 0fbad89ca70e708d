//! The installer: puts the plugin on a host, keeps it there, takes it away, and takes over from the original. Executables come
//! first and the network configuration last, each whole or not at all; nothing that is not ours is touched.

mod apply;
mod firewall;
#[cfg(feature = "audit")]
mod inventory;
mod keep;
mod kubeconfig;
mod migrate;
mod plan;
mod record;
mod settings;
mod tree;

use std::ffi::{OsStr, OsString};
use std::io::{self, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Duration;

use clap::{CommandFactory as _, Parser};
use tokio::runtime::Runtime;

use crate::error::Error;
use apply::Installation;
use settings::Settings;

/// The first argument of a process of our own that runs a tool of the host: `--on-host ROOT TOOL ARGUMENTS`.
const ON_HOST: &str = "--on-host";
/// The journal's records, which are owed something.
const ATTACHMENTS: &str = "/var/lib/nuage-cni/attachments";

/// Installs the Nuage CNI plugin on a host
#[derive(Debug, Parser)]
#[command(name = "nuage-cni-install", version = crate::VERSION)]
struct Options {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Install, or bring an installation up to date, and exit
    Install(Box<Settings>),
    /// Install, wait for the switch, run the audit and keep the files as they should be until TERM
    Run {
        /// How often the files are looked at, in seconds
        #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
        interval: u64,
        #[command(flatten)]
        settings: Box<Settings>,
    },
    /// Take away what was installed and has not been changed since
    Uninstall {
        /// Although attachments of pods are still there, which nobody could take away afterwards
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        settings: Box<Settings>,
    },
    /// Take over from the original plugin with pods running, and install
    Migrate(Box<Settings>),
}

/// The command line, for its manual and its completions.
pub fn command() -> clap::Command {
    Options::command()
}

/// Runs the executable.
pub fn run() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    if let [_, mark, root, tool, arguments @ ..] = arguments.as_slice()
        && mark == ON_HOST
    {
        return on_host(Path::new(root), tool, arguments);
    }
    let done = match Options::parse().verb {
        Verb::Install(settings) => install(&settings),
        Verb::Run { interval, settings } => keep(&settings, Duration::from_secs(interval)),
        Verb::Uninstall { force, settings } => uninstall(&settings, force),
        Verb::Migrate(settings) => take_over(&settings),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr().lock(), "error: {error}: {}", error.details());
            ExitCode::FAILURE
        }
    }
}

/// Says what was done, and forgets it.
fn tell(lines: &mut Vec<String>) {
    let mut out = io::stdout().lock();
    for line in lines.drain(..) {
        // Nobody who listens is no reason to stop.
        let _ = writeln!(out, "{line}");
    }
}

/// What was done is told even if the rest failed.
fn told(
    settings: &Settings,
    act: impl FnOnce(&mut Installation<'_>) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut installation = Installation::begin(settings)?;
    let done = act(&mut installation);
    tell(&mut installation.told);
    tell(&mut installation.remarks);
    done
}

fn install(settings: &Settings) -> Result<(), Error> {
    told(settings, |installation| {
        installation.prepare()?;
        installation.activate()
    })
}

fn take_over(settings: &Settings) -> Result<(), Error> {
    let runtime = runtime()?;
    told(settings, |installation| migrate::migrate(installation, settings, &runtime))
}

fn keep(settings: &Settings, interval: Duration) -> Result<(), Error> {
    runtime()?.block_on(keep::keep(settings, interval))
}

fn runtime() -> Result<Runtime, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| Error::Io { operation: "starting".to_owned(), details: error.to_string() })
}

fn uninstall(settings: &Settings, force: bool) -> Result<(), Error> {
    told(settings, |installation| {
        let attachments = installation.tree().names(Path::new(ATTACHMENTS))?;
        let there = attachments
            .iter()
            .filter(|name| Path::new(name).extension().is_some_and(|end| end == "json"))
            .count();
        if there > 0 && !force {
            return Err(Error::Config {
                what: ATTACHMENTS.to_owned(),
                details: format!("{there} attachments of pods are still there"),
                hint: Some("drain the node first, or give --force".to_owned()),
            });
        }
        installation.undo()
    })
}

/// Becomes a tool of the host, with the host's files.
fn on_host(root: &Path, tool: &OsStr, arguments: &[OsString]) -> ExitCode {
    let entered = std::os::unix::fs::chroot(root).and_then(|()| std::env::set_current_dir("/"));
    let error = match entered {
        Ok(()) => Command::new(tool).args(arguments).exec(),
        Err(error) => error,
    };
    let _ = writeln!(io::stderr().lock(), "{}: {error}", Path::new(tool).display());
    ExitCode::FAILURE
}
