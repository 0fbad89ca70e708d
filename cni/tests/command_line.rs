//! The executable as a runtime and a person meet it: what goes wrong is one CNI error on standard output, and nothing waits
//! for ever.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test")]

use std::path::Path;

use assert_cmd::Command;
use serde_json::{Value, json};

fn plugin(name: &str) -> Command {
    let mut command = Command::cargo_bin(name).unwrap();
    command.env_clear();
    command
}

/// Environment, standard input, and the code of the error.
type Case<'a> = (&'a [(&'a str, &'a str)], &'a str, u64);

/// Calls it; the exit code and the one JSON text on standard output.
fn call(environment: &[(&str, &str)], stdin: &str) -> (Option<i32>, Value) {
    let mut command = plugin("nuage-cni-k8s");
    let output = command.envs(environment.iter().copied()).write_stdin(stdin).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let answer = if text.is_empty() { Value::Null } else { serde_json::from_str(&text).expect(&text) };
    (output.status.code(), answer)
}

#[test]
fn version_is_answered_without_any_file() {
    for name in ["nuage-cni-k8s", "nuage-cni-openshift", "nuage-cni-mesos"] {
        let mut command = plugin(name);
        let output =
            command.env("CNI_COMMAND", "VERSION").write_stdin(r#"{"cniVersion":"1.0.0"}"#).output().unwrap();
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(answer["cniVersion"], "1.0.0");
        assert_eq!(answer["supportedVersions"].as_array().unwrap().len(), 7);
    }
}

#[test]
fn what_is_wrong_with_a_call_is_one_error_with_its_code() {
    let add = [("CNI_COMMAND", "ADD"), ("CNI_CONTAINERID", "c"), ("CNI_NETNS", "/x"), ("CNI_IFNAME", "eth0")];
    let cases: [Case<'_>; 6] = [
        (&[("CNI_COMMAND", "FLY")], "{}", 4),
        (&[], "{}", 4),
        (&[("CNI_COMMAND", "ADD")], r#"{"cniVersion":"1.0.0","name":"n"}"#, 4),
        (&add, "{", 6),
        (&add, r#"{"cniVersion":"7.0.0","name":"n"}"#, 1),
        (&add, r#"{"cniVersion":"1.0.0","name":7}"#, 7),
    ];
    for (environment, stdin, code) in cases {
        let (exit, answer) = call(environment, stdin);
        assert_eq!(
            (exit, answer["code"].as_u64()),
            (Some(1), Some(code)),
            "{environment:?} {stdin}: {answer}"
        );
        assert!(answer["msg"].is_string());
    }
}

/// A node whose VRS is not there.
fn node_without_vrs(directory: &Path) -> String {
    let yaml = format!(
        "vrsendpoint: {0}/no.sock\nstatedir: {0}/state\nrundir: {0}/run\nlogdir: {0}/log\n",
        directory.display()
    );
    std::fs::write(directory.join("nuage-cni.yaml"), yaml).unwrap();
    json!({"cniVersion": "1.0.0", "name": "n", "type": "nuage-cni-k8s", "configDir": directory}).to_string()
}

#[test]
fn status_says_that_the_vrs_is_not_there() {
    let directory = tempfile::tempdir().unwrap();
    let (exit, answer) = call(&[("CNI_COMMAND", "STATUS")], &node_without_vrs(directory.path()));
    assert_eq!((exit, answer["code"].as_u64()), (Some(1), Some(50)), "{answer}");
    assert!(answer["msg"].as_str().unwrap().contains("cannot be reached"), "{answer}");
}

#[test]
fn del_succeeds_without_a_vrs_and_writes_down_what_it_owes() {
    let directory = tempfile::tempdir().unwrap();
    let del = [("CNI_COMMAND", "DEL"), ("CNI_CONTAINERID", "c"), ("CNI_IFNAME", "eth0"), ("CNI_NETNS", "")];
    let (exit, answer) = call(&del, &node_without_vrs(directory.path()));
    assert_eq!((exit, answer), (Some(0), Value::Null));
    let owed: Vec<_> = std::fs::read_dir(directory.path().join("state/attachments")).unwrap().collect();
    assert_eq!(owed.len(), 1);
}

#[test]
fn del_succeeds_even_when_nothing_more_can_be_written_down() {
    let directory = tempfile::tempdir().unwrap();
    let network = node_without_vrs(directory.path());
    let attachments = directory.path().join("state/attachments");
    std::fs::create_dir_all(&attachments).unwrap();
    for number in 0..1024 {
        std::fs::write(attachments.join(format!("nu{number}.json")), "{}").unwrap();
    }
    let del = [("CNI_COMMAND", "DEL"), ("CNI_CONTAINERID", "c"), ("CNI_IFNAME", "eth0"), ("CNI_NETNS", "")];
    assert_eq!(call(&del, &network), (Some(0), Value::Null));
}

#[test]
fn a_person_gets_help_the_version_and_what_is_wrong_with_the_configuration() {
    let help = plugin("nuage-cni-mesos").arg("--help").output().unwrap();
    assert!(String::from_utf8_lossy(&help.stdout).contains("CNI_COMMAND=VERSION"));
    plugin("nuage-cni-k8s").arg("--version").assert().success();
    plugin("nuage-cni-k8s").arg("--frob").assert().code(2);
    let directory = tempfile::tempdir().unwrap();
    let mut check = plugin("nuage-cni-k8s");
    let output = check.args(["--check-config", "--config-dir"]).arg(directory.path()).output().unwrap();
    assert!(!output.status.success());
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("nuage.kubeconfig"),
        "the file that is missing is named"
    );
}

#[test]
fn daemon_in_either_form_says_what_is_missing_or_becomes_the_audit() {
    let directory = tempfile::tempdir().unwrap();
    let alone = directory.path().join("nuage-cni-openshift");
    std::fs::copy(plugin("nuage-cni-openshift").get_program(), &alone).unwrap();
    for form in ["-daemon", "--daemon"] {
        let output = std::process::Command::new(&alone).arg(form).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && text.contains("needs nuage-audit"), "{text}");
    }
    // A copy beside which there is one.
    let directory = tempfile::tempdir().unwrap();
    let copy = directory.path().join("nuage-cni-openshift");
    std::fs::copy(plugin("nuage-cni-openshift").get_program(), &copy).unwrap();
    let audit = directory.path().join("nuage-audit");
    std::fs::write(&audit, "#!/bin/sh\necho \"$@\"\n").unwrap();
    std::fs::set_permissions(&audit, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let output = std::process::Command::new(&copy).args(["-daemon", "--config-dir", "/x"]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "--orchestrator openshift --config-dir /x\n");
}

#[test]
fn check_config_says_what_would_be_used_and_what_is_odd() {
    let directory = tempfile::tempdir().unwrap();
    node_without_vrs(directory.path());
    let mut yaml = std::fs::read_to_string(directory.path().join("nuage-cni.yaml")).unwrap();
    yaml.push_str("vrsbrige: x\n");
    std::fs::write(directory.path().join("nuage-cni.yaml"), yaml).unwrap();
    let mut check = plugin("nuage-cni-mesos");
    let output =
        check.args(["--check-config", "--json", "--config-dir"]).arg(directory.path()).output().unwrap();
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(output.status.success() && found["valid"] == true, "{found}");
    assert_eq!(
        (found["uses"]["orchestrator"].as_str(), found["uses"]["vrsbridge"].as_str()),
        (Some("mesos"), Some("alubr0"))
    );
    let warnings = found["warnings"].to_string();
    assert!(
        warnings.contains("did you mean vrsbridge?") && warnings.contains("cannot be reached now"),
        "{warnings}"
    );
    let output = plugin("nuage-cni-k8s")
        .args(["--check-config", "--json", "--config-dir"])
        .arg(directory.path())
        .output();
    let found: Value = serde_json::from_slice(&output.unwrap().stdout).unwrap();
    assert!(found["valid"] == false && found["errors"].to_string().contains("nuage.kubeconfig"), "{found}");
}
