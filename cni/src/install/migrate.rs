//! From the original plugin to this one, with pods running. Their rows and ports stay as they are: DEL, CHECK and the audit know
//! both of the original's naming schemes. What changes is the configuration that verified nothing, and the executable.

use std::path::{Path, PathBuf};

use tokio::runtime::Runtime;

use super::apply::Installation;
#[cfg(feature = "audit")]
use super::inventory;
use super::kubeconfig;
use super::plan::{self, Item};
use super::settings::Settings;
use super::tree::Tree;
use crate::config::{load_kubeconfig, load_node, load_vsp, unverified_kubeconfig};
use crate::error::Error;

const SECRET_MODE: u32 = 0o600;
/// What the old kubeconfig is kept as.
const BEFORE: &str = "nuage.kubeconfig.before-migration";

/// Where the vsp file says that the kubeconfig is.
fn kubeconfig_path(settings: &Settings, tree: &Tree) -> Result<PathBuf, Error> {
    let vsp = load_vsp(tree, settings.orchestrator.orchestrator(), None)?;
    Ok(vsp.kubeconfig)
}

/// What the migration writes besides the installation: a kubeconfig that verifies, and the old one beside it.
pub(super) fn rewritten(settings: &Settings, tree: &Tree) -> Result<Vec<Item>, Error> {
    let path = kubeconfig_path(settings, tree)?;
    let Some(old) = unverified_kubeconfig(tree, &path)? else { return Ok(Vec::new()) };
    let content = kubeconfig::verified(settings, tree, &old.server, &old.user)?;
    let before = tree.read(&path)?.unwrap_or_default();
    Ok(vec![
        Item { path: path.with_file_name(BEFORE), mode: SECRET_MODE, content: before },
        Item { path, mode: SECRET_MODE, content },
    ])
}

/// What is wrong or odd about the configuration as it stands now.
pub(super) fn examine(settings: &Settings, tree: &Tree) -> Result<Vec<String>, Error> {
    let mut odd = load_node(tree, None)?.warnings;
    let vsp = load_vsp(tree, settings.orchestrator.orchestrator(), None)?;
    odd.extend(vsp.warnings.iter().cloned());
    if tree.has(&vsp.kubeconfig)? {
        load_kubeconfig(tree, &vsp.kubeconfig)?;
    }
    Ok(odd)
}

/// What the switch has, in words. A switch that is away keeps nobody from migrating.
#[cfg(feature = "audit")]
fn count(settings: &Settings, tree: &Tree, runtime: &Runtime) -> Vec<String> {
    let counted = settings
        .switch(tree)
        .and_then(|node| runtime.block_on(inventory::take(&node, settings.orchestrator.orchestrator())));
    vec![match counted {
        Ok(inventory) => inventory.to_string(),
        Err(error) => format!("what is attached was not counted: {error}: {}", error.details()),
    }]
}

/// Without the audit nobody knows whose rows are whose.
#[cfg(not(feature = "audit"))]
fn count(_: &Settings, _: &Tree, _: &Runtime) -> Vec<String> {
    Vec::new()
}

/// Carries the migration out.
pub(super) fn migrate(
    installation: &mut Installation<'_>,
    settings: &Settings,
    runtime: &Runtime,
) -> Result<(), Error> {
    // Before anything is changed: without an authority there is nothing to migrate to.
    let rewritten = rewritten(settings, installation.tree())?;
    let had_configuration = installation.tree().has(Path::new(plan::NODE_CONFIG))?;
    let found = count(settings, installation.tree(), runtime);
    installation.told.extend(found);
    installation.prepare()?;
    for item in &rewritten {
        installation.put(item)?;
    }
    for warning in examine(settings, installation.tree())? {
        installation.told.push(format!("warning: {warning}"));
    }
    if !had_configuration && settings.node_config.is_none() {
        installation.told.push(format!("{} is not there: the defaults hold", plan::NODE_CONFIG));
    }
    installation.activate()
}
