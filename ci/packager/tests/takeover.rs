//! The original's RPM is upgraded to ours: nothing that the operator wrote is lost, though that package marked nothing as
//! configuration and its scriptlets still run.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "a test")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rpm::{FileOptions, PackageBuilder};
use support::{Root, can_install, packages, succeed};

/// The files of the original's package for Kubernetes with its scriptlets of a removal.
fn original(directory: &Path) -> PathBuf {
    let mut builder =
        PackageBuilder::new("nuage-cni-k8s", "0.0", "Apache-2.0", "x86_64", "The original plugin");
    for (path, mode) in [
        ("/usr/bin/nuage-cni-k8s", 0o755),
        ("/etc/systemd/system/nuage-cni.service", 0o755),
        ("/etc/default/nuage-cni.yaml", 0o644),
        ("/etc/cni/net.d/nuage-net.conf", 0o644),
        ("/usr/share/vsp-k8s/vsp-k8s.yaml", 0o644),
    ] {
        let options = FileOptions::new(path).permissions(mode);
        builder.with_file_contents(format!("# the original's {path}\n").into_bytes(), options).unwrap();
    }
    builder.pre_uninstall_script("[ \"$1\" != 0 ] || systemctl stop nuage-cni\n");
    builder.post_uninstall_script("[ \"$1\" != 0 ] || rm -rf /usr/share/vsp-k8s\n");
    let path = directory.join("original.rpm");
    let mut bytes = Vec::new();
    builder.build().unwrap().write(&mut bytes).unwrap();
    fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn an_upgrade_from_the_original_keeps_configuration_keys_and_certificates() {
    if !can_install("an_upgrade_from_the_original_keeps_configuration_keys_and_certificates", "rpm") {
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let root = Root::new().with_systemd();
    let rpm = |how: &str, package: &Path| {
        let mut command = Command::new("rpm");
        command.arg("--root").arg(root.directory()).args(["--dbpath", "/var/lib/rpm", how, "--nodeps"]);
        succeed(command.arg(package))
    };
    rpm("-i", &original(scratch.path()));
    let written = [
        "/etc/default/nuage-cni.yaml",
        "/usr/share/vsp-k8s/vsp-k8s.yaml",
        "/usr/share/vsp-k8s/nuageMonClient.key",
    ];
    for path in written {
        fs::write(root.path(path), "# the operator's\n").unwrap();
    }
    rpm("-U", &packages().join("nuage-cni-k8s-1.1.0-1.x86_64.rpm"));
    for path in written {
        assert_eq!(fs::read_to_string(root.path(path)).unwrap(), "# the operator's\n", "{path}");
    }
    let installed = root.installed();
    let there = |path: &str| installed.iter().any(|line| line.ends_with(path));
    assert!(there("/etc/default/nuage-cni.yaml.rpmnew") && there("/usr/share/vsp-k8s/vsp-k8s.yaml.rpmnew"));
    assert!(there("/etc/cni/net.d/nuage-net.conflist") && !there("/etc/cni/net.d/nuage-net.conf"));
    assert!(there("644 /etc/systemd/system/nuage-cni.service"), "not executable any more: {installed:?}");
    let unit = fs::read_to_string(root.path("/etc/systemd/system/nuage-cni.service")).unwrap();
    assert!(unit.contains("/usr/bin/nuage-audit"), "{unit}");
    assert_eq!(
        root.calls(),
        ["systemctl daemon-reload", "systemctl --no-block try-restart nuage-cni.service"]
    );
}
