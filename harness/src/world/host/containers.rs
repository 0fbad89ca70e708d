//! What nodes are in the world `containers`: the shipped image, in a Docker engine. A container of it installs the plugin below a node's own
//! root, as the `DaemonSet` does on a host, and another one is the node's audit; runtimes call what was installed. Leaves no container.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::runtime::Runtime;
use tokio::time::timeout;

use super::{PLUGIN, PREFIX, Site};
use crate::error::Error;
use crate::world::kernel::NAMESPACES;

/// How long the engine may take to do one thing, on a machine that has much to do.
const PATIENCE: Duration = Duration::from_mins(2);
/// How long the audit may take to end.
const GRACE: &str = "10";
/// Where the image's installer has the host.
const HOST: &str = "/host";
const BIN: &str = "opt/cni/bin";

/// The containers of a run's nodes.
#[derive(Debug)]
pub(crate) struct Containers {
    audits: Vec<String>,
    /// Where the plugin was installed, a directory a node.
    pub(crate) bin_dirs: Vec<PathBuf>,
}

/// Asks the engine for something; what it printed.
async fn docker(arguments: &[&str]) -> Result<String, String> {
    let mut command = Command::new("docker");
    command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    let output =
        timeout(PATIENCE, command.output()).await.map_err(|_| format!("no answer in {PATIENCE:?}"))?;
    let output = output.map_err(|error| format!("docker: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(said.lines().next().unwrap_or("docker has failed and says nothing").to_owned())
}

/// Whether there is an engine that has the image: asked before anything is begun.
///
/// # Errors
/// [`Error::Lacking`] with what to do about it.
pub(super) fn look(image: &str) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Error::Site(error.to_string()))?;
    let lacking = |what: String| Error::Lacking(format!("--world containers needs {what}"));
    runtime.block_on(async {
        let version = docker(&["version", "--format", "{{.Server.Version}}"]).await;
        version.map_err(|why| lacking(format!("a Docker engine (DOCKER_HOST says which): {why}")))?;
        let there = docker(&["image", "inspect", "--format", "{{.Id}}", image]).await;
        there.map(drop).map_err(|why| {
            let load = "docker load -i nuage-cni-docker-VERSION.tar brings it, --image names another";
            lacking(format!("the image {image}: {why}; {load}"))
        })
    })
}

impl Containers {
    /// Starts those of a site's nodes.
    ///
    /// # Errors
    /// The engine does not run one; none is left then.
    pub(crate) fn start(site: &Site, image: &str) -> Result<Self, Error> {
        let mut containers = Self { audits: Vec::new(), bin_dirs: Vec::new() };
        site.runtime.block_on(async {
            sweep().await;
            for (number, files) in site.directories.iter().enumerate() {
                containers.node(site, image, number + 1, files).await?;
            }
            Ok::<(), Error>(())
        })?;
        Ok(containers)
    }

    async fn node(&mut self, site: &Site, image: &str, number: usize, files: &Path) -> Result<(), Error> {
        let failed = |why: String| Error::Site(format!("the container of node-{number}: {why}"));
        let name = site.directory.file_name().and_then(|name| name.to_str()).unwrap_or(PREFIX);
        let root = site.directory.join(format!("host-{number}"));
        fs::create_dir_all(&root).map_err(|source| Error::File { path: root.clone(), source })?;
        let (installer, audit) = (format!("{name}-install-{number}"), format!("{name}-node-{number}"));
        let host = format!("{}:{HOST}", root.display());
        let install = [
            "run",
            "--rm",
            "--name",
            &installer,
            "--network",
            "none",
            "--volume",
            &host,
            image,
            "nuage-cni-install",
            "install",
            "--no-firewall",
        ];
        docker(&install).await.map_err(failed)?;
        let bin_dir = root.join(BIN);
        if !bin_dir.join(PLUGIN).is_file() {
            return Err(failed(format!("{image} has installed no {PLUGIN}")));
        }
        self.bin_dirs.push(bin_dir);
        let (own, spaces) =
            (format!("{0}:{0}", files.display()), format!("{NAMESPACES}:{NAMESPACES}:rslave"));
        let (node, directory) = (format!("KUBERNETES_NODE_NAME=node-{number}"), files.display().to_string());
        let run = [
            "run",
            "--detach",
            "--name",
            &audit,
            "--network",
            "host",
            "--cap-drop",
            "ALL",
            "--cap-add",
            "NET_ADMIN",
            "--cap-add",
            "SYS_ADMIN",
            "--cap-add",
            "DAC_OVERRIDE",
            "--cap-add",
            "DAC_READ_SEARCH",
            "--volume",
            &own,
            "--volume",
            &spaces,
            "--env",
            &node,
            image,
            "nuage-audit",
            "run",
            "--config-dir",
            &directory,
        ];
        self.audits.push(audit.clone());
        docker(&run).await.map(drop).map_err(failed)
    }

    /// Ends them; what was wrong with any.
    pub(crate) fn end(&self, runtime: &Runtime) -> Vec<String> {
        let mut wrong = Vec::new();
        for name in &self.audits {
            let ended = runtime.block_on(async {
                docker(&["stop", "--time", GRACE, name]).await?;
                docker(&["inspect", "--format", "{{.State.ExitCode}}", name]).await
            });
            match ended {
                Ok(code) if code == "0" => {}
                Ok(code) => {
                    let said = runtime.block_on(docker(&["logs", "--tail", "5", name])).unwrap_or_default();
                    wrong.push(format!("the audit in {name} has ended with {code}: {said}"));
                }
                Err(why) => wrong.push(format!("the audit in {name}: {why}")),
            }
        }
        wrong
    }
}

// However a run ends, a panic included.
impl Drop for Containers {
    fn drop(&mut self) {
        for name in &self.audits {
            let _ = std::process::Command::new("docker").args(["rm", "--force", name]).output();
        }
    }
}

/// Takes away the containers of runs whose process is gone.
async fn sweep() {
    let filter = format!("name=^/?{PREFIX}-");
    let names = docker(&["ps", "--all", "--filter", &filter, "--format", "{{.Names}}"]).await;
    for name in names.unwrap_or_default().lines().filter(|name| super::is_of_the_dead(name)) {
        let _ = docker(&["rm", "--force", name]).await;
    }
}
