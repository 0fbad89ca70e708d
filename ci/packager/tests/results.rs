//! What `ci/package` leaves in its folder: names, checksums, the bill of materials, images; the same bytes for the same
//! input.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "a test")]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use nuage_packager::make;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use support::{AARCH64, order, packages, placeholders};

#[test]
fn every_result_is_there_under_its_name_and_has_its_checksum() {
    let expected = [
        "nuage-cni-k8s-1.1.0-1.x86_64.rpm",
        "nuage-cni-openshift-1.1.0-1.x86_64.rpm",
        "nuage-cni-mesos-1.1.0-1.x86_64.rpm",
        "nuage-cni-k8s_1.1.0-1_amd64.deb",
        "nuage-cni-openshift_1.1.0-1_amd64.deb",
        "nuage-cni-mesos_1.1.0-1_amd64.deb",
        // The v of v1.1.0 stays where no package manager reads it.
        "nuage-cni-docker-v1.1.0.tar",
        "nuage-emulator-docker-v1.1.0.tar",
        "nuage-harness-docker-v1.1.0.tar",
        "nuage-scenarios-v1.1.0.tar.gz",
        "nuage-cni-v1.1.0.cdx.json",
        "nuage-cni-manual-v1.1.0.tar.gz",
        "LICENSE",
        "nuage-cni-install",
        "nuage-cni-k8s",
        "nuage-cni-openshift",
        "nuage-cni-mesos",
        "nuage-audit",
        "loopback",
        "emulator",
        "harness",
    ];
    let sums = fs::read_to_string(packages().join("SHA256SUMS")).unwrap();
    let listed: BTreeSet<&str> = sums.lines().map(|line| line.split_once("  ").unwrap().1).collect();
    assert_eq!(listed, expected.into_iter().collect());
    let checked = Command::new("sha256sum")
        .args(["--check", "--quiet", "--strict", "SHA256SUMS"])
        .current_dir(packages())
        .output();
    if let Ok(checked) = checked {
        assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    }
    assert!(
        !fs::read_dir(packages()).unwrap().any(|entry| entry
            .unwrap()
            .path()
            .extension()
            .is_some_and(|end| end == "partial"))
    );
}

#[test]
fn the_same_input_makes_the_same_bytes_in_another_folder_at_another_time() {
    let scratch = tempfile::tempdir().unwrap();
    let out = scratch.path().join("somewhere/else");
    let names = make(&order(scratch.path(), "v1.1.0", &out)).unwrap();
    for name in names {
        let (one, other) = (fs::read(out.join(&name)).unwrap(), fs::read(packages().join(&name)).unwrap());
        assert!(one == other, "{name} differs");
    }
}

#[test]
fn packages_and_images_are_for_the_machine_that_their_executables_are_for() {
    let scratch = tempfile::tempdir().unwrap();
    let out = scratch.path().join("out");
    let mut order = order(scratch.path(), "1.1.0", &out);
    order.executables = placeholders(scratch.path(), AARCH64);
    let names = make(&order).unwrap();
    for name in ["nuage-cni-k8s-1.1.0-1.aarch64.rpm", "nuage-cni-mesos_1.1.0-1_arm64.deb"] {
        assert!(names.iter().any(|made| made == name), "{names:?}");
    }
    let image = fs::read(out.join("nuage-cni-docker-1.1.0.tar")).unwrap();
    let arm = br#""architecture":"arm64""#;
    assert!(image.windows(arm.len()).any(|window| window == arm));
}

#[test]
fn the_bill_names_every_crate_with_licence_and_checksum_and_each_link_leads_somewhere() {
    let text = fs::read(packages().join("nuage-cni-v1.1.0.cdx.json")).unwrap();
    let bill: Value = serde_json::from_slice(&text).unwrap();
    assert_eq!((&bill["bomFormat"], &bill["specVersion"]), (&"CycloneDX".into(), &"1.6".into()));
    let components = bill["components"].as_array().unwrap();
    let names: BTreeSet<&str> =
        components.iter().map(|component| component["name"].as_str().unwrap()).collect();
    for linked in ["nuage-cni", "nuage-ovsdb", "tokio", "rustls", "serde_json", "rtnetlink"] {
        assert!(names.contains(linked), "{linked}");
    }
    for not_linked in ["proptest", "tempfile", "testcontainers", "rpm", "nuage-packager"] {
        assert!(!names.contains(not_linked), "{not_linked} is only for tests or packaging");
    }
    let reference = |value: &Value| value.as_str().unwrap().to_owned();
    let references: BTreeSet<String> =
        components.iter().map(|component| reference(&component["bom-ref"])).collect();
    assert_eq!(references.len(), components.len());
    for component in components {
        let name = component["name"].as_str().unwrap();
        assert!(component["licenses"][0]["expression"].is_string(), "{name} has no licence");
        if !name.starts_with("nuage-") {
            assert_eq!(component["hashes"][0]["content"].as_str().unwrap().len(), 64, "{name}");
        }
    }
    for dependency in bill["dependencies"].as_array().unwrap() {
        assert!(references.contains(&reference(&dependency["ref"])));
        assert!(
            dependency["dependsOn"].as_array().unwrap().iter().all(|on| references.contains(&reference(on)))
        );
    }
}

#[test]
fn an_image_archive_is_an_oci_layout_whose_digests_hold() {
    for archive in
        ["nuage-cni-docker-v1.1.0.tar", "nuage-emulator-docker-v1.1.0.tar", "nuage-harness-docker-v1.1.0.tar"]
    {
        let mut blobs = std::collections::BTreeMap::new();
        let bytes = fs::read(packages().join(archive)).unwrap();
        for entry in tar::Archive::new(&bytes[..]).entries().unwrap() {
            let mut entry = entry.unwrap();
            let path = entry.path().unwrap().display().to_string();
            let mut content = Vec::new();
            std::io::Read::read_to_end(&mut entry, &mut content).unwrap();
            if let Some(digest) = path.strip_prefix("blobs/sha256/").filter(|name| !name.is_empty()) {
                assert_eq!(format!("{:x}", Sha256::digest(&content)), digest);
            }
            blobs.insert(path, content);
        }
        let json = |path: &str| -> Value { serde_json::from_slice(&blobs[path]).unwrap() };
        let follow = |descriptor: &Value| {
            let path = descriptor["digest"].as_str().unwrap().replace("sha256:", "blobs/sha256/");
            assert_eq!(blobs[&path].len() as u64, descriptor["size"].as_u64().unwrap());
            path
        };
        assert_eq!(json("oci-layout")["imageLayoutVersion"], "1.0.0");
        let manifest = json(&follow(&json("index.json")["manifests"][0]));
        let config = json(&follow(&manifest["config"]));
        let layer = follow(&manifest["layers"][0]);
        assert_eq!(
            config["rootfs"]["diff_ids"][0], manifest["layers"][0]["digest"],
            "the layer is not compressed"
        );
        let docker = &json("manifest.json")[0];
        assert_eq!(docker["Layers"][0], layer.as_str());
        assert!(docker["RepoTags"][0].as_str().unwrap().ends_with(":v1.1.0"));
    }
}
