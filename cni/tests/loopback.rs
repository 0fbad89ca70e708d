//! The loopback plugin beside the reference one (containernetworking-plugins), each in a namespace of its own.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, reason = "a test")]

use std::path::Path;
use std::process::Command;

use assert_cmd::cargo::cargo_bin;
use serde_json::{Value, json};

const REFERENCE: &str = "/usr/lib/cni/loopback";

struct Namespace(String);

impl Namespace {
    fn new(test: &str, suffix: &str) -> Option<Self> {
        let name = format!("nuage-lo-{}-{suffix}", std::process::id());
        let made = Command::new("ip").args(["netns", "add", &name]).output();
        if !made.is_ok_and(|output| output.status.success()) {
            eprintln!("SKIPPED {test}: root and ip");
            return None;
        }
        Some(Self(name))
    }

    fn path(&self) -> String {
        format!("/var/run/netns/{}", self.0)
    }

    fn lo_is_up(&self) -> bool {
        let shown = Command::new("ip").args(["-n", &self.0, "-o", "link", "show", "lo"]).output().unwrap();
        String::from_utf8(shown.stdout).unwrap().contains(",UP")
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.0]).status();
    }
}

/// Calls a plugin; exit code and what it printed as JSON (null for nothing).
fn call(plugin: &Path, verb: &str, netns: &str, stdin: &Value) -> (Option<i32>, Value) {
    let mut command = assert_cmd::Command::new(plugin);
    command.env_clear().env("CNI_COMMAND", verb).env("CNI_CONTAINERID", "c1").env("CNI_IFNAME", "lo");
    command.env("CNI_PATH", "/usr/lib/cni").env("CNI_NETNS", netns);
    let output = command.write_stdin(stdin.to_string()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let answer = if text.is_empty() { Value::Null } else { serde_json::from_str(&text).expect(&text) };
    (output.status.code(), answer)
}

fn network(version: &str) -> Value {
    json!({"cniVersion": version, "name": "lo", "type": "loopback"})
}

#[test]
fn the_loopback_plugin_answers_as_the_reference_one_in_the_shape_of_every_version() {
    let test = "the_loopback_plugin_answers_as_the_reference_one_in_the_shape_of_every_version";
    let reference = Path::new(REFERENCE);
    if !reference.is_file() {
        eprintln!("SKIPPED {test}: {REFERENCE} (containernetworking-plugins)");
        return;
    }
    let ours = cargo_bin("loopback");
    for version in ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0"] {
        let Some(own) = Namespace::new(test, "own") else { return };
        let Some(their) = Namespace::new(test, "their") else { return };
        let (code, mut answer) = call(&ours, "ADD", &own.path(), &network(version));
        let (their_code, expected) = call(reference, "ADD", &their.path(), &network(version));
        assert_eq!(code, their_code);
        assert_eq!(answer["cniVersion"], version);
        // The reference answers old versions in the shape of 1.0.0, which their specifications do not have.
        if version.starts_with("0.1") || version.starts_with("0.2") {
            assert_eq!(answer["ip4"]["ip"], expected["ips"][0]["address"]);
            assert_eq!(answer["ip6"]["ip"], expected["ips"][1]["address"]);
        } else {
            answer["interfaces"][0]["sandbox"] = json!(their.path());
            for ip in answer["ips"].as_array_mut().unwrap() {
                let family = ip.as_object_mut().unwrap().remove("version");
                assert_eq!(family.is_some(), version.starts_with('0'), "{version}");
            }
            assert_eq!(answer, expected, "{version}");
        }
        assert!(own.lo_is_up() && their.lo_is_up(), "{version}");
        // DEL sets it down, as the reference does; once more is as good.
        for _ in 0..2 {
            assert_eq!(call(&ours, "DEL", &own.path(), &network(version)), (Some(0), Value::Null));
        }
        assert!(!own.lo_is_up());
    }
}

#[test]
fn loopback_check_tells_up_from_down() {
    let Some(own) = Namespace::new("loopback_check_tells_up_from_down", "check") else { return };
    let ours = cargo_bin("loopback");
    let (code, answer) = call(&ours, "ADD", &own.path(), &network("1.1.0"));
    assert_eq!(code, Some(0), "{answer}");
    let mut network = network("1.1.0");
    network["prevResult"] = answer;
    assert_eq!(call(&ours, "CHECK", &own.path(), &network), (Some(0), Value::Null));
    let (_, again) = call(&ours, "ADD", &own.path(), &network);
    assert_eq!(again, network["prevResult"], "a result that comes in goes out");
    assert!(Command::new("ip").args(["-n", &own.0, "link", "set", "lo", "down"]).status().unwrap().success());
    let (code, answer) = call(&ours, "CHECK", &own.path(), &network);
    assert_eq!((code, &answer["code"]), (Some(1), &json!(105)), "{answer}");
}

#[test]
fn loopback_del_succeeds_where_the_namespace_is_gone_and_other_verbs_say_so() {
    let ours = cargo_bin("loopback");
    for gone in ["", "/var/run/netns/nuage-there-is-none", "/dev/null", "/proc/self/ns/net"] {
        assert_eq!(call(&ours, "DEL", gone, &network("1.0.0")), (Some(0), Value::Null), "{gone}");
    }
    let (code, answer) = call(&ours, "ADD", "/var/run/netns/nuage-there-is-none", &network("1.0.0"));
    assert_eq!((code, &answer["code"]), (Some(1), &json!(4)), "{answer}");
    let mut collect = network("1.1.0");
    collect["cni.dev/valid-attachments"] = json!([]);
    assert_eq!(call(&ours, "GC", "", &collect), (Some(0), Value::Null));
    assert_eq!(call(&ours, "STATUS", "", &network("1.1.0")), (Some(0), Value::Null));
    let (code, answer) = call(&ours, "VERSION", "", &json!({"cniVersion": "1.0.0"}));
    assert_eq!(code, Some(0));
    assert!(answer["supportedVersions"].as_array().unwrap().contains(&json!("1.1.0")), "{answer}");
}
