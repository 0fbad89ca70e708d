//! The scenario library as it is shipped: the files of its themes, for the harness's image and for whoever has the executable alone.
//! Reads the folder that it is given and nothing beside it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::archive::{Entry, Kind, gzip, tar};
use crate::error::Error;
use crate::{Order, Version, read};

/// Where an image has it.
pub const PLACE: &str = "/usr/share/nuage-cni/scenarios";

/// The archive's name.
pub fn file_name(version: &Version) -> String {
    format!("nuage-scenarios-{}.tar.gz", version.given())
}

/// The scenarios by theme and name, and the schema that editors check them with.
///
/// # Errors
/// A folder that cannot be read.
pub fn files(scenarios: &Path) -> Result<BTreeMap<String, Vec<u8>>, Error> {
    let mut files = BTreeMap::new();
    for (name, path) in entries(scenarios)? {
        if path.is_dir() {
            let is_one = |path: &Path| path.extension().is_some_and(|end| end == "toml");
            for (scenario, path) in entries(&path)?.into_iter().filter(|(_, path)| is_one(path)) {
                files.insert(format!("{name}/{scenario}"), read(&path)?);
            }
        } else if name == "schema.json" {
            files.insert(name, read(&path)?);
        }
    }
    Ok(files)
}

fn entries(directory: &Path) -> Result<BTreeMap<String, PathBuf>, Error> {
    let failed = |source| Error::File { path: directory.to_owned(), source };
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        // A name that is no text is none of ours.
        if let Ok(name) = entry.file_name().into_string() {
            found.insert(name, entry.path());
        }
    }
    Ok(found)
}

/// The library below `top`, as entries of an archive.
///
/// # Errors
/// A folder that cannot be read.
pub fn below(top: &str, scenarios: &Path) -> Result<Vec<Entry>, Error> {
    let entry = |(name, bytes)| Entry {
        path: format!("{}/{name}", top.trim_start_matches('/')),
        mode: 0o644,
        kind: Kind::File(bytes),
    };
    Ok(files(scenarios)?.into_iter().map(entry).collect())
}

/// The archive; it has one folder, `scenarios`.
///
/// # Errors
/// A folder that cannot be read.
pub fn archive(order: &Order) -> Result<Vec<u8>, Error> {
    gzip(&tar(&below("scenarios", &order.scenarios)?, order.epoch)?)
}
