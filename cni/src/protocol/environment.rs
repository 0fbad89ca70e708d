//! The `CNI_*` variables (CNI specification 1.1.0, section "Parameters"). Pure: the caller hands the environment in.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::{Command, NetworkConfig, Request};
use crate::error::Error;

/// No name or value from outside is longer, in bytes.
const MAX_NAME_BYTES: usize = 255;
/// `IFNAMSIZ` less the terminating zero.
const MAX_INTERFACE_BYTES: usize = 15;
/// The kernel's `PATH_MAX`.
const MAX_PATH_BYTES: usize = 4096;
/// Runtimes send a few hundred bytes.
const MAX_ARGS_BYTES: usize = 64 << 10;

/// `CNI_COMMAND`.
pub(super) fn command(environment: &BTreeMap<String, String>) -> Result<Command, Error> {
    let wrong = |problem: String| Err(Error::Environment(vec![problem]));
    match environment.get("CNI_COMMAND").map(String::as_str) {
        Some("ADD") => Ok(Command::Add),
        Some("DEL") => Ok(Command::Del),
        Some("CHECK") => Ok(Command::Check),
        Some("GC") => Ok(Command::Gc),
        Some("STATUS") => Ok(Command::Status),
        Some("VERSION") => Ok(Command::Version),
        None | Some("") => wrong("CNI_COMMAND is missing".to_owned()),
        Some(other) => {
            let shown: String = other.chars().take(32).filter(|character| !character.is_control()).collect();
            wrong(format!("CNI_COMMAND={shown} is not one of ADD, DEL, CHECK, GC, STATUS, VERSION"))
        }
    }
}

/// The rest, as far as the command needs it.
pub(super) fn request(
    command: Command,
    environment: &BTreeMap<String, String>,
    network: NetworkConfig,
) -> Result<Request, Error> {
    let attaches = matches!(command, Command::Add | Command::Del | Command::Check);
    let needs_netns = matches!(command, Command::Add | Command::Check);
    // What a verb has no use for may be anything: libcni asks VERSION with "dummy" everywhere.
    let value = |name: &str| {
        let used = attaches || name == "CNI_ARGS";
        environment.get(name).filter(|_| used).map_or("", String::as_str)
    };
    let mut problems = Vec::new();
    let mut require =
        |name: &str, needed: bool, check: fn(&str) -> Result<(), &'static str>| match value(name) {
            "" if needed => problems.push(format!("{name} is missing")),
            "" => {}
            given => problems.extend(check(given).err().map(|problem| format!("{name} {problem}"))),
        };
    require("CNI_CONTAINERID", attaches, check_container_id);
    require("CNI_IFNAME", attaches, check_interface_name);
    require("CNI_NETNS", needs_netns, check_path);
    let args = arguments(value("CNI_ARGS"));
    problems.extend(args.as_ref().err().cloned());
    match args {
        Ok(args) if problems.is_empty() => Ok(Request {
            command,
            container_id: value("CNI_CONTAINERID").to_owned(),
            netns: Some(value("CNI_NETNS")).filter(|path| !path.is_empty()).map(PathBuf::from),
            ifname: value("CNI_IFNAME").to_owned(),
            args,
            network,
        }),
        _ => Err(Error::Environment(problems)),
    }
}

/// The characters of container ids and network names (specification, section "Parameters" and "Network configuration").
pub(super) fn check_container_id(name: &str) -> Result<(), &'static str> {
    if name.len() > MAX_NAME_BYTES {
        return Err("is longer than 255 bytes");
    }
    let mut bytes = name.bytes();
    let first = bytes.next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    if first && bytes.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-')) {
        Ok(())
    } else {
        Err("must begin with a letter or digit, and go on with letters, digits, '_', '.' or '-'")
    }
}

fn check_interface_name(name: &str) -> Result<(), &'static str> {
    match name {
        "." | ".." => Err("is no interface name"),
        _ if name.len() > MAX_INTERFACE_BYTES => Err("is longer than 15 bytes"),
        _ if name.chars().any(|c| matches!(c, '/' | ':') || c.is_whitespace() || c.is_control()) => {
            Err("may not contain '/', ':', white space or control characters")
        }
        _ => Ok(()),
    }
}

fn check_path(path: &str) -> Result<(), &'static str> {
    if !path.starts_with('/') {
        Err("is not an absolute path")
    } else if path.len() > MAX_PATH_BYTES || path.chars().any(char::is_control) {
        Err("is no path")
    } else {
        Ok(())
    }
}

/// `CNI_ARGS`: `KEY=VALUE;KEY=VALUE`. A value may contain `=`; unknown keys are left to who wants them.
fn arguments(text: &str) -> Result<BTreeMap<String, String>, String> {
    if text.len() > MAX_ARGS_BYTES {
        return Err(format!("CNI_ARGS is longer than {MAX_ARGS_BYTES} bytes"));
    }
    let mut arguments = BTreeMap::new();
    for pair in text.split(';').filter(|pair| !pair.is_empty()) {
        let Some((key, value)) = pair.split_once('=') else {
            return Err("CNI_ARGS has a part without '='".to_owned());
        };
        if value.len() > MAX_NAME_BYTES || value.chars().any(char::is_control) {
            return Err(format!(
                "CNI_ARGS: {} is longer than 255 bytes or has control characters",
                printable(key)
            ));
        }
        arguments.insert(key.to_owned(), value.to_owned());
    }
    Ok(arguments)
}

fn printable(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).take(64).collect()
}
