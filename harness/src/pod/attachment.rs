//! Calls of the shipped plugin for a pod, as containerd makes them, in the node's network namespace where it has one. The plugin gets the
//! node's own files but for its log, which tells everything and lies with the pods.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{DirBuilderExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nuage_cni::orchestrator::Orchestrator;
use nuage_cni::{Invocation, Outcome};
use nuage_emulator::up::directory::write_secret;
use serde_json::{Value, json};

use super::{Node, Record, Site, echo, trace};
use crate::error::Error;
use crate::world::host::HostOptions;
use crate::world::host::process::run;
use crate::world::sim::process::Kill;

/// How long a runtime waits for a call: the kubelet's `runtimeRequestTimeout` has this default.
const LIMIT: Duration = Duration::from_mins(2);
/// What is another one in the node's configuration.
const OWN_KEYS: [&str; 3] = ["loglevel:", "logformat:", "logdir:"];
const CONFIG: &str = "nuage-cni.yaml";

/// What the plugin says when it refuses (CNI specification, section "Error").
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The verb.
    pub verb: String,
    /// Its code.
    pub code: u64,
    /// In a few words.
    pub message: String,
    /// In more.
    pub details: String,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { verb, code, message, details } = self;
        write!(formatter, "the plugin refuses {verb} (code {code}): {message}")?;
        if details.is_empty() { Ok(()) } else { write!(formatter, "; {details}") }
    }
}

/// Calls the plugin; what it answered.
///
/// # Errors
/// It refuses, takes too long, or cannot be run.
pub(super) fn call(
    site: &Site,
    node: &Node,
    record: &Record,
    verb: &str,
    options: &HostOptions,
) -> Result<Value, Error> {
    let network = network(node, &configuration(site, node)?)?;
    let netns = record.netns_path();
    // A namespace that is not there is not named, as runtimes do.
    let netns = if netns.exists() { netns.display().to_string() } else { String::new() };
    let arguments = format!(
        "IgnoreUnknown=1;K8S_POD_NAMESPACE={};K8S_POD_NAME={};K8S_POD_INFRA_CONTAINER_ID={};K8S_POD_UID={}",
        record.namespace, record.name, record.sandbox, record.uid
    );
    let variables = [
        ("CNI_COMMAND", verb.to_owned()),
        ("CNI_CONTAINERID", record.sandbox.clone()),
        ("CNI_NETNS", netns),
        ("CNI_IFNAME", "eth0".to_owned()),
        ("CNI_PATH", options.bin_dir.display().to_string()),
        ("CNI_ARGS", arguments),
    ];
    let environment: BTreeMap<String, String> =
        variables.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    let call = Invocation {
        orchestrator: Orchestrator::Kubernetes,
        environment,
        stdin: network.to_string().into_bytes(),
    };
    read(verb, carry_out(node, options, call)?)
}

/// One call as a process, started where the node is.
fn carry_out(node: &Node, options: &HostOptions, call: Invocation) -> Result<Outcome, Error> {
    let bin_dir = options.bin_dir.clone();
    let conversation = move || -> std::io::Result<Option<Outcome>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(runtime.block_on(run(&bin_dir, call, Kill::After(LIMIT))))
    };
    let own = Path::new("/proc/self/ns/net");
    let done = echo::within(node.netns.as_deref().unwrap_or(own), conversation).and_then(|done| done);
    let done = done.map_err(|error| Error::Pod(format!("the plugin on {}: {error}", node.name)))?;
    done.ok_or_else(|| Error::Pod(format!("the plugin has not answered in {LIMIT:?} and was killed")))
}

fn read(verb: &str, outcome: Outcome) -> Result<Value, Error> {
    let answer: Value = serde_json::from_slice(&outcome.stdout).unwrap_or_default();
    if outcome.exit_code == 0 {
        return Ok(answer);
    }
    let text = |key: &str| answer[key].as_str().unwrap_or_default().to_owned();
    let (message, details) = if answer["code"].is_number() {
        (text("msg"), text("details"))
    } else {
        (format!("exit code {}", outcome.exit_code), outcome.stderr.unwrap_or_default())
    };
    Err(Error::Plugin(Box::new(Refusal {
        verb: verb.to_owned(),
        code: answer["code"].as_u64().unwrap_or_default(),
        message,
        details,
    })))
}

/// What a runtime makes of the node's network configuration list.
fn network(node: &Node, configuration: &Path) -> Result<Value, Error> {
    let path = node.files.join("10-nuage.conflist");
    let text = fs::read(&path).map_err(|source| Error::File { path: path.clone(), source })?;
    let list: Value = serde_json::from_slice(&text).unwrap_or_default();
    let mut network = list["plugins"][0].clone();
    if !network.is_object() {
        return Err(Error::Pod(format!("{} names no plugin", path.display())));
    }
    network["cniVersion"] = list["cniVersion"].clone();
    network["name"] = list["name"].clone();
    network["configDir"] = json!(configuration);
    Ok(network)
}

/// The node's files as they are now, with a log of our own.
fn configuration(site: &Site, node: &Node) -> Result<PathBuf, Error> {
    let place = site.directory.join("pods/nodes").join(&node.name);
    let failed = |path: &Path, source| Error::File { path: path.to_owned(), source };
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&place)
        .map_err(|error| failed(&place, error))?;
    for name in crate::world::host::kernel::names_in(&node.files) {
        let (from, to) = (node.files.join(&name), place.join(&name));
        if name != CONFIG && from.is_file() && !to.exists() {
            symlink(&from, &to).map_err(|error| failed(&to, error))?;
        }
    }
    let path = node.files.join(CONFIG);
    let text = fs::read_to_string(&path).map_err(|error| failed(&path, error))?;
    let kept = text.lines().filter(|line| !OWN_KEYS.iter().any(|key| line.starts_with(key)));
    let log = trace::log(site);
    let own = format!("loglevel: debug\nlogformat: json\nlogdir: {}\n", log.display());
    let text = kept.map(|line| format!("{line}\n")).chain([own]).collect::<String>();
    write_secret(&place.join(CONFIG), text.as_bytes()).map_err(|error| Error::Pod(error.to_string()))?;
    Ok(place)
}
