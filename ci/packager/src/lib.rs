//! Everything that is shipped, made from the static executables of the dist build: RPMs, debs, image archives, a bill of
//! materials and checksums. The same input gives the same bytes: no clock, no user, no host name gets in, and nothing is
//! run or fetched.

pub mod archive;
pub mod bill;
pub mod contents;
pub mod deb;
pub mod elf;
mod error;
pub mod image;
pub mod redhat;
pub mod scriptlets;
mod version;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

pub use contents::{Format, Product};
pub use elf::Architecture;
pub use error::Error;
pub use version::Version;

/// What to package.
#[derive(Clone, Debug)]
pub struct Order {
    /// The version, as it was given and as each format needs it.
    pub version: Version,
    /// Folder of the static executables.
    pub executables: PathBuf,
    /// Output of `cargo metadata --format-version 1`.
    pub metadata: PathBuf,
    /// Cargo.lock, for the checksums of what the executables are made of.
    pub lock: PathBuf,
    /// The one time that all files carry, in seconds since 1970 (`SOURCE_DATE_EPOCH`).
    pub epoch: u32,
    /// Where the results go; made if it does not exist.
    pub out: PathBuf,
}

/// The executables by name, read once.
#[derive(Debug)]
pub struct Executables {
    /// What they run on; all the same.
    pub architecture: Architecture,
    content: BTreeMap<&'static str, Vec<u8>>,
}

impl Executables {
    /// Reads every executable that [`contents::EXECUTABLES`] names.
    ///
    /// # Errors
    /// One that is missing, that needs a loader or libraries of its node, or that is for another architecture.
    pub fn read(directory: &Path) -> Result<Self, Error> {
        let mut content = BTreeMap::new();
        let mut architecture = None;
        for name in contents::EXECUTABLES {
            let path = directory.join(name);
            let bytes = read(&path)?;
            let found = elf::examine(&path, &bytes)?;
            if *architecture.get_or_insert(found) != found {
                return Err(Error::Executable {
                    path,
                    problem: "is for another architecture than the others",
                });
            }
            content.insert(*name, bytes);
        }
        Ok(Self { architecture: architecture.unwrap_or(Architecture::X86_64), content })
    }

    /// One of them.
    ///
    /// # Errors
    /// A name that the table of executables does not have.
    pub fn get(&self, name: &str) -> Result<&[u8], Error> {
        let found = self.content.get(name).ok_or_else(|| Error::NotInTable(name.to_owned()))?;
        Ok(found)
    }
}

/// Makes all of it; the names of what was written, in order.
///
/// # Errors
/// An executable that cannot be shipped, input that cannot be read, a result that cannot be written.
pub fn make(order: &Order) -> Result<Vec<String>, Error> {
    let executables = Executables::read(&order.executables)?;
    let mut results: BTreeMap<String, (Vec<u8>, u32)> = BTreeMap::new();
    for product in Product::ALL {
        let (name, bytes) = redhat::package(product, order, &executables)?;
        results.insert(name, (bytes, 0o644));
        let (name, bytes) = deb::package(product, order, &executables)?;
        results.insert(name, (bytes, 0o644));
    }
    for image in image::ALL {
        results.insert(image.file_name(&order.version), (image.archive(order, &executables)?, 0o644));
    }
    results.insert(bill::file_name(&order.version), (bill::of_materials(order)?.into_bytes(), 0o644));
    for name in contents::EXECUTABLES {
        results.insert((*name).to_owned(), (executables.get(name)?.to_vec(), 0o755));
    }
    let mut sums = String::new();
    for (name, (bytes, _)) in &results {
        // Two blanks: what `sha256sum --check` reads.
        let _ = writeln!(sums, "{:x}  {name}", Sha256::digest(bytes));
    }
    results.insert("SHA256SUMS".to_owned(), (sums.into_bytes(), 0o644));
    fs::create_dir_all(&order.out).map_err(|source| Error::File { path: order.out.clone(), source })?;
    for (name, (bytes, mode)) in &results {
        write(&order.out.join(name), bytes, *mode)?;
    }
    Ok(results.into_keys().collect())
}

/// A line each, indented.
fn lines(indent: &str, lines: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    lines.into_iter().fold(String::new(), |mut text, line| {
        let _ = writeln!(text, "{indent}{}", line.as_ref());
        text
    })
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(|source| Error::File { path: path.to_owned(), source })
}

/// Beside the place and then renamed, so that nobody packages or installs half a file.
fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<(), Error> {
    let failed = |source| Error::File { path: path.to_owned(), source };
    let mut beside = path.as_os_str().to_owned();
    beside.push(".partial");
    fs::write(&beside, bytes).map_err(failed)?;
    fs::set_permissions(&beside, fs::Permissions::from_mode(mode)).map_err(failed)?;
    fs::rename(&beside, path).map_err(failed)
}
