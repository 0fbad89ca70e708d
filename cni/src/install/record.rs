//! What the installer has put on a host, by content: only that is taken away again, and what a person has changed is theirs. The
//! record comes before the file, so that whatever a kill leaves is known.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::tree::Tree;
use crate::error::Error;

/// Where it is.
const PATH: &str = "/var/lib/nuage-cni/installed.json";
const DIRECTORY_MODE: u32 = 0o700;
const MODE: u32 = 0o600;
/// How many contents of one file are remembered: the present one and those that an upgrade may have left there.
const MAX_DIGESTS: usize = 8;

/// What was installed.
#[derive(Debug, Default, PartialEq, Eq, Clone, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Installed {
    /// By path, the SHA-256 of what was written there, newest last.
    files: BTreeMap<String, Vec<String>>,
    /// Networks that the firewall was opened for.
    pub(super) networks: Vec<String>,
    /// Whether the firewall was opened at all.
    pub(super) firewall: bool,
}

fn digest(content: &[u8]) -> String {
    format!("{:x}", Sha256::digest(content))
}

impl Installed {
    /// Reads the record; one that is none is begun anew, since it is no more than a memory.
    pub(super) fn read(tree: &Tree) -> Result<Self, Error> {
        let content = tree.read(Path::new(PATH))?.unwrap_or_default();
        Ok(serde_json::from_slice(&content).unwrap_or_default())
    }

    /// Writes the record.
    pub(super) fn keep(&self, tree: &Tree) -> Result<(), Error> {
        let path = Path::new(PATH);
        if let Some(parent) = path.parent() {
            tree.make_directory(parent, DIRECTORY_MODE)?;
        }
        let content = serde_json::to_vec_pretty(self).unwrap_or_default();
        tree.write(path, &content, MODE).map(drop)
    }

    /// Takes the record itself away.
    pub(super) fn forget(tree: &Tree) -> Result<(), Error> {
        tree.remove(Path::new(PATH)).map(drop)
    }

    /// Remembers what is about to be written.
    pub(super) fn add(&mut self, path: &Path, content: &[u8]) {
        let digests = self.files.entry(path.display().to_string()).or_default();
        let digest = digest(content);
        digests.retain(|known| *known != digest);
        digests.push(digest);
        if digests.len() > MAX_DIGESTS {
            digests.remove(0);
        }
    }

    /// Whether this installer has written this there.
    pub(super) fn wrote(&self, path: &Path, content: &[u8]) -> bool {
        let known = self.files.get(&path.display().to_string());
        known.is_some_and(|digests| digests.contains(&digest(content)))
    }

    /// Everything that was ever written.
    pub(super) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.files.keys().map(Path::new)
    }
}
