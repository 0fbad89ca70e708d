//! Packages made once a test process, and a root to install them in: a shell, and stand-ins of what scriptlets call that
//! write down how they were called.
#![allow(dead_code, reason = "each test file uses what it needs")]

pub(crate) mod site;

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use nuage_packager::{Order, Version, contents, make};
use tempfile::TempDir;

pub(crate) const EPOCH: u32 = 1_700_000_000;

/// What an ELF header calls 64-bit x86.
const X86_64: u8 = 62;
/// And 64-bit ARM.
pub(crate) const AARCH64: u8 = 183;

/// A header that says "static" and for which machine, and a name so that no two are alike.
fn placeholder(machine: u8, name: &str) -> Vec<u8> {
    let mut bytes = vec![0; 64];
    bytes[..6].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1]);
    bytes[18] = machine;
    bytes.extend_from_slice(name.as_bytes());
    bytes
}

/// The shipped executables where the caller built them, else files that only look like some.
fn executables(scratch: &Path) -> PathBuf {
    if let Some(built) = dist() {
        return built;
    }
    placeholders(scratch, X86_64)
}

/// Files that only look like the shipped executables for a machine.
pub(crate) fn placeholders(scratch: &Path, machine: u8) -> PathBuf {
    let directory = scratch.join(format!("executables-{machine}"));
    fs::create_dir_all(&directory).unwrap();
    for name in contents::EXECUTABLES {
        fs::write(directory.join(name), placeholder(machine, name)).unwrap();
    }
    directory
}

/// The folder of the static build, if whoever runs the tests made it.
pub(crate) fn dist() -> Option<PathBuf> {
    std::env::var_os("NUAGE_DIST_DIR").map(PathBuf::from).filter(|directory| directory.is_dir())
}

fn metadata(scratch: &Path) -> PathBuf {
    let path = scratch.join("metadata.json");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["metadata", "--offline", "--locked", "--format-version", "1"]);
    let found = command.args(["--filter-platform", "x86_64-unknown-linux-gnu"]).output().unwrap();
    assert!(found.status.success(), "{}", String::from_utf8_lossy(&found.stderr));
    fs::write(&path, found.stdout).unwrap();
    path
}

pub(crate) fn order(scratch: &Path, version: &str, out: &Path) -> Order {
    Order {
        version: Version::parse(version).unwrap(),
        executables: executables(scratch),
        metadata: metadata(scratch),
        scenarios: Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scenarios"),
        lock: Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Cargo.lock"),
        epoch: EPOCH,
        out: out.to_owned(),
    }
}

/// The folder of version 1.0.0 and version 1.1.0, which upgrades it.
pub(crate) fn packages() -> &'static Path {
    static OUT: OnceLock<PathBuf> = OnceLock::new();
    OUT.get_or_init(|| {
        let scratch = scratch();
        for version in ["1.0.0", "v1.1.0"] {
            make(&order(&scratch, version, &scratch.join("out"))).unwrap();
        }
        scratch.join("out")
    })
}

/// A folder of this process in cargo's folder for tests: a runner may start a process for each test. Nothing is run when a process
/// ends, so the next one takes away what those before it have left.
fn scratch() -> PathBuf {
    let all = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("packages-{}", env!("CARGO_CRATE_NAME")));
    fs::create_dir_all(&all).unwrap();
    for entry in fs::read_dir(&all).unwrap().flatten() {
        if !Path::new("/proc").join(entry.file_name()).exists() {
            // Another one may do the same.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
    let own = all.join(std::process::id().to_string());
    let _ = fs::remove_dir_all(&own);
    fs::create_dir_all(&own).unwrap();
    own
}

/// Whether `program` is there and this is root; else says what is skipped.
pub(crate) fn can_install(test: &str, program: &str) -> bool {
    for needed in [program, BUSYBOX] {
        if Command::new(needed).arg("--help").output().is_err() {
            eprintln!("SKIPPED {test}: {needed}");
            return false;
        }
    }
    let root = fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
    if !root {
        eprintln!("SKIPPED {test}: root, whose scriptlets run in a root directory of their own");
    }
    root
}

const BUSYBOX: &str = "/bin/busybox";
const PLATFORM_LIBRARY: &str = "usr/share/openvswitch/scripts/vrs-platform-lib";

/// A fresh root directory.
pub(crate) struct Root(TempDir);

impl Root {
    pub(crate) fn new() -> Self {
        let root = Self(tempfile::tempdir().unwrap());
        for directory in
            ["bin", "usr/bin", "usr/sbin", "run", "var/lib", "var/log", "tmp", "etc", "dev", "proc"]
        {
            fs::create_dir_all(root.path(directory)).unwrap();
        }
        fs::copy(BUSYBOX, root.path("bin/busybox")).unwrap();
        for applet in ["sh", "rm", "mkdir", "cat", "chmod", "ls", "true"] {
            symlink("busybox", root.path("bin").join(applet)).unwrap();
        }
        root.recorder("usr/bin/systemctl", "systemctl");
        root
    }

    pub(crate) fn directory(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.0.path().join(relative.trim_start_matches('/'))
    }

    /// A program that writes down its arguments and succeeds.
    fn recorder(&self, path: &str, name: &str) {
        let path = self.path(path);
        fs::write(&path, format!("#!/bin/sh\necho {name} \"$@\" >> /calls\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// The VRS's list of platforms, which writes down what it is told.
    pub(crate) fn with_vrs(self) -> Self {
        fs::create_dir_all(self.path(PLATFORM_LIBRARY).parent().unwrap()).unwrap();
        let body = ["add_platform", "remove_platform"]
            .map(|name| format!("{name}() {{ echo {name} $1 >> /calls; }}\n"));
        fs::write(self.path(PLATFORM_LIBRARY), body.concat()).unwrap();
        self
    }

    /// A list of platforms that is broken: it ends the shell that reads it.
    pub(crate) fn with_broken_vrs(self) -> Self {
        let root = self.with_vrs();
        fs::write(root.path(PLATFORM_LIBRARY), "exit 7\n").unwrap();
        root
    }

    /// A host that runs systemd, not a root that is being made.
    pub(crate) fn with_systemd(self) -> Self {
        fs::create_dir_all(self.path("run/systemd/system")).unwrap();
        self
    }

    pub(crate) fn with_selinux(self) -> Self {
        self.recorder("usr/sbin/selinuxenabled", "selinuxenabled");
        self.recorder("usr/sbin/restorecon", "restorecon");
        self
    }

    /// What the stand-ins were told since the last time. Of a relabelling only that there was one.
    pub(crate) fn calls(&self) -> Vec<String> {
        let text = fs::read_to_string(self.path("calls")).unwrap_or_default();
        let _ = fs::remove_file(self.path("calls"));
        let short = |line: &str| {
            if line.starts_with("restorecon ") {
                assert!(line.contains(" /etc/default/nuage-cni.yaml"), "{line}");
                "restorecon".to_owned()
            } else {
                line.trim_end().to_owned()
            }
        };
        text.lines().map(short).collect()
    }

    /// Every path of the packages that is there, with its mode.
    pub(crate) fn installed(&self) -> Vec<String> {
        let mut found = Vec::new();
        for top in ["etc", "opt", "usr/bin", "usr/share", "var/lib/nuage-cni"] {
            self.walk(&self.path(top), &mut found);
        }
        found.retain(|line| !line.contains("openvswitch") && !line.ends_with("/usr/bin/systemctl"));
        found.sort();
        found
    }

    fn walk(&self, path: &Path, found: &mut Vec<String>) {
        let Ok(metadata) = fs::symlink_metadata(path) else { return };
        let shown = path.strip_prefix(self.0.path()).unwrap().display();
        if metadata.is_dir() {
            for entry in fs::read_dir(path).unwrap() {
                self.walk(&entry.unwrap().path(), found);
            }
            return;
        }
        let target =
            fs::read_link(path).map(|target| format!(" -> {}", target.display())).unwrap_or_default();
        let mode = if metadata.is_symlink() { 0o777 } else { metadata.mode() & 0o7777 };
        found.push(format!("{mode:o} /{shown}{target}"));
    }
}

/// Both outputs of a command that has to succeed.
pub(crate) fn succeed(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = String::from_utf8_lossy(&stdout).into_owned() + &String::from_utf8_lossy(&stderr);
    assert!(status.success(), "{command:?}: {status}\n{text}");
    text
}

/// dpkg on a root directory, whose database is its own.
pub(crate) fn dpkg(root: &Root) -> Command {
    fs::create_dir_all(root.path("/var/lib/dpkg/info")).unwrap();
    fs::create_dir_all(root.path("/var/lib/dpkg/updates")).unwrap();
    for empty in ["status", "available"] {
        let path = root.path("/var/lib/dpkg").join(empty);
        if !path.exists() {
            fs::write(path, "").unwrap();
        }
    }
    let mut command = Command::new("dpkg");
    command.arg(format!("--root={}", root.directory().display())).env("DEBIAN_FRONTEND", "noninteractive");
    // A question about a changed file would be put to nobody.
    command.args(["--force-confdef", "--force-confold"]);
    command
}

/// rpm on a root directory, whose database is its own.
pub(crate) fn rpm(root: &Root) -> Command {
    let mut command = Command::new("rpm");
    command.arg("--root").arg(root.directory()).args(["--dbpath", "/var/lib/rpm"]);
    command
}

/// What each package places on a node, but for what lies elsewhere in each kind of package: mode and path. Written out once more, beside the table that makes it.
pub(crate) fn files_of(package: &str) -> Vec<String> {
    let own: &[&str] = match package {
        "nuage-cni-k8s" => &[
            "755 /usr/bin/nuage-cni-k8s",
            "777 /opt/cni/bin/nuage-cni-k8s -> /usr/bin/nuage-cni-k8s",
            "644 /etc/cni/net.d/nuage-net.conflist",
            "644 /usr/share/vsp-k8s/vsp-k8s.yaml",
        ],
        "nuage-cni-openshift" => &[
            "755 /opt/cni/bin/nuage-cni-openshift",
            "777 /usr/bin/nuage-cni-openshift -> /opt/cni/bin/nuage-cni-openshift",
            "644 /etc/cni/net.d/nuage-net.conflist",
            "644 /usr/share/vsp-openshift/vsp-openshift.yaml",
        ],
        "nuage-cni-mesos" => &[
            "755 /usr/bin/nuage-cni-mesos",
            "777 /opt/cni/bin/nuage-cni-mesos -> /usr/bin/nuage-cni-mesos",
            "644 /etc/cni/net.d/nuage-net.conf",
        ],
        other => panic!("{other}"),
    };
    let mut files: Vec<String> = own.iter().map(|line| (*line).to_owned()).collect();
    let common = [
        "644 /etc/default/nuage-cni.yaml",
        "644 /etc/systemd/system/nuage-cni.service",
        "755 /usr/bin/nuage-audit",
        "755 /usr/bin/nuage-cni-install",
    ];
    files.extend(common.map(str::to_owned));
    for page in [
        package,
        "nuage-audit",
        "nuage-audit-explain",
        "nuage-audit-once",
        "nuage-audit-run",
        "nuage-audit-status",
        "nuage-cni-install",
        "nuage-cni-install-install",
        "nuage-cni-install-migrate",
        "nuage-cni-install-run",
        "nuage-cni-install-uninstall",
    ] {
        files.push(format!("644 /usr/share/man/man8/{page}.8.gz"));
    }
    for command in [package, "nuage-audit", "nuage-cni-install"] {
        files.push(format!("644 /usr/share/bash-completion/completions/{command}"));
        files.push(format!("644 /usr/share/fish/vendor_completions.d/{command}.fish"));
    }
    files
}

/// The completions for zsh, which each distribution keeps in a directory of its own.
pub(crate) fn completions_of_zsh(package: &str, directory: &str) -> Vec<String> {
    let line = |command| format!("644 /usr/share/zsh/{directory}/_{command}");
    [package, "nuage-audit", "nuage-cni-install"].map(line).to_vec()
}
