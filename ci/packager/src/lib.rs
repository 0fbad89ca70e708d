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
pub mod library;
pub mod manual;
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
    /// Folder of the scenario library.
    pub scenarios: PathBuf,
    /// Cargo.lock, for the checksums of what the executables are made of.
    pub lock: PathBuf,
    /// The one time that all files carry, in seconds since 1970 (`SOURCE_DATE_EPOCH`).
    pub epoch: u32,
    /// Where the results go; made if it does not exist.
    pub out: PathBuf,
}

/// What goes into packages: executables, read once, and what is made of their command lines.
#[derive(Debug)]
pub struct Stock {
    /// What the executables run on; all the same.
    pub architecture: Architecture,
    executables: BTreeMap<&'static str, Vec<u8>>,
    manual: BTreeMap<String, Vec<u8>>,
}

impl Stock {
    /// Reads every executable that [`contents::EXECUTABLES`] names, and makes its manual.
    ///
    /// # Errors
    /// One that is missing, that needs a loader or libraries of its node, or that is for another architecture.
    pub fn gather(order: &Order) -> Result<Self, Error> {
        let (mut executables, mut manual) = (BTreeMap::new(), BTreeMap::new());
        let mut architecture = None;
        for name in contents::EXECUTABLES {
            let path = order.executables.join(name);
            let bytes = read(&path)?;
            let found = elf::examine(&path, &bytes)?;
            if *architecture.get_or_insert(found) != found {
                return Err(Error::Executable {
                    path,
                    problem: "is for another architecture than the others",
                });
            }
            executables.insert(*name, bytes);
            for format in [Format::Rpm, Format::Deb] {
                manual.extend(manual::files(name, format, &order.version)?);
            }
        }
        Ok(Self { architecture: architecture.unwrap_or(Architecture::X86_64), executables, manual })
    }

    /// One of the executables.
    ///
    /// # Errors
    /// A name that the table of executables does not have.
    pub fn executable(&self, name: &str) -> Result<&[u8], Error> {
        let found = self.executables.get(name).ok_or_else(|| Error::NotInTable(name.to_owned()))?;
        Ok(found)
    }

    /// A page of the manual, or a completion, by its path.
    ///
    /// # Errors
    /// A path that no executable's has.
    pub fn manual(&self, path: &str) -> Result<&[u8], Error> {
        let found = self.manual.get(path).ok_or_else(|| Error::NotInTable(path.to_owned()))?;
        Ok(found)
    }
}

/// Makes all of it; the names of what was written, in order.
///
/// # Errors
/// An executable that cannot be shipped, input that cannot be read, a result that cannot be written.
pub fn make(order: &Order) -> Result<Vec<String>, Error> {
    let stock = Stock::gather(order)?;
    let mut results: BTreeMap<String, (Vec<u8>, u32)> = BTreeMap::new();
    for product in Product::ALL {
        let (name, bytes) = redhat::package(product, order, &stock)?;
        results.insert(name, (bytes, 0o644));
        let (name, bytes) = deb::package(product, order, &stock)?;
        results.insert(name, (bytes, 0o644));
    }
    for image in image::ALL {
        results.insert(image.file_name(&order.version), (image.archive(order, &stock)?, 0o644));
    }
    results.insert(bill::file_name(&order.version), (bill::of_materials(order)?.into_bytes(), 0o644));
    results.insert("LICENSE".to_owned(), (contents::LICENSE.as_bytes().to_vec(), 0o644));
    results.insert(library::file_name(&order.version), (library::archive(order)?, 0o644));
    results.insert(manual::file_name(&order.version), (manual::archive(order)?, 0o644));
    for name in contents::EXECUTABLES {
        results.insert((*name).to_owned(), (stock.executable(name)?.to_vec(), 0o755));
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
