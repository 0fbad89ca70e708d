//! The RPMs, read and installed by the real rpm: what they hold, what their scriptlets do, what an upgrade and a removal
//! leave.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "a test")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use support::{EPOCH, Root, can_install, completions_of_zsh, files_of, packages, rpm, succeed};

const PACKAGES: [&str; 3] = ["nuage-cni-k8s", "nuage-cni-openshift", "nuage-cni-mesos"];

fn file(package: &str, version: &str) -> PathBuf {
    packages().join(format!("{package}-{version}-1.x86_64.rpm"))
}

fn query(arguments: &[&str], package: &Path) -> String {
    succeed(Command::new("rpm").arg("-qp").args(arguments).arg(package))
}

fn install(root: &Root, how: &str, package: &Path) {
    // The root has no package that would provide its shell.
    let told = succeed(rpm(root).args([how, "--nodeps"]).arg(package));
    assert!(!told.contains("scriptlet failed"), "{told}");
}

#[test]
fn rpms_are_whole_and_say_what_they_are() {
    let test = "rpms_are_whole_and_say_what_they_are";
    if !can_install(test, "rpm") {
        return;
    }
    for package in PACKAGES {
        let path = file(package, "1.1.0");
        let checked = succeed(Command::new("rpm").arg("-K").arg(&path));
        assert!(checked.contains("digests OK"), "{checked}");
        let header =
            query(&["--queryformat", "%{NAME} %{VERSION} %{RELEASE} %{ARCH} %{LICENSE} %{BUILDTIME}"], &path);
        assert_eq!(header, format!("{package} 1.1.0 1 x86_64 Apache-2.0 {EPOCH}"));
        let mut others: Vec<String> = query(&["--conflicts"], &path).lines().map(str::to_owned).collect();
        others.sort();
        let mut expected: Vec<&str> = PACKAGES.into_iter().filter(|other| *other != package).collect();
        expected.sort_unstable();
        assert_eq!(others, expected);
        let mut configuration: Vec<String> = query(&["-c"], &path).lines().map(str::to_owned).collect();
        configuration.sort();
        let mut expected: Vec<String> = files_of(package)
            .iter()
            .filter_map(|line| line.strip_prefix("644 "))
            .filter(|path| path.starts_with("/etc/") && !path.ends_with(".service") || path.contains("/vsp-"))
            .map(str::to_owned)
            .collect();
        expected.sort();
        assert_eq!(configuration, expected, "configuration is marked");
        let documents = query(&["-d"], &path);
        assert!(documents.contains(&format!("/usr/share/man/man8/{package}.8.gz\n")), "{documents}");
        let owners = query(&["--queryformat", "[%{FILEUSERNAME}:%{FILEGROUPNAME}\n]"], &path);
        assert!(owners.lines().all(|owner| owner == "root:root"), "{owners}");
    }
}

#[test]
fn an_rpm_is_installed_upgraded_and_removed_and_leaves_nothing_but_what_an_operator_changed() {
    let test = "an_rpm_is_installed_upgraded_and_removed_and_leaves_nothing_but_what_an_operator_changed";
    if !can_install(test, "rpm") {
        return;
    }
    for package in PACKAGES {
        let root = Root::new();
        install(&root, "-i", &file(package, "1.0.0"));
        let mut expected = files_of(package);
        expected.push(format!("644 /usr/share/licenses/{package}/LICENSE"));
        expected.extend(completions_of_zsh(package, "site-functions"));
        expected.sort();
        assert_eq!(root.installed(), expected);
        succeed(rpm(&root).args(["-V", "--nodeps", package]));

        let edited = "mtu: 1400\n";
        fs::write(root.path("/etc/default/nuage-cni.yaml"), edited).unwrap();
        install(&root, "-U", &file(package, "1.1.0"));
        assert_eq!(root.installed(), expected);
        assert_eq!(fs::read_to_string(root.path("/etc/default/nuage-cni.yaml")).unwrap(), edited);
        assert_eq!(succeed(rpm(&root).args(["-q", package])).trim(), format!("{package}-1.1.0-1.x86_64"));

        fs::create_dir_all(root.path("/run/nuage-cni")).unwrap();
        fs::write(root.path("/var/lib/nuage-cni/entry"), "{}").unwrap();
        succeed(rpm(&root).args(["-e", package]));
        let left: Vec<String> =
            root.installed().iter().map(|line| line.split_once(' ').unwrap().1.to_owned()).collect();
        // What an operator changed, and what attached containers need.
        assert_eq!(left, ["/etc/default/nuage-cni.yaml.rpmsave", "/var/lib/nuage-cni/entry"]);
        assert!(!root.path("/run/nuage-cni").exists(), "locks and sockets go");
        for own in ["/opt/cni", "/etc/cni", "/usr/share/fish", "/usr/share/zsh", "/usr/share/bash-completion"]
        {
            assert!(!root.path(own).exists(), "{own} goes");
        }
    }
}

const RELOAD: &str = "systemctl daemon-reload";
const ENABLE: &str = "systemctl enable nuage-cni.service";
const START: &str = "systemctl --no-block start nuage-cni.service";
const RESTART: &str = "systemctl --no-block try-restart nuage-cni.service";
const STOP: &str = "systemctl stop nuage-cni.service";
const DISABLE: &str = "systemctl disable nuage-cni.service";

/// Which root, and what its stand-ins are told at installation, upgrade and removal.
type Case =
    (fn() -> Root, &'static str, &'static [&'static str], &'static [&'static str], &'static [&'static str]);

#[test]
fn an_rpms_scriptlets_do_what_the_table_says_and_never_fail() {
    let test = "an_rpms_scriptlets_do_what_the_table_says_and_never_fail";
    if !can_install(test, "rpm") {
        return;
    }
    let cases: [Case; 6] = [
        // A root that is being made, without the VRS: enabled all the same.
        (Root::new, "nuage-cni-k8s", &[ENABLE], &[], &[DISABLE]),
        (
            || Root::new().with_systemd(),
            "nuage-cni-k8s",
            &[RELOAD, ENABLE, START],
            &[RELOAD, RESTART],
            &[STOP, DISABLE, RELOAD],
        ),
        (
            || Root::new().with_vrs().with_systemd(),
            "nuage-cni-openshift",
            &[RELOAD, "add_platform k8s", ENABLE, START],
            &[RELOAD, RESTART],
            &[STOP, DISABLE, "remove_platform k8s", RELOAD],
        ),
        (
            || Root::new().with_vrs(),
            "nuage-cni-k8s",
            &["add_platform k8s", ENABLE],
            &[],
            &[DISABLE, "remove_platform k8s"],
        ),
        (|| Root::new().with_vrs(), "nuage-cni-mesos", &[ENABLE], &[], &[DISABLE]),
        (
            || Root::new().with_broken_vrs().with_selinux(),
            "nuage-cni-k8s",
            &["selinuxenabled", "restorecon", ENABLE],
            &["selinuxenabled", "restorecon"],
            &[DISABLE],
        ),
    ];
    for (number, (root, package, at_install, at_upgrade, at_removal)) in cases.into_iter().enumerate() {
        let root = root();
        install(&root, "-i", &file(package, "1.0.0"));
        assert_eq!(root.calls(), at_install, "case {number}, installation");
        install(&root, "-U", &file(package, "1.1.0"));
        assert_eq!(root.calls(), at_upgrade, "case {number}, upgrade");
        succeed(rpm(&root).args(["-e", package]));
        assert_eq!(root.calls(), at_removal, "case {number}, removal");
    }
}

#[test]
fn a_node_has_one_of_the_three_rpms() {
    if !can_install("a_node_has_one_of_the_three_rpms", "rpm") {
        return;
    }
    let root = Root::new();
    install(&root, "-i", &file("nuage-cni-k8s", "1.0.0"));
    let refused = rpm(&root).arg("-i").arg(file("nuage-cni-mesos", "1.0.0")).output().unwrap();
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && told.contains("nuage-cni-k8s conflicts with"), "{told}");
}
