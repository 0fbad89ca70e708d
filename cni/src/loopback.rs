//! The loopback plugin: sets `lo` of a container's namespace up, which container runtimes ask a plugin of that name for. It
//! reads no file, calls no switch and keeps no state.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::Path;
use std::process::ExitCode;

use ipnet::IpNet;
use serde_json::{Value, json};

use crate::error::Error;
use crate::executable::{answer_panics, environment, print, read_stdin};
use crate::host::{LinkError, Links};
use crate::link::{KernelLinks, loopback};
use crate::protocol::{Command, Request, parse, versions};
use crate::{Outcome, VERSION};

/// What a version of the specification is answered in when the caller's cannot be known.
const ERROR_VERSION: &str = "1.0.0";
/// What a configuration without a version is taken for.
const OLDEST_VERSION: &str = "0.1.0";
const HELP: &str = "\
The CNI loopback plugin: sets the loopback device of a container up. A container runtime calls it with CNI_COMMAND and the
other CNI_ variables, and the network configuration on standard input.";

/// What its manual says: a runtime gives it no options, and no library reads any.
pub fn command() -> clap::Command {
    clap::Command::new("loopback").version(VERSION).about("The CNI loopback plugin").after_help(HELP)
}

/// Runs the executable.
pub fn run() -> ExitCode {
    answer_panics();
    let argument = std::env::args().nth(1);
    let asked = argument.as_deref().is_some_and(|argument| matches!(argument, "--help" | "-h"));
    if argument.as_deref() == Some("--version") {
        let _ = writeln!(io::stdout(), "loopback {VERSION}");
        return ExitCode::SUCCESS;
    }
    if asked || (std::env::var_os("CNI_COMMAND").is_none() && io::stdin().is_terminal()) {
        let _ = writeln!(io::stdout(), "{HELP}");
        return if asked { ExitCode::SUCCESS } else { ExitCode::from(2) };
    }
    print(&answer(&environment()))
}

fn answer(environment: &BTreeMap<String, String>) -> Outcome {
    let stdin = match read_stdin() {
        Ok(stdin) => stdin,
        Err(error) => return Outcome::failed(&error, ERROR_VERSION),
    };
    let request = match parse(environment, &stdin) {
        Ok(request) => request,
        Err(error) => return Outcome::failed(&error, ERROR_VERSION),
    };
    let version = if request.network.version.is_empty() { OLDEST_VERSION } else { &request.network.version };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
    let done = match runtime {
        Ok(runtime) => runtime.block_on(carry_out(&KernelLinks, &request, version)),
        Err(error) => Err(Error::Io { operation: "starting".to_owned(), details: error.to_string() }),
    };
    match done {
        Ok(answer) => Outcome::printed(answer.as_ref()),
        Err(error) => Outcome::failed(&error, version),
    }
}

async fn carry_out(links: &dyn Links, request: &Request, version: &str) -> Result<Option<Value>, Error> {
    match request.command {
        Command::Version => Ok(Some(versions(&request.network.version))),
        // It holds nothing beyond the namespace, and needs nothing but the kernel.
        Command::Gc | Command::Status => Ok(None),
        Command::Add => add(links, request, version).await.map(Some),
        Command::Check => check(links, request).await.map(|()| None),
        Command::Del => del(links, request).await.map(|()| None),
    }
}

/// The parser has made sure that a command that needs one has one.
fn path(request: &Request) -> &Path {
    request.netns.as_deref().unwrap_or(Path::new(""))
}

async fn add(links: &dyn Links, request: &Request, version: &str) -> Result<Value, Error> {
    let netns = links.open_netns(path(request)).await?;
    loopback::set(&netns, true).await?;
    if let Some(previous) = &request.network.previous {
        let mut answer = previous.json.clone();
        answer["cniVersion"] = json!(version);
        return Ok(answer);
    }
    let addresses =
        links.find(Some(&netns), loopback::NAME).await?.map(|link| link.addresses).unwrap_or_default();
    Ok(result(path(request), &addresses, version))
}

async fn check(links: &dyn Links, request: &Request) -> Result<(), Error> {
    let netns = links.open_netns(path(request)).await?;
    match links.find(Some(&netns), loopback::NAME).await? {
        Some(link) if link.up => Ok(()),
        _ => Err(Error::Differs(format!("link {} is down", loopback::NAME))),
    }
}

/// A namespace that is gone took its loopback device along; a path that leads elsewhere by now says the same.
async fn del(links: &dyn Links, request: &Request) -> Result<(), Error> {
    if request.netns.is_none() {
        return Ok(());
    }
    let netns = match links.open_netns(path(request)).await {
        Err(LinkError::NoSuchNetns(_) | LinkError::NotANetns(_) | LinkError::OwnNetns(_)) => return Ok(()),
        other => other?,
    };
    Ok(loopback::set(&netns, false).await?)
}

/// In the shape of `version`.
fn result(netns: &Path, addresses: &[IpNet], version: &str) -> Value {
    if matches!(version, "0.1.0" | "0.2.0") {
        let mut answer = json!({"cniVersion": version, "dns": {}});
        for address in addresses {
            let key = if address.addr().is_ipv4() { "ip4" } else { "ip6" };
            answer[key] = json!({"ip": address.to_string()});
        }
        return answer;
    }
    let ip = |address: &IpNet| {
        let mut ip = json!({"interface": 0, "address": address.to_string()});
        if version.starts_with("0.") {
            ip["version"] = json!(if address.addr().is_ipv4() { "4" } else { "6" });
        }
        ip
    };
    json!({
        "cniVersion": version,
        "interfaces": [
            {"name": loopback::NAME, "mac": "00:00:00:00:00:00", "sandbox": netns.to_string_lossy()}
        ],
        "ips": addresses.iter().map(ip).collect::<Vec<_>>(),
        "dns": {},
    })
}
