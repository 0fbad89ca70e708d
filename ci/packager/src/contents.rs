//! What is shipped and where it lies: one table of the packages, one of the images. A new executable is one line in each
//! that has it. Paths and modes are those of the original packages, but for what they did wrong (ARCHITECTURE.md says what).

use crate::error::Error;
use crate::{Stock, Version, manual};

/// Every executable that is shipped.
pub const EXECUTABLES: &[&str] = &[
    "emulator",
    "harness",
    "loopback",
    "nuage-audit",
    "nuage-cni-install",
    "nuage-cni-k8s",
    "nuage-cni-mesos",
    "nuage-cni-openshift",
];

/// Which of the packages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Product {
    /// nuage-cni-k8s
    Kubernetes,
    /// nuage-cni-openshift
    OpenShift,
    /// nuage-cni-mesos
    Mesos,
}

impl Product {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Kubernetes, Self::OpenShift, Self::Mesos];

    /// The package's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kubernetes => "nuage-cni-k8s",
            Self::OpenShift => "nuage-cni-openshift",
            Self::Mesos => "nuage-cni-mesos",
        }
    }

    /// Its one-line description.
    pub fn summary(self) -> &'static str {
        match self {
            Self::Kubernetes => "CNI plugin for Nuage VSP: Kubernetes",
            Self::OpenShift => "CNI plugin for Nuage VSP: OpenShift",
            Self::Mesos => "CNI plugin for Nuage VSP: Mesos",
        }
    }

    /// The packages that have paths in common with it, so that a node has one of them.
    pub fn conflicts(self) -> impl Iterator<Item = &'static str> {
        Self::ALL.into_iter().filter(move |other| *other != self).map(Self::name)
    }
}

/// The kinds of packages, where they differ in a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// RPM.
    Rpm,
    /// Debian's.
    Deb,
}

/// What stands at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// An executable of the build.
    Executable(&'static str),
    /// A file that an operator edits: an upgrade never overwrites what was changed.
    Config(&'static str),
    /// A file that is the package's alone.
    Text(&'static str),
    /// The licence.
    License(&'static str),
    /// A page of the manual or a completion, made of a command line.
    Manual,
    /// A symbolic link to this path.
    Link(&'static str),
    /// A directory that is the package's, and goes with it once it is empty.
    Directory,
}

/// A path of a package. `{package}` in it is the package's name.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Absolute.
    pub path: &'static str,
    /// Permissions; all is owned by root.
    pub mode: u32,
    /// What is there.
    pub content: Content,
    /// The packages that have it.
    products: &'static [Product],
    /// Only of this kind; `None`: of both.
    format: Option<Format>,
}

use Content::{Config, Directory, Executable, License, Link, Text};
use Product::{Kubernetes, Mesos, OpenShift};

const fn row(path: &'static str, mode: u32, content: Content, products: &'static [Product]) -> Row {
    Row { path, mode, content, products, format: None }
}

const fn only(format: Format, row: Row) -> Row {
    Row { format: Some(format), ..row }
}

const ALL: &[Product] = &Product::ALL;
/// The licence's text.
pub const LICENSE: &str = include_str!("../../../LICENSE");
const NODE_YAML: &str = include_str!("../assets/nuage-cni.yaml");

/// The audit's unit for an orchestrator.
macro_rules! unit {
    ($orchestrator:literal) => {
        concat!(
            include_str!("../assets/unit-head"),
            "ExecStart=/usr/bin/nuage-audit --orchestrator ",
            $orchestrator,
            " run\n",
            include_str!("../assets/unit-tail")
        )
    };
}

/// The packages.
const PACKAGES: &[Row] = &[
    // Where the original packages had them, and a link from where runtimes or people look.
    row("/usr/bin/nuage-cni-k8s", 0o755, Executable("nuage-cni-k8s"), &[Kubernetes]),
    row("/opt/cni/bin/nuage-cni-k8s", 0o777, Link("/usr/bin/nuage-cni-k8s"), &[Kubernetes]),
    row("/opt/cni/bin/nuage-cni-openshift", 0o755, Executable("nuage-cni-openshift"), &[OpenShift]),
    row("/usr/bin/nuage-cni-openshift", 0o777, Link("/opt/cni/bin/nuage-cni-openshift"), &[OpenShift]),
    row("/usr/bin/nuage-cni-mesos", 0o755, Executable("nuage-cni-mesos"), &[Mesos]),
    row("/opt/cni/bin/nuage-cni-mesos", 0o777, Link("/usr/bin/nuage-cni-mesos"), &[Mesos]),
    row("/usr/bin/nuage-audit", 0o755, Executable("nuage-audit"), ALL),
    // On a node that has the package: `migrate` from the original, and the firewall.
    row("/usr/bin/nuage-cni-install", 0o755, Executable("nuage-cni-install"), ALL),
    // Not executable, as it once was; changes go to a drop-in, so that an upgrade brings the unit that its audit needs.
    row("/etc/systemd/system/nuage-cni.service", 0o644, Text(unit!("k8s")), &[Kubernetes]),
    row("/etc/systemd/system/nuage-cni.service", 0o644, Text(unit!("openshift")), &[OpenShift]),
    row("/etc/systemd/system/nuage-cni.service", 0o644, Text(unit!("mesos")), &[Mesos]),
    // Configuration.
    row("/etc/default/nuage-cni.yaml", 0o644, Config(NODE_YAML), ALL),
    row(
        "/etc/cni/net.d/nuage-net.conflist",
        0o644,
        Config(include_str!("../assets/k8s.conflist")),
        &[Kubernetes],
    ),
    row(
        "/etc/cni/net.d/nuage-net.conflist",
        0o644,
        Config(include_str!("../assets/openshift.conflist")),
        &[OpenShift],
    ),
    // A Mesos agent knows no lists of plugins.
    row("/etc/cni/net.d/nuage-net.conf", 0o644, Config(include_str!("../assets/mesos.conf")), &[Mesos]),
    row("/usr/share/vsp-k8s", 0o755, Directory, &[Kubernetes]),
    row(
        "/usr/share/vsp-k8s/vsp-k8s.yaml",
        0o644,
        Config(include_str!("../assets/vsp-k8s.yaml")),
        &[Kubernetes],
    ),
    row("/usr/share/vsp-openshift", 0o755, Directory, &[OpenShift]),
    row(
        "/usr/share/vsp-openshift/vsp-openshift.yaml",
        0o644,
        Config(include_str!("../assets/vsp-openshift.yaml")),
        &[OpenShift],
    ),
    // Directories that nobody else may own on a node, so that removal leaves none behind.
    row("/etc/cni", 0o755, Directory, ALL),
    row("/etc/cni/net.d", 0o755, Directory, ALL),
    row("/opt/cni", 0o755, Directory, ALL),
    row("/opt/cni/bin", 0o755, Directory, ALL),
    row("/var/lib/nuage-cni", 0o700, Directory, ALL),
    // Shells that are not installed own none of these.
    row("/usr/share/bash-completion", 0o755, Directory, ALL),
    row("/usr/share/bash-completion/completions", 0o755, Directory, ALL),
    row("/usr/share/fish", 0o755, Directory, ALL),
    row("/usr/share/fish/vendor_completions.d", 0o755, Directory, ALL),
    row("/usr/share/zsh", 0o755, Directory, ALL),
    only(Format::Rpm, row("/usr/share/zsh/site-functions", 0o755, Directory, ALL)),
    only(Format::Deb, row("/usr/share/zsh/vendor-completions", 0o755, Directory, ALL)),
    // The licence, where each distribution looks for it.
    only(Format::Rpm, row("/usr/share/licenses/{package}", 0o755, Directory, ALL)),
    only(Format::Rpm, row("/usr/share/licenses/{package}/LICENSE", 0o644, License(LICENSE), ALL)),
    only(Format::Deb, row("/usr/share/doc/{package}/copyright", 0o644, License(LICENSE), ALL)),
];

/// A path of a package with what is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Absolute.
    pub path: String,
    /// Permissions.
    pub mode: u32,
    /// What is there.
    pub content: Content,
}

/// What a package has, by path: the rows of the table, and the manual of each executable among them.
///
/// # Errors
/// An executable without a command line.
pub fn package(product: Product, format: Format) -> Result<Vec<Item>, Error> {
    let wanted = PACKAGES
        .iter()
        .filter(|row| row.products.contains(&product) && row.format.is_none_or(|only| only == format));
    let mut items: Vec<Item> = wanted
        .map(|row| Item {
            path: row.path.replace("{package}", product.name()),
            mode: row.mode,
            content: row.content,
        })
        .collect();
    for index in 0..items.len() {
        if let Executable(name) = items[index].content {
            let pages = manual::paths(name, format)?.into_iter();
            items.extend(pages.map(|path| Item { path, mode: 0o644, content: Content::Manual }));
        }
    }
    items.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(items)
}

impl Content {
    /// The bytes of the file at this path; `None` for a directory or a link.
    ///
    /// # Errors
    /// An executable or a page that there is none of.
    pub fn bytes<'a>(&self, path: &str, stock: &'a Stock) -> Result<Option<&'a [u8]>, Error>
    where
        Self: 'a,
    {
        Ok(match self {
            Self::Executable(name) => Some(stock.executable(name)?),
            Self::Config(text) | Self::License(text) | Self::Text(text) => Some(text.as_bytes()),
            Self::Manual => Some(stock.manual(path)?),
            Self::Link(_) | Self::Directory => None,
        })
    }
}

/// A longer description, for both formats: lines of at most 75 characters.
pub const DESCRIPTION: &str = "\
Attaches containers to a Nuage VSP overlay: makes a port in the host's
virtual switch (VRS), waits until the controller (VSC) has resolved it
against the policy in the VSD, and configures the container's interface.
Speaks CNI 0.1.0 to 1.1.0.";

/// What the packages say of themselves beside their names.
pub const LICENSE_NAME: &str = "Apache-2.0";

/// The names of the packages' files.
pub fn file_name(product: Product, format: Format, version: &Version, stock: &Stock) -> String {
    let (name, full, architecture) = (product.name(), version.full(), stock.architecture);
    match format {
        Format::Rpm => format!("{name}-{full}.{}.rpm", architecture.rpm()),
        Format::Deb => format!("{name}_{full}_{}.deb", architecture.deb()),
    }
}
