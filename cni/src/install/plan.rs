//! What an installation consists of, in its order: executables, then configuration, then the network configuration, which is what
//! makes a runtime call the plugin. So there is never a configuration without its executable.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::kubeconfig;
use super::record::Installed;
use super::settings::Settings;
use super::tree::Tree;
use crate::error::Error;

/// Where nuage-cni.yaml is.
pub(super) const NODE_CONFIG: &str = "/etc/default/nuage-cni.yaml";
/// The network's name unless a configuration of the original's has another: journals and runtimes' caches know it by that.
const NETWORK: &str = "nuage-net";
const EXECUTABLE_MODE: u32 = 0o755;
const OPEN_MODE: u32 = 0o644;
/// Of what may hold a key or a token.
const SECRET_MODE: u32 = 0o600;
/// What ships beside the plugins where it was built: the audit, and the plugin that every runtime needs.
const BESIDE: [&str; 2] = ["nuage-audit", "loopback"];

/// A file to install.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) path: PathBuf,
    pub(super) mode: u32,
    pub(super) content: Vec<u8>,
}

/// The executables.
pub(super) fn executables(
    settings: &Settings,
    tree: &Tree,
    installed: &Installed,
) -> Result<Vec<Item>, Error> {
    let (source, skipped) = (settings.source()?, settings.skipped());
    let plugin = settings.orchestrator.plugin();
    let mut items = Vec::new();
    for name in [plugin].into_iter().chain(BESIDE).filter(|name| !skipped.contains(name)) {
        let (from, path) = (source.join(name), settings.bin_dir.join(name));
        let content = match std::fs::read(&from) {
            Ok(content) => content,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && name != plugin => continue,
            Err(error) => {
                let operation = format!("reading {}", from.display());
                return Err(Error::Io { operation, details: error.to_string() });
            }
        };
        // A loopback plugin that somebody else has brought is theirs, and does the same.
        let theirs = name == "loopback"
            && tree.read(&path)?.is_some_and(|there| there != content && !installed.wrote(&path, &there));
        if !theirs {
            items.push(Item { path, mode: EXECUTABLE_MODE, content });
        }
    }
    if skipped.contains(plugin) && !tree.has(&settings.bin_dir.join(plugin))? {
        return Err(Error::Config {
            what: settings.bin_dir.join(plugin).display().to_string(),
            details: "is to be skipped and is not there".to_owned(),
            hint: Some("a configuration without its executable would fail every pod".to_owned()),
        });
    }
    Ok(items)
}

/// The configuration that this installation is told to bring.
pub(super) fn configuration(settings: &Settings, tree: &Tree) -> Result<Vec<Item>, Error> {
    let directory = settings.vsp_directory(tree)?;
    let mut items = Vec::new();
    if let Some(text) = &settings.node_config {
        let content = text.clone().into_bytes();
        items.push(Item { path: NODE_CONFIG.into(), mode: OPEN_MODE, content });
    }
    if let Some(text) = &settings.vsp_config {
        let path = directory.join(format!("{}.yaml", settings.orchestrator.vsp()));
        items.push(Item { path, mode: SECRET_MODE, content: text.clone().into_bytes() });
    }
    if let Some(server) = &settings.api_server {
        let content = kubeconfig::text(settings, tree, server)?;
        items.push(Item { path: directory.join(kubeconfig::NAME), mode: SECRET_MODE, content });
    }
    Ok(items)
}

/// A network configuration of this plugin, whoever wrote it.
#[derive(Debug)]
struct Found {
    path: PathBuf,
    content: Vec<u8>,
    network: Option<String>,
}

/// The network configurations that call one of our plugins.
fn networks(settings: &Settings, tree: &Tree) -> Result<Vec<Found>, Error> {
    let mut found = Vec::new();
    for name in tree.names(&settings.net_dir)? {
        let path = settings.net_dir.join(&name);
        let is_one =
            matches!(path.extension().and_then(|end| end.to_str()), Some("conf" | "conflist" | "json"));
        let Some(content) = is_one.then(|| tree.read(&path)).transpose()?.flatten() else { continue };
        let Ok(json) = serde_json::from_slice::<Value>(&content) else { continue };
        let plugins = json["plugins"].as_array().map_or_else(|| std::slice::from_ref(&json), Vec::as_slice);
        let ours =
            |plugin: &Value| plugin["type"].as_str().is_some_and(|name| name.starts_with("nuage-cni-"));
        if plugins.iter().any(ours) {
            found.push(Found { path, network: json["name"].as_str().map(str::to_owned), content });
        }
    }
    Ok(found)
}

/// The network configuration, and what it makes superfluous.
pub(super) struct Network {
    /// `None` where a person has written one there that calls the plugin.
    pub(super) item: Option<Item>,
    pub(super) superseded: Vec<PathBuf>,
}

/// The network configuration. A name that is there already stays the network's name.
pub(super) fn network(settings: &Settings, tree: &Tree, installed: &Installed) -> Result<Network, Error> {
    let path = settings.network();
    let found = networks(settings, tree)?;
    let there = found.iter().find(|found| found.path == path);
    let by_hand =
        there.is_some_and(|there| !installed.wrote(&path, &there.content) && !is_original(&there.content));
    let name = there.or(found.first()).and_then(|found| found.network.as_deref()).unwrap_or(NETWORK);
    let content =
        content(name, settings.orchestrator.plugin(), path.extension().is_some_and(|end| end == "conf"));
    let item = (!by_hand).then(|| Item { path: path.clone(), mode: OPEN_MODE, content });
    // Two would be two networks, of which the runtime takes the first by name. One with further plugins is a person's work.
    let others = found.into_iter().filter(|found| found.path != path);
    let superseded =
        others.filter(|found| is_original(&found.content) || installed.wrote(&found.path, &found.content));
    Ok(Network { item, superseded: superseded.map(|found| found.path).collect() })
}

/// Whether a network configuration has the original's three members and nothing else.
fn is_original(content: &[u8]) -> bool {
    let json: Value = serde_json::from_slice(content).unwrap_or_default();
    json.as_object().is_some_and(|object| {
        object.contains_key("type")
            && object.keys().all(|key| matches!(key.as_str(), "cniVersion" | "name" | "type"))
    })
}

fn content(name: &str, plugin: &str, single: bool) -> Vec<u8> {
    let json = if single {
        // Runtimes that read such files know no later version of them.
        json!({"cniVersion": "0.4.0", "name": name, "type": plugin})
    } else {
        // libcni before 1.2 refuses a bare 1.1.0; a newer one takes the highest of the list.
        json!({
            "cniVersion": "1.0.0", "cniVersions": ["0.4.0", "1.0.0", "1.1.0"], "name": name, "plugins": [{"type": plugin}]
        })
    };
    format!("{json:#}\n").into_bytes()
}

/// What an older installation left open: which path, and which permissions it must not have.
pub(super) fn forbidden(settings: &Settings, tree: &Tree) -> Result<Vec<(PathBuf, u32)>, Error> {
    const WRITE_BY_OTHERS: u32 = 0o022;
    const ANYTHING_BY_OTHERS: u32 = 0o077;
    // No file of these is run, whatever chmod 777 said.
    const OPEN_FILE: u32 = WRITE_BY_OTHERS | 0o111;
    const SECRET_FILE: u32 = ANYTHING_BY_OTHERS | 0o111;
    let mut all = vec![
        (PathBuf::from(NODE_CONFIG), OPEN_FILE),
        (PathBuf::from("/var/lib/nuage-cni"), ANYTHING_BY_OTHERS),
        (PathBuf::from("/var/log/cni"), WRITE_BY_OTHERS),
        (settings.bin_dir.clone(), WRITE_BY_OTHERS),
        (settings.net_dir.clone(), WRITE_BY_OTHERS),
    ];
    let logs = Path::new("/var/log/cni");
    let of_logs = tree.names(logs)?.into_iter().filter(|name| name.starts_with("nuage-"));
    all.extend(of_logs.map(|name| (logs.join(name), OPEN_FILE)));
    let directory = settings.vsp_directory(tree)?;
    for name in tree.names(&directory)? {
        let path = directory.join(&name);
        let is_key = path.extension().is_some_and(|end| end == "key");
        let secret = is_key || name.ends_with("kubeconfig") || name.contains("token");
        let holds_one = || -> Result<bool, Error> {
            let content = tree.read(&path)?.unwrap_or_default();
            Ok(content.windows(12).any(|part| part == b"PRIVATE KEY-"))
        };
        let is_secret = secret || holds_one()?;
        all.push((path, if is_secret { SECRET_FILE } else { OPEN_FILE }));
    }
    all.push((directory, WRITE_BY_OTHERS));
    Ok(all)
}
