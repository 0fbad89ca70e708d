//! What deploy/ has for clusters: valid for the API server, the same by chart and by kustomization, and what a node, an emulator
//! and a sweep do when they are run as a manifest says.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "a test")]

#[path = "../support/mod.rs"]
mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use support::{Process, executable, lacks};

/// A Python with kubernetes-validate, and helm beside it.
const VARIABLE: &str = "DEPLOY_PYTHON";

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/deploy").join(name)
}

/// Runs a check; gives what it printed, and `None` where a peer is missing.
fn python(test: &str, check: &str) -> Option<String> {
    let Some(python) = std::env::var_os(VARIABLE) else {
        eprintln!("SKIPPED {test}: {VARIABLE}, a Python with kubernetes-validate and helm-binary");
        return None;
    };
    if Command::new("kubectl").args(["version", "--client"]).output().is_err() {
        eprintln!("SKIPPED {test}: kubectl");
        return None;
    }
    let scratch = tempfile::tempdir().unwrap();
    let output =
        Command::new(python).arg(script("manifests.py")).arg(check).arg(scratch.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap())
}

#[test]
fn every_manifest_is_what_the_oldest_and_the_newest_schema_allow() {
    python("every_manifest_is_what_the_oldest_and_the_newest_schema_allow", "valid");
}

#[test]
fn the_chart_makes_what_the_kustomizations_make() {
    python("the_chart_makes_what_the_kustomizations_make", "same");
}

#[test]
fn a_value_that_cannot_be_is_refused_by_the_charts_schema() {
    python("a_value_that_cannot_be_is_refused_by_the_charts_schema", "refused");
}

#[test]
fn openshift_allows_what_the_daemonset_asks_for_and_nothing_else() {
    python("openshift_allows_what_the_daemonset_asks_for_and_nothing_else", "constrained");
}

#[test]
fn emulator_and_sweep_are_restricted_pods_without_secrets_in_their_manifests() {
    python("emulator_and_sweep_are_restricted_pods_without_secrets_in_their_manifests", "restricted");
}

#[test]
fn manifests_name_the_images_of_this_version() {
    python("manifests_name_the_images_of_this_version", "versions");
}

/// The container of the only object of this kind.
fn container(manifests: &Value, name: &str, kind: &str) -> Value {
    let objects = manifests[name].as_array().unwrap();
    let object = objects.iter().find(|object| object["kind"] == kind).unwrap();
    object["spec"]["template"]["spec"]["containers"][0].clone()
}

/// Its arguments, with other words for what only a cluster has.
fn arguments(container: &Value, replaced: &[(&str, &str)]) -> Vec<String> {
    let arguments =
        container["args"].as_array().unwrap().iter().map(|argument| argument.as_str().unwrap().to_owned());
    arguments
        .map(|argument| replaced.iter().fold(argument, |argument, (from, to)| argument.replace(from, to)))
        .collect()
}

#[test]
fn the_emulator_runs_with_the_arguments_of_its_deployment() {
    let Some(manifests) = python("the_emulator_runs_with_the_arguments_of_its_deployment", "show") else {
        return;
    };
    let container = container(&serde_json::from_str(&manifests).unwrap(), "emulator", "Deployment");
    let scratch = tempfile::tempdir().unwrap();
    let path = |name: &str| scratch.path().join(name).display().to_string();
    std::fs::create_dir(path("password")).unwrap();
    std::fs::write(path("password/password"), "not the usual one").unwrap();
    let authority = Process::start(
        {
            let mut command = Command::new(executable("emulator"));
            command.args(["up", "--only", "vrs", "--dir", &path("first")]);
            command
        },
        "ready",
    );
    drop(authority);
    let replaced = [
        ("/data/site", path("site")),
        ("/secrets/password", path("password")),
        ("/secrets/authority", path("first/pki")),
        ("--ports=default", "--ports=auto".to_owned()),
        ("0.0.0.0", "127.0.0.1".to_owned()),
    ];
    let replaced = replaced.each_ref().map(|(from, to)| (*from, to.as_str()));
    let mut command = Command::new(executable("emulator"));
    command.args(arguments(&container, &replaced));
    let _emulator = Process::start(command, "ready");
    let endpoints = std::fs::read_to_string(path("site/endpoints.json")).unwrap();
    assert!(endpoints.contains("https://emulator.nuage-emulator.svc:"), "{endpoints}");
}

#[test]
fn a_part_of_the_sweep_runs_with_the_arguments_of_its_job() {
    let Some(manifests) = python("a_part_of_the_sweep_runs_with_the_arguments_of_its_job", "show") else {
        return;
    };
    let manifests: Value = serde_json::from_str(&manifests).unwrap();
    let job = manifests["harness"].as_array().unwrap().iter().find(|object| object["kind"] == "Job").unwrap();
    let parts = job["spec"]["completions"].as_u64().unwrap();
    let container = container(&manifests, "harness", "Job");
    assert!(arguments(&container, &[]).contains(&format!("--shard=job/{parts}")), "as many parts as pods");
    let one = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../scenarios/everyday/one-pod.toml")
        .display()
        .to_string();
    let mut command = Command::new(executable("harness"));
    command.args(arguments(&container, &[("/usr/share/nuage-cni/scenarios", &one)]));
    let output = command.env("JOB_COMPLETION_INDEX", (parts - 1).to_string()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

/// Runs the `DaemonSet`'s container on a node made for it.
fn on_a_node(test: &str, name: &str) {
    if lacks(test, &["unshare", "setpriv", "openssl", "ip"]) {
        return;
    }
    let Some(manifests) = python(test, "show") else { return };
    let executables = executable("nuage-cni-install").parent().unwrap().to_owned();
    let scratch = tempfile::tempdir().unwrap();
    let mut command = Command::new("unshare");
    command.args(["--mount", "--net", "--propagation", "private"]);
    command.arg(std::env::var_os(VARIABLE).unwrap()).arg(script("node.py"));
    command.arg(executables).arg(scratch.path()).arg(name);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), manifests.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let told = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    assert!(output.status.success(), "{}{}", told[0], told[1]);
}

#[test]
fn a_node_attaches_pods_with_what_the_daemonset_has_and_asks_the_api_server_for_no_more_and_no_less_than_it_may()
 {
    on_a_node(
        "a_node_attaches_pods_with_what_the_daemonset_has_and_asks_the_api_server_for_no_more_and_no_less_than_it_may",
        "kubernetes",
    );
}

#[test]
fn a_node_of_openshift_is_ready_with_what_the_daemonset_has() {
    on_a_node("a_node_of_openshift_is_ready_with_what_the_daemonset_has", "openshift");
}
