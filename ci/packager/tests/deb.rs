//! The Debian packages, read and installed by the real dpkg.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "a test")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use support::{Root, can_install, completions_of_zsh, dpkg, files_of, packages, succeed};

const PACKAGES: [&str; 3] = ["nuage-cni-k8s", "nuage-cni-openshift", "nuage-cni-mesos"];

fn file(package: &str, version: &str) -> PathBuf {
    packages().join(format!("{package}_{version}-1_amd64.deb"))
}

fn install(root: &Root, package: &Path) {
    succeed(dpkg(root).arg("-i").arg(package));
}

#[test]
fn debs_are_whole_and_say_what_they_are() {
    if !can_install("debs_are_whole_and_say_what_they_are", "dpkg-deb") {
        return;
    }
    for package in PACKAGES {
        let path = file(package, "1.1.0");
        let field =
            |name: &str| succeed(Command::new("dpkg-deb").arg("-f").arg(&path).arg(name)).trim().to_owned();
        assert_eq!(field("Package"), package);
        assert_eq!(field("Version"), "1.1.0-1");
        assert_eq!(field("Architecture"), "amd64");
        for other in PACKAGES.into_iter().filter(|other| *other != package) {
            assert!(field("Conflicts").contains(other));
        }
        let listed = succeed(Command::new("dpkg-deb").arg("-c").arg(&path));
        assert!(listed.lines().all(|line| line.contains(" root/root ")), "{listed}");
        assert!(listed.contains(" etc/default/nuage-cni.yaml"), "{listed}");
    }
}

#[test]
fn a_deb_is_installed_upgraded_removed_and_purged() {
    if !can_install("a_deb_is_installed_upgraded_removed_and_purged", "dpkg") {
        return;
    }
    for package in PACKAGES {
        let root = Root::new();
        install(&root, &file(package, "1.0.0"));
        let mut expected = files_of(package);
        expected.push(format!("644 /usr/share/doc/{package}/copyright"));
        expected.extend(completions_of_zsh(package, "vendor-completions"));
        expected.sort();
        assert_eq!(root.installed(), expected);
        assert_eq!(succeed(dpkg(&root).args(["--verify", package])), "", "the checksums hold");

        let edited = "mtu: 1400\n";
        fs::write(root.path("/etc/default/nuage-cni.yaml"), edited).unwrap();
        install(&root, &file(package, "1.1.0"));
        assert_eq!(root.installed(), expected);
        assert_eq!(fs::read_to_string(root.path("/etc/default/nuage-cni.yaml")).unwrap(), edited);

        fs::write(root.path("/var/lib/nuage-cni/entry"), "{}").unwrap();
        succeed(dpkg(&root).args(["-r", package]));
        let left = root.installed();
        assert!(left.iter().all(|line| !line.contains("/bin/")), "{left:?}");
        assert!(left.iter().any(|line| line.ends_with("/var/lib/nuage-cni/entry")), "{left:?}");
        assert!(left.iter().any(|line| line.ends_with("/etc/default/nuage-cni.yaml")), "{left:?}");
        succeed(dpkg(&root).args(["-P", package]));
        assert!(root.installed().is_empty(), "{:?}", root.installed());
    }
}

const RELOAD: &str = "systemctl daemon-reload";
const ENABLE: &str = "systemctl enable nuage-cni.service";
const START: &str = "systemctl --no-block start nuage-cni.service";
const RESTART: &str = "systemctl --no-block try-restart nuage-cni.service";
const STOP: &str = "systemctl stop nuage-cni.service";
const DISABLE: &str = "systemctl disable nuage-cni.service";

/// Which root, and what its stand-ins are told at installation, upgrade, removal and a second installation.
type Case = (fn() -> Root, &'static str, [&'static [&'static str]; 4]);

#[test]
fn a_debs_scripts_do_what_the_table_says_and_never_fail() {
    if !can_install("a_debs_scripts_do_what_the_table_says_and_never_fail", "dpkg") {
        return;
    }
    let labels: &[&str] = &["selinuxenabled", "restorecon", ENABLE];
    let cases: [Case; 6] = [
        (Root::new, "nuage-cni-k8s", [&[ENABLE], &[], &[DISABLE], &[ENABLE]]),
        (
            || Root::new().with_vrs().with_systemd(),
            "nuage-cni-k8s",
            [
                &[RELOAD, "add_platform k8s", ENABLE, START],
                &[RELOAD, RESTART],
                &[STOP, DISABLE, "remove_platform k8s", RELOAD],
                &[RELOAD, "add_platform k8s", ENABLE, START],
            ],
        ),
        (
            || Root::new().with_vrs(),
            "nuage-cni-openshift",
            [
                &["add_platform k8s", ENABLE],
                &[],
                &[DISABLE, "remove_platform k8s"],
                &["add_platform k8s", ENABLE],
            ],
        ),
        (|| Root::new().with_vrs(), "nuage-cni-mesos", [&[ENABLE], &[], &[DISABLE], &[ENABLE]]),
        (
            || Root::new().with_systemd(),
            "nuage-cni-mesos",
            [
                &[RELOAD, ENABLE, START],
                &[RELOAD, RESTART],
                &[STOP, DISABLE, RELOAD],
                &[RELOAD, ENABLE, START],
            ],
        ),
        (
            || Root::new().with_broken_vrs().with_selinux(),
            "nuage-cni-k8s",
            [labels, &["selinuxenabled", "restorecon"], &[DISABLE], labels],
        ),
    ];
    for (number, (root, package, [at_install, at_upgrade, at_removal, at_return])) in
        cases.into_iter().enumerate()
    {
        let root = root();
        install(&root, &file(package, "1.0.0"));
        assert_eq!(root.calls(), at_install, "case {number}, installation");
        install(&root, &file(package, "1.1.0"));
        assert_eq!(root.calls(), at_upgrade, "case {number}, upgrade");
        succeed(dpkg(&root).args(["-r", package]));
        assert_eq!(root.calls(), at_removal, "case {number}, removal");
        install(&root, &file(package, "1.1.0"));
        assert_eq!(root.calls(), at_return, "case {number}, second installation");
    }
}

#[test]
fn a_node_has_one_of_the_three_debs() {
    if !can_install("a_node_has_one_of_the_three_debs", "dpkg") {
        return;
    }
    let root = Root::new();
    install(&root, &file("nuage-cni-k8s", "1.0.0"));
    let refused = dpkg(&root).arg("-i").arg(file("nuage-cni-mesos", "1.0.0")).output().unwrap();
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && told.contains("conflict"), "{told}");
}
