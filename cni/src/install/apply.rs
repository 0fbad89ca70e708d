//! The steps of an installation on a host's files: tighten, write in order, take away what is superseded. What was done is told in
//! lines for a person. Any step may be the last; the next installation goes on from there.

use std::path::Path;

use super::firewall;
use super::plan::{self, Item};
use super::record::Installed;
use super::settings::Settings;
use super::tree::{Tree, Written};
use crate::error::Error;

/// An installation on its way.
#[derive(Debug)]
pub(super) struct Installation<'a> {
    settings: &'a Settings,
    tree: Tree,
    installed: Installed,
    /// What was done, in words.
    pub(super) told: Vec<String>,
    /// What was left as it is, which is the same the next time.
    pub(super) remarks: Vec<String>,
}

impl<'a> Installation<'a> {
    /// Looks at the host.
    pub(super) fn begin(settings: &'a Settings) -> Result<Self, Error> {
        let tree = Tree::open(&settings.root)?;
        let installed = Installed::read(&tree)?;
        Ok(Self { settings, tree, installed, told: Vec::new(), remarks: Vec::new() })
    }

    /// The host's files.
    pub(super) fn tree(&self) -> &Tree {
        &self.tree
    }

    /// Everything but the network configuration: a runtime does not call the plugin yet.
    pub(super) fn prepare(&mut self) -> Result<(), Error> {
        self.tighten()?;
        // All of it is read before anything is written: what is missing is missing at once.
        let executables = plan::executables(self.settings, &self.tree, &self.installed)?;
        let configuration = plan::configuration(self.settings, &self.tree)?;
        for item in executables.iter().chain(&configuration) {
            self.put(item)?;
        }
        self.open_firewall()
    }

    /// The network configuration; from now on a runtime calls the plugin.
    pub(super) fn activate(&mut self) -> Result<(), Error> {
        let plugin = self.settings.bin_dir.join(self.settings.orchestrator.plugin());
        if !self.tree.has(&plugin)? {
            return Err(Error::Config {
                what: plugin.display().to_string(),
                details: "is not there, so no network configuration is written".to_owned(),
                hint: None,
            });
        }
        let network = plan::network(self.settings, &self.tree, &self.installed)?;
        match &network.item {
            Some(item) => self.put(item)?,
            None => self
                .remarks
                .push(format!("kept {}: it was written by hand", self.settings.network().display())),
        }
        for path in network.superseded {
            if self.tree.remove(&path)? {
                self.tell(format!(
                    "removed {}: {} takes its place",
                    path.display(),
                    self.settings.network().display()
                ));
            }
        }
        Ok(())
    }

    fn tell(&mut self, line: String) {
        self.told.push(line);
    }

    fn tighten(&mut self) -> Result<(), Error> {
        for (path, forbidden) in plan::forbidden(self.settings, &self.tree)? {
            if let Some((before, after)) = self.tree.tighten(&path, forbidden)? {
                self.tell(format!("tightened {} from {before:04o} to {after:04o}", path.display()));
            }
        }
        Ok(())
    }

    /// Writes a file, and before it that it was written.
    pub(super) fn put(&mut self, item: &Item) -> Result<(), Error> {
        let mut installed = self.installed.clone();
        installed.add(&item.path, &item.content);
        if installed != self.installed {
            installed.keep(&self.tree)?;
            self.installed = installed;
        }
        if self.tree.write(&item.path, &item.content, item.mode)? == Written::New {
            self.tell(format!("wrote {}", item.path.display()));
        }
        Ok(())
    }

    fn open_firewall(&mut self) -> Result<(), Error> {
        if self.settings.no_firewall {
            return Ok(());
        }
        let networks: Vec<String> = self.settings.networks.iter().map(ToString::to_string).collect();
        let mut installed = self.installed.clone();
        installed.firewall = true;
        installed.networks.extend(networks);
        installed.networks.sort();
        installed.networks.dedup();
        if installed != self.installed {
            installed.keep(&self.tree)?;
            self.installed = installed;
        }
        let opened = firewall::open(&self.tree, &self.settings.networks)?;
        self.told.extend(opened.told);
        self.remarks.extend(opened.remarks);
        Ok(())
    }

    /// Takes everything away that was installed and is still as it was: first what makes a runtime call the plugin.
    pub(super) fn undo(&mut self) -> Result<(), Error> {
        let is_network = |path: &Path| path.starts_with(&self.settings.net_dir);
        let is_executable = |path: &Path| path.starts_with(&self.settings.bin_dir);
        let mut paths: Vec<_> = self.installed.paths().map(Path::to_owned).collect();
        paths.sort_by_key(|path| (!is_network(path), is_executable(path)));
        for path in paths {
            let Some(content) = self.tree.read(&path)? else { continue };
            if !self.installed.wrote(&path, &content) {
                self.tell(format!("kept {}: it has been changed since", path.display()));
            } else if self.tree.remove(&path)? {
                self.tell(format!("removed {}", path.display()));
            }
        }
        if self.installed.firewall && !self.settings.no_firewall {
            let networks: Vec<_> =
                self.installed.networks.iter().filter_map(|text| text.parse().ok()).collect();
            let told = firewall::close(&self.tree, &networks)?;
            self.told.extend(told);
        }
        Installed::forget(&self.tree)
    }
}
