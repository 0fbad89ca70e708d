//! The audit's unit, judged by systemd's own tools.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "a test")]

use std::fs;
use std::process::Command;

use nuage_packager::contents::{Content, package};
use nuage_packager::{Format, Product};

/// `systemd-analyze security` counts exposure from 0 to 100 tenths.
const MOST_EXPOSED: u32 = 25;

fn unit(product: Product) -> &'static str {
    let items = package(product, Format::Rpm).unwrap();
    let item = items.iter().find(|item| item.path.ends_with("/nuage-cni.service")).unwrap();
    match item.content {
        Content::Text(text) => text,
        other => panic!("{other:?}"),
    }
}

fn has_systemd(test: &str) -> bool {
    let there =
        Command::new("systemd-analyze").arg("--version").output().is_ok_and(|output| output.status.success());
    if !there {
        eprintln!("SKIPPED {test}: systemd-analyze");
    }
    there
}

#[test]
fn systemd_understands_every_line_of_the_unit_and_finds_it_little_exposed() {
    if !has_systemd("systemd_understands_every_line_of_the_unit_and_finds_it_little_exposed") {
        return;
    }
    for product in Product::ALL {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("nuage-cni.service");
        // The executable's place is checked too, and it is not installed here.
        fs::write(&path, unit(product).replace("/usr/bin/nuage-audit", "/bin/true")).unwrap();
        let verified = Command::new("systemd-analyze").arg("verify").arg(&path).output().unwrap();
        let told = String::from_utf8_lossy(&verified.stderr);
        // What is wrong with units of this machine is none of ours.
        assert!(verified.status.success() && !told.contains("nuage-cni.service"), "{told}");
        let threshold = format!("--threshold={MOST_EXPOSED}");
        let judged = Command::new("systemd-analyze")
            .args(["security", "--offline=true", "--no-pager", &threshold])
            .arg(&path)
            .output()
            .unwrap();
        assert!(judged.status.success(), "{}", String::from_utf8_lossy(&judged.stdout));
    }
}

#[test]
fn the_unit_comes_after_the_switch_notifies_and_names_its_orchestrator() {
    for (product, name) in
        [(Product::Kubernetes, "k8s"), (Product::OpenShift, "openshift"), (Product::Mesos, "mesos")]
    {
        let unit = unit(product);
        assert!(
            unit.contains(&format!("\nExecStart=/usr/bin/nuage-audit --orchestrator {name} run\n")),
            "{unit}"
        );
        assert!(unit.contains("\nType=notify\n") && unit.contains("\nWantedBy=multi-user.target\n"));
        let after = unit.lines().find(|line| line.starts_with("After=")).unwrap();
        assert!(after.contains("openvswitch.service") && after.contains("nuage-openvswitch.service"));
        assert!(!unit.contains("Requires="), "a switch that is away must not stop the audit");
    }
}
