//! nuage-cni.yaml: how the plugin works on this node. An absent file or key means the default; a wrong value never does.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use super::keys::NODE;
use super::{Document, LogLevel, MesosAgentConfig, NodeConfig, invalid};
use crate::error::Error;
use crate::host::Files;

/// Where the file is unless the network configuration has a `configDir`.
const STANDARD_PATH: &str = "/etc/default/nuage-cni.yaml";
/// Its name in a `configDir`.
const FILE_NAME: &str = "nuage-cni.yaml";
/// A kubelet gives up on a sandbox after two minutes; an ADD must have ended before.
const MAX_ADD_SECONDS: u64 = 110;
/// A log of more is a mistake of a unit, and fills the node's disk.
const MAX_LOG_MEGABYTES: u32 = 1024;
const MAX_LOG_FILES: u32 = 100;
/// In seconds: what happens less often than once a day does not happen.
const DAY: u64 = 86_400;

/// The file's keys. A key without a value counts as absent, as it always did.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct File {
    vrsendpoint: Option<String>,
    vrsbridge: Option<String>,
    mtu: Option<u32>,
    portresolvetimer: Option<u64>,
    addtimeout: Option<u64>,
    nuagesiteid: Option<i64>,
    multiplepolicygroups: Option<bool>,
    cniversion: Option<String>,
    statedir: Option<PathBuf>,
    rundir: Option<PathBuf>,
    logdir: Option<PathBuf>,
    loglevel: Option<String>,
    logformat: Option<String>,
    logfilesize: Option<u32>,
    logfilecount: Option<u32>,
    monitorinterval: Option<u64>,
    staleentrytimeout: Option<u64>,
    vrsconnectionchecktimer: Option<u64>,
    metricslisten: Option<String>,
    runtimeendpoint: Option<String>,
    mesosagent: Option<String>,
    mesosagentca: Option<PathBuf>,
    mesosagentcredential: Option<PathBuf>,
}

/// Turns values into typed ones, or says which key is wrong and what it must be.
struct Checker<'a> {
    path: &'a Path,
}

impl Checker<'_> {
    fn wrong(&self, key: &str, rule: &str) -> Error {
        invalid(self.path, format!("{key} {rule}"))
    }

    fn number<T: PartialOrd + std::fmt::Display>(
        &self,
        key: &str,
        given: Option<T>,
        default: T,
        range: std::ops::RangeInclusive<T>,
    ) -> Result<T, Error> {
        let value = given.unwrap_or(default);
        if range.contains(&value) {
            return Ok(value);
        }
        Err(self.wrong(key, &format!("must be from {} to {}", range.start(), range.end())))
    }

    fn directory(&self, key: &str, given: Option<PathBuf>, default: &str) -> Result<PathBuf, Error> {
        let directory = given.filter(|path| !path.as_os_str().is_empty()).unwrap_or_else(|| default.into());
        if directory.is_absolute() { Ok(directory) } else { Err(self.wrong(key, "must be an absolute path")) }
    }

    fn runtime_socket(&self, endpoint: Option<String>) -> Result<Option<PathBuf>, Error> {
        let endpoint = endpoint.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        let wrong = || self.wrong("runtimeendpoint", "must be unix:///PATH of the runtime's CRI socket");
        endpoint.map(|endpoint| socket(&endpoint).map(Path::to_owned).ok_or_else(wrong)).transpose()
    }

    fn mesos_agent(
        &self,
        url: Option<String>,
        authorities: Option<PathBuf>,
        credential: Option<PathBuf>,
    ) -> Result<MesosAgentConfig, Error> {
        let directory = self.path.parent().unwrap_or(Path::new("/"));
        let beside = |path: Option<PathBuf>| {
            path.filter(|path| !path.as_os_str().is_empty()).map(|path| directory.join(path))
        };
        let authorities = beside(authorities);
        let url = url.map(|url| url.trim().trim_end_matches('/').to_owned()).filter(|url| !url.is_empty());
        if let Some(url) = &url {
            let is_https = url.starts_with("https://");
            if !is_https && !url.starts_with("http://") || url.parse::<http::Uri>().is_err() {
                return Err(self.wrong("mesosagent", "must be http://HOST:PORT or https://HOST:PORT"));
            }
            if is_https && authorities.is_none() {
                return Err(self.wrong("mesosagentca", "must name whom to trust, since mesosagent is https"));
            }
        }
        Ok(MesosAgentConfig { url, authorities, credential: beside(credential) })
    }

    fn level(&self, given: Option<String>) -> Result<LogLevel, Error> {
        match given.unwrap_or_default().to_ascii_lowercase().as_str() {
            "error" => Ok(LogLevel::Error),
            "warn" | "warning" => Ok(LogLevel::Warn),
            "info" | "" => Ok(LogLevel::Info),
            "debug" => Ok(LogLevel::Debug),
            _ => Err(self.wrong("loglevel", "must be debug, info, warn or error")),
        }
    }
}

/// The socket of an endpoint as runtimes' tools write it: `unix:///PATH`, `unix:/PATH` or `/PATH`.
fn socket(endpoint: &str) -> Option<&Path> {
    let path = endpoint.strip_prefix("unix:").unwrap_or(endpoint);
    let path = path.strip_prefix("//").filter(|path| path.starts_with('/')).unwrap_or(path);
    (path.starts_with('/') && !path.starts_with("//")).then(|| Path::new(path))
}

/// Reads nuage-cni.yaml, from `directory` if one is given.
///
/// # Errors
/// Code 7 for a value that is wrong, code 5 for a file that cannot be read.
pub fn load(files: &dyn Files, directory: Option<&Path>) -> Result<NodeConfig, Error> {
    let path = directory.map_or_else(|| PathBuf::from(STANDARD_PATH), |directory| directory.join(FILE_NAME));
    let document = Document::read(files, &path)?;
    let (file, keys): (File, _) = document.parse_noting()?;
    let check = Checker { path: &path };
    let text = |given: Option<String>, default: &str| {
        given.filter(|text| !text.trim().is_empty()).unwrap_or_else(|| default.to_owned())
    };
    let mtu = file.mtu.filter(|mtu| *mtu != 0);
    if mtu.is_some_and(|mtu| !(68..=65_535).contains(&mtu)) {
        return Err(check.wrong("mtu", "must be 0 (derived) or from 68 to 65535"));
    }
    let site_id = match file.nuagesiteid {
        None | Some(-1) => None,
        Some(other) => Some(
            u32::try_from(other)
                .map_err(|_| check.wrong("nuagesiteid", "must be -1 (none) or a site's number"))?,
        ),
    };
    let log_json = match text(file.logformat, "text").as_str() {
        "text" => false,
        "json" => true,
        _ => return Err(check.wrong("logformat", "must be text or json")),
    };
    let metrics_listen = file.metricslisten.filter(|text| !text.is_empty());
    let metrics_listen = metrics_listen
        .map(|text| text.parse().map_err(|_| check.wrong("metricslisten", "must be ADDRESS:PORT")))
        .transpose()?;
    let seconds = |key, given, default, longest| -> Result<Duration, Error> {
        check.number(key, given, default, 1..=longest).map(Duration::from_secs)
    };
    let add_timeout = check.number("addtimeout", file.addtimeout, 90, 10..=MAX_ADD_SECONDS)?;
    Ok(NodeConfig {
        vrs_endpoint: text(file.vrsendpoint, "/var/run/openvswitch/db.sock"),
        bridge: text(file.vrsbridge, "alubr0"),
        mtu,
        resolve_timeout: seconds("portresolvetimer", file.portresolvetimer, 60, MAX_ADD_SECONDS)?,
        add_timeout: Duration::from_secs(add_timeout),
        site_id,
        multiple_policy_groups: file.multiplepolicygroups.unwrap_or(false),
        cni_version: file.cniversion.filter(|version| !version.is_empty()),
        state_dir: check.directory("statedir", file.statedir, "/var/lib/nuage-cni")?,
        run_dir: check.directory("rundir", file.rundir, "/run/nuage-cni")?,
        log_dir: check.directory("logdir", file.logdir, "/var/log/cni")?,
        log_level: check.level(file.loglevel)?,
        log_json,
        log_file_megabytes: check.number("logfilesize", file.logfilesize, 1, 1..=MAX_LOG_MEGABYTES)?,
        log_file_count: check.number("logfilecount", file.logfilecount, 10, 1..=MAX_LOG_FILES)?,
        audit_interval: seconds("monitorinterval", file.monitorinterval, 60, DAY)?,
        stale_timeout: seconds("staleentrytimeout", file.staleentrytimeout, 600, 7 * DAY)?,
        connection_check_interval: seconds(
            "vrsconnectionchecktimer",
            file.vrsconnectionchecktimer,
            180,
            DAY,
        )?,
        metrics_listen,
        runtime_socket: check.runtime_socket(file.runtimeendpoint)?,
        mesos_agent: check.mesos_agent(file.mesosagent, file.mesosagentca, file.mesosagentcredential)?,
        warnings: document.odd_keys(&keys, NODE, &[]),
    })
}
