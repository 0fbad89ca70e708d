//! nuage-cni.yaml: how the plugin works on this node. An absent file or key means the default; a wrong value never does.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use super::{LogLevel, NodeConfig, invalid, read_yaml};
use crate::error::Error;
use crate::host::Files;

/// Where the file is unless the network configuration has a `configDir`.
const STANDARD_PATH: &str = "/etc/default/nuage-cni.yaml";
/// Its name in a `configDir`.
const FILE_NAME: &str = "nuage-cni.yaml";
/// A kubelet gives up on a sandbox after two minutes; an ADD must have ended before.
const MAX_ADD_SECONDS: u64 = 110;

/// The file's keys; lower case, as they always were.
#[derive(Debug, Deserialize)]
#[serde(default)]
struct File {
    vrsendpoint: String,
    vrsbridge: String,
    mtu: u32,
    portresolvetimer: u64,
    addtimeout: u64,
    nuagesiteid: i64,
    multiplepolicygroups: bool,
    cniversion: Option<String>,
    statedir: PathBuf,
    rundir: PathBuf,
    logdir: PathBuf,
    loglevel: String,
    logformat: String,
    logfilesize: u32,
    logfilecount: u32,
}

impl Default for File {
    fn default() -> Self {
        Self {
            vrsendpoint: "/var/run/openvswitch/db.sock".to_owned(),
            vrsbridge: "alubr0".to_owned(),
            mtu: 0,
            portresolvetimer: 60,
            addtimeout: 90,
            nuagesiteid: -1,
            multiplepolicygroups: false,
            cniversion: None,
            statedir: "/var/lib/nuage-cni".into(),
            rundir: "/run/nuage-cni".into(),
            logdir: "/var/log/cni".into(),
            loglevel: "info".to_owned(),
            logformat: "text".to_owned(),
            logfilesize: 1,
            logfilecount: 10,
        }
    }
}

/// Reads nuage-cni.yaml, from `directory` if one is given.
///
/// # Errors
/// Code 7 for a value that is wrong, code 5 for a file that cannot be read.
pub fn load(files: &dyn Files, directory: Option<&Path>) -> Result<NodeConfig, Error> {
    let path = directory.map_or_else(|| PathBuf::from(STANDARD_PATH), |directory| directory.join(FILE_NAME));
    let file: File = read_yaml(files, &path)?.unwrap_or_default();
    let wrong = |key: &str, rule: &str| invalid(&path, format!("{key} {rule}"));
    if file.mtu != 0 && !(68..=65_535).contains(&file.mtu) {
        return Err(wrong("mtu", "must be 0 (derived) or from 68 to 65535"));
    }
    if !(10..=MAX_ADD_SECONDS).contains(&file.addtimeout) {
        return Err(wrong("addtimeout", "must be from 10 to 110 seconds"));
    }
    if !(1..=MAX_ADD_SECONDS).contains(&file.portresolvetimer) {
        return Err(wrong("portresolvetimer", "must be from 1 to 110 seconds"));
    }
    let site_id = match file.nuagesiteid {
        -1 => None,
        other => Some(
            u32::try_from(other).map_err(|_| wrong("nuagesiteid", "must be -1 (none) or a site's number"))?,
        ),
    };
    for (key, directory) in [("statedir", &file.statedir), ("rundir", &file.rundir), ("logdir", &file.logdir)]
    {
        if !directory.is_absolute() {
            return Err(wrong(key, "must be an absolute path"));
        }
    }
    let log_level = match file.loglevel.to_ascii_lowercase().as_str() {
        "error" => LogLevel::Error,
        "warn" | "warning" => LogLevel::Warn,
        "info" => LogLevel::Info,
        "debug" => LogLevel::Debug,
        _ => return Err(wrong("loglevel", "must be debug, info, warn or error")),
    };
    let log_json = match file.logformat.as_str() {
        "text" => false,
        "json" => true,
        _ => return Err(wrong("logformat", "must be text or json")),
    };
    Ok(NodeConfig {
        vrs_endpoint: file.vrsendpoint,
        bridge: file.vrsbridge,
        mtu: Some(file.mtu).filter(|mtu| *mtu != 0),
        resolve_timeout: Duration::from_secs(file.portresolvetimer),
        add_timeout: Duration::from_secs(file.addtimeout),
        site_id,
        multiple_policy_groups: file.multiplepolicygroups,
        cni_version: file.cniversion,
        state_dir: file.statedir,
        run_dir: file.rundir,
        log_dir: file.logdir,
        log_level,
        log_json,
        log_file_megabytes: file.logfilesize,
        log_file_count: file.logfilecount,
    })
}
